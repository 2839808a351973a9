import { type Command, Option } from 'commander';
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { FaceError } from '../errors';
import type {
  EnrolledItemDto,
  EnrollmentListResponseDto,
  EnrollOptionsDto,
  RefusedItemDto,
} from '../server/galleries/enroll.dto';
import { ENROLLMENT_GATES, type EnrollmentGate } from '../gallery/gallery.types';
import { FACE_SELECTIONS } from '../pipeline/face.types';
import { galleryOption, type GalleryOption, galleryPath } from './gallery-options';
import { examples, integer, jsonOption, type JsonOption } from './options';
import { listPeople, type PersonFile } from './people-folder';
import { printJson, printLine } from './print';
import { Progress } from './progress';
import { readImage } from './read-image';
import { errorJson, errorLine, EXIT_ERROR } from './report-error';
import { addServerOption, askServer, isTransient, patiently, type ServerOption } from './server-client';

interface ImportOptions extends ServerOption, GalleryOption, JsonOption {
  gate?: EnrollmentGate;
  faceSelection?: EnrollOptionsDto['faceSelection'];
  batch: number;
}

interface Refusal {
  file: string;
  error: FaceError;
}

/** Images in one call: the default of FACE_MAX_IMAGES. */
const BATCH = 16;
const MAX_BATCH = 256;

export function addGalleryImportCommand(gallery: Command): void {
  const command = gallery
    .command('import')
    .description(
      'Enroll the photos of a folder that has one subfolder per person, named by subject id. A second run adds nothing. The exit code is 2 if photos are rejected.',
    )
    .argument('<folder>', 'folder with one subfolder per person');
  addServerOption(command)
    .addOption(galleryOption('id of the gallery, which is created if it does not exist'))
    .addOption(
      new Option('--gate <gate>', 'strictness of the quality check (default: that of the gallery)').choices(
        ENROLLMENT_GATES,
      ),
    )
    .addOption(
      new Option(
        '--face-selection <which>',
        'face to enroll from a photo (default: the only one if the gate is on, otherwise the largest)',
      ).choices(FACE_SELECTIONS.filter((which) => which !== 'all')),
    )
    .option('--batch <count>', 'photos per request, at most FACE_MAX_IMAGES', integer(1, MAX_BATCH), BATCH)
    .addOption(jsonOption())
    .addHelpText('after', examples('likeness gallery import ./people --gallery staff'))
    .action(importFolder);
}

async function importFolder(folder: string, { json, ...options }: ImportOptions): Promise<void> {
  const { photos, skipped } = await listPeople(folder);
  await makeGallery(options);
  const progress = new Progress('photos', photos.length);
  const refused: Refusal[] = [];
  let added = 0;
  for (let start = 0; start < photos.length; start += options.batch) {
    const batch = photos.slice(start, start + options.batch);
    const results = await enroll(batch, options);
    results.forEach((result, i) => {
      if (result instanceof FaceError) refused.push({ file: batch[i].file, error: result });
      else if (result === 'added') added++;
    });
    progress.add(batch.length);
  }
  if (refused.length > 0) process.exitCode = EXIT_ERROR;
  const present = photos.length - added - refused.length;
  if (json) {
    const refusals = refused.map(({ file, error }) => ({ file, error: errorJson(error) }));
    return printJson({
      gallery: options.gallery,
      photos: photos.length,
      added,
      present,
      refused: refusals,
      passedOver: skipped,
    });
  }
  for (const { file, error } of refused) process.stderr.write(`${errorLine(error.withDetails({ file }))}\n`);
  for (const file of skipped) process.stderr.write(`skipped: ${file}\n`);
  printLine(
    `${options.gallery}: ${added} of ${photos.length} photos added, ${present} already present, ${refused.length} rejected`,
  );
}

async function makeGallery({ server, apiKey, gallery }: ImportOptions): Promise<void> {
  try {
    await askServer({ server, apiKey }, 'GET', galleryPath(gallery));
  } catch (error) {
    if (!(error instanceof FaceError) || error.code !== 'GALLERY_NOT_FOUND') throw error;
    await askServer({ server, apiKey }, 'POST', '/v1/galleries', { body: { id: gallery } });
  }
}

/** Returns the status of each photo or the reason for its rejection. Retries transient errors. */
async function enroll(
  batch: readonly PersonFile[],
  { server, apiKey, gallery, gate, faceSelection }: ImportOptions,
): Promise<(EnrolledItemDto['status'] | FaceError)[]> {
  const images = await Promise.all(batch.map(({ file }) => readImage(file, 'folder')));
  const form = new FormData();
  form.append('items', JSON.stringify(batch.map(({ subjectId }) => ({ subjectId }))));
  if (gate != null) form.append('enrollmentGate', gate);
  if (faceSelection != null) form.append('faceSelection', faceSelection);
  images.forEach((image, i) =>
    form.append('image', new Blob([new Uint8Array(image)]), basename(batch[i].file)),
  );
  const headers = { 'Idempotency-Key': keyOf(batch, images) };
  return patiently(
    async () => {
      const path = `${galleryPath(gallery)}/enroll`;
      const { results } = await askServer<EnrollmentListResponseDto>({ server, apiKey }, 'POST', path, {
        headers,
        body: form,
      });
      return results.map((result) => ('error' in result ? toError(result) : result.status));
    },
    (outcomes) => outcomes.find(isTransient),
  );
}

/** Idempotency key that depends only on the photos and subject ids, so that a later run sends the same one. */
function keyOf(batch: readonly PersonFile[], images: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  batch.forEach(({ subjectId }, i) => {
    hash.update(JSON.stringify([subjectId, createHash('sha256').update(images[i]).digest('hex')]));
  });
  return hash.digest('hex');
}

function toError({ error: { code, message, details } }: RefusedItemDto): FaceError {
  return new FaceError(code, message, details);
}
