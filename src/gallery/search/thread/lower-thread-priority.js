const { readlinkSync } = require('node:fs');
const { setPriority } = require('node:os');

/**
 * Lowers the priority of the calling thread only: on Linux, threads have ids of their own, which setPriority accepts.
 *
 * @param {number} niceness
 */
function lowerThreadPriority(niceness) {
  if (process.platform !== 'linux') return;
  try {
    const threadId = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    setPriority(threadId, niceness);
  } catch {
    // The thread then competes with the event loop: other requests are slower during large searches, nothing else.
  }
}

module.exports = { lowerThreadPriority };
