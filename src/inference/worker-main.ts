import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { FaceError } from '../errors';
import type { ModelCard } from '../model-store/model-card';
import { FacePipeline } from '../pipeline/face-pipeline';
import { openSession, type TensorSession } from '../pipeline/tensor-session';
import type { LoadedModel, PlainError, WorkerReply, WorkerRequest, WorkerSettings } from './worker-protocol';

/*
 * Entry of an inference worker, a child process: loads, checks and warms its models, says ready, answers jobs.
 */

let pipeline: FacePipeline;

process.on('message', (request: WorkerRequest) => {
  switch (request.type) {
    case 'start':
      void start(request.settings).then(
        (models) => send({ type: 'ready', models }),
        (error) => send({ type: 'failure', error: toPlainError(error) }),
      );
      break;
    case 'run':
      void pipeline.run(request.job).then(
        (value) => send({ type: 'result', id: request.id, value }),
        (error) => send({ type: 'error', id: request.id, error: toPlainError(error) }),
      );
      break;
  }
});

// Without its parent a worker has nobody to answer: it ends by itself.
process.on('disconnect', () => process.exit(0));
// The parent decides when a worker ends; a Ctrl-C reaches the whole process group.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

async function start(settings: WorkerSettings): Promise<LoadedModel[]> {
  const models = new Map<string, { card: ModelCard; session: TensorSession }>();
  const loaded: LoadedModel[] = [];
  for (const { card, path } of settings.models) {
    const startedAt = performance.now();
    const rssBefore = process.memoryUsage.rss();
    const session = await openSession(await readChecked(path, card), card, settings.intraOpThreads);
    models.set(card.name, { card, session });
    await warmUp(card, session, settings);
    loaded.push({
      name: card.name,
      loadMs: performance.now() - startedAt,
      memoryBytes: Math.max(0, process.memoryUsage.rss() - rssBefore),
    });
    send({ type: 'progress', model: card.name, done: loaded.length, total: settings.models.length });
  }
  pipeline = new FacePipeline(models, settings.maxImagePixels);
  return loaded;
}

async function warmUp(card: ModelCard, session: TensorSession, settings: WorkerSettings): Promise<void> {
  try {
    await new FacePipeline(new Map([[card.name, { card, session }]]), settings.maxImagePixels).warmUp();
  } catch (error) {
    throw new FaceError('MODEL_INVALID', `Model ${card.name} fails at its first run.`, {}, { cause: error });
  }
}

async function readChecked(path: string, card: ModelCard): Promise<Buffer> {
  const file = basename(path);
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new FaceError(
      'MODEL_NOT_FOUND',
      `The file ${file} of model ${card.name} cannot be read.`,
      {},
      { cause: error },
    );
  }
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (sha256 !== card.sha256) {
    throw new FaceError(
      'MODEL_CHECKSUM_MISMATCH',
      `Expected sha256 ${card.sha256} for the file ${file} of model ${card.name} but it is ${sha256}.`,
      { file, model: card.name, expected: card.sha256, received: sha256 },
    );
  }
  return bytes;
}

function toPlainError(error: unknown): PlainError {
  if (error instanceof FaceError) {
    return {
      code: error.code,
      message: error.message,
      details: error.details,
      cause: describeCause(error.cause),
    };
  }
  return {
    code: 'INFERENCE_FAILED',
    message: 'The worker failed.',
    details: {},
    cause: describeCause(error),
  };
}

/** For the operator's log only: the main process never sends it on. */
function describeCause(cause: unknown): string | undefined {
  if (cause == null) return undefined;
  return cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
}

function send(reply: WorkerReply): void {
  process.send?.(reply);
}
