import { RowBlocks } from './row-blocks';
import type { ShardLayout } from './thread/scan-protocol';
import { MAX_SHARD_PAGES, PAGE_BYTES } from './shard-layout';

/** A memory grows by this share of itself at least: pages that were never written take no memory. */
const GROWTH = 1 / 8;

let lastId = 0;

/**
 * Rows in one memory that scan threads read while it changes. Growth reserves addresses and copies nothing.
 *
 * V8 reserves 10 GiB of addresses for each memory, whatever its size: a process has room for some 13,000 of them.
 */
export class Shard extends RowBlocks {
  readonly id = ++lastId;
  readonly memory: WebAssembly.Memory;

  /** @throws {RangeError} where the process has no addresses left. */
  constructor(layout: ShardLayout) {
    const memory = new WebAssembly.Memory({
      initial: layout.blocksAt / PAGE_BYTES,
      maximum: MAX_SHARD_PAGES,
      shared: true,
    });
    super(layout, memory.buffer, layout.blocksAt);
    this.memory = memory;
  }

  /**
   * Makes room for so many rows.
   *
   * @throws {RangeError} where the process has no addresses left; nothing has changed.
   */
  reserve(rowCount: number): void {
    const { blocksAt, blockRows, blockBytes } = this.layout;
    const pages = this.memory.buffer.byteLength / PAGE_BYTES;
    const needed = Math.ceil((blocksAt + Math.ceil(rowCount / blockRows) * blockBytes) / PAGE_BYTES);
    if (needed <= pages) return;
    const generous = Math.ceil(pages * (1 + GROWTH));
    this.memory.grow(Math.min(Math.max(needed, generous), MAX_SHARD_PAGES) - pages);
    this.view(this.memory.buffer);
  }
}
