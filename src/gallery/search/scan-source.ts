import type { RowBlocks } from './row-blocks';
import type { Shard } from './shard';
import type { ShardLayout } from './thread/scan-protocol';

/** The rows of an index, as they are now. */
export interface ScanSource {
  /** Of the shards. */
  readonly layout: ShardLayout;
  readonly shards: readonly Shard[];
  /** Where a small index has its rows, instead of shards. */
  small?: RowBlocks;
  /** Rows over all shards, empty ones among them. */
  rowCount: number;
  /** Changes so far, modulo 2^32. */
  changeCount: number;
  isClosed: boolean;
}
