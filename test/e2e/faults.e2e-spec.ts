import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { portraitJpeg } from '../support/image-fixtures';
import { rootDir } from '../support/paths';
import { type RunningService, startService } from '../support/start-service';

/** Kills in the short form that runs everywhere; FAULT_ROUNDS sets another number. */
const ROUNDS = Number(process.env.FAULT_ROUNDS ?? 6);
/** Far more than the restart of a worker takes. */
const STUCK_MS = 60_000;
const SIGNALS = ['SIGKILL', 'SIGSEGV', 'SIGSTOP'] as const;

const sample = (i: number) =>
  readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', `sample${i}.jpg`));

describe('workers that are killed under load', () => {
  let service: RunningService;
  beforeAll(
    async () =>
      (service = await startService({
        FACE_WORKER_COUNT: '3',
        FACE_REQUEST_TIMEOUT_MS: '3000',
        FACE_TRUST_PROXY: '127.0.0.1',
      })),
  );
  afterAll(() => service?.stop());

  const detect = (photo: Buffer, headers: Record<string, string> = {}) => {
    const form = new FormData();
    form.append('image', new Blob([new Uint8Array(photo)]), 'photo.jpg');
    return fetch(`${service.url}/v1/detect`, { method: 'POST', body: form, headers });
  };
  const workers = () =>
    readFileSync(`/proc/${service.pid}/task/${service.pid}/children`, 'utf8').trim().split(' ').map(Number);
  const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  async function untilReady(): Promise<void> {
    while ((await fetch(`${service.url}/health/ready`)).status !== 200) await sleep(20);
  }

  it('answers while workers are killed, with success or a coded 5xx and Retry-After, and gets well again', async () => {
    const photo = await portraitJpeg();
    let isOver = false;
    let sent = 0;
    const answers: Record<string, number> = {};
    const successes = () => answers['200'] ?? 0;
    const wrong: unknown[] = [];
    const clients = Array.from({ length: 3 }, async () => {
      while (!isOver) {
        const id = ++sent;
        // Bytes and a caller of its own: repeated ones are quarantined after a few kills, and never reach a worker again.
        const image = Buffer.concat([photo, Buffer.from(String(id))]);
        const caller = `10.0.${id >> 8}.${id & 255}`;
        const startedAt = performance.now();
        const response = await detect(image, { 'x-forwarded-for': caller });
        const body = (await response.json()) as { error?: { code: string } };
        const code = body.error?.code ?? String(response.status);
        answers[code] = (answers[code] ?? 0) + 1;
        // QUEUE_FULL: its turn came too late, as the worker that it waited for hung or was started again.
        const isCoded = ['INFERENCE_FAILED', 'INFERENCE_TIMEOUT', 'QUEUE_FULL'].includes(code);
        const isOk = response.status === 200 || (isCoded && response.headers.has('retry-after'));
        // The deadline, and as much again for a machine that is busy with starting workers.
        if (response.status !== 200) await sleep(50); // A refusal costs nothing: leave the cores to the workers.
        if (!isOk || performance.now() - startedAt > 6000) wrong.push([code, performance.now() - startedAt]);
      }
    });
    // A client that throws ends the test.
    const ended = Promise.all(clients);
    const pause = (ms: number) => Promise.race([sleep(ms), ended]);
    try {
      for (let round = 0; round < ROUNDS; round++) {
        await pause(150 + ((round * 97) % 200));
        const pids = workers();
        process.kill(pids[round % pids.length], SIGNALS[round % SIGNALS.length]);
        // The others still answer: the next kill waits for a success.
        const before = successes();
        const killedAt = performance.now();
        while (successes() === before) {
          if (performance.now() - killedAt > STUCK_MS) throw new Error(`no success since kill ${round + 1}`);
          await pause(20);
        }
      }
    } finally {
      isOver = true;
    }
    await ended;
    await untilReady();
    expect(wrong).toEqual([]);
    expect(successes()).toBeGreaterThanOrEqual(ROUNDS);
    expect((await detect(sample(1))).status).toBe(200);
  });

  it('keeps the deadline that a caller sets, and refuses one that is none', async () => {
    const late = await detect(sample(2), { 'x-request-timeout-ms': '1' });
    expect([late.status, ((await late.json()) as { error: { code: string } }).error.code]).toEqual([
      504,
      'INFERENCE_TIMEOUT',
    ]);
    for (const value of ['0', '-5', 'soon', '1.5']) {
      const refused = await detect(sample(2), { 'x-request-timeout-ms': value });
      expect(refused.status).toBe(400);
      expect(await refused.json()).toMatchObject({
        error: {
          code: 'PARAMETER_INVALID',
          details: { fields: { 'x-request-timeout-ms': expect.any(String) } },
        },
      });
    }
  });

  it('leaves no worker behind when the service itself is killed', async () => {
    const own = await startService();
    const pids = readFileSync(`/proc/${own.pid}/task/${own.pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .map(Number);
    process.kill(own.pid, 'SIGKILL');
    const alive = () => pids.filter((pid) => isRunning(pid));
    while (alive().length > 0) await sleep(20);
    expect(pids.length).toBeGreaterThan(0);
  });
});

function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}
