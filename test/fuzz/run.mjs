import fc from 'fast-check';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { countsText, sum } from '../../bench/statistics.mjs';
import { call, jsonRequest, multipartRequest, rootDir, sleep, startService } from '../../bench/service.mjs';
import { baseImages } from './images.mjs';
import { requestArbitrary } from './requests.mjs';

/*
 * npm run fuzz
 *
 * Sends requests drawn at random to the built service: every operation of its OpenAPI document with bodies, queries, headers
 * and images that are nearly right. It fails where the service ends, answers with a 5xx that is not one of the coded refusals,
 * lets something internal out, does not answer, loses a worker or fails its health check.
 *
 * SEED: the same seed draws the same requests. REQUESTS: how many; 10,000 by default. HOSTILE=off: without the files of
 * ../shared/hostile, which otherwise come first, once each. LOG_LEVEL=error: with the causes of failures, as the service logs them.
 */

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const REQUESTS = Number(process.env.REQUESTS ?? 10_000);
const CLIENTS = 4;
const ADMIN_KEY = 'fuzz-key-of-the-admin-routes';
const SETTINGS = { HOST: '127.0.0.1', ADMIN_KEY, LOG_LEVEL: process.env.LOG_LEVEL ?? 'fatal' };
const PROGRESS_EVERY_MS = 5000;
/** A request that hangs, not one that is slow: the service's own limit is 30 s for each of two attempts. */
const NO_ANSWER_MS = 90_000;
/** Requests that may be sent to find a smaller one that fails in the same way. */
const MAX_SHRINKS = 300;
/** How many of the slowest requests are printed. */
const SLOWEST = 3;
/** Different failures after which a client stops: what follows would say the same. */
const MAX_FAILURES = 20;
/** Statuses over 499 by which the service refuses on purpose, always with a code: busy, full, late. */
const REFUSALS = [503, 504, 507];
/** Of an image that held a worker up until it was ended, in an answer of its own or among those of a list. */
const TIMEOUT = /"code":"INFERENCE_TIMEOUT"/g;
/** Least share of answers 2xx: with fewer, the requests no longer reach what they are to test. */
const MIN_SUCCESSES = 0.05;
/** What no answer may hold: stack traces, folders of the server. */
const INTERNALS = [
  /\n\s+at .+:\d+:\d+/,
  /node_modules/,
  new RegExp(rootDir.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')),
];

const failures = [];
/** Statuses by route. */
const table = new Map();
/** Requests that took longest, slowest first: no failure, but where a stall would show. */
let slowest = [];
let sent = 0;
let timeouts = 0;
let isOver = false;

console.log(`SEED=${SEED} REQUESTS=${REQUESTS}`);
const service = await startService(SETTINGS);
service.exited.then((code) => {
  if (!isOver) fail(`The service ended with ${code}.`, [...underWay].map(String).join('\n\n'));
});
const underWay = new Set();
const workersBefore = service.workers();
const known = await askKnown();
const bases = await baseImages();
const document = JSON.parse((await call(service.port, 'GET', '/openapi.json')).body);
const startedAt = performance.now();
const progress = setInterval(() => {
  const perSecond = Math.round(sent / ((performance.now() - startedAt) / 1000));
  console.log(`${sent} of ${REQUESTS} sent, ${perSecond}/s, ${failures.length} failures`);
}, PROGRESS_EVERY_MS);
const health = watchHealth();

for (const request of process.env.HOSTILE === 'off' ? [] : hostileRequests()) await sendAndJudge(request);
await Promise.all(Array.from({ length: CLIENTS }, (_, client) => runClient(client)));

isOver = true;
clearInterval(progress);
await health;
await judgeWorkers();
await service.stop();
printTable();
judgeReach();
for (const { seconds, request } of slowest) {
  const text = String(request).replaceAll('\n', ' ').slice(0, 400);
  console.log(`${seconds.toFixed(1)} s: ${text}`);
}
for (const { problem, request } of failures) console.error(`\nFAILURE: ${problem}\n${request}`);
console.log(
  failures.length === 0
    ? `${sent} requests, no failure.`
    : `${failures.length} failures. To run it again: SEED=${SEED} REQUESTS=${REQUESTS} npm run fuzz`,
);
process.exit(failures.length === 0 ? 0 : 1);

/** Draws and sends a share of the requests; what fails is made smaller, and the rest goes on. */
async function runClient(client) {
  const requests = requestArbitrary(document, bases, known);
  let left = Math.ceil(REQUESTS / CLIENTS);
  for (let round = 0; left > 0 && !isOver && failures.length < MAX_FAILURES; round++) {
    let shrinks = 0;
    let problem = null;
    const property = fc.asyncProperty(requests, async (request) => {
      if (isOver || (problem != null && ++shrinks > MAX_SHRINKS)) return;
      if (problem == null) left--;
      const found = await send(request);
      // Smaller requests count only where they fail in the same way.
      if (found == null || isKnown(found) || (problem != null && found !== problem)) return;
      problem = found;
      throw new Error(found);
    });
    // A seed of its own for each client and round, so that none repeats what another sends.
    const result = await fc.check(property, { seed: SEED + client + round * CLIENTS, numRuns: left });
    if (result.failed && problem != null) fail(problem, result.counterexample[0]);
  }
}

async function sendAndJudge(request) {
  const problem = await send(request);
  if (problem != null) fail(problem, request);
}

/** Sends a request; says what is wrong with the answer, or `null`. */
async function send(request) {
  const { route, method, path } = request;
  const bytes = request.toBytes();
  const headers = { ...request.headers, ...(bytes.length > 0 && { 'content-length': String(bytes.length) }) };
  sent++;
  underWay.add(request);
  const sentAt = performance.now();
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, NO_ANSWER_MS, 'no answer')));
  const answer = await Promise.race([call(service.port, method, path, headers, bytes), late]).catch(
    (error) => error,
  );
  clearTimeout(timer);
  underWay.delete(request);
  slowest.push({ seconds: (performance.now() - sentAt) / 1000, request });
  slowest = slowest.sort((a, b) => b.seconds - a.seconds).slice(0, SLOWEST);
  if (answer === 'no answer') {
    count(route, answer);
    return `${route}: no answer in ${NO_ANSWER_MS / 1000} s.`;
  }
  if (answer instanceof Error) {
    // The service may close the connection before it has read all of a body that it refuses. What Node's client does not send
    // at all is no request, and shows in the table.
    count(route, answer.code?.startsWith('ERR_') ? 'not sent' : 'closed');
    return null;
  }
  const { status, body } = answer;
  count(route, status);
  const text = body.toString('latin1');
  const code = codeOf(body);
  // A deadline that the request set itself ends no worker.
  if (request.headers['x-request-timeout-ms'] == null) timeouts += text.match(TIMEOUT)?.length ?? 0;
  if (status >= 500 && !(REFUSALS.includes(status) && (code != null || path.startsWith('/health/')))) {
    return `${route}: ${status} ${code ?? 'without a code'}.`;
  }
  if (INTERNALS.some((pattern) => pattern.test(text)))
    return `${route}: ${status} with internals in the answer.`;
  return null;
}

