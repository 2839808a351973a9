import { BLOCK_ROWS } from './block-rows';
import type { ScanHit } from './scan-protocol';
import { Shard } from './shard';
import { shardLayout } from './shard-layout';
import type { ScanSource, VectorScanner } from './vector-scanner';

/**
 * How vectors are scanned. The answers are the same to the bit: `int8` reads codes of a byte, and the vectors only of rows
 * that the codes do not rule out. It is faster for a quarter more memory.
 */
export const VECTOR_PRECISIONS = ['float32', 'int8'] as const;
export type VectorPrecision = (typeof VECTOR_PRECISIONS)[number];

/** The most similar row of a subject. Similarity: cosine, [-1, 1], to single precision. */
export type IndexHit = ScanHit;

export interface VectorIndexOptions {
  dimensions: number;
  precision: VectorPrecision;
  scanner: VectorScanner;
  /** Rows of a memory, a multiple of {@link BLOCK_ROWS}, for tests. @defaultValue as many as it can address */
  shardRows?: number;
}

export interface IndexSearchOptions {
  /** Most subjects in the answer, 1 or more. All that are as similar as the last one come on top of it. */
  limit: number;
  /** Inclusive. @defaultValue all */
  minSimilarity?: number;
  /** By subject number: 1 may answer, all others may not. @defaultValue all may */
  subjects?: Uint8Array;
}

/**
 * Exact search over unit vectors, the best row of each subject.
 *
 * Vectors lie in shared memories of up to 4 GiB, which grow in place; scan threads read them there. A row that is removed is
 * zeroed at once and taken again by the next vector.
 *
 * Changes take effect at once and never wait for a search. A search gives a state between its call and its answer: where a
 * row among its hits changed meanwhile, it is done again. A subject number that is given to another subject may thus meet the
 * mask of a search that began before: give a number away only when no search with a mask is under way, or look again.
 */
export class VectorIndex {
  private readonly shards: Shard[] = [];
  private readonly source: ScanSource;
  private readonly scanner: VectorScanner;
  private readonly dimensions: number;
  private readonly shardRows: number;
  private readonly free: number[] = [];
  /** Rows that are taken and not set. */
  private readonly taken = new Set<number>();

  constructor(options: VectorIndexOptions) {
    const { dimensions, precision, scanner, shardRows } = options;
    this.scanner = scanner;
    this.dimensions = dimensions;
    const shardBlocks = shardRows == null ? undefined : shardRows / BLOCK_ROWS;
    const layout = shardLayout(dimensions, precision === 'int8', scanner.slotCount, shardBlocks);
    this.shardRows = layout.shardBlocks * BLOCK_ROWS;
    this.source = {
      layout,
      shards: this.shards,
      rowCount: 0,
      changeCount: 0,
      isClosed: false,
      changeOf: (row) => this.shards[Math.floor(row / this.shardRows)].change(row % this.shardRows),
    };
  }

  /** Rows that hold a vector. */
  get count(): number {
    return this.source.rowCount - this.free.length - this.taken.size;
  }

  /** Of vectors, modulo 2^32. */
  get changeCount(): number {
    return this.source.changeCount;
  }

  /** Whether a row was changed after {@link changeCount} was `since`. */
  hasChanged(row: number, since: number): boolean {
    // The difference of two counts modulo 2^32.
    return ((this.source.changeOf(row) - since) | 0) > 0;
  }

  /** Memory of the rows, empty ones among them. What threads work on comes on top: less than a megabyte for each. */
  get bytes(): number {
    return Math.ceil(this.source.rowCount / BLOCK_ROWS) * this.source.layout.blockBytes;
  }

  /**
   * Makes room for so many rows in all, so that taking them cannot fail.
   *
   * @throws {RangeError} where the process has no addresses left.
   */
  reserve(rowCount: number): void {
    for (let first = 0; first < rowCount; first += this.shardRows) {
      const shard = (this.shards[first / this.shardRows] ??= new Shard(this.source.layout));
      shard.reserve(Math.min(this.shardRows, rowCount - first));
    }
  }

  /**
   * Takes a row and makes room for its vector. Scans skip the row until {@link set} fills it.
   *
   * @throws {RangeError} where the process has no addresses left; nothing has changed.
   */
  take(): number {
    const row = this.free.at(-1) ?? this.source.rowCount;
    if (row === this.source.rowCount) {
      this.reserve(row + 1);
      this.source.rowCount++;
    } else {
      this.free.pop();
    }
    this.taken.add(row);
    return row;
  }

