import { Agent, request } from 'node:http';
import { getPriority, setPriority } from 'node:os';
import { now } from './load.mjs';
import { sleep } from './service.mjs';
import { seededRandom } from './statistics.mjs';

/*
 * Child process: sends the requests of a plan (load.mjs), reports every answer. Requests that were begun are finished
 * before it ends.
 */

const REPORT_EVERY_MS = 250;
/** Time that a client waits before it leaves. */
const LEAVE_AFTER_MS = 25;

let isStopped = false;
let answers = [];

process.on('message', ({ type, plan }) => {
  if (type === 'start') void start(plan);
  else isStopped = true;
});
process.on('disconnect', () => process.exit(1));

async function start(plan) {
  if (plan.nice != null) setPriority(getPriority() + plan.nice);
  const timer = setInterval(report, REPORT_EVERY_MS);
  let sent = 0;
  const next = () => {
    if (isStopped || sent === plan.count) return undefined;
    const turn = sent++;
    return plan.sequence?.[turn % plan.sequence.length] ?? turn % plan.requests.length;
  };
  if (plan.arrivals == null) await closedLoop(plan, next);
  else await openLoop(plan, next);
  clearInterval(timer);
  report(() => process.exit(0));
}

function report(whenSent) {
  const { user, system } = process.cpuUsage();
  process.send({ answers, cpuMs: (user + system) / 1000 }, whenSent);
  answers = [];
}

async function closedLoop(plan, next) {
  const agent = new Agent({ keepAlive: true });
  await Promise.all(
    Array.from({ length: plan.clients }, async () => {
      for (let index = next(); index != null; index = next()) {
        const answer = await send(plan, index, { agent });
        answers.push(answer);
        // A server that is not there would be asked as fast as the processor can.
        if (answer.status === 0 && plan.requests[index].leave == null) await sleep(20);
        if (plan.pauseMs > 0) await sleep(plan.pauseMs);
      }
    }),
  );
}

async function openLoop(plan, next) {
  const underWay = new Set();
  await Promise.all(
    plan.arrivals.map(async ({ address, perSecond }, seed) => {
      const agent = new Agent({ keepAlive: true });
      const random = seededRandom(seed + 1);
      for (let due = now(); !isStopped;) {
        due += (-Math.log(1 - random()) / perSecond) * 1000;
        while (!isStopped && now() < due) await sleep(Math.min(50, due - now()));
        const index = next();
        if (index == null) return;
        const answered = send(plan, index, { agent, localAddress: address }).then((answer) => {
          answers.push(answer);
          underWay.delete(answered);
        });
        underWay.add(answered);
      }
    }),
  );
  await Promise.all(underWay);
}

/** Sends one request; an answer, whole or not, never a rejection. */
function send({ port, requests }, index, { agent, localAddress }) {
  const { method, path, headers, body, leave } = requests[index];
  const at = now();
  let sentAt = null;
  let gotBytes = false;
  return new Promise((resolve) => {
    const done = (outcome) =>
      resolve({ at, sentAt, ms: now() - at, address: localAddress, request: index, gotBytes, ...outcome });
    const fail = (error) => done({ status: 0, error: error.code ?? error.message });
    const outgoing = request(
      { host: '127.0.0.1', port, method, path, headers, agent, localAddress },
      (incoming) => {
        gotBytes = true;
        const chunks = [];
        incoming.on('data', (chunk) => chunks.push(chunk));
        incoming.on('error', fail);
        incoming.on('end', () => done(read(incoming, Buffer.concat(chunks))));
      },
    );
    outgoing.on('error', fail);
    outgoing.on('finish', () => (sentAt = now()));
    if (leave === 'uploading') outgoing.write(body.subarray(0, body.length >> 1));
    else outgoing.end(body);
    if (leave != null) setTimeout(() => outgoing.destroy(new Error('left')), LEAVE_AFTER_MS);
  });
}

function read({ statusCode: status, headers, complete }, body) {
  if (!complete) return { status: 0, error: 'incomplete' };
  const retryAfter = headers['retry-after'] ?? null;
  if (status < 400) return { status, retryAfter };
  try {
    return { status, retryAfter, code: JSON.parse(body).error.code };
  } catch {
    return { status, retryAfter, error: 'no envelope' };
  }
}
