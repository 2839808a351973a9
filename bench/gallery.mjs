import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { People, REFERENCES_PER_SUBJECT } from './people.mjs';
import { rootDir, sleep } from './service.mjs';
import { median, percentile } from './statistics.mjs';

const require = createRequire(import.meta.url);
const indexDir = join(rootDir, 'dist', 'gallery', 'index');
const dist = (file) => require(join(indexDir, file));
const { VectorIndex, VECTOR_PRECISIONS } = dist('vector-index.js');
const { NICENESS, VectorScanner } = dist('vector-scanner.js');

const SIZES = (process.env.SIZES ?? '1000,10000,100000,1000000').split(',').map(Number);
const DIMENSIONS = [128, 512];
const LIMIT = 10;
const WIDTHS = [1, 8, 64];
const CHECKED_PROBES = 20;
/** Of each measurement, and runs it has at least. */
const WINDOW_MS = 3000;
const MIN_RUNS = 5;
const CLIENTS = 16;
const threadCount = availableParallelism();

/** Exact search: time, rate, share of the bandwidth that a plain read reaches, recall, memory; the event loop beside it. */
export default async function gallery(log) {
  const rows = [];
  const failures = [];
  for (const size of SIZES) {
    for (const dimensions of DIMENSIONS) {
      let plainMs;
      for (const precision of VECTOR_PRECISIONS) {
        log(`${size} x ${dimensions}, ${precision}`);
        const result = await measure(size, dimensions, precision);
        plainMs ??= result.p50;
        if (result.recall1 < 1 || result.recall10 < 1) {
          failures.push(`${size} x ${dimensions}, ${precision}: recall below 1`);
        }
        rows.push([
          size.toLocaleString('en-US'),
          dimensions,
          precision,
          result.bytesPerReference.toFixed(0),
          result.p50.toFixed(2),
          result.p99.toFixed(2),
          (plainMs / result.p50).toFixed(1),
          ...result.rates.map((rate) => rate.toFixed(0)),
          precision === 'float32' ? (result.readShare?.toFixed(2) ?? '') : '',
          result.recall1.toFixed(3),
          result.recall10.toFixed(3),
          result.lagMs.toFixed(1),
        ]);
      }
    }
  }
  return {
    columns: [
      'references',
      'dimensions',
      'precision',
      'bytes per reference',
      'p50, ms',
      'p99, ms',
      'against float32',
      ...WIDTHS.map((width) => `probes/s, ${width} at once`),
      'share of read bandwidth',
      'recall@1',
      'recall@10',
      'event loop late, p99 ms',
    ],
    rows,
    notes: [
      `Synthetic embeddings, ${REFERENCES_PER_SUBJECT} to a subject, ${LIMIT} subjects asked for, ${threadCount} threads. p50 and p99 are of one probe at a time. The bandwidth is that of ${threadCount} threads that read the same memory with SIMD and do nothing with it, in turn with the searches; below ${(2e6).toLocaleString('en-US')} multiplications a search runs on the calling thread and is not compared. Recall is against a scan in double precision, ${CHECKED_PROBES} probes. The last column is how late timers are while ${CLIENTS} clients search without a pause.`,
    ],
    failures,
  };
}

