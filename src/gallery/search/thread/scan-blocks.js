const { quantize } = require('./quantize');
const { Selection } = require('./selection');

/** @typedef {import('./scan-protocol').ScanPass} ScanPass */
/** @typedef {import('./scan-protocol').ShardLayout} ShardLayout */

/**
 * What kernel.wasm exports, bound to the memory of a shard.
 *
 * @typedef {object} Kernel
 * @property {(...addresses: number[]) => void} scanVectors
 * @property {(...addresses: number[]) => void} scanCodes
 */

/** Blocks that a thread takes at once: long runs for the prefetcher, short ones for an even end. */
const RUN_BLOCKS = 4;
const ENTRY_WORDS = 3;
const LARGEST_CODE = 127;

/**
 * Scans the blocks of a pass that no other thread takes.
 *
 * @param {ScanPass} pass
 * @param {number} slot - the caller's own in every shard.
 * @param {(shard: ScanPass['shards'][number]) => Kernel} kernelOf
 * @returns hits of each query.
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

    // As large as the sums of the kernel allow: the error of a probe is then far below that of a row.
    const largest = Math.min(32767, Math.floor((2 ** 31 - 1) / (LARGEST_CODE * dimensions)));
    const codes = new Int16Array(buffer, at('probeCodes'), count * dimensions);
    const scales = new Float32Array(buffer, at('probeScales'), count);
    const errors = new Float32Array(buffer, at('probeErrors'), count);
    queries.forEach(({ probe }, i) => {
      const { scale, error } = quantize(probe, codes.subarray(i * dimensions, (i + 1) * dimensions), largest);
      scales[i] = scale;
      // The codes of a row are at most 2 long: its length, 1, and its error, which is below that. The rest is for rounding.
      errors[i] = 2 * error + (dimensions + 16) * 2 ** -24;
    });
  }

  /**
   * @param {number} block - of the shard.
   * @param {number} firstRow - of the block, over all shards.
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
