import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childrenOf } from './memory.mjs';
import { sum } from './statistics.mjs';

export const rootDir = fileURLToPath(new URL('..', import.meta.url));

const samplesDir = join(
  dirname(createRequire(import.meta.url).resolve('@vladmandic/face-api/package.json')),
  'demo',
);

/** The six group photos that ship inside the face-api package. */
export const samples = [1, 2, 3, 4, 5, 6].map((i) => join(samplesDir, `sample${i}.jpg`));

/**
 * Starts the built service on a free port and waits until it is ready.
 *
 * @param dir - the checkout whose service is started.
 */
export async function startService(env = {}, dir = rootDir) {
  const port = await freePort();
  const startedAt = performance.now();
  const child = spawn(process.execPath, [join(dir, 'dist', 'main.js')], {
    cwd: dir,
    env: { ...process.env, PORT: String(port), LOG_LEVEL: 'error', ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const exited = once(child, 'exit').then(([code, signal]) => code ?? signal);
  let isRunning = true;
  // A scenario that fails leaves no service behind; its workers end with it.
  const killWithBench = () => child.kill('SIGKILL');
  process.once('exit', killWithBench);
  void exited.then(() => {
    isRunning = false;
    process.off('exit', killWithBench);
  });
  const service = {
    port,
    pid: child.pid,
    /** Exit code, or the name of the signal that ended it. */
    exited,
    workers: () => childrenOf(child.pid),
    /** Waits until `/health/ready` answers 200; gives the milliseconds it took. */
    async ready() {
      const from = performance.now();
      for (;;) {
        if (!isRunning) throw new Error('The service ended before it was ready.');
        const { status } = await call(port, 'GET', '/health/ready').catch(() => ({ status: 0 }));
        if (status === 200) return performance.now() - from;
        await sleep(10);
      }
    },
    /** Sessions made per model since the boot, as one comparable text. */
    async modelLoads() {
      return (await loadedModels(port)).map(({ name, loads }) => `${name} ${loads}`).join(', ');
    },
    /** Sessions made since the boot. */
    async modelLoadCount() {
      return sum((await loadedModels(port)).map(({ loads }) => loads));
    },
    stop() {
      child.kill('SIGTERM');
      return exited;
    },
  };
  await service.ready();
  return { ...service, readyMs: performance.now() - startedAt };
}

async function loadedModels(port) {
  const { body } = await call(port, 'GET', '/v1/models');
  return JSON.parse(body).models.filter(({ state }) => state === 'loaded');
}

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const agent = new Agent({ keepAlive: true, maxSockets: 1024 });

/** One request; the whole answer as { status, headers, body }. */
export function call(port, method, path, headers = {}, body = undefined) {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, method, path, headers, agent }, (incoming) => {
      const chunks = [];
      incoming.on('data', (chunk) => chunks.push(chunk));
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode, headers: incoming.headers, body: Buffer.concat(chunks) }),
      );
      incoming.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** A multipart POST, made once and sent many times. Files are paths or bytes. */
export function multipartRequest(path, files, options = {}) {
  const boundary = 'likeness-bench-boundary';
  const part = (disposition, content) => [
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n`),
    content,
    Buffer.from('\r\n'),
  ];
  const body = Buffer.concat([
    ...Object.entries(options).flatMap(([name, value]) => part(`name="${name}"`, Buffer.from(String(value)))),
    ...Object.entries(files).flatMap(([name, file]) =>
      [file]
        .flat()
        .flatMap((one) =>
          part(
            `name="${name}"; filename="image"\r\nContent-Type: application/octet-stream`,
            typeof one === 'string' ? readFileSync(one) : one,
          ),
        ),
    ),
    Buffer.from(`--${boundary}--\r\n`),
  ]);
  return post(path, `multipart/form-data; boundary=${boundary}`, body);
}

/** A JSON POST, made once and sent many times. */
export function jsonRequest(path, value) {
  return post(path, 'application/json', Buffer.from(JSON.stringify(value)));
}

function post(path, type, body) {
  const headers = { 'content-type': type, 'content-length': String(body.length) };
  return { method: 'POST', path, headers, body };
}

/** The six verifications that most scenarios send: each photo with the next. */
export function verifyRequests() {
  return samples.map((probe, i) =>
    multipartRequest('/v1/verify', { probe, reference: samples[(i + 1) % samples.length] }),
  );
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
