const { readlinkSync } = require('node:fs');
const { setPriority } = require('node:os');

/**
 * Lowers the priority of the calling thread alone: on Linux a thread has an id of its own, which setPriority takes.
 *
 * @param {number} niceness
 */
function lowerThreadPriority(niceness) {
  if (process.platform !== 'linux') return;
  try {
    const threadId = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    setPriority(threadId, niceness);
  } catch {
    // It then competes with the event loop: slower answers beside large searches, and nothing else.
  }
}

module.exports = { lowerThreadPriority };
