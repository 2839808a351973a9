import type { Command } from 'commander';
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout } from 'node:timers/promises';
import { FaceError } from '../errors';
import type { MigrationDto, MissingSubjectsDto } from '../server/galleries/gallery-migration.dto';
import type { GalleryResponseDto } from '../server/galleries/gallery.dto';
import { adminPath, unusable } from './gallery-options';
import { jsonOption, type JsonOption } from './options';
import { printJson, printLine } from './print';
import { Progress } from './progress';
import { EXIT_ERROR } from './report-error';
import { addServerOption, askServer, type ServerOption } from './server-client';

interface MigrateOptions extends ServerOption, JsonOption {
  embedder: string;
  report?: string;
  switch?: boolean;
  dropMissing?: boolean;
}

/** Between two looks at how far it is. */
const LOOK_MS = 500;
const PAGE_SIZE = 1000;

export function addGalleryMigrateCommand(gallery: Command): void {
  const command = gallery
    .command('migrate')
    .description(
      'Move a gallery to another embedder: the service embeds the pictures that the gallery holds (keepCrops) again, in the ' +
        'background, into a copy that can be searched beside it. A second run goes on where the first ended. Exit code 2 where ' +
        'references are missing in the end.',
    )
    .argument('<gallery>', 'id of the gallery')
    .requiredOption('--embedder <name>', 'loaded embedder that the gallery is moved to');
  addServerOption(command)
    .option(
      '--report <file>',
      'write the subjects that must be enrolled again, as a JSON object in each line',
    )
    .option('--switch', 'let the copy take the place of the gallery, which is deleted')
    .option('--drop-missing', 'with --switch: also where references are missing, which are lost')
    .addOption(jsonOption())
    .action(migrate);
}

async function migrate(gallery: string, { json, ...options }: MigrateOptions): Promise<void> {
  const { embedder, report, dropMissing } = options;
  const path = `${adminPath(gallery)}/migration`;
  const query = new URLSearchParams({ embedder });
  const status = await run(path, query, options);
  if (status.state === 'failed' && status.error != null)
    throw new FaceError(status.error.code, status.error.message, status.error.details);
  if (report != null) await writeReport(report, path, query, options);
  const missing = status.withoutCrop + status.failed;
  let switched: GalleryResponseDto | undefined;
  if (options.switch)
    switched = await askServer<GalleryResponseDto>(options, 'POST', `${path}/switch`, {
      body: { embedder, dropMissing: dropMissing ?? false },
    });
  else if (missing > 0) process.exitCode = EXIT_ERROR;
  const { copyId, total, done, withoutCrop, failed } = status;
  if (json) {
    const counts = { total, done, withoutCrop, failed };
    return printJson({ gallery, embedder, copy: copyId, ...counts, switched: switched != null });
  }
  printLine(
    `${gallery}: ${done} of ${total} references in ${copyId}, ${withoutCrop} without a picture, ${failed} failed`,
  );
  if (switched != null)
    printLine(`${gallery} holds embeddings of ${embedder} now (contract ${switched.contract})`);
}

/** Begins it, or goes on with it, and waits until it ends. */
async function run(path: string, query: URLSearchParams, options: MigrateOptions): Promise<MigrationDto> {
  const { embedder } = options;
  let status = await askServer<MigrationDto>(options, 'POST', path, { body: { embedder } });
  const progress = status.total > 0 ? new Progress('references', status.total) : null;
  while (status.state === 'running') {
    await setTimeout(LOOK_MS);
    status = await askServer<MigrationDto>(options, 'GET', `${path}?${query}`);
    progress?.to(status.done + status.withoutCrop + status.failed);
  }
  progress?.end();
  return status;
}

async function writeReport(
  file: string,
  path: string,
  query: URLSearchParams,
  options: MigrateOptions,
): Promise<void> {
  async function* lines(): AsyncGenerator<string> {
    for (let cursor: string | null = ''; cursor != null;) {
      const page = new URLSearchParams({ ...Object.fromEntries(query), limit: String(PAGE_SIZE) });
      if (cursor !== '') page.set('cursor', cursor);
      const answer: MissingSubjectsDto = await askServer(options, 'GET', `${path}/missing?${page}`);
      for (const subject of answer.subjects) yield `${JSON.stringify(subject)}\n`;
      cursor = answer.nextCursor;
    }
  }
  const target = createWriteStream(file, { mode: 0o600 });
  await pipeline(Readable.from(lines()), target).catch((error: unknown) => {
    throw error instanceof FaceError ? error : unusable(file, error);
  });
}
