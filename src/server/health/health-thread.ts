import { createServer, type ServerResponse } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';
import { HEARTBEAT, type HealthThreadData, MAX_SILENCE_MS, READY } from './health-state';

/*
 * Entry of the thread that serves health checks on a separate port, unaffected by load on the main event loop.
 */

const { port, host, state } = workerData as HealthThreadData;
const cells = new BigInt64Array(state);

function answer(response: ServerResponse, isOk: boolean, body: object): void {
  response.writeHead(isOk ? 200 : 503, {
    'Content-Type': 'application/json',
    'Cache-Control': 'no-store',
    ...(isOk ? {} : { 'Retry-After': '1' }),
  });
  response.end(JSON.stringify(body));
}

const server = createServer((request, response) => {
  request.resume();
  const isAlive = Date.now() - Number(Atomics.load(cells, HEARTBEAT)) < MAX_SILENCE_MS;
  const isReady = isAlive && Atomics.load(cells, READY) === 1n;
  const path = request.url?.split('?')[0];
  if (path === '/health/live') return answer(response, isAlive, { status: isAlive ? 'ok' : 'stalled' });
  if (path === '/health/ready') return answer(response, isReady, { status: isReady ? 'ready' : 'not ready' });
  response.writeHead(404).end();
});
server.once('error', (error: NodeJS.ErrnoException) => {
  throw new Error(`The service cannot listen on the health port (${error.code}).`);
});
server.listen(port, host, () => parentPort?.postMessage('listening'));
