import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { rootDir, samples } from './service.mjs';
import { median } from './statistics.mjs';
import { VGG_FACE, writeVggFace } from './vgg-face.mjs';

const require = createRequire(import.meta.url);
const dist = (file) => require(join(rootDir, 'dist', file));
const { DEFAULT_FACE_OPTIONS, imageLimitsOf } = dist('face/face.options.js');
const { forkWorker } = dist('inference/fork-worker.js');
const { prepareInChild } = dist('inference/prepare-models.js');
const { readModelStore, requireFile } = dist('models/model-store.js');

const workerFile = join(rootDir, 'dist', 'inference', 'worker-main.js');
const WORKERS = [1, 2, 4];
const LOADS = 5;
const DETECTOR = ['rfb-320', 'face-landmark-68'];

/** Time and memory of loading a network of 580 MB: its file in every worker, and prepared weights mapped by all. */
export default async function weights(log) {
  const dir = mkdtempSync(join(tmpdir(), 'likeness-bench-'));
  try {
    writeVggFace(dir);
    const cards = [join(rootDir, 'models', 'cards'), join(dir, 'cards')];
    const store = await readModelStore(cards, [dir, join(rootDir, 'models')]);
    const files = [...DETECTOR, VGG_FACE].map((name) => requireFile(store, name));
    log('preparing');
    const start = performance.now();
    const prepared = await prepareInChild({ workerFile, models: files, cacheDir: dir, limitMs: 600_000 });
    const prepareMs = performance.now() - start;
    const again = performance.now();
    await prepareInChild({ workerFile, models: files, cacheDir: dir, limitMs: 600_000 });
    const checkMs = performance.now() - again;
    const models = files.map((file, i) => {
      if (prepared[i].reason != null) throw new Error(prepared[i].reason);
      return { ...file, preparedPath: prepared[i].preparedPath };
    });

    const rows = [];
    for (const [label, kind, list] of [
      ['file', 'plain', models.slice(-1).map((model) => ({ ...model, preparedPath: null }))],
      ['prepared', 'prepared', models.slice(-1)],
      ['prepared, with the default detector', 'prepared', models],
    ]) {
      const load = list.length === 1 ? await measureLoads(kind, dir, list[0], log) : ['', ''];
      for (const count of WORKERS) {
        const { own, shared } = await measureMemory(count, list);
        const sum = own.reduce((a, b) => a + b, 0);
        rows.push([
          label,
          ...(count === 1 ? load : ['', '']),
          count,
          sum.toFixed(0),
          Math.max(...own).toFixed(0),
          shared.toFixed(0),
          (sum + shared).toFixed(0),
        ]);
        log(`${label}, ${count} workers: ${sum.toFixed(0)} MB of their own, ${shared.toFixed(0)} MB shared`);
      }
    }
    return {
      columns: [
        'loaded from',
        'load ms (min / median / max)',
        'first run ms',
        'workers',
        'own MB, all',
        'own MB, largest worker',
        'shared MB, all',
        'total MB',
      ],
      rows,
      notes: [
        `A network of VGG-Face's architecture with random weights, 580 MB. Load: ${LOADS} times each in a fresh process, page cache warm; of the file with its sha256, as a worker does. Memory of the whole worker processes, Node included, after load, warm-up and one more run; with the detector, after a photo instead. Own: anonymous memory. Shared: files that are mapped (weights, code), by proportional set size, so that the sum over the workers counts every page once.`,
        `Preparing once, with the two models of the detector: ${(prepareMs / 1000).toFixed(1)} s. Hashing what was prepared, at each boot: ${checkMs.toFixed(0)} ms.`,
      ],
    };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function measureLoads(kind, dir, { card, path, preparedPath }, log) {
  const times = [];
  const firstRuns = [];
  for (let i = 0; i < LOADS; i++) {
    const { stdout } = await promisify(execFile)(process.execPath, [
      join(rootDir, 'bench', 'open-session.mjs'),
      join(dir, 'cards', `${card.name}.json`),
      preparedPath ?? path,
      kind,
    ]);
    const { loadMs, firstRunMs } = JSON.parse(stdout);
    times.push(loadMs);
    firstRuns.push(firstRunMs);
  }
  log(`${kind}: loads in ${median(times).toFixed(0)} ms`);
  const ms = [Math.min(...times), median(times), Math.max(...times)].map((value) => value.toFixed(0));
  return [ms.join(' / '), median(firstRuns).toFixed(0)];
}

/** Workers that stand beside each other; each runs once more than its warm-up before any is measured. */
async function measureMemory(count, models) {
  const children = [];
  try {
    for (let i = 0; i < count; i++) {
      const child = forkWorker(workerFile);
      children.push(child);
      const settings = { models, intraOpThreads: 1, imageLimits: imageLimitsOf(DEFAULT_FACE_OPTIONS) };
      await ask(child, { type: 'start', settings }, 'ready');
      if (models.length === 1) await ask(child, { type: 'warm', id: 1, model: VGG_FACE }, 'warmed');
      else await ask(child, { type: 'run', id: 1, job: job() }, 'result');
    }
    const all = children.map(({ pid }) => readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
    const megabytes = (text, field) =>
      (Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)[1]) * 1024) / 1e6;
    return {
      own: all.map((text) => megabytes(text, 'Anonymous')),
      shared: all.reduce((sum, text) => sum + megabytes(text, 'Pss_File'), 0),
    };
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}

function job() {
  return {
    task: 'represent',
    image: readFileSync(samples[5]),
    models: [...DETECTOR, VGG_FACE],
    detector: DETECTOR[0],
    embedder: VGG_FACE,
    selection: 'best',
    maxFaces: 1,
    minFaceSize: 0,
  };
}

function ask(child, request, answer) {
  return new Promise((resolve, reject) => {
    child.once('exit', (code, signal) => reject(new Error(`The worker ended with ${signal ?? code}.`)));
    child.on('message', (reply) => {
      if (reply.type === answer) resolve(reply);
      else if (reply.type !== 'progress') reject(new Error(`The worker says ${JSON.stringify(reply)}.`));
    });
    child.send(request);
  });
}
