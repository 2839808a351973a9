import { BLOCK_ROWS } from './thread/block-rows';
import type { RowBlocks } from './row-blocks';
import type { ScanHit } from './thread/scan-protocol';
import { Shard } from './shard';
import { shardLayout } from './shard-layout';
import type { SmallRows } from './small-rows';
import type { ScanSource } from './scan-source';
import type { VectorScanner } from './vector-scanner';

/**
 * Precision of the scan. Results are identical to the bit: `int8` scans one-byte codes, and reads the vectors only of rows that
 * the codes do not rule out. It is faster and takes a quarter more memory.
 */
export const VECTOR_PRECISIONS = ['float32', 'int8'] as const;
export type VectorPrecision = (typeof VECTOR_PRECISIONS)[number];

/** The most similar row of a subject. Similarity: cosine, [-1, 1], to single precision. */
export type IndexHit = ScanHit;

export interface VectorIndexOptions {
  dimensions: number;
  precision: VectorPrecision;
  scanner: VectorScanner;
  /** Rows per shard, a multiple of {@link BLOCK_ROWS}, for tests. @defaultValue as many as it can address */
  shardRows?: number;
  /** Maximum rows of a small index, for tests. @defaultValue a megabyte of vectors */
  smallRows?: number;
}

export interface IndexSearchOptions {
  /** Maximum number of subjects, 1 or more; subjects tied with the last one are returned in addition. */
  limit: number;
  /** Minimum similarity, inclusive. @defaultValue none */
  minSimilarity?: number;
  /** Subjects to include: a bit per subject number, the lowest bit of a word first. @defaultValue all */
  subjects?: Uint32Array;
}

/**
 * Exact search over unit vectors for the best row of each subject.
 *
 * Vectors lie in shared memories of up to 4 GiB, which grow in place; scan threads read them there. The vectors of a small index
 * lie in plain memory and are copied for a scan ({@link SmallRows}). A removed row is zeroed at once, also in such a copy, and
 * reused by the next vector.
 *
 * Changes take effect at once and never wait for a search. A search concurrent with changes may return outdated rows:
 * {@link hasChanged} identifies these hits, and the caller must search again.
 */
export class VectorIndex {
  private readonly shards: Shard[] = [];
  private readonly source: ScanSource;
  private readonly scanner: VectorScanner;
  private readonly dimensions: number;
  private readonly shardRows: number;
  private readonly small: SmallRows;
  private readonly smallRows: number;
  private readonly free: number[] = [];
  /** Rows taken but not set yet. */
  private readonly taken = new Set<number>();

  constructor({ dimensions, precision, scanner, shardRows, smallRows }: VectorIndexOptions) {
    this.scanner = scanner;
    this.dimensions = dimensions;
    const shardBlocks = shardRows == null ? undefined : shardRows / BLOCK_ROWS;
    const hasCodes = precision === 'int8';
    const layout = shardLayout({ dimensions, hasCodes, slotCount: scanner.slotCount, shardBlocks });
    this.shardRows = layout.shardBlocks * BLOCK_ROWS;
    this.small = scanner.smallRowsOf(layout.vectorBytes / 4);
    this.smallRows = Math.min(smallRows ?? Infinity, this.small.most, this.shardRows);
    this.source = {
      layout,
      shards: this.shards,
      rowCount: 0,
      changeCount: 0,
      isClosed: false,
    };
  }

  /** Number of rows with a vector. */
  get count(): number {
    return this.source.rowCount - this.free.length - this.taken.size;
  }

  /** Number of changes so far, modulo 2^32. */
  get changeCount(): number {
    return this.source.changeCount;
  }

  /** Whether a row has changed since {@link changeCount} was `since`. */
  hasChanged(row: number, since: number): boolean {
    const [rows, at] = this.placeOf(row);
    // Signed difference of two counts modulo 2^32.
    return ((rows.change(at) - since) | 0) > 0;
  }

  /** Memory of the rows in bytes, including empty ones, without the work area of the threads: less than 1 MB per thread. */
  get bytes(): number {
    const { blockRows, blockBytes } = (this.source.small ?? this.source).layout;
    return Math.ceil(this.source.rowCount / blockRows) * blockBytes;
  }

