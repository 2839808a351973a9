import { RowBlocks } from './row-blocks';
import type { ShardLayout } from './thread/scan-protocol';
import { MAX_SHARD_PAGES, PAGE_BYTES } from './shard-layout';

/** Minimum growth as a share of the current size: pages never written take no physical memory. */
const GROWTH = 1 / 8;

let lastId = 0;

/**
 * Rows in one memory that scan threads read while it changes. Growth reserves address space and copies nothing.
 *
 * V8 reserves 10 GiB of address space per memory, whatever its size: a process can have about 13,000 of them.
 */
export class Shard extends RowBlocks {
  readonly id = ++lastId;
  readonly memory: WebAssembly.Memory;

  /** @throws {RangeError} if the process has no address space left. */
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
   * Reserves memory for a total of `rowCount` rows.
   *
   * @throws {RangeError} if the process has no address space left; nothing has changed.
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
