import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

const COMMAND = 'nats-server';

/** Whether `nats-server` is on the path (Debian: `apt-get install nats-server`). */
export const hasNats = spawnSync(COMMAND, ['--version']).status === 0;

/**
 * NATS servers with JetStream on loopback, each a process with a folder of its own; settles when they have a leader.
 *
 * @param size - 1, or the servers of a cluster.
 */
export async function startNatsServers(size) {
  const root = mkdtempSync(join(tmpdir(), 'likeness-bench-nats-'));
  const ports = await freePorts(2 * size);
  const addresses = ports.map((port) => `nats://127.0.0.1:${port}`);
  const processes = Array.from({ length: size }, (_, i) => {
    const dir = join(root, `n${i}`);
    const file = join(root, `n${i}.conf`);
    mkdirSync(dir);
    const routes = addresses.slice(size).join(', ');
    const lines = [
      `server_name: n${i}`,
      `listen: "127.0.0.1:${ports[i]}"`,
      `jetstream { store_dir: "${dir}" }`,
      ...(size > 1
        ? [`cluster { name: bench, listen: "127.0.0.1:${ports[size + i]}", routes: [${routes}] }`]
        : []),
    ];
    writeFileSync(file, lines.join('\n'));
    return spawn(COMMAND, ['-c', file, '-l', join(root, `n${i}.log`)], { stdio: 'ignore' });
  });
  const killAll = () => processes.forEach((child) => child.kill('SIGKILL'));
  process.once('exit', killAll);
  const servers = addresses.slice(0, size);
  await haveLeader(servers);
  return {
    servers,
    /** Bytes in the folder of one server. */
    bytes: () => bytesIn(join(root, 'n0')),
    async stop() {
      process.removeListener('exit', killAll);
      const exits = processes.map((child) => child.exitCode ?? once(child, 'exit'));
      killAll();
      await Promise.all(exits);
      rmSync(root, { recursive: true, force: true });
    },
  };
}

async function haveLeader(servers) {
  for (let tries = 100; ; tries--) {
    try {
      const connection = await connect({ servers });
      try {
        return await (await jetstreamManager(connection, { timeout: 1000 })).getAccountInfo();
      } finally {
        await connection.close();
      }
    } catch (error) {
      if (tries === 0) throw error;
      await sleep(100);
    }
  }
}

async function freePorts(count) {
  const listeners = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(listeners.map((listener) => once(listener, 'listening')));
  const ports = listeners.map((listener) => listener.address().port);
  await Promise.all(listeners.map((listener) => once(listener.close(), 'close')));
  return ports;
}

function bytesIn(dir) {
  return readdirSync(dir, { recursive: true }).reduce((sum, file) => sum + statSync(join(dir, file)).size, 0);
}
