import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { markdownTable } from './markdown-table.mjs';
import { megabytes, residentBytes } from './memory.mjs';
import { verifyModels } from './models.mjs';
import { call, jsonRequest, rootDir, startService } from './service.mjs';
import { median, sum } from './statistics.mjs';
import { VGG_FACE, writeVggFace } from './vgg-face.mjs';

const VERIFICATIONS = 20;
const DETECTOR = 'retinaface-mnet025';
const sharedDir = join(rootDir, '..', 'shared');
const photosDir = join(sharedDir, 'data', 'deepface');

/** The same verifications, one after the other: models that are built for each request, against models that are there. */
export default async function deepfaceStory(log) {
  if (!existsSync(photosDir))
    throw new Error('The photos and the detector of this scenario are in ../shared.');
  const folder = mkdtempSync(join(tmpdir(), 'likeness-bench-'));
  const modelDirs = [folder, join(sharedDir, 'models')];
  const sides = [];
  try {
    writeVggFace(folder);
    const models = await verifyModels({
      modelDirs,
      cacheDir: folder,
      detectors: [DETECTOR],
      embedder: VGG_FACE,
    });
    const likeness = (cache) =>
      startService({
        FACE_MODEL_DIRS: modelDirs.join(':'),
        FACE_CACHE_DIR: folder,
        FACE_DETECTORS: DETECTOR,
        FACE_EMBEDDERS: VGG_FACE,
        FACE_ATTRIBUTE_MODELS: '',
        FACE_WORKER_COUNT: '1',
        FACE_INTRA_OP_THREADS: '1',
        FACE_CACHE: cache,
      });
    sides.push(
      { text: 'models built for each request', ...(await startRebuilding(models)) },
      { text: 'Likeness', ...(await likeness('off')) },
      { text: 'Likeness, with its cache of embeddings', ...(await likeness('memory')) },
    );
    const requests = pairs().map(([img1, img2]) => jsonRequest('/verify', { img1, img2 }));
    for (const side of sides) Object.assign(side, { times: [], memory: [] });
    // In turn, so that what slows the machine for a while slows all of them.
    for (const [i, { method, path, headers, body }] of requests.entries()) {
      for (const side of sides) {
        const start = performance.now();
        const answer = await call(side.port, method, path, headers, body);
        side.times.push(performance.now() - start);
        if (answer.status !== 200) throw new Error(`${side.text}: ${answer.status} ${answer.body}`);
        const { distance } = JSON.parse(answer.body);
        side.distances = [...(side.distances ?? []), distance.toFixed(4)];
        side.memory.push(sum([side.pid, ...side.workers()].map(residentBytes)));
      }
      log(`${i + 1}: ${sides.map(({ times }) => `${times[i].toFixed(0)} ms`).join(', ')}`);
    }
    const [rebuilt] = sides;
    for (const side of sides) side.loads = await side.modelLoadCount();
    const failures = sides
      .filter(({ distances }) => String(distances) !== String(rebuilt.distances))
      .map(({ text }) => `${text}: other distances than the same models built again`);
    return {
      columns: [
        '',
        'ready after s',
        'first verification ms',
        'median ms',
        'slowest ms',
        `all ${VERIFICATIONS}, s`,
        'ratio of medians',
        'memory after the first MB',
        'after the last MB',
        'models loaded',
      ],
      rows: sides.map(({ text, readyMs, times, memory, loads }) => [
        text,
        (readyMs / 1000).toFixed(1),
        times[0].toFixed(0),
        median(times).toFixed(0),
        Math.max(...times).toFixed(0),
        (sum(times) / 1000).toFixed(1),
        `${(median(rebuilt.times) / median(times)).toFixed(1)} x`,
        megabytes(memory[0]),
        megabytes(memory.at(-1)),
        loads,
      ]),
      notes: [
        `${VERIFICATIONS} verifications of two photos by POST /verify with base64, as DeepFace's API has it, one after the other and in turn on each side; one thread each. Detector: RetinaFace (MobileNet 0.25, real weights). Embedder: VGG-Face's architecture and size (580 MB) with random weights. Model files are in the page cache: a disk adds to the first side alone. It gives its models back after each request, which is kinder to its memory than waiting for a garbage collector; Python's start and TensorFlow's are not in it: what DeepFace itself took for its first verification is in a report of its users (serengil/deepface issue 1157: 20.48 s). Memory is resident, all processes of a side; Likeness maps its weights from a file, which counts as resident too.`,
      ],
      plots: [plot(sides)],
      failures,
      summary: markdownTable(
        [
          `${VERIFICATIONS} verifications`,
          'first one, ms',
          'median, ms',
          `all ${VERIFICATIONS}, s`,
          'models loaded',
        ],
        sides.map(({ text, times, loads }) => [
          text,
          times[0].toFixed(0),
          median(times).toFixed(0),
          (sum(times) / 1000).toFixed(1),
          loads,
        ]),
      ),
    };
  } finally {
    for (const { stop } of sides) await stop();
    rmSync(folder, { recursive: true });
  }
}

async function startRebuilding(models) {
  const startedAt = performance.now();
  const child = spawn(
    process.execPath,
    [join(rootDir, 'bench', 'deepface-story-process.mjs'), JSON.stringify(models)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const [port] = await once(createInterface({ input: child.stdout }), 'line');
  return {
    port: Number(port),
    pid: child.pid,
    workers: () => [],
    modelLoadCount: () => VERIFICATIONS * models.files.length,
    readyMs: performance.now() - startedAt,
    stop() {
      process.off('exit', kill);
      kill();
    },
  };
}

/** Pairs of the labeled photos, as data URIs: the first lines of the list, and the last ones, which are of two people. */
function pairs() {
  const lines = readFileSync(join(photosDir, 'master.csv'), 'utf8').trim().split(/\r?\n/).slice(1);
  const half = VERIFICATIONS / 2;
  return [...lines.slice(0, half), ...lines.slice(-half)].map((line) =>
    line
      .split(',')
      .slice(0, 2)
      .map(
        (name) =>
          `data:image/jpeg;base64,${readFileSync(join(photosDir, name.trim().split('/').at(-1))).toString('base64')}`,
      ),
  );
}

function plot(sides) {
  return {
    name: 'deepface-story',
    title: `${VERIFICATIONS} verifications with a VGG-Face-size model (log scale)`,
    data: sides.flatMap(({ text, times }) => times.map((ms, i) => ({ text, number: i + 1, ms }))),
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'number', type: 'quantitative', title: 'verification', axis: { tickMinStep: 1 } },
      y: { field: 'ms', type: 'quantitative', scale: { type: 'log' }, title: 'milliseconds' },
      color: { field: 'text', type: 'nominal', sort: null, title: null },
      shape: { field: 'text', type: 'nominal', sort: null, title: null },
    },
  };
}
