import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../support/free-port';
import { rootDir } from '../support/paths';
import { startService } from '../support/start-service';

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  } catch {
    return [];
  }
}

function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

describe('a boot', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'that gets %s while models load ends with 0, and its workers',
    async (signal) => {
      const child = spawn(process.execPath, [join(rootDir, 'dist', 'main.js')], {
        cwd: rootDir,
        env: { ...process.env, PORT: '0', HOST: '127.0.0.1' },
        stdio: 'ignore',
      });
      const exited = once(child, 'exit') as Promise<[number | null]>;
      const pid = child.pid as number;
      while (childrenOf(pid).length === 0) await sleep(5);
      const workers = childrenOf(pid);
      child.kill(signal);
      expect((await exited)[0]).toBe(0);
      // The kernel takes a moment to end a process that was killed.
      for (let tries = 0; tries < 100 && workers.some(isRunning); tries++) await sleep(10);
      expect(workers.filter(isRunning)).toEqual([]);
    },
  );

  it.each(['PORT', 'FACE_HEALTH_PORT'])('says that %s is taken before a model is loaded', async (name) => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    // Without a file of it, a boot that gets to the models says so instead.
    const env = { [name]: String(port), HOST: '127.0.0.1', FACE_DETECTORS: 'scrfd-10g' };
    const error = await startService(env).catch((reason: Error) => reason);
    holder.close();
    expect((error as Error).message).toContain(
      `ended with 1: FACE_OPTIONS_INVALID: ${name}: port ${port} is in use.`,
    );
  });
});

describe('the health port', () => {
  it('answers beside the service, and ends with it', async () => {
    const port = await freePort();
    const service = await startService({ FACE_HEALTH_PORT: String(port), HOST: '127.0.0.1' });
    const ask = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      return [response.status, response.headers.get('retry-after'), await response.text()];
    };
    try {
      expect(await ask('/health/live')).toEqual([200, null, '{"status":"ok"}']);
      expect(await ask('/health/ready')).toEqual([200, null, '{"status":"ready"}']);
      expect((await ask('/v1/models'))[0]).toBe(404);
    } finally {
      expect(await service.stop()).toBe(0);
    }
  });
});
