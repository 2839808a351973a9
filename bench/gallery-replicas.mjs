import { fork } from 'node:child_process';
import { availableParallelism, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { hasNats, startNatsServers } from './nats-servers.mjs';
import { median, percentile } from './statistics.mjs';

const SIZE = Number(process.env.SIZE ?? 100_000);
const CLIENTS = Number(process.env.CLIENTS ?? 16);
const SECONDS = Number(process.env.SECONDS ?? 10);
const DIMENSIONS = 512;
const PROBES = 300;
const DELETIONS = 500;
const SEARCHES = 200;

/** What changes cost that several replicas share, when the others see them, and what a search and a start cost. */
export default async function galleryReplicas(log) {
  if (!hasNats) return { skipped: 'nats-server is not on the path (Debian: apt-get install nats-server)' };
  const startLoad = loadavg()[0];
  const rows = [];
  const failures = [];
  for (const size of [3, 1]) {
    const { row, failure } = await measure(size, (line) => log(`${size} servers: ${line}`));
    rows.push(row);
    if (failure) failures.push(failure);
  }
  const quantiles = (of) => [`${of} p50, ms`, `${of} p99, ms`];
  return {
    columns: [
      'servers',
      `enrollments/s, ${CLIENTS} clients`,
      ...quantiles('enroll one beside them'),
      ...quantiles('from the answer until the other replica has it'),
      ...quantiles('from the call'),
      ...quantiles('delete a subject'),
      ...quantiles('the same beside the clients'),
      'one probe p50, ms',
      'in the memory store p50, ms',
      'filled, references/s',
      'boot, s',
      'disk of a server, MB',
    ],
    rows,
    notes: [
      `${SIZE.toLocaleString('en-US')} references of ${DIMENSIONS} numbers, four to a subject. NATS servers, two replicas of the store and the bench share ${availableParallelism()} cores, over loopback; the load average was ${startLoad.toFixed(1)} at the start. Half of the clients enroll on each replica for ${SECONDS} s, each a new subject with one reference. Beside them one subject after the other is enrolled on one replica, and the other looks for it every millisecond: 0 where it finds it before the answer. Deletions are one after the other, with all copies overwritten. The memory store has the same references in the same process, and is searched in turn. Boot: a new replica, from connecting until it serves.`,
    ],
    failures,
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

    log(`enroll with ${CLIENTS} clients`);
    const clients = (name, seconds = SECONDS) =>
      Promise.all(
        [a, b].map((replica, i) =>
          replica.ask('enroll', {
            name: `${name}-${i}`,
            clients: CLIENTS / 2,
            seconds,
            dimensions: DIMENSIONS,
          }),
        ),
      );
    const counts = await clients('client');

    log('see beside the clients');
    const everyMs = (1000 * SECONDS) / (2 * PROBES);
    const [probes, seen] = await Promise.all([
      a.ask('probe', { count: PROBES, everyMs, dimensions: DIMENSIONS }),
      b.ask('watch', { count: PROBES }),
      clients('beside'),
    ]);
    const enrolled = probes.map(({ asked, answered }) => answered - asked);
    const afterAnswer = seen.map((at, i) => Math.max(0, at - probes[i].answered));
    const afterCall = seen.map((at, i) => at - probes[i].asked);

    log('delete beside the clients');
    const [busyDeletions] = await Promise.all([
      a.ask('remove', { from: DELETIONS, count: DELETIONS }),
      clients('busy'),
    ]);

    const revision = Math.max(await a.ask('revision'), await b.ask('revision'));
    const held = await Promise.all([a, b].map((replica) => replica.ask('counts', { revision })));
    const texts = held.map((one) => JSON.stringify(one));
    const ms = (values) => [median(values).toFixed(1), percentile(values, 0.99).toFixed(1)];
    return {
      failure: texts[0] === texts[1] ? null : `The replicas hold ${texts.join(' and ')}.`,
      row: [
        size,
        ((counts[0] + counts[1]) / SECONDS).toFixed(0),
        ...ms(enrolled),
        ...ms(afterAnswer),
        ...ms(afterCall),
        ...ms(deletions),
        ...ms(busyDeletions),
        median(searches.replica).toFixed(2),
        median(searches.memory).toFixed(2),
        ((1000 * SIZE) / fillMs).toFixed(0),
        (bootMs / 1000).toFixed(1),
        (filledBytes / 1e6).toFixed(0),
      ],
    };
  } finally {
    await Promise.all(replicas.map((replica) => replica.close()));
    await nats.stop();
  }
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
