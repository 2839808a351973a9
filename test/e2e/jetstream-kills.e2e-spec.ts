import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { newGallery } from '../support/gallery-store-contract';
import { describeWithNats, NatsCluster } from '../support/nats-cluster';
import { rootDir } from '../support/paths';
import { unitVectors } from '../support/random-unit';

/** Kills: of the leader, of a replica, of both, in turn. The short form has the first two; ROUNDS sets another number. */
const ROUNDS = Number(process.env.ROUNDS ?? 2);
const CLIENTS = 16;
/** How long clients change galleries before a kill, and after it. */
const BEFORE_MS = 600;
const AFTER_MS = 2500;
/** Within which a replica has all changes after the last kill; a server's leader is elected in 4 to 9 s. */
const CATCH_UP_MS = 20_000;
/** Within which a replica starts: it reads all changes first. */
const START_MS = 60_000;
/** Within which a replica answers anything: the store gives a change up long before. */
const ANSWER_MS = 60_000;
const GALLERY = 'staff';

interface Answer {
  answer?: unknown;
  code?: string;
  revision: number;
}

/** A replica of the store, which is killed and started again. */
class Replica {
  private child?: ChildProcess;
  private waiting = new Map<number, (answer: Answer) => void>();
  private lastId = 0;

  constructor(private readonly options: object) {}

  get isRunning(): boolean {
    return this.child !== undefined;
  }

  async start(): Promise<void> {
    const script = join(rootDir, 'test', 'support', 'gallery-replica.mjs');
    const child = spawn(process.execPath, [script, JSON.stringify(this.options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    // A write to a process that was just killed.
    child.stdin.on('error', () => undefined);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        reject(new Error(`The replica is not ready ${START_MS / 1000} s after its start.`));
      }, START_MS);
      child.once('exit', () => clearTimeout(timer));
      child.once('exit', (code) => reject(new Error(`The replica ended at its start: ${code}.`)));
      createInterface({ input: child.stdout }).on('line', (line) => {
        const { id, ready, ...answer } = JSON.parse(line) as Answer & { id: number; ready?: boolean };
        if (ready) {
          clearTimeout(timer);
          return resolve();
        }
        this.waiting.get(id)?.(answer);
        this.waiting.delete(id);
      });
    });
    child.removeAllListeners('exit');
    this.child = child;
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (!child) return;
    this.child = undefined;
    child.kill('SIGKILL');
    await once(child, 'exit');
    for (const answer of this.waiting.values()) answer({ code: 'KILLED', revision: 0 });
    this.waiting.clear();
  }

  call(method: string, ...args: unknown[]): Promise<Answer> {
    const { child } = this;
    if (!child) return Promise.resolve({ code: 'KILLED', revision: 0 });
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`The replica does not answer ${method} in ${ANSWER_MS / 1000} s.`));
      }, ANSWER_MS);
      this.waiting.set(id, (answer) => (clearTimeout(timer), resolve(answer)));
      child.stdin!.write(`${JSON.stringify({ id, method, args })}\n`);
    });
  }
}

