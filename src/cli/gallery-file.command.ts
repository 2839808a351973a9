import { type Command, Option } from 'commander';
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FaceError } from '../errors';
import { EXPORT_FORMATS, type ExportFormat } from '../gallery/backup/gallery-file';
import type { ImportSummary } from '../gallery/backup/import-gallery';
import { galleryOption, type GalleryOption, adminPath, unusable } from './gallery-options';
import { examples, jsonOption, type JsonOption } from './options';
import { printJson, printLine, withNotices } from './print';
import { addServerOption, askServer, callServer, type ServerOption } from './server-client';

type FileOptions = ServerOption & GalleryOption & JsonOption;

/** File mode: the exported embeddings are readable by their owner only. */
const PRIVATE = 0o600;

/** Commands that export a gallery of a running service to a file, and restore it. */
export function addGalleryFileCommands(gallery: Command): void {
  addServerOption(gallery.command('export'))
    .description(
      'Back up a gallery with its embeddings to a file. Requires a key with the scopes admin and embeddings.',
    )
    .argument('<file>', 'file to write; an existing file is replaced once the export is complete')
    .addOption(galleryOption())
    .addOption(
      new Option('--format <format>', 'JSON Lines, or a compact binary format with checksums')
        .choices(EXPORT_FORMATS)
        .default('jsonl'),
    )
    .addHelpText('after', examples('likeness gallery export staff.jsonl --gallery staff'))
    .action(exportToFile);
  addServerOption(gallery.command('restore'))
    .description(
      'Import an exported gallery into one with the same contract. A second run adds nothing. Requires a key with the scope admin.',
    )
    .argument('<file>', 'file written by "gallery export", in either format')
    .addOption(galleryOption('id of an existing gallery'))
    .addOption(jsonOption())
    .action(restore);
}

async function exportToFile(
  file: string,
  { server, apiKey, gallery, format }: FileOptions & { format: ExportFormat },
): Promise<void> {
  const { body } = await callServer(
    { server, apiKey },
    'GET',
    `${adminPath(gallery)}/export?format=${format}`,
  );
  const part = `${file}.part`;
  const handle = await open(part, 'w', PRIVATE).catch((error: unknown) => {
    throw unusable(part, error);
  });
  try {
    await withNotices(`writing ${file}`, () =>
      pipeline(
        Readable.fromWeb(body as import('node:stream/web').ReadableStream),
        handle.createWriteStream({ flush: true }),
      ),
    );
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw new FaceError(
      'GALLERY_STORE_FAILED',
      `The export of gallery ${gallery} was cut off; no file was written.`,
      { file },
      { cause: error },
    );
  }
  printLine(`${gallery}: exported to ${file}`);
}

async function restore(file: string, { server, apiKey, gallery, json }: FileOptions): Promise<void> {
  const bytes = createReadStream(file);
  await new Promise<void>((resolve, reject) => {
    bytes.once('open', () => resolve()).once('error', (error) => reject(unusable(file, error)));
  });
  const { subjectCount, addedCount, existingCount } = await withNotices(`restoring ${gallery}`, () =>
    askServer<ImportSummary>({ server, apiKey }, 'POST', `${adminPath(gallery)}/import`, {
      headers: { 'content-type': 'application/octet-stream' },
      body: Readable.toWeb(bytes) as ReadableStream<Uint8Array>,
    }),
  );
  if (json) printJson({ gallery, subjectCount, addedCount, existingCount });
  else {
    printLine(
      `${gallery}: ${subjectCount} subjects, ${addedCount} references added, ${existingCount} already present`,
    );
  }
}
