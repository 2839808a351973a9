/** Maximum rows of a block: the kernel scans one block per call, and memory grows by blocks. */
const BLOCK_ROWS = 256;
/** Maximum number of probes that share a pass. */
const MAX_PASS_PROBES = 64;

module.exports = { BLOCK_ROWS, MAX_PASS_PROBES };
