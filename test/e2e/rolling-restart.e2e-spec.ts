import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseMetrics, valueOf } from '../support/parse-metrics';
import { rootDir } from '../support/paths';
import { type RunningService, startService } from '../support/start-service';

const HEALTH_EVERY_MS = 50;
const ENV = {
  HOST: '127.0.0.1',
  FACE_FEATURES: 'verify,embeddings',
  FACE_WORKER_COUNT: '1',
  FACE_SHUTDOWN_DELAY_MS: '2000',
};
const photo = readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', 'sample1.jpg'));

interface Replica {
  service: RunningService;
  isReady: boolean;
  answered: number;
  /** Keeps connections open, as proxies do. */
  agent: Agent;
}

/** A load balancer: round robin over what `/health/ready` says is ready. It repeats no request. */
class LoadBalancer {
  private readonly server: Server;
  private next = 0;
  private isClosed = false;

  constructor(private readonly replicas: readonly Replica[]) {
    this.server = createServer((incoming, answer) => {
      const ready = replicas.filter(({ isReady }) => isReady);
      const replica = ready[this.next++ % ready.length];
      if (replica == null) return void answer.writeHead(502).end('no replica is ready');
      const { agent, service } = replica;
      const { method, url, headers } = incoming;
      const outgoing = request({ host: '127.0.0.1', port: service.port, agent, method, path: url, headers });
      outgoing.once('response', (response) => {
        replica.answered++;
        answer.writeHead(response.statusCode as number, response.headers);
        response.pipe(answer);
      });
      outgoing.once('error', (error) => {
        if (!answer.headersSent) answer.writeHead(502);
        answer.end(String(error));
      });
      incoming.pipe(outgoing);
    });
  }

  async listen(): Promise<string> {
    await once(this.server.listen(0, '127.0.0.1'), 'listening');
    for (const replica of this.replicas) void this.watch(replica);
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private async watch(replica: Replica): Promise<void> {
    while (!this.isClosed) {
      const answer = await fetch(`${replica.service.url}/health/ready`).catch(() => null);
      replica.isReady = answer?.status === 200;
      await sleep(HEALTH_EVERY_MS);
    }
  }
}

describe('replicas behind a load balancer', () => {
  const replicas: Replica[] = [];
  let balancer: LoadBalancer | undefined;

  afterAll(async () => {
    await Promise.all(replicas.map(({ service }) => service.stop()));
    await balancer?.close();
  });

  it('are restarted one after the other without a failed request', async () => {
    for (let i = 0; i < 2; i++)
      replicas.push({
        service: await startService(ENV),
        isReady: true,
        answered: 0,
        agent: new Agent({ keepAlive: true }),
      });
    balancer = new LoadBalancer(replicas);
    const url = await balancer.listen();

    const form = new FormData();
    form.append('image', new Blob([new Uint8Array(photo)]), 'photo.jpg');
    const represented = await fetch(`${url}/v1/represent`, { method: 'POST', body: form });
    const { faces, contract } = (await represented.json()) as {
      faces: { embedding: number[] }[];
      contract: string;
    };
    const embedding = { embedding: faces[0].embedding, contract };
    const verification = JSON.stringify({ probe: embedding, reference: embedding });

    let isOver = false;
    let answers = 0;
    const failures: unknown[] = [];
    const ask = async (path: string, init: RequestInit) => {
      while (!isOver) {
        const answer = await fetch(url + path, { method: 'POST', ...init }).catch((error: unknown) => error);
        const isAnswer = answer instanceof Response;
        const text = isAnswer ? await answer.text() : String(answer);
        answers++;
        if (!isAnswer || answer.status !== 200) failures.push([isAnswer && answer.status, text]);
      }
    };
    const json = { body: verification, headers: { 'content-type': 'application/json' } };
    const clients = [
      ...Array.from({ length: 4 }, () => ask('/v1/verify', json)),
      ...Array.from({ length: 2 }, () => ask('/v1/represent', { body: form })),
    ];

    for (const replica of replicas) {
      const { port } = replica.service;
      expect(await replica.service.stop()).toBe(0);
      expect(replica.isReady).toBe(false);
      replica.answered = 0;
      replica.service = await startService({ ...ENV, PORT: String(port) });
      // The next one is only stopped when this one has its share of the load again.
      while (replica.answered < 10) await sleep(HEALTH_EVERY_MS);
    }
    isOver = true;
    await Promise.all(clients);
    expect(failures).toEqual([]);
    expect(answers).toBeGreaterThan(100);
  });
});

describe('a replica that ends', () => {
  it('answers what waits in its queue', async () => {
    const service = await startService({ ...ENV, FACE_SHUTDOWN_DELAY_MS: '0' });
    const count = 12;
    const requests = Array.from({ length: count }, async () => {
      const body = new FormData();
      body.append('image', new Blob([new Uint8Array(photo)]), 'photo.jpg');
      return (await fetch(`${service.url}/v1/represent`, { method: 'POST', body })).status;
    });
    /** Images in the queue, once all have come. */
    let waiting = 0;
    for (let arrived = 0; arrived < count;) {
      const metrics = parseMetrics(await (await fetch(`${service.url}/metrics`)).text());
      const answered = valueOf(metrics, 'likeness_images_total', { task: 'represent', outcome: 'ok' }) ?? 0;
      waiting = valueOf(metrics, 'likeness_queue_length') ?? 0;
      arrived = answered + waiting + (valueOf(metrics, 'likeness_running') ?? 0);
    }
    expect(waiting).toBeGreaterThan(0);
    const exit = service.stop();
    expect(await Promise.all(requests)).toEqual(requests.map(() => 200));
    expect(await exit).toBe(0);
  });
});
