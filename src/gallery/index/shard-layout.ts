import { BLOCK_ROWS, MAX_PASS_PROBES } from './block-rows';
import type { ShardLayout } from './scan-protocol';

/** The most that WebAssembly addresses in 32 bits, less a page, as JavaScript views of 4 GiB are one byte too long. */
export const MAX_SHARD_PAGES = 65535;
export const PAGE_BYTES = 65536;

const LANES = 16;
const ENTRY_BYTES = 12;

/**
 * @param slotCount - threads that may scan, the calling one included.
 * @param shardBlocks - blocks of a shard. @defaultValue as many as it can address
 */
export function shardLayout(
  dimensions: number,
  hasCodes: boolean,
  slotCount: number,
  shardBlocks = Infinity,
): ShardLayout {
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
  const [block, blockBytes] = inSequence({
    subjects: BLOCK_ROWS * 4,
    changes: BLOCK_ROWS * 4,
    scales: hasCodes ? BLOCK_ROWS * 4 : 0,
    errors: hasCodes ? BLOCK_ROWS * 4 : 0,
    codes: hasCodes ? BLOCK_ROWS * padded : 0,
    vectors: BLOCK_ROWS * vectorBytes,
  });
  const blocksAt = roundUp(slotCount * slotBytes, PAGE_BYTES);
  const addressable = Math.floor((MAX_SHARD_PAGES * PAGE_BYTES - blocksAt) / blockBytes);
  return {
    vectorBytes,
    hasCodes,
    slotBytes,
    slot: { ...slot, listBytes },
    blocksAt,
    blockBytes,
    block,
    shardBlocks: Math.min(shardBlocks, addressable),
  };
}

/** Offsets of parts that lie one after the other, and what they take together. */
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
