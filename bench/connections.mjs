import { Agent, request } from 'node:http';
import { once } from 'node:events';
import { fork } from 'node:child_process';
import { call, startService, verifyRequests } from './service.mjs';
import { percentile } from './statistics.mjs';

/*
 * How fast health checks are answered while 500 connections send verifications at once, on the port of the service and on
 * that of the health thread; and whether every refusal says when to come back.
 * FACE_HEALTH_PORT=3999 node bench/connections.mjs
 */

const CONNECTIONS = 500;
const SECONDS = Number(process.env.WINDOW ?? 15);
const PROBE_EVERY_MS = 20;

if (process.send != null) await sendAll();
else await measure();

/** The load, in a process of its own: the prober must see what the server does. */
async function sendAll() {
  const [{ port, until }] = await once(process, 'message');
  const [{ path, method, headers, body }] = verifyRequests();
  const agent = new Agent({ keepAlive: true });
  const counts = { answers: {}, withoutRetryAfter: 0 };
  const one = () =>
    new Promise((resolve) => {
      const sent = request({ port, path, method, headers, agent }, (response) => {
        const { statusCode } = response;
        counts.answers[statusCode] = (counts.answers[statusCode] ?? 0) + 1;
        if (statusCode !== 200 && response.headers['retry-after'] == null) counts.withoutRetryAfter++;
        response.resume().once('end', resolve).once('error', resolve);
      });
      sent.once('error', ({ code }) => {
        counts.answers[code] = (counts.answers[code] ?? 0) + 1;
        resolve();
      });
      sent.end(body);
    });
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (Date.now() < until) await one();
    }),
  );
  process.send(counts);
  process.disconnect();
}

async function measure() {
  const service = await startService();
  const load = fork(new URL(import.meta.url).pathname);
  const until = Date.now() + SECONDS * 1000;
  load.send({ port: service.port, until });
  const counted = once(load, 'message');
  const probe = async (port) => {
    const latencies = [];
    while (Date.now() < until) {
      const startedAt = performance.now();
      await call(port, 'GET', '/health/live');
      latencies.push(performance.now() - startedAt);
      await new Promise((resolve) => setTimeout(resolve, PROBE_EVERY_MS));
    }
    return latencies;
  };
  const ports = { service: service.port, thread: Number(process.env.FACE_HEALTH_PORT) };
  const probes = await Promise.all(
    Object.entries(ports).map(async ([name, port]) => [name, await probe(port)]),
  );
  for (const [name, latencies] of probes) {
    const [p50, p99] = [0.5, 0.99].map((share) => percentile(latencies, share).toFixed(1));
    console.log(`${name}: ${latencies.length} probes, p50 ${p50} ms, p99 ${p99} ms`);
  }
  console.log(JSON.stringify((await counted)[0]));
  await service.stop();
}
