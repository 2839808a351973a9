import type { RowBlocks } from './row-blocks';
import type { Shard } from './shard';
import type { ShardLayout } from './thread/scan-protocol';

/** Current rows of an index. */
export interface ScanSource {
  /** Layout of the shards. */
  readonly layout: ShardLayout;
  readonly shards: readonly Shard[];
  /** Rows of a small index, which has no shards. */
  small?: RowBlocks;
  /** Rows of all shards, including empty ones. */
  rowCount: number;
  /** Number of changes so far, modulo 2^32. */
  changeCount: number;
  isClosed: boolean;
}
