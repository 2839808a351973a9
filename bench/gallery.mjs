import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { People, REFERENCES_PER_SUBJECT } from './people.mjs';
import { rootDir, sleep } from './service.mjs';
import { median, percentile } from './statistics.mjs';

const require = createRequire(import.meta.url);
const searchDir = join(rootDir, 'dist', 'gallery', 'search');
const threadDir = join(searchDir, 'thread');
const dist = (file) => require(join(searchDir, file));
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
/** No cache holds a share of it that matters. */
const FAR_BYTES = 2 ** 30;
/** Ids of shards begin with 1. */
const FAR_ID = 0;
const threadCount = availableParallelism();

/** Exact search: time, rate, share of the bandwidth that a plain read reaches, recall, memory; the event loop beside it. */
export default async function gallery(log) {
  const reader = new Reader();
  try {
    return await table(reader, log);
  } finally {
    await reader.close();
  }
}

async function table(reader, log) {
  const rows = [];
  const failures = [];
  for (const size of SIZES) {
    for (const dimensions of DIMENSIONS) {
      let plainMs;
      for (const precision of VECTOR_PRECISIONS) {
        log(`${size} x ${dimensions}, ${precision}`);
        const result = await measure(reader, size, dimensions, precision);
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
          ...[result.readShare, result.farShare].map((share) =>
            precision === 'float32' && share != null ? share.toFixed(2) : '',
          ),
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
      'share of memory bandwidth',
      'recall@1',
      'recall@10',
      'event loop late, p99 ms',
    ],
    rows,
    notes: [
      `Synthetic embeddings, ${REFERENCES_PER_SUBJECT} to a subject, ${LIMIT} subjects asked for, ${threadCount} threads. p50 and p99 are of one probe at a time. The read bandwidth is that of ${threadCount} threads that read the same memory with SIMD, by eight runs of addresses at once, and do nothing with it, in turn with the searches; the memory bandwidth is that of the same threads over 1 GiB, before and after. Where the caches hold part of the vectors, the first is the higher and the second may be passed. Below ${(2e6).toLocaleString('en-US')} multiplications a search runs on the calling thread and is not compared. Recall is against a scan in double precision, ${CHECKED_PROBES} probes. The last column is how late timers are while ${CLIENTS} clients search without a pause.`,
    ],
    failures,
  };
}

async function measure(reader, size, dimensions, precision) {
  const scanner = new VectorScanner({ threadCount });
  const index = new VectorIndex({ dimensions, precision, scanner });
  const onThreads = size * dimensions > 2e6;
  try {
    const people = new People(dimensions);
    index.reserve(size);
    for (let row = 0; row < size; row++) index.add(people.next(), Math.floor(row / REFERENCES_PER_SUBJECT));
    const probes = Array.from({ length: 64 }, (_, i) => people.like(index.get(Math.floor((i / 64) * size))));
    const search = (from, count) => index.search(probes.slice(from, from + count), { limit: LIMIT });
    const [recall1, recall10] = await recall(index, size, probes.slice(0, CHECKED_PROBES));

    const farMs = [];
    const readFar = async () => {
      for (let i = 0; i < MIN_RUNS && onThreads; i++) farMs.push(await time(() => reader.readFar()));
    };
    await readFar();
    // Threads have started and code is compiled by now. Reads and searches in turn: the machine is not always the same.
    const searchMs = [];
    const readMs = [];
    await repeat(async (run) => {
      searchMs.push(await time(() => search(run % 64, 1)));
      if (onThreads) readMs.push(await time(() => reader.read(index)));
    });
    await readFar();
    const share = (ms, bytes) =>
      onThreads ? (index.count * dimensions * 4 * median(ms)) / (bytes * median(searchMs)) : undefined;
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
      readShare: share(readMs, index.count * dimensions * 4),
      farShare: share(farMs, FAR_BYTES),
      recall1,
      recall10,
      lagMs: await lagBeside(search),
    };
  } finally {
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

/** Threads that read memory as fast as they can. */
class Reader {
  #far = new WebAssembly.Memory({ initial: FAR_BYTES / 65536, maximum: FAR_BYTES / 65536, shared: true });

  constructor() {
    // Pages that were never written are all the same one.
    new Uint8Array(this.#far.buffer).fill(1);
    const kernel = new WebAssembly.Module(readFileSync(join(threadDir, 'kernel.wasm')));
    this.threads = Array.from(
      { length: threadCount },
      () =>
        new Worker(new URL('read-thread.mjs', import.meta.url), {
          workerData: { kernel, threadDir, niceness: NICENESS },
        }),
    );
  }

  /** The vectors of an index. */
  async read(index) {
    // The first shard holds all rows of these sizes; an index that is searched on threads is not small.
    const [shard] = index.shards;
    await this.#read(shard, index.source.layout.blocksAt, index.count * index.dimensions * 4);
  }

  async readFar() {
    await this.#read({ id: FAR_ID, memory: this.#far }, 0, FAR_BYTES);
  }

  async #read({ id, memory }, from, bytes) {
    const next = new Int32Array(new SharedArrayBuffer(4));
    const request = { id, memory, from, bytes: bytes - (bytes % 512), blockBytes: 2 ** 19, next };
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