/** Code of an error, in the shape of the service or in that of DeepFace. */
function codeOf(body) {
  try {
    const { error, code } = JSON.parse(body);
    return error?.code ?? code ?? null;
  } catch {
    return null;
  }
}

function count(route, outcome) {
  const outcomes = table.get(route) ?? [];
  outcomes.push(outcome);
  table.set(route, outcomes);
}

function isKnown(problem) {
  return failures.some((failure) => failure.problem === problem);
}

function fail(problem, request = '') {
  if (isKnown(problem)) return;
  failures.push({ problem, request: String(request) });
  console.error(`FAILURE: ${problem}`);
  if (problem.startsWith('The service ended')) isOver = true;
}

/** Asks for the health as a load balancer does, all the while. */
async function watchHealth() {
  while (!isOver) {
    const limit = sleep(NO_ANSWER_MS).then(() => ({ status: 'no answer' }));
    const asked = call(service.port, 'GET', '/health/live').catch((error) => ({ status: error.code }));
    const { status } = await Promise.race([asked, limit]);
    if (status !== 200 && !isOver) fail(`The health check answered ${status}.`);
    await sleep(1000);
  }
}

/** A worker that ends is a failure, unless an answer said that an image held it up for too long: one for each. */
async function judgeWorkers() {
  if (failures.some(({ problem }) => problem.startsWith('The service ended'))) return;
  const now = service.workers();
  const metrics = String(
    (await call(service.port, 'GET', '/metrics', { authorization: `Bearer ${ADMIN_KEY}` })).body,
  );
  const restarts = Number(/^likeness_worker_restarts_total (\d+)/m.exec(metrics)?.[1] ?? NaN);
  console.log(
    `Workers before: ${workersBefore}; after: ${now}; replaced: ${restarts}; timeouts: ${timeouts}.`,
  );
  const gone = workersBefore.filter((pid) => !now.includes(pid)).length;
  const ended = Math.max(gone, restarts || 0);
  if (ended > timeouts) fail(`${ended} workers ended, and ${timeouts} images were answered with a timeout.`);
}