async function measure(size, dimensions, precision) {
  const scanner = new VectorScanner({ threadCount });
  const index = new VectorIndex({ dimensions, precision, scanner });
  const reader = new Reader(index);
  try {
    const people = new People(dimensions);
    index.reserve(size);
    for (let row = 0; row < size; row++) index.add(people.next(), Math.floor(row / REFERENCES_PER_SUBJECT));
    const probes = Array.from({ length: 64 }, (_, i) => people.like(index.get(Math.floor((i / 64) * size))));
    const search = (from, count) => index.search(probes.slice(from, from + count), { limit: LIMIT });
    const [recall1, recall10] = await recall(index, size, probes.slice(0, CHECKED_PROBES));

    // Threads have started and code is compiled by now. Reads and searches in turn: the machine is not always the same.
    const searchMs = [];
    const readMs = [];
    await repeat(async (run) => {
      searchMs.push(await time(() => search(run % 64, 1)));
      readMs.push(await time(() => reader.read()));
    });
    const rates = [];
    for (const width of WIDTHS) {
      const ms = [];
      await repeat(async () => ms.push(await time(() => search(0, width))));
      rates.push((1000 * width) / median(ms));
    }
    return {
      bytesPerReference: index.bytes / size,
      p50: median(searchMs),
      p99: percentile(searchMs, 0.99),
      rates,
      readShare: size * dimensions > 2e6 ? median(readMs) / median(searchMs) : undefined,
      recall1,
      recall10,
      lagMs: await lagBeside(search),
    };
  } finally {
    await reader.close();
    await index.close();
    await scanner.close();
  }
}

/** Share of probes whose most similar subject, and share of the most similar ten, that a plain scan finds too. */
async function recall(index, size, probes) {
  const best = probes.map(() => new Map());
  for (let row = 0; row < size; row++) {
    const embedding = index.get(row);
    const subject = Math.floor(row / REFERENCES_PER_SUBJECT);
    probes.forEach((probe, i) => {
      let sum = 0;
      for (let d = 0; d < probe.length; d++) sum += probe[d] * embedding[d];
      if (sum > (best[i].get(subject) ?? -2)) best[i].set(subject, sum);
    });
  }
  const answers = await index.search(probes, { limit: LIMIT });
  let first = 0;
  let found = 0;
  best.forEach((similarities, i) => {
    const expected = [...similarities].sort((a, b) => b[1] - a[1]).slice(0, LIMIT);
    const subjects = answers[i].slice(0, LIMIT).map((hit) => hit.subject);
    if (subjects[0] === expected[0][0]) first++;
    found += expected.filter(([subject]) => subjects.includes(subject)).length;
  });
  return [first / probes.length, found / (LIMIT * probes.length)];
}

async function lagBeside(search) {
  let isOver = false;
  const clients = Array.from({ length: CLIENTS }, async (_, i) => {
    while (!isOver) {
      await search(i, 1);
      // A request comes from a socket: not in the turn in which the one before was answered.
      await new Promise(setImmediate);
    }
  });
  const lags = [];
  const end = performance.now() + WINDOW_MS;
  while (performance.now() < end) {
    const start = performance.now();
    await sleep(5);
    lags.push(performance.now() - start - 5);
  }
  isOver = true;
  await Promise.all(clients);
  return percentile(lags, 0.99);
}

async function repeat(run) {
  const end = performance.now() + WINDOW_MS;
  for (let count = 0; count < MIN_RUNS || performance.now() < end; count++) await run(count);
}

async function time(run) {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** Threads that read the vectors of an index as fast as they can. */
class Reader {
  constructor(index) {
    this.index = index;
    const kernel = new WebAssembly.Module(readFileSync(join(indexDir, 'kernel.wasm')));
    this.threads = Array.from(
      { length: threadCount },
      () =>
        new Worker(new URL('read-thread.mjs', import.meta.url), {
          workerData: { kernel, indexDir, niceness: NICENESS },
        }),
    );
  }

  async read() {
    // The first shard holds all rows of these sizes.
    const [{ memory }] = this.index.shards;
    const { blocksAt } = this.index.source.layout;
    const next = new Int32Array(new SharedArrayBuffer(4));
    const bytes = this.index.count * this.index.dimensions * 4;
    const request = { memory, from: blocksAt, bytes: bytes - (bytes % 128), blockBytes: 2 ** 19, next };
    await Promise.all(
      this.threads.map((thread) => {
        thread.postMessage(request);
        return new Promise((resolve) => thread.once('message', resolve));
      }),
    );
  }

  async close() {
    await Promise.all(this.threads.map((thread) => thread.terminate()));
  }
}
