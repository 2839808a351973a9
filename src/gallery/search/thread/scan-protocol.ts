/**
 * Memory layout of a shard, in bytes: a slot per thread with its work area, then the blocks.
 *
 * A block consists of subjects (u32 [rows], number + 1, 0 if empty), the change count of the index at the last change of each row
 * (u32 [rows]), with int8 also scales (f32 [rows]), errors (f32 [rows]) and codes (i8 [rows, D]), then vectors (f32 [rows, D]). D
 * is the number of dimensions, padded with zeros to a multiple of 16; arrays of one number per row are padded to a multiple of 8.
 */
export interface ShardLayout {
  /** Bytes of one vector: 4 D. */
  vectorBytes: number;
  hasCodes: boolean;
  slotBytes: number;
  /** Offsets in a slot. */
  slot: {
    /** f32 [probes, D] */
    probes: number;
    /** i16 [probes, D] */
    probeCodes: number;
    /** f32 [probes] */
    probeScales: number;
    /** f32 [probes] */
    probeErrors: number;
    /** f32 [probes] */
    thresholds: number;
    /** u32 [probes] */
    counts: number;
    /** [probes, rows] entries: row in the block (u32), subject + 1 (u32), similarity (f32) */
    lists: number;
    listBytes: number;
  };
  /** Address of the first block. */
  blocksAt: number;
  blockRows: number;
  blockBytes: number;
  /** Offsets in a block. */
  block: { changes: number; scales: number; errors: number; codes: number; vectors: number };
  /** Blocks per shard, except the last. */
  shardBlocks: number;
}

/** Query of one probe. */
export interface ScanQuery {
  /** Float32Array [D], padded. */
  probe: Float32Array;
  limit: number;
  minSimilarity: number;
  /** Subjects to include: a bit per subject number, the lowest bit of a word first. */
  subjects?: Uint32Array;
}

/** Queries answered by one pass over the memory. */
export interface ScanPass {
  layout: ShardLayout;
  /** Shards in the order of their rows. */
  shards: { id: number; memory: WebAssembly.Memory }[];
  /** Number of rows to scan, over all shards. */
  rowCount: number;
  queries: ScanQuery[];
  /** Int32Array [1] in shared memory: the next block not taken by a thread. */
  nextBlock: Int32Array;
}

export interface ScanHit {
  row: number;
  subject: number;
  similarity: number;
}

/** `workerData` of a scan thread. */
export interface ScanThreadData {
  kernel: WebAssembly.Module;
  /** This thread's slot in every shard. */
  slot: number;
  /** Nice value of the thread, on systems where threads have one. */
  niceness: number;
}

export type ScanThreadRequest =
  | { kind: 'scan'; id: number; pass: ScanPass }
  /** Releases the memory of these shards. */
  | { kind: 'forget'; shardIds: number[] };

export interface ScanThreadReply {
  id: number;
  /** Number of hits per query. */
  counts: number[];
  /** Float64Array [hits, 3] of row, subject, similarity, one query after the other. */
  hits: Float64Array;
}
