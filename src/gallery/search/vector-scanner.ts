import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { takeTurn } from '../../turns';
import { MAX_PASS_PROBES } from './thread/block-rows';
import { type Kernel, scanBlocks } from './thread/scan-blocks';
import type {
  ScanHit,
  ScanPass,
  ScanQuery,
  ScanThreadData,
  ScanThreadReply,
  ScanThreadRequest,
} from './thread/scan-protocol';
import { Selection } from './thread/selection';
import type { ScanSource } from './scan-source';
import { SmallRows } from './small-rows';

/** Maximum multiplications of a search on the calling thread: less than a millisecond, without waking a thread. */
const CALLING_THREAD_OPERATIONS = 2_000_000;
/**
 * Niceness of the scan threads. The event loop comes first, as answering another request takes far less time than a scan. Not
 * higher, so that scans keep their share of the CPU beside busy workers.
 *
 * @public to the benchmark of galleries.
 */
export const NICENESS = 5;
const CALLING_SLOT = 0;

export interface VectorScannerOptions {
  /** Number of scan threads; 0 scans on the calling thread. */
  threadCount: number;
  /** Maximum multiplications of a search on the calling thread, for tests. @defaultValue less than a millisecond of work */
  callingThreadOperations?: number;
}

interface Search {
  source: ScanSource;
  /** Number of probes without an answer. */
  missing: number;
  answers: Answer[];
  isSettled: boolean;
  resolve: (hits: ScanHit[][]) => void;
  reject: (error: Error) => void;
}

interface Answer {
  query: ScanQuery;
  hits: ScanHit[];
}

/** A waiting probe. */
interface Task {
  search: Search;
  answer: Answer;
}

/** Waiting probes over one index. */
interface Line {
  source: ScanSource;
  tasks: Task[];
}

interface Pass {
  id: number;
  replies: ScanThreadReply[];
  resolve: () => void;
  reject: (error: Error) => void;
}

/**
 * Scan threads shared by all indexes of a process; they start with the first large search.
 *
 * One pass runs at a time, on all threads, over the rows of one index. Probes that arrive meanwhile wait and share the next pass
 * over their index; indexes take turns.
 */
export class VectorScanner {
  /** Maximum concurrently scanning threads, including the calling one. */
  readonly slotCount: number;
  private readonly kernel = new WebAssembly.Module(readFileSync(join(__dirname, 'thread', 'kernel.wasm')));
  private readonly kernels = new WeakMap<WebAssembly.Memory, Kernel>();
  /** Rows of small indexes, by width. */
  private readonly small = new Map<number, SmallRows>();
  private readonly threads: (Worker | undefined)[];
  /**
   * Waiting probes by source, in the order of their turns. Not a map: V8 keeps what the old tables of a map hold that changes
   * with every search until a full collection.
   */
  private readonly lines: Line[] = [];
  private pass?: Pass;
  private lastPassId = 0;
  private current?: { source: ScanSource; ended: Promise<void> };
  private isClosed = false;

  constructor(private readonly options: VectorScannerOptions) {
    this.slotCount = options.threadCount + 1;
    this.threads = Array.from({ length: options.threadCount });
  }

  /** @internal For {@link VectorIndex}. */
  smallRowsOf(width: number): SmallRows {
    let small = this.small.get(width);
    if (small == null) this.small.set(width, (small = new SmallRows(width, this.slotCount)));
    return small;
  }

  /** @internal For {@link VectorIndex}. */
  scan(source: ScanSource, queries: ScanQuery[]): Promise<ScanHit[][]> {
    if (this.isClosed) return Promise.reject(closed());
    const operations = source.rowCount * queries.length * widthOf(source);
    const { callingThreadOperations = CALLING_THREAD_OPERATIONS } = this.options;
    if (this.threads.length === 0 || operations <= callingThreadOperations) {
      return Promise.resolve(this.scanHere(source, queries));
    }
    return new Promise((resolve, reject) => {
      const answers = queries.map((query) => ({ query, hits: [] }));
      const search = { source, missing: 0, answers, isSettled: false, resolve, reject };
      this.enqueue(search, answers);
      void this.work();
    });
  }

  /** @internal Rejects the waiting searches of a source, and settles when no pass runs over it. */
  async forget(source: ScanSource): Promise<void> {
    const at = this.lines.findIndex((line) => line.source === source);
    if (at >= 0) for (const { search } of this.lines.splice(at, 1)[0].tasks) fail(search, indexClosed());
    if (this.current?.source === source) await this.current.ended;
    if (source.shards.length === 0) return;
    const request: ScanThreadRequest = { kind: 'forget', shardIds: source.shards.map((shard) => shard.id) };
    for (const thread of this.threads) thread?.postMessage(request);
  }

  /** Ends the threads. Waiting and running searches reject. */
  async close(): Promise<void> {
    this.isClosed = true;
    for (const { tasks } of this.lines.splice(0)) for (const { search } of tasks) fail(search, closed());
    this.pass?.reject(closed());
    await Promise.all(this.threads.map((thread) => thread?.terminate()));
  }

  private enqueue(search: Search, answers: Answer[]): void {
    const { source } = search;
    let line = this.lines.find((other) => other.source === source);
    if (line == null) this.lines.push((line = { source, tasks: [] }));
    line.tasks.push(...answers.map((answer) => ({ search, answer })));
    search.missing += answers.length;
  }

  private async work(): Promise<void> {
    if (this.current != null) return;
    for (let turn = this.takeTurn(); turn != null; turn = this.takeTurn()) {
      const { source, tasks } = turn;
      this.current = { source, ended: this.answer(source, tasks) };
      await this.current.ended;
    }
    this.current = undefined;
  }