  /**
   * Fills a row from {@link take}.
   *
   * @param embedding - Float32Array [D], unit length. Copied.
   * @param subject - whole number that the caller chooses; dense from 0.
   * @throws {RangeError} for a row that is not taken or is filled already, and for a vector of another length: mistakes of the
   *   caller, nothing else can fail.
   */
  set(row: number, embedding: Float32Array, subject: number): void {
    this.checkTaken(row);
    if (embedding.length !== this.dimensions) {
      throw new RangeError(`embedding must have ${this.dimensions} elements, not ${embedding.length}.`);
    }
    this.taken.delete(row);
    const [shard, rowInShard] = this.placeOf(row);
    shard.setVector(rowInShard, embedding);
    shard.encode(rowInShard);
    // Last: a scan skips rows without a subject.
    shard.setSubject(rowInShard, subject);
    shard.setChange(rowInShard, ++this.source.changeCount);
  }

  /**
   * Gives back a row from {@link take} that was never set.
   *
   * @throws {RangeError} for a row that is not taken or is filled already.
   */
  give(row: number): void {
    this.checkTaken(row);
    this.taken.delete(row);
    this.free.push(row);
  }

  /**
   * {@link take} and {@link set} in one.
   *
   * @returns the row.
   */
  add(embedding: Float32Array, subject: number): number {
    const row = this.take();
    this.set(row, embedding, subject);
    return row;
  }

  /** Zeroes a row and makes it free. */
  remove(row: number): void {
    const [shard, rowInShard] = this.locate(row);
    shard.setSubject(rowInShard, -1);
    shard.vector(rowInShard, this.dimensions).fill(0);
    shard.encode(rowInShard);
    shard.setChange(rowInShard, ++this.source.changeCount);
    this.free.push(row);
  }

  setSubject(row: number, subject: number): void {
    const [shard, rowInShard] = this.locate(row);
    shard.setSubject(rowInShard, subject);
    shard.setChange(rowInShard, ++this.source.changeCount);
  }

  /** Float32Array [D], a copy. */
  get(row: number): Float32Array {
    const [shard, rowInShard] = this.locate(row);
    return Float32Array.from(shard.vector(rowInShard, this.dimensions));
  }

  /**
   * For each probe the best row of each subject, most similar first, then by subject; of rows of one subject that are as
   * similar, the first. Rows are those of the moment in which the promise settles: read them before anything else runs.
   *
   * Small searches run at once, on the calling thread. Others wait for the pass that runs and share the next one.
   *
   * @param probes - Float32Array [D], unit length.
   * @throws {Error} when a scan thread ended, or the index or its scanner was closed.
   */
  search(probes: readonly Float32Array[], options: IndexSearchOptions): Promise<IndexHit[][]> {
    if (this.source.isClosed) return Promise.reject(new Error('The index is closed.'));
    const { limit, minSimilarity = -Infinity, subjects } = options;
    const queries = probes.map((embedding) => {
      const probe = new Float32Array(this.source.layout.vectorBytes / 4);
      probe.set(embedding);
      return { probe, limit, minSimilarity, subjects };
    });
    return this.scanner.scan(this.source, queries);
  }

  /** Gives the memory back. Searches that wait reject; settles when those under way have answered. */
  async close(): Promise<void> {
    this.source.isClosed = true;
    await this.scanner.forget(this.source);
    this.shards.length = 0;
    this.free.length = 0;
    this.taken.clear();
    this.source.rowCount = 0;
  }

  /** @throws {RangeError} for a row that holds no vector. */
  private locate(row: number): [Shard, number] {
    if (row >= 0 && row < this.source.rowCount) {
      const [shard, rowInShard] = this.placeOf(row);
      if (shard.subject(rowInShard) >= 0) return [shard, rowInShard];
    }
    throw new RangeError(`Row ${row} holds no vector.`);
  }

  private placeOf(row: number): [Shard, number] {
    return [this.shards[Math.floor(row / this.shardRows)], row % this.shardRows];
  }

  private checkTaken(row: number): void {
    if (!this.taken.has(row)) throw new RangeError(`Row ${row} is not taken.`);
  }
}
