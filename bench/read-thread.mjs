import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';

/* Reads the blocks of an index as its scan threads do, with their priority, and does nothing with them. */

const { kernel, threadDir, niceness } = workerData;
createRequire(import.meta.url)(join(threadDir, 'give-way.js')).lowerThreadPriority(niceness);

/** Of the memory read last. */
let bound = {};

parentPort.on('message', ({ id, memory, from, bytes, blockBytes, next }) => {
  if (bound.id !== id) {
    bound = { id, read: new WebAssembly.Instance(kernel, { env: { memory } }).exports.read };
  }
  const { read } = bound;
  for (;;) {
    const offset = Atomics.add(next, 0, 1) * blockBytes;
    if (offset >= bytes) break;
    read(from + offset, Math.min(blockBytes, bytes - offset));
  }
  parentPort.postMessage('done');
});