  private takeTurn(): Line | undefined {
    for (let line = this.lines.shift(); line != null; line = this.lines.shift()) {
      const { source } = line;
      const open = line.tasks.filter(({ search }) => !search.isSettled);
      const tasks = open.splice(0, MAX_PASS_PROBES);
      if (open.length > 0) this.lines.push({ source, tasks: open });
      if (tasks.length > 0) return { source, tasks };
    }
    return undefined;
  }

  /** Runs a pass for tasks; the searches completed by it settle soon after. */
  private async answer(source: ScanSource, tasks: Task[]): Promise<void> {
    try {
      const queries = tasks.map(({ answer }) => answer.query);
      const hits = await this.runPass(source, queries);
      tasks.forEach(({ search, answer }, i) => {
        answer.hits = hits[i];
        search.missing--;
      });
      void this.completeInTurns(new Set(tasks.map((task) => task.search)));
    } catch (error) {
      for (const { search } of tasks) fail(search, error as Error);
    }
  }

  /**
   * Settles one search per turn of the event loop, while the next pass runs: clients mostly send their next request right after
   * an answer, and all of these at once would delay everything else.
   */
  private async completeInTurns(searches: Iterable<Search>): Promise<void> {
    for (const search of searches) {
      if (search.missing > 0) continue;
      await takeTurn();
      if (search.isSettled) continue;
      if (search.source.isClosed) {
        fail(search, indexClosed());
      } else {
        search.isSettled = true;
        search.resolve(search.answers.map(({ hits }) => hits));
      }
    }
  }

  private async runPass(source: ScanSource, queries: ScanQuery[]): Promise<ScanHit[][]> {
    const id = ++this.lastPassId;
    const request: ScanThreadRequest = {
      kind: 'scan',
      id,
      pass: this.passOver(source, queries, 'onThreads'),
    };
    const replies = await new Promise<ScanThreadReply[]>((resolve, reject) => {
      const pass: Pass = { id, replies: [], resolve: () => resolve(pass.replies), reject };
      this.pass = pass;
      for (let i = 0; i < this.threads.length; i++) {
        const thread = (this.threads[i] ??= this.startThread(i));
        thread.ref();
        thread.postMessage(request);
      }
    }).finally(() => {
      this.pass = undefined;
      for (const thread of this.threads) thread?.unref();
    });
    return merge(queries, replies);
  }

  private startThread(index: number): Worker {
    const workerData: ScanThreadData = { kernel: this.kernel, slot: index + 1, niceness: NICENESS };
    const thread = new Worker(join(__dirname, 'thread', 'scan-thread.js'), { workerData });
    thread.on('message', (reply: ScanThreadReply) => {
      const { pass } = this;
      // Ignores replies to a pass that another thread has already failed.
      if (pass?.id !== reply.id) return;
      pass.replies.push(reply);
      if (pass.replies.length === this.threads.length) pass.resolve();
    });
    const onEnded = (cause: unknown) => {
      // The exit follows the error, and another thread may have replaced this one by then.
      if (this.threads[index] !== thread) return;
      this.threads[index] = undefined;
      this.pass?.reject(new Error('A scan thread ended.', { cause }));
    };
    thread.on('error', onEnded);
    thread.on('exit', onEnded);
    return thread;
  }

  /** Scans synchronously, on the calling thread. */
  private scanHere(source: ScanSource, queries: ScanQuery[]): ScanHit[][] {
    const answers: ScanHit[][] = [];
    for (let first = 0; first < queries.length; first += MAX_PASS_PROBES) {
      const pass = this.passOver(source, queries.slice(first, first + MAX_PASS_PROBES), 'here');
      answers.push(...scanBlocks(pass, CALLING_SLOT, ({ memory }) => this.kernelOf(memory)));
    }
    return answers;
  }

  private kernelOf(memory: WebAssembly.Memory): Kernel {
    let kernel = this.kernels.get(memory);
    if (kernel == null) {
      const { exports } = new WebAssembly.Instance(this.kernel, { env: { memory } });
      kernel = exports as unknown as Kernel;
      this.kernels.set(memory, kernel);
    }
    return kernel;
  }

  private passOver(source: ScanSource, queries: ScanQuery[], place: 'here' | 'onThreads'): ScanPass {
    const { small, layout, shards, rowCount } = source;
    const input = small
      ? this.smallRowsOf(widthOf(source)).copyFor(place, source, small)
      : { layout, shards: shards.map(({ id, memory }) => ({ id, memory })) };
    return { ...input, rowCount, queries, nextBlock: new Int32Array(new SharedArrayBuffer(4)) };
  }
}

/** Merges the hits of all threads. */
function merge(queries: ScanQuery[], replies: ScanThreadReply[]): ScanHit[][] {
  const selections = queries.map((query) => new Selection(query));
  for (const { counts, hits } of replies) {
    let at = 0;
    counts.forEach((count, i) => {
      for (const end = at + 3 * count; at < end; at += 3)
        selections[i].add(hits[at], hits[at + 1], hits[at + 2]);
    });
  }
  return selections.map((selection) => selection.finish());
}

/** Number of elements of a padded vector. */
function widthOf({ layout }: ScanSource): number {
  return layout.vectorBytes / 4;
}

function closed(): Error {
  return new Error('The scanner is closed.');
}

function indexClosed(): Error {
  return new Error('The index is closed.');
}

function fail(search: Search, error: Error): void {
  search.isSettled = true;
  search.reject(error);
}