function judgeReach() {
  const outcomes = [...table.values()].flat();
  const successes = outcomes.filter((outcome) => outcome >= 200 && outcome < 300).length;
  console.log(`Answers: ${countsText(outcomes)}.`);
  if (successes < MIN_SUCCESSES * outcomes.length) {
    fail(
      `Only ${successes} of ${outcomes.length} requests succeeded: the others did not reach what they are to test.`,
    );
  }
}

function printTable() {
  const width = Math.max(...[...table.keys()].map((route) => route.length));
  for (const [route, outcomes] of [...table].sort(([a], [b]) => a.localeCompare(b))) {
    console.log(`${route.padEnd(width)}  ${countsText(outcomes)}`);
  }
  console.log(`${'all'.padEnd(width)}  ${sum([...table.values()].map(({ length }) => length))}`);
}

/** What requests must name so that some succeed. */
async function askKnown() {
  const admin = { authorization: `Bearer ${ADMIN_KEY}` };
  const { models } = JSON.parse((await call(service.port, 'GET', '/v1/models')).body);
  const listed = JSON.parse((await call(service.port, 'GET', '/admin/models', admin)).body).models;
  const portrait = (await baseImages()).find(({ name }) => name === 'png').bytes;
  const { method, path, headers, body } = multipartRequest('/v1/represent', { image: portrait });
  const answer = JSON.parse((await call(service.port, method, path, headers, body)).body);
  if (answer.faces == null)
    throw new Error(`The portrait was not represented: ${JSON.stringify(answer.error)}`);
  const loaded = (task) =>
    models.filter((model) => model.task === task && model.state === 'loaded').map(({ name }) => name);
  return {
    adminKey: ADMIN_KEY,
    modelNames: [...models, ...listed].map(({ name }) => name),
    models: { detect: loaded('detect'), embed: loaded('embed') },
    contract: answer.contract,
    embedding: answer.faces[0].embedding,
  };
}

/** The files that were made to end or to stall a service, once each: in a form, as base64, as a body that says it is packed. */
function hostileRequests() {
  const folder = join(rootDir, '..', 'shared', 'hostile');
  if (!existsSync(folder)) return [];
  const fixed = ({ method, path, headers, body }, file) => ({
    route: `${method} ${path}`,
    method,
    path,
    headers,
    toBytes: () => body,
    toString: () => `${method} ${path} with ../shared/hostile/${file}`,
  });
  return readdirSync(folder).flatMap((file) => {
    const bytes = readFileSync(join(folder, file));
    if (/\.json(\.gz)?$/.test(file)) {
      const request = { ...jsonRequest('/v1/detect', {}), body: bytes };
      const packed = file.endsWith('.gz') && { 'content-encoding': 'gzip' };
      request.headers = { ...request.headers, ...packed, 'content-length': String(bytes.length) };
      return [fixed(request, file), fixed({ ...request, path: '/v1/no-such-route' }, file)];
    }
    return [
      fixed(multipartRequest('/v1/detect', { image: bytes }), file),
      fixed(jsonRequest('/v1/detect', { image: bytes.toString('base64') }), file),
    ];
  });
}
