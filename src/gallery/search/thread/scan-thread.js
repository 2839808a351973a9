const { parentPort, workerData } = require('node:worker_threads');
const { lowerThreadPriority } = require('./lower-thread-priority');
const { scanBlocks } = require('./scan-blocks');

/** A scan thread: scans the passes that it receives. It never ends by itself. */

const { kernel, slot, niceness } = /** @type {import('./scan-protocol').ScanThreadData} */ (workerData);
const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort);

lowerThreadPriority(niceness);

/** @type {Map<number, import('./scan-blocks').Kernel>} */
const kernels = new Map();

port.on('message', (/** @type {import('./scan-protocol').ScanThreadRequest} */ request) => {
  if (request.kind === 'forget') {
    for (const id of request.shardIds) kernels.delete(id);
    return;
  }
  const hits = scanBlocks(request.pass, slot, ({ id, memory }) => {
    let bound = kernels.get(id);
    if (bound == null) {
      const instance = new WebAssembly.Instance(kernel, { env: { memory } });
      bound = /** @type {import('./scan-blocks').Kernel} */ (/** @type {unknown} */ (instance.exports));
      kernels.set(id, bound);
    }
    return bound;
  });
  const numbers = Float64Array.from(hits.flat().flatMap((hit) => [hit.row, hit.subject, hit.similarity]));
  /** @type {import('./scan-protocol').ScanThreadReply} */
  const reply = { id: request.id, counts: hits.map((list) => list.length), hits: numbers };
  port.postMessage(reply, [numbers.buffer]);
});
