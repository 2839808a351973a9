import { answersIn, requireSuccess, startLoad, steadyWindow } from './load.mjs';
import { call, sleep, startService, verifyRequests } from './service.mjs';
import { percentile } from './statistics.mjs';

const CLIENTS = 64;
const WINDOW = Number(process.env.WINDOW ?? 60);
const PROBE_EVERY_MS = 10;
/** The load may be starved, the prober may not: it has to see what the server does, not how long it waited for a core. */
const LOAD_NICE = 10;

/** How fast the server answers a health check while every core works on images. */
export default async function health(log) {
  const service = await startService();
  const prober = startLoad({
    port: service.port,
    requests: [{ method: 'GET', path: '/health/live', headers: {} }],
    clients: 1,
    pauseMs: PROBE_EVERY_MS,
  });
  const probe = async (clients, seconds, load) => {
    while (load.answers.length < clients) await sleep(50);
    await eventLoopDelay(service.port);
    const window = await steadyWindow(load, clients, seconds);
    return { window, delay: await eventLoopDelay(service.port) };
  };
  const idle = await probe(1, WINDOW / 4, prober);
  const load = startLoad({
    port: service.port,
    requests: verifyRequests(),
    clients: CLIENTS,
    nice: LOAD_NICE,
  });
  const busy = await probe(CLIENTS, WINDOW, load);
  for (const { answers } of [await load.stop(), await prober.stop()]) requireSuccess(answers);
  await service.stop();

  const cases = [
    ['idle', idle],
    [`${CLIENTS} clients verify`, busy],
  ].map(([name, { window, delay }]) => ({
    name,
    delay,
    throughput: answersIn(load.answers, window).perSecond,
    latencies: answersIn(prober.answers, window).latencies,
  }));
  for (const { name, latencies } of cases) log(`${name}: p99 ${percentile(latencies, 0.99).toFixed(1)} ms`);
  return {
    columns: [
      '',
      'verifications/s',
      'probes',
      ...['p50', 'p90', 'p99', 'max'].map((name) => `/health/live ${name} ms`),
      'event-loop delay p99 ms',
    ],
    rows: cases.map(({ name, throughput, latencies, delay }) => [
      name,
      throughput.toFixed(2),
      latencies.length,
      ...[0.5, 0.9, 0.99, 1].map((share) => percentile(latencies, share).toFixed(1)),
      delay == null ? '-' : (delay * 1000).toFixed(1),
    ]),
    notes: [
      `A prober in a process of its own asks every ${PROBE_EVERY_MS} ms on one connection, ${WINDOW / 4} s without and ${WINDOW} s with load; the load generator has a niceness of ${LOAD_NICE}. Verifications as in the scenario throughput.${cases[1].delay == null ? ' This build has no /metrics to read the delay of the event loop from.' : ' The delay of the event loop is `likeness_event_loop_delay_seconds` of /metrics over the same time.'}`,
    ],
    plots: [plot(cases)],
  };
}

/** Seconds, p99 since the last time it was asked; `null` where there is no such metric. */
async function eventLoopDelay(port) {
  const { body } = await call(port, 'GET', '/metrics');
  const [, value] =
    /^likeness_event_loop_delay_seconds\{quantile="0\.99"\} (\S+)$/m.exec(body.toString()) ?? [];
  return value == null ? null : Number(value);
}

function plot(cases) {
  const shares = Array.from({ length: 1000 }, (_, i) => (i + 0.5) / 1000);
  return {
    name: 'health',
    title: 'Latency of /health/live: share of probes answered within a time (goal: 0.99 within 10 ms)',
    data: cases.flatMap(({ name, latencies }) => {
      const sorted = [...latencies].sort((a, b) => a - b);
      return shares.map((share) => ({ name, share, ms: sorted[Math.floor(share * sorted.length)] }));
    }),
    layer: [
      {
        mark: 'line',
        encoding: {
          y: { field: 'share', type: 'quantitative' },
          x: { field: 'ms', type: 'quantitative' },
          order: { field: 'share' },
          color: { field: 'name', type: 'nominal', sort: null, title: null },
        },
      },
      { mark: { type: 'rule', strokeDash: [4, 4] }, encoding: { x: { datum: 10 } } },
    ],
    encoding: {
      x: { type: 'quantitative', scale: { type: 'log' }, title: 'milliseconds (log scale)' },
      y: { type: 'quantitative', title: 'share of probes' },
    },
  };
}
