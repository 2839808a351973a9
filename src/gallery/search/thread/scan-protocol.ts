/**
 * Where things are in the memory of a shard, in bytes: a slot for each thread with what it works on, then the blocks.
 *
 * A block has its subjects (u32 [rows], number + 1, 0: empty), which change of the index was the last of each row (u32
 * [rows]), with int8 also scales (f32 [rows]), errors (f32 [rows]) and codes (i8 [rows, D]), then vectors (f32 [rows, D]). D is
 * the dimensions, rounded up to a multiple of 16 with zeros; of what counts rows, there is room for a multiple of 8.
 */
export interface ShardLayout {
  /** Of one vector: 4 D. */
  vectorBytes: number;
  hasCodes: boolean;
  slotBytes: number;
  /** In a slot. */
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
    /** [probes, rows] of row in the block, subject + 1, similarity: u32, u32, f32 */
    lists: number;
    listBytes: number;
  };
  /** Address of the first block. */
  blocksAt: number;
  blockRows: number;
  blockBytes: number;
  /** In a block. */
  block: { changes: number; scales: number; errors: number; codes: number; vectors: number };
  /** Blocks of every shard but the last. */
  shardBlocks: number;
}

/** What is asked of the rows for one probe. */
export interface ScanQuery {
  /** Float32Array [D], padded. */
  probe: Float32Array;
  limit: number;
  minSimilarity: number;
  /** By subject number, 1: may answer. */
  subjects?: Uint8Array;
}

/** Queries that one walk over the memory answers. */
export interface ScanPass {
  layout: ShardLayout;
  /** In the order of their rows. */
  shards: { id: number; memory: WebAssembly.Memory }[];
  /** Rows to scan, over all shards. */
  rowCount: number;
  queries: ScanQuery[];
  /** One number in shared memory: the next block that no thread has taken. */
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
  /** Which slot of every shard is this thread's. */
  slot: number;
  /** Added to the nice value of the thread, where the system has one for threads. */
  niceness: number;
}

export type ScanThreadRequest =
  | { kind: 'scan'; id: number; pass: ScanPass }
  /** Lets go of the memory of these shards. */
  | { kind: 'forget'; shardIds: number[] };

export interface ScanThreadReply {
  id: number;
  /** Hits of each query. */
  counts: number[];
  /** Row, subject, similarity of each hit, one query after the other. */
  hits: Float64Array;
}
