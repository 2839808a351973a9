import { fork } from 'node:child_process';
import { availableParallelism, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { hasNats, startNatsServers } from './nats-servers.mjs';
import { median, percentile } from './statistics.mjs';

const SIZE = Number(process.env.SIZE ?? 100_000);
const CLIENTS = Number(process.env.CLIENTS ?? 16);
const SECONDS = Number(process.env.SECONDS ?? 10);
/** Rate of the steady clients: the goal. */
const RATE = Number(process.env.RATE ?? 500);
const DIMENSIONS = 512;
const PROBES = 300;
const DELETIONS = 500;
const SEARCHES = 200;

/** Cost of changes that replicas share, their delay on other replicas, and the cost of a search and a boot. */
export default async function galleryReplicas(log) {
  if (!hasNats) return { skipped: 'nats-server is not on the path (Debian: apt-get install nats-server)' };
  const startLoad = loadavg()[0];
  const measured = [];
  for (const size of [3, 1]) measured.push(await measure(size, (line) => log(`${size} servers: ${line}`)));
  return {
    columns: ['', ...measured.map(({ size }) => (size === 1 ? '1 server' : `${size} servers`))],
    rows: measured[0].figures.map(([name], i) => [name, ...measured.map(({ figures }) => figures[i][1])]),
    notes: [
      `${SIZE.toLocaleString('en-US')} references of ${DIMENSIONS} numbers, four to a subject. NATS servers, two replicas of the store and the bench share ${availableParallelism()} cores, over loopback; the load average was ${startLoad.toFixed(1)} at the start. p50 and p99 in milliseconds. ${CLIENTS} clients, half of them on each replica, enroll new subjects with one reference for ${SECONDS} s: ${RATE} a second in all, or without a pause. Beside them, one subject after the other is enrolled on one replica, and the other looks for it every millisecond (0 if it has it before the answer). Deletions are in sequence and overwrite all copies. The memory store has the same references in the same process, and is searched in turn. Boot: a new replica, from connecting until it serves.`,
    ],
    failures: measured.flatMap(({ failure }) => failure ?? []),
  };
}

async function measure(size, log) {
  const nats = await startNatsServers(size);
  const replicas = [];
  const start = async () => {
    const replica = new Replica();
    replicas.push(replica);
    return { replica, ms: await replica.ask('open', { servers: nats.servers, replicas: size }) };
  };
  try {
    const { replica: a } = await start();
    const { replica: b } = await start();
    log(`fill with ${SIZE} references`);
    const fillMs = await a.ask('fill', { size: SIZE, dimensions: DIMENSIONS });
    await b.ask('counts', { revision: await a.ask('revision') });
    const filledBytes = nats.bytes();

    log('boot');
    const { replica: booted, ms: bootMs } = await start();
    await booted.close();

    log('search');
    const searches = await a.ask('search', { count: SEARCHES, dimensions: DIMENSIONS });

    log('delete');
    const deletions = await a.ask('remove', { from: 0, count: DELETIONS });

    const clients = async (name, perSecond) => {
      const counts = await Promise.all(
        [a, b].map((replica, i) =>
          replica.ask('enroll', {
            name: `${name}-${i}`,
            clients: CLIENTS / 2,
            seconds: SECONDS,
            perSecond: perSecond && perSecond / 2,
            dimensions: DIMENSIONS,
          }),
        ),
      );
      return ((counts[0] + counts[1]) / SECONDS).toFixed(0);
    };
    const everyMs = (1000 * SECONDS) / (2 * PROBES);
    let removed = DELETIONS;
    const beside = async (name, perSecond) => {
      log(`${name}: see`);
      const probe = `probe-${perSecond ?? 'all'}`;
      const [probes, seen] = await Promise.all([
        a.ask('probe', { name: probe, count: PROBES, everyMs, dimensions: DIMENSIONS }),
        b.ask('watch', { name: probe, count: PROBES }),
        clients(`${probe}-see`, perSecond),
      ]);
      log(`${name}: delete`);
      const from = removed;
      removed += DELETIONS;
      const [deletions, perSecondDone] = await Promise.all([
        a.ask('remove', { from, count: DELETIONS }),
        clients(`${probe}-delete`, perSecond),
      ]);
      return [
        [`${name}: enrollments/s`, perSecondDone],
        [`${name}: enroll one beside them`, quantiles(probes.map(({ asked, answered }) => answered - asked))],
        [
          `${name}: from the answer until the other replica has it`,
          quantiles(seen.map((at, i) => Math.max(0, at - probes[i].answered))),
        ],
        [`${name}: from the call until then`, quantiles(seen.map((at, i) => at - probes[i].asked))],
        [`${name}: delete a subject`, quantiles(deletions)],
      ];
    };
    log('enroll');
    const saturated = await clients('client');
    const steadyFigures = await beside(`clients with ${RATE} a second`, RATE);
    const saturatedFigures = await beside('clients without a pause');

    const revision = Math.max(await a.ask('revision'), await b.ask('revision'));
    const held = await Promise.all([a, b].map((replica) => replica.ask('counts', { revision })));
    const texts = held.map((one) => JSON.stringify(one));
    return {
      size,
      failure: texts[0] === texts[1] ? null : `The replicas hold ${texts.join(' and ')}.`,
      figures: [
        [`enrollments/s, ${CLIENTS} clients alone`, saturated],
        ['alone: delete a subject', quantiles(deletions)],
        ...steadyFigures,
        ...saturatedFigures,
        ['one probe, p50', median(searches.replica).toFixed(2)],
        ['in the memory store, p50', median(searches.memory).toFixed(2)],
        ['filled, references/s', ((1000 * SIZE) / fillMs).toFixed(0)],
        ['boot, s', (bootMs / 1000).toFixed(1)],
        ['disk of a server, MB', (filledBytes / 1e6).toFixed(0)],
      ],
    };
  } finally {
    await Promise.all(replicas.map((replica) => replica.close()));
    await nats.stop();
  }
}

function quantiles(values) {
  return `${median(values).toFixed(1)} / ${percentile(values, 0.99).toFixed(1)}`;
}

/** A process with a replica of the store. */
class Replica {
  #child = fork(fileURLToPath(new URL('gallery-replicas-process.mjs', import.meta.url)));
  #calls = new Map();
  #count = 0;

  constructor() {
    this.exited = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.on('message', ({ call, result, error }) => {
      const { resolve, reject } = this.#calls.get(call);
      this.#calls.delete(call);
      if (error === undefined) resolve(result);
      else reject(new Error(error));
    });
    void this.exited.then(() => {
      for (const { reject } of this.#calls.values()) reject(new Error('A replica has ended.'));
    });
  }

  ask(work, options = {}) {
    return new Promise((resolve, reject) => {
      const call = this.#count++;
      this.#calls.set(call, { resolve, reject });
      this.#child.send({ call, work, ...options });
    });
  }

  async close() {
    if (this.#child.connected) this.ask('close').catch(() => undefined);
    await this.exited;
  }
}