describeWithNats('replicas whose processes and servers are killed', () => {
  let cluster: NatsCluster;
  let options: object;
  let replicas: Replica[] = [];

  beforeAll(async () => {
    cluster = await NatsCluster.start({ size: 3 });
    options = { nats: { servers: cluster.servers, replicas: 3 }, key: 'k'.repeat(32) };
    replicas = [new Replica(options), new Replica(options)];
    // Both at once, on empty storage.
    await Promise.all(replicas.map((replica) => replica.start()));
  }, 60_000);
  afterAll(async () => {
    await Promise.all(replicas.map((replica) => replica.kill()));
    await cluster?.stop();
  });

  it(
    'lose no acknowledged change, bring nothing back, and answer searches while one lives',
    async () => {
      const vector = unitVectors(7, 8);
      const settings = newGallery({ id: GALLERY, capacity: 1_000_000 });
      const created = await replicas[0].call('createGallery', settings);
      expect(created.code).toBeUndefined();
      await replicas[1].call('waitFor', created.revision, CATCH_UP_MS);

      /** Subjects whose last change was acknowledged: whether they are there. Others are nobody's to tell. */
      const isThere = new Map<string, boolean>();
      let [count, searches, isOver] = [0, 0, false];
      const failures: string[] = [];
      const client = async (i: number): Promise<void> => {
        while (!isOver) {
          const id = `s${count++}`;
          const replica = replicas[(i + count) % 2];
          const added = await replica.call('add', GALLERY, id, Array.from(vector()));
          if (added.code) {
            await delay(20);
            continue;
          }
          isThere.set(id, true);
          if (i % 2 === 0) continue;
          isThere.delete(id);
          const removed = await replica.call('remove', GALLERY, id);
          if (!removed.code) isThere.set(id, false);
        }
      };
      const searcher = async (): Promise<void> => {
        while (!isOver) {
          const living = replicas.filter(({ isRunning }) => isRunning);
          for (const replica of living) {
            const { code } = await replica.call('search', GALLERY, Array.from(vector()));
            searches++;
            if (code && code !== 'KILLED') failures.push(code);
          }
          await delay(10);
        }
      };
      const running = Promise.all([...Array.from({ length: CLIENTS }, (_, i) => client(i)), searcher()]);
      // Awaited after the rounds: a failure before that is not unhandled.
      running.catch(() => undefined);
      try {
        for (let round = 0; round < ROUNDS; round++) {
          await delay(BEFORE_MS);
          const leader = await cluster.leaderOf('LIKENESS_likeness');
          const [ofServer, ofReplica] = [round % 3 !== 1, round % 3 !== 0];
          const replica = replicas[round % 2];
          await Promise.all([ofServer && cluster.kill(leader), ofReplica && replica.kill()]);
          await delay(AFTER_MS);
          const restartedAt = Date.now();
          if (ofServer) await cluster.restart(leader);
          if (ofReplica) await replica.start();
          await cluster.ready();
          await cluster.healed('LIKENESS_likeness');
          const killed = [ofServer && `server n${leader}`, ofReplica && `replica ${round % 2}`].filter(
            Boolean,
          );
          report(round, `${killed.join(' and ')} killed, healed ${seconds(restartedAt)} s after the restart`);
        }
      } finally {
        isOver = true;
      }
      await running;

      // What a client did last may have been written and not answered: this comes after all of it.
      const end = Date.now() + CATCH_UP_MS;
      let last = await replicas[0].call('add', GALLERY, 'last', Array.from(vector()));
      // A replica that reads all again refuses changes meanwhile.
      while (last.code === 'GALLERY_STORE_FAILED' && Date.now() < end) {
        await delay(100);
        last = await replicas[0].call('add', GALLERY, 'last', Array.from(vector()));
      }
      expect(last.code).toBeUndefined();
      const listed = () =>
        Promise.all(
          replicas.map(async (replica) => (await replica.call('subjects', GALLERY)).answer as string[]),
        );
      let [first, second] = await listed();
      while (!isDeepStrictEqual(first, second) && Date.now() < end) {
        await delay(100);
        [first, second] = await listed();
      }
      const fresh = new Replica(options);
      await fresh.start();
      const truth = (await fresh.call('subjects', GALLERY)).answer as string[];
      await fresh.kill();
      // Lists of thousands: what differs is enough.
      for (const ids of [first, second])
        expect({
          missing: without(truth, ids),
          extra: without(ids, truth),
        }).toEqual({ missing: [], extra: [] });
      const there = new Set(first);
      const wrong = [...isThere].filter(([id, expected]) => there.has(id) !== expected);
      expect(wrong).toEqual([]);
      expect(isThere.size).toBeGreaterThan(ROUNDS * CLIENTS);
      expect([...isThere.values()]).toEqual(expect.arrayContaining([true, false]));
      expect(failures).toEqual([]);
      expect(searches).toBeGreaterThan(ROUNDS);
    },
    60_000 + ROUNDS * 30_000,
  );
});

/** A long run takes minutes, in which it shows where it is. */
function report(round: number, text: string): void {
  if (ROUNDS > 4) process.stderr.write(`round ${round + 1} of ${ROUNDS}: ${text}\n`);
}

function seconds(since: number): string {
  return ((Date.now() - since) / 1000).toFixed(1);
}

function without(ids: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others);
  return ids.filter((id) => !known.has(id));
}
