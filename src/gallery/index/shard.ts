import { BLOCK_ROWS } from './block-rows';
import { quantise } from './quantise';
import { LARGEST_CODE } from './scan-blocks';
import type { ShardLayout } from './scan-protocol';
import { MAX_SHARD_PAGES, PAGE_BYTES } from './shard-layout';

/** A memory grows by this share of itself at least: pages that were never written take no memory. */
const GROWTH = 1 / 8;

let lastId = 0;

/**
 * Rows in one memory that scan threads read while it changes. Growth reserves addresses and copies nothing.
 *
 * Rows here count from the first of the shard.
 */
export class Shard {
  readonly id = ++lastId;
  readonly memory: WebAssembly.Memory;
  private words: Uint32Array;
  private floats: Float32Array;

  /** @throws {RangeError} where the process has no addresses left. */
  constructor(private readonly layout: ShardLayout) {
    this.memory = new WebAssembly.Memory({
      initial: layout.blocksAt / PAGE_BYTES,
      maximum: MAX_SHARD_PAGES,
      shared: true,
    });
    this.view();
  }

  /**
   * Makes room for so many rows.
   *
   * @throws {RangeError} where the process has no addresses left; nothing has changed.
   */
  reserve(rowCount: number): void {
    const { blocksAt, blockBytes } = this.layout;
    const pages = this.memory.buffer.byteLength / PAGE_BYTES;
    const needed = Math.ceil((blocksAt + Math.ceil(rowCount / BLOCK_ROWS) * blockBytes) / PAGE_BYTES);
    if (needed <= pages) return;
    const generous = Math.ceil(pages * (1 + GROWTH));
    this.memory.grow(Math.min(Math.max(needed, generous), MAX_SHARD_PAGES) - pages);
    this.view();
  }

  /** The subject number of a row, or -1 where it is empty. */
  subject(row: number): number {
    return Atomics.load(this.words, this.subjectWord(row)) - 1;
  }

  /** -1 empties the row for scans. */
  setSubject(row: number, subject: number): void {
    Atomics.store(this.words, this.subjectWord(row), subject + 1);
  }

  /** Which change of the index was the last of a row. */
  change(row: number): number {
    return this.words[this.subjectWord(row) + this.layout.block.changes / 4];
  }

  setChange(row: number, change: number): void {
    this.words[this.subjectWord(row) + this.layout.block.changes / 4] = change;
  }

  /** A view of a row. */
  vector(row: number, dimensions: number): Float32Array {
    const from = this.vectorFloat(row);
    return this.floats.subarray(from, from + dimensions);
  }

  setVector(row: number, embedding: Float32Array): void {
    this.floats.set(embedding, this.vectorFloat(row));
  }

  /** Makes the codes of a row those of its vector. */
  encode(row: number): void {
    const { block, vectorBytes, hasCodes } = this.layout;
    if (!hasCodes) return;
    const dimensions = vectorBytes / 4;
    const blockAt = this.blockAt(row);
    const rowInBlock = row % BLOCK_ROWS;
    const codes = new Int8Array(
      this.memory.buffer,
      blockAt + block.codes + rowInBlock * dimensions,
      dimensions,
    );
    const { scale, error } = quantise(this.vector(row, dimensions), codes, LARGEST_CODE);
    this.floats[(blockAt + block.scales) / 4 + rowInBlock] = scale;
    this.floats[(blockAt + block.errors) / 4 + rowInBlock] = error;
  }

  /** The views of a memory end where it did when they were made. */
  private view(): void {
    this.words = new Uint32Array(this.memory.buffer);
    this.floats = new Float32Array(this.memory.buffer);
  }

  private vectorFloat(row: number): number {
    const { block, vectorBytes } = this.layout;
    return (this.blockAt(row) + block.vectors + (row % BLOCK_ROWS) * vectorBytes) / 4;
  }

  private subjectWord(row: number): number {
    return this.blockAt(row) / 4 + (row % BLOCK_ROWS);
  }

  private blockAt(row: number): number {
    return this.layout.blocksAt + Math.floor(row / BLOCK_ROWS) * this.layout.blockBytes;
  }
}
