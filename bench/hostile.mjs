import { fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { honestRequest, INPUTS } from '../test/hostile/inputs.mjs';
import { now, startLoad } from './load.mjs';
import { anonymousBytes, megabytes } from './memory.mjs';
import { freePort, rootDir, sleep, startService } from './service.mjs';
import { percentile, sum } from './statistics.mjs';

const WINDOW = Number(process.env.WINDOW ?? 10);
const CLIENTS = 2;
/** Of the honest client, so that it leaves room for others as honest clients do. */
const HONEST_PAUSE_MS = 100;
const PROBE_EVERY_MS = 10;
const SETTLE_MS = 20_000;
const HEALTH_GOAL_MS = 50;
const HEALTH_GOAL_OF_BURSTS_MS = 250;
const MEMORY_GOAL = 1.1;

/**
 * What an honest client, two health checks and memory are like beside each hostile input, which two clients send in a loop with
 * another key.
 */
export default async function hostile(log) {
  const inputs = INPUTS.filter(({ name }) => name.includes(process.env.INPUT ?? ''));
  if (!existsSync(join(rootDir, '..', 'shared', 'hostile'))) throw new Error('Needs ../shared/hostile.');
  const folder = mkdtempSync(join(tmpdir(), 'likeness-'));
  const keys = writeKeys(folder);
  const healthPort = await freePort();
  const service = await startService({
    HOST: '127.0.0.1',
    FACE_API_KEYS_FILE: join(folder, 'keys.json'),
    FACE_HEALTH_PORT: String(healthPort),
    LOG_LEVEL: 'fatal',
  });
  const memory = () => sum([service.pid, ...service.workers()].map(anonymousBytes));
  const live = { method: 'GET', path: '/health/live', headers: {} };
  const startProbe = (port) => startLoad({ port, requests: [live], clients: 1, pauseMs: PROBE_EVERY_MS });
  const probes = { port: startProbe(service.port), thread: startProbe(healthPort) };
  const honest = startLoad({
    port: service.port,
    requests: [await honestRequest(keys.honest)],
    clients: 1,
    pauseMs: HONEST_PAUSE_MS,
  });
  const attackWith = (name) =>
    startAttack({ name, port: service.port, key: keys.attacker, clients: CLIENTS });
  const p99 = (load, window) =>
    percentile(
      sentIn(load, window).map(({ ms }) => ms),
      0.99,
    );
  const window = async (seconds) => {
    const from = now();
    await sleep(seconds * 1000);
    return { from, until: now() };
  };

  const rows = [];
  const failures = [];
  // Every input once: what is loaded, compiled or cached at the first time is not what an attack leaves behind.
  for (const { name } of inputs) {
    const attack = await attackWith(name);
    await attack.stop();
  }
  await sleep(SETTLE_MS / 4);
  const before = memory();
  for (const { name, fault } of inputs) {
    const quiet = await window(WINDOW / 2);
    const beforeIt = memory();
    const attack = await attackWith(name);
    const beside = await window(WINDOW);
    const during = memory();
    const counts = await attack.stop();
    const after = await settled(memory, beforeIt * MEMORY_GOAL);
    const served = sentIn(honest, beside);
    const good = served.filter(({ status }) => status === 200).length;
    const [port, thread] = [p99(probes.port, beside), p99(probes.thread, beside)];
    const ratio = p99(honest, beside) / p99(honest, quiet);
    const goal = fault === 'B9' ? HEALTH_GOAL_OF_BURSTS_MS : HEALTH_GOAL_MS;
    if (good < served.length) failures.push(`${name}: ${served.length - good} honest requests failed.`);
    if (after > beforeIt * MEMORY_GOAL) failures.push(`${name}: memory did not come back.`);
    const row = [
      fault,
      name,
      Object.entries(counts)
        .map(([status, count]) => `${status}: ${count}`)
        .join(', '),
      `${good} of ${served.length}`,
      p99(honest, beside).toFixed(0),
      `${ratio.toFixed(1)} x`,
      port > goal ? `**${port.toFixed(0)}**` : port.toFixed(0),
      thread > goal ? `**${thread.toFixed(0)}**` : thread.toFixed(0),
      [beforeIt, during, after].map(megabytes).join(' / '),
      (after / beforeIt).toFixed(2),
      (after / before).toFixed(2),
    ];
    log(row.join(' | '));
    rows.push(row);
  }
  await Promise.all([honest, probes.port, probes.thread].map((load) => load.stop()));
  await service.stop();
  rmSync(folder, { recursive: true });
  return {
    columns: [
      'fault',
      'input',
      'answers to it',
      'honest requests served',
      'honest p99 ms',
      'to that without it',
      'health p99 ms, main port',
      'health p99 ms, health port',
      'memory MB, before / during / after',
      'after to before',
      'after to before all',
    ],
    rows,
    notes: [
      `${CLIENTS} clients send an input in a loop for ${WINDOW} s, with one key and a niceness of 10. An honest client with another key verifies two photos of 640 pixels, ${HONEST_PAUSE_MS} ms after each answer; its p99 without the input is taken in the ${WINDOW / 2} s before. Two probers ask \`/health/live\` every ${PROBE_EVERY_MS} ms, one on the port of the service, one on FACE_HEALTH_PORT. All are processes of their own on the same cores. Memory is anonymous memory of server and workers: ${megabytes(before)} MB before, when every input had been sent once; after an input it is read as soon as it is within the goal of 1.1 times that before it, or ${SETTLE_MS / 1000} s later. The last column grows as heaps and pools find their size within the first 3,000 requests (\`soak\`). Over the goal: in bold.`,
    ],
    failures,
  };
}

/** Answers to what was sent in a window, whenever they came. */
function sentIn({ answers }, { from, until }) {
  return answers.filter(({ at }) => at > from && at <= until);
}

/** Waits until memory is at most so much, or for {@link SETTLE_MS}. */
async function settled(memory, most) {
  const until = now() + SETTLE_MS;
  while (memory() > most && now() < until) await sleep(250);
  return memory();
}

/** An input that is sent in a loop by a process of its own, from its first answer on. */
async function startAttack(plan) {
  const child = fork(join(rootDir, 'test', 'hostile', 'attack.mjs'));
  const ended = new Promise((resolve, reject) => {
    child.on('message', ({ counts }) => counts != null && resolve(counts));
    child.once('exit', (code) => reject(new Error(`The attack ended with ${code}.`)));
  });
  child.send(plan);
  await Promise.race([once(child, 'message'), ended]);
  return {
    stop() {
      child.send('stop');
      return ended;
    },
  };
}

/** Two keys of the same rights, for honest and hostile clients. */
function writeKeys(folder) {
  const keys = { honest: newKey(), attacker: newKey() };
  const scopes = ['verify', 'read', 'identify', 'enroll', 'embeddings'];
  const entries = Object.entries(keys).map(([name, key]) => ({
    name,
    sha256: createHash('sha256').update(key).digest('hex'),
    scopes,
  }));
  writeFileSync(join(folder, 'keys.json'), JSON.stringify({ keys: entries }));
  return keys;
}

function newKey() {
  return `likeness_${randomBytes(32).toString('base64url')}`;
}
