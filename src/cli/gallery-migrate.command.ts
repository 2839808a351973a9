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

/** Interval of progress requests. */
const LOOK_MS = 500;
const PAGE_SIZE = 1000;

export function addGalleryMigrateCommand(gallery: Command): void {
  const command = gallery
    .command('migrate')
    .description(
      'Migrate a gallery to another embedder: in the background, the service embeds the stored face crops (keepCrops) again into a copy, which can be searched meanwhile. A second run continues where the first ended. The exit code is 2 if references are missing at the end.',
    )
    .argument('<gallery>', 'id of the gallery')
    .requiredOption('--embedder <name>', 'loaded embedder to migrate to');
  addServerOption(command)
    .option('--report <file>', 'write the subjects that must be enrolled again, as JSON Lines')
    .option('--switch', 'replace the gallery with the copy and delete the original')
    .option('--drop-missing', 'with --switch: replace it even if references are missing, which are then lost')
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
    `${gallery}: ${done} of ${total} references in ${copyId}, ${withoutCrop} without a crop, ${failed} failed`,
  );
  if (switched != null)
    printLine(`${gallery} now holds embeddings of ${embedder} (contract ${switched.contract})`);
}

/** Starts or resumes the migration and waits until it ends. */
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
