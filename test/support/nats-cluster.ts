import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type NodeConnectionOptions } from '@nats-io/transport-node';
import { type ClusterInfo, jetstreamManager } from '@nats-io/jetstream';
import { freePort } from './free-port';

const COMMAND = 'nats-server';

/** Within which a cluster answers, elects a leader, or is whole again: an election takes 4 to 9 s. */
const WAIT_MS = 60_000;

/** Whether `nats-server` is on the path (Debian: `apt-get install nats-server`). */
const hasNats = spawnSync(COMMAND, ['--version']).status === 0;

if (!hasNats && process.env.REQUIRE_NATS) {
  throw new Error('REQUIRE_NATS is set but there is no nats-server on the path.');
}

/** A suite that needs `nats-server`; skipped by name where it is absent. */
export function describeWithNats(name: string, suite: () => void): void {
  if (hasNats) describe(name, suite);
  else describe.skip(`${name} (needs nats-server, which is absent)`, suite);
}

export interface NatsClusterOptions {
  /** Servers, 1 or 3. @defaultValue 1 */
  size?: number;
  /** More lines of the configuration of each server: `authorization`, `tls`, `max_payload`. */
  config?: string;
  /** Who the harness itself connects as. */
  client?: NodeConnectionOptions;
}

interface Node {
  name: string;
  port: number;
  dir: string;
  process?: ChildProcess;
}

/** NATS servers with JetStream on loopback, each a process with a folder of its own. */
export class NatsCluster {
  private readonly root = mkdtempSync(join(tmpdir(), 'likeness-nats-'));
  private readonly nodes: Node[] = [];

  private constructor(private readonly options: NatsClusterOptions) {}

  /** Settles when JetStream answers. */
  static async start(options: NatsClusterOptions = {}): Promise<NatsCluster> {
    const cluster = new NatsCluster(options);
    await cluster.configure();
    cluster.nodes.forEach((_node, i) => cluster.launch(i));
    await cluster.ready();
    return cluster;
  }

  /** Address of each server. */
  get servers(): string[] {
    return this.nodes.map(({ port }) => `nats://127.0.0.1:${port}`);
  }

  /** Folder of each server, with its streams and Raft logs. */
  get dirs(): string[] {
    return this.nodes.map(({ dir }) => dir);
  }

  /** Ends a server at once (SIGKILL). */
  async kill(index: number): Promise<void> {
    await this.end(index, 'SIGKILL');
  }

  /** Lets a server shut down (SIGTERM). */
  async shutDown(index: number): Promise<void> {
    await this.end(index, 'SIGTERM');
  }

  /** Starts a server that has ended, on the same port and folder. @returns when it takes connections. */
  async restart(index: number): Promise<void> {
    this.launch(index);
    await accepts(this.nodes[index]);
  }

  /** Index of the server that leads a stream. */
  async leaderOf(stream: string): Promise<number> {
    const leader = await this.ask(
      async (manager) => (await manager.streams.info(stream)).cluster?.leader,
      `a leader of ${stream}`,
    );
    return this.size === 1 ? 0 : this.nodes.findIndex(({ name }) => name === leader);
  }

  /** Settles when JetStream answers: with several servers, when they have a leader that sees all that run. */
  async ready(): Promise<void> {
    await Promise.all(this.nodes.map((node) => (node.process ? accepts(node) : undefined)));
    await this.ask((manager) => manager.getAccountInfo(), 'JetStream');
  }

  /** Settles when every server has all of a stream: until then another one that ends is one too many of three. */
  async healed(stream: string): Promise<void> {
    const deadline = Date.now() + WAIT_MS;
    for (;;) {
      const cluster = await this.ask(
        async (manager) => (await manager.streams.info(stream)).cluster,
        `a leader of ${stream}`,
      );
      if (this.size === 1) return;
      const replicas = cluster?.replicas ?? [];
      const behind = replicas.filter(({ current, offline, lag }) => !current || offline || lag);
      if (replicas.length === this.size - 1 && behind.length === 0) return;
      if (Date.now() > deadline) throw new Error(`${stream} is not whole: ${stateOf(cluster)}.`);
      await delay(100);
    }
  }

  /** Ends all servers and removes their folders. */
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((_node, i) => this.kill(i)));
    rmSync(this.root, { recursive: true, force: true });
  }

  private get size(): number {
    return this.nodes.length;
  }

  private async configure(): Promise<void> {
    const { size = 1, config = '' } = this.options;
    const ports = await Promise.all(Array.from({ length: 2 * size }, freePort));
    const routes = ports.slice(size).map((port) => `nats://127.0.0.1:${port}`);
    for (let i = 0; i < size; i++) {
      const [name, dir] = [`n${i}`, join(this.root, `n${i}`)];
      mkdirSync(dir);
      const cluster = `cluster { name: test, listen: "127.0.0.1:${ports[size + i]}", routes: [${routes.join(', ')}] }`;
      writeFileSync(
        join(this.root, `${name}.conf`),
        [
          `server_name: ${name}`,
          `listen: "127.0.0.1:${ports[i]}"`,
          `jetstream { store_dir: "${dir}" }`,
          size > 1 ? cluster : '',
          config,
        ].join('\n'),
      );
      this.nodes.push({ name, port: ports[i], dir });
    }
  }

  private launch(index: number): void {
    const node = this.nodes[index];
    const log = join(this.root, `${node.name}.log`);
    const child = spawn(COMMAND, ['-c', join(this.root, `${node.name}.conf`), '-l', log], {
      stdio: 'ignore',
    });
    node.process = child;
    // A suite that fails or is cut off must leave no server behind.
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.removeListener('exit', kill));
  }

  private async end(index: number, signal: NodeJS.Signals): Promise<void> {
    const node = this.nodes[index];
    const { process } = node;
    if (!process) return;
    node.process = undefined;
    const exited = once(process, 'exit');
    process.kill(signal);
    await exited;
  }

  /** Asks until it is answered: a cluster without a leader answers later. */
  private async ask<T>(
    question: (manager: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<T>,
    awaited: string,
  ): Promise<T> {
    const running = this.nodes.filter(({ process }) => process);
    const servers = running.map(({ port }) => `127.0.0.1:${port}`);
    const deadline = Date.now() + WAIT_MS;
    for (;;) {
      try {
        const connection = await connect({ servers, timeout: 5000, ...this.options.client });
        try {
          return await question(await jetstreamManager(connection, { timeout: 1000 }));
        } finally {
          await connection.close();
        }
      } catch (error) {
        if (Date.now() > deadline) {
          const names = running.map(({ name }) => name).join(', ');
          throw new Error(`${awaited} does not answer; servers that run: ${names}.`, { cause: error });
        }
        await delay(100);
      }
    }
  }
}

/** The servers of a stream, and how far each is behind. */
function stateOf(cluster: ClusterInfo | undefined): string {
  const replicas = (cluster?.replicas ?? []).map(({ name, current, offline, lag }) =>
    offline ? `${name} is offline` : `${name} is ${current ? 'current' : 'not current'}, lag ${lag ?? 0}`,
  );
  return [`leader ${cluster?.leader ?? 'unknown'}`, ...replicas].join('; ');
}

async function accepts({ name, port }: Node): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const socket = connectSocket(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`Server ${name} takes no connections.`, { cause: error });
      await delay(50);
    } finally {
      socket.destroy();
    }
  }
}
