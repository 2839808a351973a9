import { BLOCK_ROWS, MAX_PASS_PROBES } from './thread/block-rows';
import type { ShardLayout } from './thread/scan-protocol';

/** 32-bit address space of WebAssembly, less one page: a JavaScript view of 4 GiB would be one byte too long. */
export const MAX_SHARD_PAGES = 65535;
export const PAGE_BYTES = 65536;

const LANES = 16;
const ENTRY_BYTES = 12;
/** Rows that the kernel scans at once, reading the subject of each. */
const TILE_ROWS = 8;

export interface ShardSettings {
  dimensions: number;
  hasCodes: boolean;
  /** Maximum scanning threads, including the calling one. */
  slotCount: number;
  /** Rows per block. @defaultValue {@link BLOCK_ROWS}, the maximum */
  blockRows?: number;
  /** Blocks per shard. @defaultValue as many as it can address */
  shardBlocks?: number;
}

const layouts = new Map<string, ShardLayout>();

/** Cached: equal settings share one object, as a process may have 100,000 indexes. */
export function shardLayout(settings: ShardSettings): ShardLayout {
  const { dimensions, hasCodes, slotCount, blockRows, shardBlocks } = settings;
  const key = [dimensions, hasCodes, slotCount, blockRows, shardBlocks].join();
  let layout = layouts.get(key);
  if (layout == null) layouts.set(key, (layout = makeLayout(settings)));
  return layout;
}

function makeLayout(settings: ShardSettings): ShardLayout {
  const { dimensions, hasCodes, slotCount, blockRows = BLOCK_ROWS, shardBlocks = Infinity } = settings;
  const padded = roundUp(dimensions, LANES);
  const vectorBytes = padded * 4;
  const probes = MAX_PASS_PROBES;

  const listBytes = BLOCK_ROWS * ENTRY_BYTES;
  const [slot, slotBytes] = inSequence({
    probes: probes * vectorBytes,
    probeCodes: hasCodes ? probes * padded * 2 : 0,
    probeScales: probes * 4,
    probeErrors: probes * 4,
    thresholds: probes * 4,
    counts: probes * 4,
    lists: probes * listBytes,
  });
  const words = roundUp(blockRows, TILE_ROWS) * 4;
  const [block, blockBytes] = inSequence({
    subjects: words,
    changes: words,
    scales: hasCodes ? words : 0,
    errors: hasCodes ? words : 0,
    codes: hasCodes ? blockRows * padded : 0,
    vectors: blockRows * vectorBytes,
  });
  const blocksAt = roundUp(slotCount * slotBytes, PAGE_BYTES);
  const addressable = Math.floor((MAX_SHARD_PAGES * PAGE_BYTES - blocksAt) / blockBytes);
  return {
    vectorBytes,
    hasCodes,
    slotBytes,
    slot: { ...slot, listBytes },
    blocksAt,
    blockRows,
    blockBytes,
    block,
    shardBlocks: Math.min(shardBlocks, addressable),
  };
}

/** Offsets of consecutive parts, and their total size. */
function inSequence<Part extends string>(sizes: Record<Part, number>): [Record<Part, number>, number] {
  const offsets = { ...sizes };
  let end = 0;
  for (const part of Object.keys(sizes) as Part[]) {
    offsets[part] = end;
    end += sizes[part];
  }
  return [offsets, end];
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
