import { availableParallelism } from 'node:os';
import { answersIn, requireSuccess, startLoad, steadyWindow } from './load.mjs';
import { startNative } from './native.mjs';
import { percentile, mean } from './statistics.mjs';
import { startService, verifyRequests } from './service.mjs';

const CLIENTS = (process.env.CLIENTS ?? '1,2,4,8,16,64').split(',').map(Number);
const WINDOW = Number(process.env.WINDOW ?? 40);
const NATIVE_SECONDS = Math.min(8, WINDOW / 4);

/**
 * End-to-end verifications per second over HTTP, against what the cores can do when all of them run the native costs
 * (decode, resize, inference) of the same images and nothing else, before and after each load.
 */
export default async function throughput(log) {
  const cores = availableParallelism();
  const requests = verifyRequests();
  const native = await startNative();
  const rows = [];
  const points = [];
  for (const clients of CLIENTS) {
    const alone = await native.alone(NATIVE_SECONDS);
    const before = await native.together(NATIVE_SECONDS);
    const service = await startService();
    const loadsBefore = await service.modelLoads();
    const load = startLoad({ port: service.port, requests, clients });
    const window = await steadyWindow(load, clients, WINDOW);
    const { answers } = await load.stop();
    requireSuccess(answers);
    const { perSecond, latencies, count } = answersIn(answers, window);
    const loadsAfter = await service.modelLoads();
    await service.stop();
    if (loadsAfter !== loadsBefore) throw new Error('A model was loaded by a request.');
    const bound = mean([before, await native.together(NATIVE_SECONDS)]);
    const p50 = percentile(latencies, 0.5);
    const p99 = percentile(latencies, 0.99);
    rows.push([
      clients,
      count,
      perSecond.toFixed(2),
      `${p50.toFixed(0)} / ${p99.toFixed(0)}`,
      bound.toFixed(2),
      (perSecond / bound).toFixed(2),
      alone.toFixed(0),
      (perSecond / ((1000 / alone) * cores)).toFixed(2),
      (window.loadCpuMs / count).toFixed(1),
    ]);
    points.push({ clients: String(clients), perSecond, bound });
    log(
      `${clients} clients: ${perSecond.toFixed(2)} verifications/s, ratio ${(perSecond / bound).toFixed(2)}`,
    );
  }
  native.stop();
  return {
    columns: [
      'clients',
      'counted',
      'verifications/s over HTTP',
      'p50 / p99 ms',
      `native bound: ${cores} cores at once, verifications/s`,
      'ratio',
      'native ms per verification, alone on one thread',
      `ratio to ${cores} x alone`,
      'load generator, CPU ms per verification',
    ],
    rows,
    notes: [
      `A verification is two photos of 1,920 px with three to five faces each, default models, multipart. The native bound is sharp (decode, resize) and onnxruntime (detector, landmarks, embedder) alone, with the models as the service loads them, in one process per core, all at the same time, ${NATIVE_SECONDS} s before and after each load. Cores slow each other down, and may run faster where one works alone: the last ratio but one is what the cores can do together, the last one is to the figure of one core alone. Counting begins when every client had its first answer and lasts ${WINDOW} s with all clients at work. The load generator, a process of its own, runs on the same cores. One client cannot keep more cores busy than its request has images.`,
    ],
    plots: [throughputPlot(points, cores), ratioPlot(points)],
  };
}

function throughputPlot(points, cores) {
  const series = [
    ['over HTTP', 'perSecond'],
    [`native bound of ${cores} cores`, 'bound'],
  ];
  return {
    name: 'throughput-per-second',
    title: 'Verifications per second over HTTP, and what the cores can do natively',
    data: points.flatMap((point) =>
      series.map(([what, key]) => ({ clients: point.clients, what, perSecond: point[key] })),
    ),
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'clients', type: 'ordinal', sort: null, title: 'clients' },
      y: { field: 'perSecond', type: 'quantitative', title: 'verifications per second' },
      color: { field: 'what', type: 'nominal', title: null },
    },
  };
}

function ratioPlot(points) {
  return {
    name: 'throughput-ratio',
    title: 'Ratio of verifications over HTTP to the native bound (goal: 0.90 at 4 clients and more)',
    data: points.map(({ clients, perSecond, bound }) => ({ clients, ratio: perSecond / bound })),
    layer: [
      { mark: { type: 'line', point: true }, encoding: { y: { field: 'ratio', type: 'quantitative' } } },
      { mark: { type: 'rule', strokeDash: [4, 4] }, encoding: { y: { datum: 0.9 } } },
    ],
    encoding: {
      x: { field: 'clients', type: 'ordinal', sort: null, title: 'clients' },
      y: { type: 'quantitative', title: 'ratio', scale: { domain: [0, 1.1] } },
    },
  };
}
