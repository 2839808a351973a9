import { call } from './api.mjs';
import { facts, fill, h, table } from './dom.mjs';
import { parseMetrics, routeLatencies, sumOf } from './metrics.mjs';
import { problemText } from './problem.mjs';
import { S } from './strings.mjs';

const EVERY_MS = 3000;
/** Samples in the drawing of the load: five minutes. */
const HISTORY = 100;
const T = S.status;

/** Page: models, queue and latency, read again every few seconds while it is visible. */
export function statusPage() {
  const parts = { ready: h('div'), load: h('div'), models: h('div'), latency: h('div') };
  const history = [];
  let isPaused = false;
  const pause = h(
    'button',
    {
      type: 'button',
      'aria-pressed': 'false',
      onclick: () => {
        isPaused = !isPaused;
        pause.setAttribute('aria-pressed', String(isPaused));
      },
    },
    T.pause,
  );

  async function read() {
    if (isPaused || document.hidden) return;
    await Promise.all([
      show(parts.ready, readReady, () => []),
      show(parts.models, readModels),
      readMetrics(parts, history),
    ]);
  }

  // The first reading may ask for a key; later ones never interrupt.
  void call('GET', 'v1/models')
    .catch(() => null)
    .then(read);
  const timer = setInterval(() => void read(), EVERY_MS);
  return {
    title: T.title,
    leave: () => clearInterval(timer),
    content: [
      h('p', { class: 'lead' }, T.lead),
      h('p', null, pause),
      part(T.service, parts.ready, parts.load),
      part(T.models, parts.models),
      part(T.latency, parts.latency),
    ],
  };
}

function part(title, ...content) {
  return h('section', { 'aria-label': title }, h('h2', null, title), ...content);
}

/** Fills an element with what a reading gives, or says why it gives nothing. */
async function show(element, reading) {
  try {
    replace(element, await reading());
  } catch (error) {
    replace(element, h('p', { class: 'hint' }, T.unavailable(problemText(error))));
  }
}

/** Replaces the content unless the user is in it: focus and scroll position would be lost. */
function replace(element, content) {
  if (!element.contains(document.activeElement)) fill(element, content);
}

async function readReady() {
  try {
    const { gallery } = await call('GET', 'health/ready', { ask: 'never' });
    const stale = gallery && h('p', { class: 'problem' }, T.stale(S.time(gallery.staleSince)));
    return [h('p', { class: 'ready yes' }, T.ready), stale];
  } catch (error) {
    return h('p', { class: 'ready no' }, T.notReady(problemText(error)));
  }
}

async function readModels() {
  const { models } = await call('GET', 'v1/models', { ask: 'never' });
  const loaded = models.filter(({ state }) => state === 'loaded');
  return [
    table(
      T.loadedModels,
      T.modelHeads,
      loaded.map(({ name, task, isDefault, runs, runMs, memoryBytes, license }) => [
        isDefault ? T.defaultModel(name) : name,
        T.tasks[task] ?? task,
        S.count(runs),
        milliseconds(runMs?.p50),
        milliseconds(runMs?.p99),
        megabytes(memoryBytes),
        license.commercialUse ? license.name : T.nonCommercial(license.name),
      ]),
    ),
    h('p', { class: 'hint' }, T.otherModels(models.length - loaded.length)),
  ];
}

async function readMetrics(parts, history) {
  try {
    const samples = parseMetrics(await call('GET', 'metrics', { ask: 'never' }));
    showLoad(parts.load, history, {
      waiting: sumOf(samples, 'likeness_queue_length'),
      running: sumOf(samples, 'likeness_running'),
      workers: sumOf(samples, 'likeness_workers'),
      restarts: sumOf(samples, 'likeness_worker_restarts_total'),
      memoryBytes: sumOf(samples, 'likeness_memory_reckoned_bytes'),
    });
    const routes = routeLatencies(samples).filter(({ count }) => count > 0);
    replace(parts.latency, routes.length === 0 ? h('p', null, T.noRequests) : latencyTable(routes));
  } catch (error) {
    replace(parts.latency, h('p', { class: 'hint' }, T.unavailable(problemText(error))));
    await show(parts.load, async () => {
      const { queue, workers, workerRestarts, memory } = await call('GET', 'admin/status', { ask: 'never' });
      return loadOf(history, {
        waiting: queue.length,
        running: queue.running,
        workers: workers.length,
        restarts: workerRestarts,
        memoryBytes: memory.reckonedBytes,
      });
    });
  }
}

function showLoad(element, history, load) {
  replace(element, loadOf(history, load));
}

function loadOf(history, { waiting, running, workers, restarts, memoryBytes }) {
  history.push(waiting + running);
  if (history.length > HISTORY) history.shift();
  return [
    facts([
      [T.running, S.count(running)],
      [T.waiting, S.count(waiting)],
      [T.workers, S.count(workers)],
      [T.restarts, S.count(restarts)],
      [T.memory, megabytes(memoryBytes)],
    ]),
    drawing(history),
  ];
}

/** The load of the last minutes as a line. */
function drawing(history) {
  const top = Math.max(4, ...history);
  const points = history.map((value, index) => `${(index * 300) / (HISTORY - 1)},${38 - (value * 36) / top}`);
  return h(
    'svg',
    {
      class: 'load',
      viewBox: '0 0 300 40',
      role: 'img',
      'aria-label': T.loadText(history.at(-1), Math.max(...history)),
    },
    h('polyline', { points: points.join(' ') }),
  );
}

function latencyTable(routes) {
  return table(
    T.latencyTable,
    T.latencyHeads,
    routes
      .sort((a, b) => b.count - a.count)
      .map(({ route, count, p50Ms, p95Ms }) => [
        route,
        S.count(count),
        milliseconds(p50Ms),
        milliseconds(p95Ms),
      ]),
  );
}

function milliseconds(value) {
  return value == null ? '–' : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

function megabytes(bytes) {
  return bytes == null ? '–' : `${S.count(Math.round(bytes / 2 ** 20))} MB`;
}
