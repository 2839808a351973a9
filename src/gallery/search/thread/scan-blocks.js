const { quantize } = require('./quantize');
const { Selection } = require('./selection');

/** @typedef {import('./scan-protocol').ScanPass} ScanPass */
/** @typedef {import('./scan-protocol').ShardLayout} ShardLayout */

/**
 * Exports of kernel.wasm, bound to the memory of a shard.
 *
 * @typedef {object} Kernel
 * @property {(...addresses: number[]) => void} scanVectors
 * @property {(...addresses: number[]) => void} scanCodes
 */

/** Blocks that a thread takes at once: long runs suit the prefetcher, short ones let all threads finish together. */
const RUN_BLOCKS = 4;
const ENTRY_WORDS = 3;
const LARGEST_CODE = 127;

/**
 * Scans blocks of a pass until none is left, sharing them with the other threads.
 *
 * @param {ScanPass} pass
 * @param {number} slot - the caller's slot in every shard.
 * @param {(shard: ScanPass['shards'][number]) => Kernel} kernelOf
 * @returns hits per query.
 */
function scanBlocks(pass, slot, kernelOf) {
  const { layout, rowCount, shards } = pass;
  const { blockRows } = layout;
  const selections = pass.queries.map((query) => new Selection(query));
  const blockCount = Math.ceil(rowCount / blockRows);
  /** @type {ShardScan[]} */
  const scans = [];
  for (;;) {
    const first = Atomics.add(pass.nextBlock, 0, RUN_BLOCKS);
    if (first >= blockCount) break;
    for (let block = first; block < Math.min(first + RUN_BLOCKS, blockCount); block++) {
      const index = Math.floor(block / layout.shardBlocks);
      scans[index] ??= new ShardScan(pass, shards[index], kernelOf(shards[index]), slot);
      const firstRow = block * blockRows;
      scans[index].scan(
        block % layout.shardBlocks,
        firstRow,
        Math.min(blockRows, rowCount - firstRow),
        selections,
      );
    }
  }
  return selections.map((selection) => selection.finish());
}

/** The queries of a pass, laid out in a slot of a shard. */
class ShardScan {
  /**
   * @param {ScanPass} pass
   * @param {ScanPass['shards'][number]} shard
   * @param {Kernel} kernel
   * @param {number} slot
   */
  constructor({ layout, queries }, { memory }, kernel, slot) {
    this.layout = layout;
    this.kernel = kernel;
    this.slotAt = slot * layout.slotBytes;
    const { buffer } = memory;
    const at = this.at.bind(this);
    const dimensions = layout.vectorBytes / 4;
    const count = queries.length;
    this.thresholds = new Float32Array(buffer, at('thresholds'), count);
    this.counts = new Uint32Array(buffer, at('counts'), count);
    const listWords = (layout.slot.listBytes / 4) * count;
    this.entries = new Uint32Array(buffer, at('lists'), listWords);
    this.similarities = new Float32Array(buffer, at('lists'), listWords);
    const probes = new Float32Array(buffer, at('probes'), count * dimensions);
    queries.forEach(({ probe }, i) => probes.set(probe, i * dimensions));
    if (!layout.hasCodes) return;

    // The largest codes that the 32-bit sums of the kernel allow: they keep the error of a probe far below that of a row.
    const largest = Math.min(32767, Math.floor((2 ** 31 - 1) / (LARGEST_CODE * dimensions)));
    const codes = new Int16Array(buffer, at('probeCodes'), count * dimensions);
    const scales = new Float32Array(buffer, at('probeScales'), count);
    const errors = new Float32Array(buffer, at('probeErrors'), count);
    queries.forEach(({ probe }, i) => {
      const { scale, error } = quantize(probe, codes.subarray(i * dimensions, (i + 1) * dimensions), largest);
      scales[i] = scale;
      // The scaled codes of a row have a length of at most 2: that of the vector, 1, plus an error below 1. The second term
      // covers rounding.
      errors[i] = 2 * error + (dimensions + 16) * 2 ** -24;
    });
  }

  /**
   * @param {number} block - number in the shard.
   * @param {number} firstRow - first row of the block, counted over all shards.
   * @param {number} rowCount
   * @param {InstanceType<typeof Selection>[]} selections
   */
  scan(block, firstRow, rowCount, selections) {
    const { layout, kernel, thresholds, counts, entries, similarities } = this;
    for (let i = 0; i < selections.length; i++) thresholds[i] = selections[i].threshold;
    const blockAt = layout.blocksAt + block * layout.blockBytes;
    const rest = [
      blockAt + layout.block.vectors,
      blockAt,
      rowCount,
      layout.vectorBytes,
      this.at('probes'),
      selections.length,
      this.at('thresholds'),
      this.at('counts'),
      this.at('lists'),
      layout.slot.listBytes,
    ];
    if (layout.hasCodes) {
      kernel.scanCodes(
        blockAt + layout.block.codes,
        blockAt + layout.block.scales,
        blockAt + layout.block.errors,
        this.at('probeCodes'),
        this.at('probeScales'),
        this.at('probeErrors'),
        ...rest,
      );
    } else {
      kernel.scanVectors(...rest);
    }
    for (let i = 0; i < selections.length; i++) {
      let entry = (i * layout.slot.listBytes) / 4;
      for (const end = entry + counts[i] * ENTRY_WORDS; entry < end; entry += ENTRY_WORDS) {
        selections[i].add(firstRow + entries[entry], entries[entry + 1] - 1, similarities[entry + 2]);
      }
    }
  }

  /** @param {keyof ShardLayout['slot']} part */
  at(part) {
    return this.slotAt + this.layout.slot[part];
  }
}

module.exports = { LARGEST_CODE, scanBlocks };
