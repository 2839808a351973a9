import { FaceError } from '../errors';
import { readModelFile } from '../models/model-file';
import { publishPrepared } from '../models/prepared-model';
import { FacePipeline, warmUp } from '../pipeline/face-pipeline';
import type { PipelineModel } from '../pipeline/pipeline-model';
import { prepareSession } from '../pipeline/tensor-session';
import { loadModel } from './load-model';
import { toPlainError, toReason } from './plain-error';
import { RunCounter } from './run-counter';
import type {
  LoadedModel,
  PreparedModel,
  WorkerReply,
  WorkerRequest,
  WorkerSettings,
} from './worker-protocol';

/*
 * Entry of an inference worker, a child process: it loads, checks and warms its models, reports ready, and answers jobs. Or
 * it prepares models, and ends.
 */

const models = new Map<string, PipelineModel>();
const counter = new RunCounter();
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
        (value) => send({ type: 'result', id: request.id, value: { ...value, runs: counter.take() } }),
        (error) => send({ type: 'error', id: request.id, error: toPlainError(error) }),
      );
      break;
    case 'warm':
      void warm(request.model).then(
        () => send({ type: 'warmed', id: request.id }),
        (error) => send({ type: 'error', id: request.id, error: toPlainError(error) }),
      );
      break;
    case 'prepare':
      void prepare(request).then((model) => send({ type: 'prepared', model }));
      break;
  }
});

// A worker without its parent ends by itself.
process.on('disconnect', () => process.exit(0));
// The parent decides when a worker ends; a Ctrl-C reaches the whole process group.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

async function start({ models: files, intraOpThreads, imageLimits }: WorkerSettings): Promise<LoadedModel[]> {
  const all: LoadedModel[] = [];
  for (const file of files) {
    const { model, loaded } = await loadModel(file, intraOpThreads);
    models.set(loaded.name, model);
    all.push(loaded);
    send({ type: 'progress', model: loaded.name, done: all.length, total: files.length });
  }
  const counted = [...models].map(([name, { card, session }]): [string, PipelineModel] => [
    name,
    { card, session: counter.count(name, session) },
  ]);
  pipeline = new FacePipeline(new Map(counted), imageLimits);
  return all;
}

/** A warm-up run does not count as a run of the model. */
async function warm(name: string): Promise<void> {
  const model = models.get(name);
  if (model == null) {
    throw new FaceError('MODEL_NOT_LOADED', `Model ${JSON.stringify(name)} is not loaded.`, { model: name });
  }
  await warmUp(model);
}

async function prepare({
  model: { card, path },
  cacheDir,
}: Extract<WorkerRequest, { type: 'prepare' }>): Promise<PreparedModel> {
  try {
    const preparedPath = await publishPrepared(cacheDir, card, async (folder) =>
      prepareSession(await readModelFile(path, card), folder, card),
    );
    return { name: card.name, preparedPath };
  } catch (error) {
    return { name: card.name, reason: toReason(error, cacheDir) };
  }
}

function send(reply: WorkerReply): void {
  process.send?.(reply);
}
