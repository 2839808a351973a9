import { parentPort, workerData } from 'node:worker_threads';

/* Reads the blocks of an index as its scan threads do, and does nothing with them. */

const { kernel } = workerData;

parentPort.on('message', ({ memory, from, bytes, blockBytes, next }) => {
  const { read } = new WebAssembly.Instance(kernel, { env: { memory } }).exports;
  for (;;) {
    const offset = Atomics.add(next, 0, 1) * blockBytes;
    if (offset >= bytes) break;
    read(from + offset, Math.min(blockBytes, bytes - offset));
  }
  parentPort.postMessage('done');
});