  /**
   * Reserves memory for a total of `rowCount` rows, so that taking them cannot fail.
   *
   * @throws {RangeError} if the process has no memory or address space left; no row has changed.
   */
  reserve(rowCount: number): void {
    if (this.shards.length > 0 || rowCount > this.smallRows) this.reserveInShards(rowCount);
    else this.reserveSmall(rowCount);
  }

  /**
   * Takes a row and reserves memory for its vector. Scans skip the row until {@link set} fills it.
   *
   * @throws {RangeError} if the process has no memory or address space left; nothing has changed.
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
   * @param subject - integer chosen by the caller; dense from 0.
   * @throws {RangeError} for a row that is not taken or already filled, and for a vector of another length: mistakes of the
   *   caller, nothing else can fail.
   */
  set(row: number, embedding: Float32Array, subject: number): void {
    this.checkTaken(row);
    if (embedding.length !== this.dimensions) {
      throw new RangeError(`embedding must have ${this.dimensions} elements, not ${embedding.length}.`);
    }
    this.taken.delete(row);
    const [rows, at] = this.placeOf(row);
    rows.setVector(at, embedding);
    rows.encode(at);
    // Last: a scan skips rows without a subject.
    rows.setSubject(at, subject);
    rows.setChange(at, ++this.source.changeCount);
  }

  /**
   * Gives back a row from {@link take} that was never set.
   *
   * @throws {RangeError} for a row that is not taken or already filled.
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

  /** Zeroes and frees a row. */
  remove(row: number): void {
    const [rows, at] = this.locate(row);
    rows.clear(at);
    rows.setChange(at, ++this.source.changeCount);
    this.small.forget(this.source, row);
    this.free.push(row);
  }

  setSubject(row: number, subject: number): void {
    const [rows, at] = this.locate(row);
    rows.setSubject(at, subject);
    rows.setChange(at, ++this.source.changeCount);
  }

  /** @returns Float32Array [D], a copy. */
  get(row: number): Float32Array {
    const [rows, at] = this.locate(row);
    return rows.vector(at, this.dimensions).slice();
  }

  /**
   * Finds for each probe the best row of each subject, most similar first, ties by subject; among equally similar rows of one
   * subject, the first.
   *
   * Small searches run at once, on the calling thread. Others wait for the running pass and share the next one.
   *
   * @param probes - Float32Array [D] each, unit length.
   * @throws {Error} if a scan thread ended, or the index or its scanner was closed.
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

  /** Frees the memory. Waiting searches reject; settles when the running ones have answered. */
  async close(): Promise<void> {
    this.source.isClosed = true;
    await this.scanner.forget(this.source);
    this.small.forget(this.source);
    this.source.small = undefined;
    this.shards.length = 0;
    this.free.length = 0;
    this.taken.clear();
    this.source.rowCount = 0;
  }

  private reserveSmall(rowCount: number): void {
    const { small } = this.source;
    if (rowCount <= (small?.capacity ?? 0)) return;
    const larger = this.small.make(rowCount);
    if (small) larger.copyRows(small, this.source.rowCount);
    this.source.small = larger;
  }

  /** Reserves rows in shards; the rows of a small index move into a shard for good. */
  private reserveInShards(rowCount: number): void {
    const { layout, small } = this.source;
    for (let i = 0; i * this.shardRows < rowCount; i++) {
      const shard = this.shards[i] ?? new Shard(layout);
      shard.reserve(Math.min(this.shardRows, rowCount - i * this.shardRows));
      if (i < this.shards.length) continue;
      if (small && i === 0) shard.copyRows(small, this.source.rowCount);
      this.shards.push(shard);
      this.source.small = undefined;
    }
  }

  /** @throws {RangeError} for a row that holds no vector. */
  private locate(row: number): [RowBlocks, number] {
    if (row >= 0 && row < this.source.rowCount) {
      const [rows, at] = this.placeOf(row);
      if (rows.subject(at) >= 0) return [rows, at];
    }
    throw new RangeError(`Row ${row} holds no vector.`);
  }

  private placeOf(row: number): [RowBlocks, number] {
    const { small } = this.source;
    if (small) return [small, row];
    return [this.shards[Math.floor(row / this.shardRows)], row % this.shardRows];
  }

  private checkTaken(row: number): void {
    if (!this.taken.has(row)) throw new RangeError(`Row ${row} is not taken.`);
  }
}
