import { quantize } from './thread/quantize';
import { LARGEST_CODE } from './thread/scan-blocks';
import type { ShardLayout } from './thread/scan-protocol';

/** Rows in blocks, in any memory. Rows are numbered across blocks, from 0. */
export class RowBlocks {
  private words!: Uint32Array;
  private floats!: Float32Array;

  /** @param blocksAt - offset of the first block in the buffer, in bytes. */
  constructor(
    readonly layout: ShardLayout,
    buffer: ArrayBufferLike,
    private readonly blocksAt: number,
  ) {
    this.view(buffer);
  }

  /** Maximum number of rows. */
  get capacity(): number {
    return this.layout.blockRows * this.layout.shardBlocks;
  }

  /** Subject number of a row, or -1 if it is empty. */
  subject(row: number): number {
    return Atomics.load(this.words, this.subjectWord(row)) - 1;
  }

  /** Sets the subject of a row; scans skip rows with -1. */
  setSubject(row: number, subject: number): void {
    Atomics.store(this.words, this.subjectWord(row), subject + 1);
  }

  /** Change count of the index at the last change of a row. */
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

  /** Computes the codes of a row from its vector. */
  encode(row: number): void {
    const { block, blockRows, vectorBytes, hasCodes } = this.layout;
    if (!hasCodes) return;
    const dimensions = vectorBytes / 4;
    const blockAt = this.blockAt(row);
    const rowInBlock = row % blockRows;
    const codesAt = blockAt + block.codes + rowInBlock * dimensions;
    const codes = new Int8Array(this.floats.buffer, codesAt, dimensions);
    const { scale, error } = quantize(this.vector(row, dimensions), codes, LARGEST_CODE);
    this.floats[(blockAt + block.scales) / 4 + rowInBlock] = scale;
    this.floats[(blockAt + block.errors) / 4 + rowInBlock] = error;
  }

  /** Zeroes a row, which scans then skip. */
  clear(row: number): void {
    this.setSubject(row, -1);
    const from = this.vectorFloat(row);
    this.floats.fill(0, from, from + this.layout.vectorBytes / 4);
    this.encode(row);
  }

  /** Copies the first rows from another object with the same width. */
  copyRows(from: RowBlocks, rowCount: number): void {
    for (let row = 0; row < rowCount; row++) {
      this.setVector(row, from.vector(row, this.layout.vectorBytes / 4));
      this.encode(row);
      this.setChange(row, from.change(row));
      this.setSubject(row, from.subject(row));
    }
  }

  /** Copies all blocks from another object with the same layout and its own buffer, which holds nothing else. */
  copyBlocks(from: RowBlocks): void {
    this.words.set(from.words, this.blocksAt / 4);
  }

  /** Creates the views. They keep their length, so they must be created again after the buffer has grown. */
  protected view(buffer: ArrayBufferLike): void {
    this.words = new Uint32Array(buffer);
    this.floats = new Float32Array(buffer);
  }

  private vectorFloat(row: number): number {
    const { block, blockRows, vectorBytes } = this.layout;
    return (this.blockAt(row) + block.vectors + (row % blockRows) * vectorBytes) / 4;
  }

  private subjectWord(row: number): number {
    return this.blockAt(row) / 4 + (row % this.layout.blockRows);
  }

  private blockAt(row: number): number {
    return this.blocksAt + Math.floor(row / this.layout.blockRows) * this.layout.blockBytes;
  }
}
