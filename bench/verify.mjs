import { execFile } from 'node:child_process';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { call, multipart, percentile, rootDir, samples, startService } from './service.mjs';

const CLIENTS = (process.env.CLIENTS ?? '1,4,16').split(',').map(Number);
const SECONDS = 15;

/**
 * End-to-end verifications per second over HTTP, against the native costs (decode, resize, inference) of the same
 * images measured alone on one thread, before and after each load, divided by the cores.
 */
export default async function verify(log) {
  const cores = cpus().length;
  const bodies = samples.map((probe, i) =>
    multipart({ probe, reference: samples[(i + 1) % samples.length] }),
  );
  const rows = [];
  for (const clients of CLIENTS) {
    const before = await nativeMsPerVerify();
    const service = await startService();
    const loadsBefore = await modelLoads(service.port);
    await load(service.port, bodies, clients, 2);
    const { count, latencies } = await load(service.port, bodies, clients, SECONDS);
    const loadsAfter = await modelLoads(service.port);
    await service.stop();
    if (loadsAfter !== loadsBefore) throw new Error('A model was loaded by a request.');
    const after = await nativeMsPerVerify();
    const nativeMs = (before + after) / 2;
    const perSecond = count / SECONDS;
    const bound = (1000 / nativeMs) * cores;
    rows.push([
      clients,
      perSecond.toFixed(2),
      `${percentile(latencies, 0.5).toFixed(0)} / ${percentile(latencies, 0.99).toFixed(0)}`,
      nativeMs.toFixed(1),
      bound.toFixed(2),
      (perSecond / bound).toFixed(2),
    ]);
    log(`${clients} clients: ${perSecond.toFixed(2)} verifications/s`);
  }
  return {
    columns: [
      'clients',
      'verifications/s over HTTP',
      'p50 / p99 ms',
      'native ms per verification, one thread',
      `native bound: ${cores} cores / native s`,
      'ratio',
    ],
    rows,
    notes: [
      'A verification is two photos of 1,920 px with three to five faces each, default models, multipart. Native costs are sharp (decode, resize) and onnxruntime (detector, landmarks, embedder with mirror) alone. One client cannot reach the bound of several cores beyond the two images of its one request. The load generator runs on the same cores.',
    ],
  };
}

async function nativeMsPerVerify() {
  const { stdout } = await promisify(execFile)(process.execPath, [
    join(rootDir, 'bench', 'native-verify.mjs'),
  ]);
  return JSON.parse(stdout).nativeMsPerImage * 2;
}

async function modelLoads(port) {
  const { body } = await call(port, 'GET', '/v1/models');
  return JSON.stringify(JSON.parse(body).models.map(({ name, loads }) => [name, loads]));
}

async function load(port, bodies, clients, seconds) {
  const end = performance.now() + seconds * 1000;
  const latencies = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (performance.now() < end) {
        const { body, headers } = bodies[next++ % bodies.length];
        const start = performance.now();
        const answer = await call(port, 'POST', '/v1/verify', headers, body);
        if (answer.status !== 200) throw new Error(`status ${answer.status}: ${answer.body}`);
        if (performance.now() <= end) latencies.push(performance.now() - start);
      }
    }),
  );
  return { count: latencies.length, latencies };
}
