import { BLOCK_ROWS } from './thread/block-rows';
import { RowBlocks } from './row-blocks';
import type { ScanPass, ShardLayout } from './thread/scan-protocol';
import { Shard } from './shard';
import { shardLayout } from './shard-layout';
import type { ScanSource } from './scan-source';

/**
 * Maximum bytes of vectors in a small index. Copying them for a scan takes about 0.2 ms, if the last scan was of another index.
 */
const SMALL_BYTES = 2 ** 20;
/** Rows that the kernel reads at once. */
const LEAST_ROWS = 8;

/**
 * Rows of small indexes, all of the same width. Each index has plain memory of its own size: a {@link Shard} per index would use
 * up the address space of the process, and take some kilobytes each.
 *
 * For a scan they are copied into a shard shared by all small indexes. Codes are left out: with so few rows they gain nothing,
 * and results are the same without them.
 */
export class SmallRows {
  /** Maximum rows of a small index. */
  readonly most: number;
  /** One for the calling thread, one for the scan threads, as both may scan at the same time. */
  private copies?: { here: ScanCopy; onThreads: ScanCopy };

  constructor(
    private readonly dimensions: number,
    private readonly slotCount: number,
  ) {
    const rows = SMALL_BYTES / this.layout(LEAST_ROWS).vectorBytes;
    this.most = Math.max(LEAST_ROWS, 2 ** Math.floor(Math.log2(rows)));
  }

  /**
   * Allocates memory for at least `rowCount` rows, up to {@link most}.
   *
   * @throws {RangeError} if the process has no memory or address space left.
   */
  make(rowCount: number): RowBlocks {
    this.copies ??= { here: this.makeCopy(), onThreads: this.makeCopy() };
    const layout = this.layout(2 ** Math.ceil(Math.log2(rowCount)));
    return new RowBlocks(layout, new ArrayBuffer(bytesOf(layout)), 0);
  }

  /** Copies the rows of a small index to where a scan reads them. */
  copyFor(place: 'here' | 'onThreads', source: ScanSource, rows: RowBlocks): ScanInput {
    return this.copies![place].copy(source, rows);
  }

  /** Zeroes a row, or all rows, of an index in both copies. */
  forget(source: ScanSource, row?: number): void {
    this.copies?.here.forget(source, row);
    this.copies?.onThreads.forget(source, row);
  }

  private makeCopy(): ScanCopy {
    return new ScanCopy(this.layout(this.most));
  }

  private layout(rows: number): ShardLayout {
    const { dimensions, slotCount } = this;
    const blockRows = Math.min(rows, BLOCK_ROWS);
    const shardBlocks = rows / blockRows;
    return shardLayout({ dimensions, hasCodes: false, slotCount, blockRows, shardBlocks });
  }
}

type ScanInput = Pick<ScanPass, 'layout' | 'shards'>;

/** A copy of the rows of one index at a time. */
class ScanCopy {
  private readonly shard: Shard;
  private held?: { source: ScanSource; asOf: number; rows: RowBlocks; copy: RowBlocks };

  /** @param largest - layout of the largest small index. */
  constructor(largest: ShardLayout) {
    this.shard = new Shard(largest);
    this.shard.reserve(this.shard.capacity);
  }

  copy(source: ScanSource, rows: RowBlocks): ScanInput {
    const { held, shard } = this;
    if (held?.source !== source || held.rows !== rows || held.asOf !== source.changeCount) {
      const { layout } = rows;
      const copy = new RowBlocks(layout, shard.memory.buffer, layout.blocksAt);
      copy.copyBlocks(rows);
      // Rows of the previous copy beyond this one must not outlive their index.
      if (held) this.zero(bytesOf(layout), bytesOf(held.rows.layout));
      this.held = { source, asOf: source.changeCount, rows, copy };
    }
    return { layout: rows.layout, shards: [{ id: shard.id, memory: shard.memory }] };
  }

  forget(source: ScanSource, row?: number): void {
    const { held } = this;
    if (held?.source !== source) return;
    if (row == null) {
      this.zero(0, bytesOf(held.rows.layout));
      this.held = undefined;
    } else if (row < held.copy.capacity) {
      held.copy.clear(row);
    }
  }

  private zero(from: number, to: number): void {
    if (from >= to) return;
    const { memory, layout } = this.shard;
    new Float64Array(memory.buffer, layout.blocksAt + from, (to - from) / 8).fill(0);
  }
}

function bytesOf({ blockBytes, shardBlocks }: ShardLayout): number {
  return blockBytes * shardBlocks;
}
