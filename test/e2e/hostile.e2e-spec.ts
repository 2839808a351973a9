import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../support/free-port';
import { writeKeyFile } from '../support/key-file';
import { rootDir } from '../support/paths';
import { portrait } from '../support/portrait';
import { describeWithShared } from '../support/shared';
import { type RunningService, startService } from '../support/start-service';
import { tempFolders } from '../support/temp-folder';

interface Input {
  name: string;
  /** Row in the list of faults. */
  fault: string;
  /** Statuses and codes of connection errors that it may get. */
  expected: (number | string)[];
}

const ATTACK = join(rootDir, 'test', 'hostile', 'attack.mjs');
const CLIENTS = 2;
/** Honest requests beside each input, one after the other. */
const HONEST_REQUESTS = 3;
/** Times that an input is sent at least. */
const MIN_ROUNDS = 2;
/** Faults of inputs that take memory while they are there. */
const HEAVY = ['B2', 'B6', 'B7', 'B9'];
const MAX_MEMORY_RATIO = 1.1;
/** Attempts, 100 ms apart, to find memory back where it was. */
const MEMORY_ATTEMPTS = 300;

/*
 * Beside each hostile input, which two clients send in a loop, a client with another key is served, and health is answered. Counts
 * and ratios only: `npm run bench -- hostile` measures times.
 */
describeWithShared('hostile inputs', () => {
  const inputs = JSON.parse(execFileSync(process.execPath, [ATTACK, '--list']).toString()) as Input[];
  const folder = tempFolders();
  let service: RunningService;
  let healthPort: number;
  let keys: Record<string, string>;
  let photo: Blob;

  beforeAll(async () => {
    const scopes = ['verify', 'read', 'identify', 'enroll', 'embeddings'] as const;
    const written = writeKeyFile(folder(), {
      honest: { scopes: [...scopes] },
      attacker: { scopes: [...scopes] },
    });
    ({ keys } = written);
    healthPort = await freePort();
    service = await startService({
      HOST: '127.0.0.1',
      FACE_WORKER_COUNT: '2',
      // Enough to be filled, and soon empty again.
      FACE_QUEUE_SIZE: '32',
      FACE_API_KEYS_FILE: written.file,
      FACE_HEALTH_PORT: String(healthPort),
    });
    photo = new Blob([new Uint8Array(await portrait().jpeg().toBuffer())]);
  });
  afterAll(async () => expect(await service?.stop()).toBe(0));

  /** Sends an input in a loop until `work` is done, `minRounds` times at least. @returns how often it got each status. */
  async function beside<T>(
    name: string,
    work: () => Promise<T>,
    minRounds = 1,
  ): Promise<[T, Record<string, number>]> {
    const child = fork(ATTACK);
    try {
      let rounds = 0;
      const counts = new Promise<Record<string, number>>((resolve, reject) => {
        child.on('message', (message: { rounds?: number; counts?: Record<string, number> }) => {
          rounds = message.rounds ?? rounds;
          if (message.counts != null) resolve(message.counts);
        });
        child.once('exit', (code) => reject(new Error(`The attack ended with ${code}.`)));
      });
      child.send({ name, port: service.port, key: keys.attacker, clients: CLIENTS });
      await Promise.race([once(child, 'message'), counts]);
      const result = await work();
      while (rounds < minRounds) await Promise.race([once(child, 'message'), counts]);
      child.send('stop');
      return [result, await counts];
    } finally {
      child.kill();
    }
  }

  async function verify(): Promise<number> {
    const body = new FormData();
    body.set('probe', photo, 'probe.jpg');
    body.set('reference', photo, 'reference.jpg');
    const headers = { 'x-api-key': keys.honest };
    return (await fetch(`${service.url}/v1/verify`, { method: 'POST', headers, body })).status;
  }
  const live = async (port: number) => (await fetch(`http://127.0.0.1:${port}/health/live`)).status;

  it.each(inputs)(
    '$fault, $name: honest requests and health checks are answered',
    async ({ name, expected }) => {
      const ask = async () => {
        const statuses = [];
        for (let i = 0; i < HONEST_REQUESTS; i++) {
          statuses.push(await Promise.all([verify(), live(service.port), live(healthPort)]));
        }
        return statuses;
      };
      const [answers, counts] = await beside(name, ask, MIN_ROUNDS);
      expect(answers).toEqual(Array(HONEST_REQUESTS).fill([200, 200, 200]));
      expect(expected.map(String)).toEqual(expect.arrayContaining(Object.keys(counts)));
    },
  );

  it('memory comes back to within a tenth of what it was', async () => {
    // Each was sent before: what is loaded, compiled or cached at the first time is not what an attack leaves behind.
    const before = memory();
    for (const { name } of inputs.filter(({ fault }) => HEAVY.includes(fault))) await beside(name, verify);
    for (let i = 0; i < MEMORY_ATTEMPTS && memory() > MAX_MEMORY_RATIO * before; i++) await sleep(100);
    expect(memory() / before).toBeLessThanOrEqual(MAX_MEMORY_RATIO);
  });

  /** Anonymous memory of the server and its workers, in kB. */
  function memory(): number {
    const { pid } = service;
    const workers = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
    const anonymous = (of: number) =>
      Number(/^Anonymous:\s+(\d+) kB/m.exec(readFileSync(`/proc/${of}/smaps_rollup`, 'utf8'))?.[1]);
    return [pid, ...workers].reduce((total, one) => total + anonymous(one), 0);
  }
});
