import { type Command, Option } from 'commander';
import { basename } from 'node:path';
import { FaceError, type FaceErrorCode } from '../errors';
import type { FaceModel } from '../face/face-model';
import { type ModelNeeds, withFaceModel } from './face-model';
import { integer } from './options';
import type { NamedImage } from './read-image';
import { apiKeyOption, askServer, patiently, type ServerOption } from './server-client';

/** Options of the commands that work on images here, or send them to a running service. */
export interface EngineOptions extends Partial<ServerOption> {
  /** Images, or pairs of them, in progress at the same time. */
  concurrency?: number;
}

/** The images of one answer by the names of their fields. */
type Images<Field extends string, Image = NamedImage> = Record<Field, Image>;

/** Asks for the answer to images. Its errors have the file of the image in `details.file`. */
export type Ask<Field extends string, Answer> = (images: Images<Field>) => Promise<Answer>;

/** Work on images that models of this process do, or a running service. */
export interface ImageTask<Field extends string, Answer> {
  /** Route of the service that takes these images and options. */
  route: string;
  /** Options of the call. */
  options: object;
  /** Models of this process. */
  needs: ModelNeeds;
  local: (model: FaceModel) => (images: Images<Field, Uint8Array>) => Promise<Answer>;
}

/** Requests in progress at the same time: as many as keep eight workers busy. */
const REQUESTS_AT_A_TIME = 8;
/** Two per worker keep it busy while a reply is on its way. Not more: time in the queue counts toward the deadline. */
const CALLS_PER_WORKER = 2;
const MAX_CONCURRENCY = 256;

export function addEngineOptions(command: Command, what: string): Command {
  return command
    .addOption(
      new Option('--server <url>', 'URL of a running service to do the work (default: this process does it)'),
    )
    .addOption(apiKeyOption())
    .option(
      '--concurrency <count>',
      `${what} in progress at the same time (default: two per worker, ${REQUESTS_AT_A_TIME} with --server)`,
      integer(1, MAX_CONCURRENCY),
    );
}

/**
 * Runs `work` with a function that does the task: with models of this process, which are closed afterwards, or with
 * `server` by requests to the service. Requests that the service is too busy for are repeated.
 */
export function withImageTask<Field extends string, Answer, T>(
  { server, apiKey, concurrency }: EngineOptions,
  { route, options, needs, local }: ImageTask<Field, Answer>,
  work: (ask: Ask<Field, Answer>, atATime: number) => Promise<T>,
): Promise<T> {
  if (server != null) {
    const ask = (images: Images<Field>) =>
      withFileNames(images, () => askService<Field, Answer>({ server, apiKey }, route, images, options));
    return work(ask, concurrency ?? REQUESTS_AT_A_TIME);
  }
  return withFaceModel(needs, (model, { workerCount }) => {
    const answer = local(model);
    const ask = (images: Images<Field>) => withFileNames(images, () => answer(bytesOf(images)));
    return work(ask, concurrency ?? CALLS_PER_WORKER * workerCount);
  });
}

function bytesOf<Field extends string>(images: Images<Field>): Images<Field, Uint8Array> {
  const fields = Object.entries<NamedImage>(images).map(([field, { bytes }]) => [field, bytes] as const);
  return Object.fromEntries(fields) as Images<Field, Uint8Array>;
}

/** Sends images and options as a form. */
async function askService<Field extends string, Answer>(
  server: ServerOption,
  route: string,
  images: Images<Field>,
  options: object,
): Promise<Answer> {
  const form = new FormData();
  for (const [field, { file, bytes }] of Object.entries<NamedImage>(images)) {
    form.append(field, new Blob([new Uint8Array(bytes)]), basename(file));
  }
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) form.append(name, String(value));
  }
  const { requestId: _, ...answer } = await patiently(() =>
    askServer<{ requestId: string }>(server, 'POST', route, { body: form }),
  );
  return answer as Answer;
}

/** Adds the file name to errors, which name only the field. The user gave that name, so it may be shown. */
async function withFileNames<Field extends string, Answer>(
  images: Images<Field>,
  work: () => Promise<Answer>,
): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof FaceError)) throw error;
    const fields = Object.keys(images) as Field[];
    const isOfOnlyImage = fields.length === 1 && isOfImage(error);
    const field = isOfOnlyImage ? fields[0] : fields.find((name) => name === error.details.field);
    throw field == null ? error : error.withDetails({ field, file: images[field].file, ...error.details });
  }
}

/** Errors of one image, beside those whose codes begin with IMAGE_: the other images can still be answered. */
const IMAGE_ERRORS: readonly FaceErrorCode[] = [
  'FACE_NOT_DETECTED',
  'FACE_AMBIGUOUS',
  'PRESENTATION_ATTACK_SUSPECTED',
  'REQUEST_TOO_LARGE',
  'REQUEST_TIMEOUT',
  'INFERENCE_FAILED',
  'INFERENCE_TIMEOUT',
  'QUEUE_FULL',
  'CALLER_QUEUE_FULL',
  'CALLER_QUARANTINED',
];

/** Whether an error is that of an image, and not of the whole command, such as a wrong key. */
export function isOfImage(error: unknown): error is FaceError {
  return error instanceof FaceError && (error.code.startsWith('IMAGE_') || IMAGE_ERRORS.includes(error.code));
}
