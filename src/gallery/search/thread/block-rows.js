/** Rows that the kernel scans in one call, and the unit in which memory grows. */
const BLOCK_ROWS = 256;
/** Most probes that share a pass. */
const MAX_PASS_PROBES = 64;

module.exports = { BLOCK_ROWS, MAX_PASS_PROBES };
