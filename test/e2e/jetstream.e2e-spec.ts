import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createApp } from '../support/create-app';
import { describeWithNats, NatsCluster } from '../support/nats-cluster';
import { parseMetrics, valueOf } from '../support/parse-metrics';
import { rootDir } from '../support/paths';
import { type RunningService, startService } from '../support/start-service';

const ADMIN_KEY = 'a-key-of-the-test-suite';
const SUBJECTS = '/v1/galleries/default/subjects';
const ENROLLMENT = { faceSelection: 'best', enrollmentGate: 'off' };
const photo = readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', 'sample1.jpg'));

interface Answer {
  status: number;
  body: Record<string, unknown> & { error?: { code: string; details: Record<string, unknown> } };
  /** `x-likeness-revision` */
  revision: number;
  /** `x-likeness-stale` */
  stale: string | null;
  retryAfter: string | null;
}

type Ask = {
  method?: string;
  photo?: string;
  headers?: Record<string, string>;
  minRevision?: number | string;
};

async function ask(
  { url }: RunningService,
  path: string,
  { photo: field, minRevision, headers = {}, method = field ? 'POST' : 'GET' }: Ask = {},
): Promise<Answer> {
  const body = new FormData();
  // The photo has several faces.
  if (field === 'image') for (const [name, value] of Object.entries(ENROLLMENT)) body.append(name, value);
  if (field) body.append(field, new Blob([new Uint8Array(photo)]), 'photo.jpg');
  const answer = await fetch(url + path, {
    method,
    ...(field && { body }),
    headers: {
      authorization: `Bearer ${ADMIN_KEY}`,
      ...headers,
      ...(minRevision !== undefined && { 'x-likeness-min-revision': String(minRevision) }),
    },
  });
  const text = await answer.text();
  return {
    status: answer.status,
    body: text && answer.headers.get('content-type')?.includes('json') ? JSON.parse(text) : { text },
    revision: Number(answer.headers.get('x-likeness-revision')),
    stale: answer.headers.get('x-likeness-stale'),
    retryAfter: answer.headers.get('retry-after'),
  };
}

/** Asks until an answer is as it should be. */
async function until(wanted: (answer: Answer) => boolean, question: () => Promise<Answer>): Promise<Answer> {
  for (let tries = 150; ; tries--) {
    const answer = await question();
    if (wanted(answer) || tries === 0) return answer;
    await delay(200);
  }
}

describeWithNats('two replicas of the service over one NATS server', () => {
  let cluster: NatsCluster;
  let a: RunningService;
  let b: RunningService;

  beforeAll(async () => {
    cluster = await NatsCluster.start();
    const env = {
      HOST: '127.0.0.1',
      ADMIN_KEY,
      FACE_FEATURES: 'galleries,identify,deepface',
      FACE_WORKER_COUNT: '1',
      FACE_GALLERY_STORE: 'jetstream',
      FACE_GALLERY_KEY: 'k'.repeat(32),
      FACE_GALLERY_NATS_SERVERS: cluster.servers.join(','),
      FACE_GALLERY_NATS_REPLICAS: '1',
      FACE_GALLERY_NATS_TIMEOUT_MS: '3000',
      FACE_GALLERY_SCAN_THREADS: '1',
    };
    // Both at once on empty storage: one makes the gallery `default`.
    [a, b] = await Promise.all([startService(env), startService(env)]);
  });
  afterAll(async () => {
    await Promise.all([a?.stop(), b?.stop()]);
    await cluster?.stop();
  });

  const identify = (service: RunningService, minRevision?: number) =>
    ask(service, '/v1/galleries/default/identify', { photo: 'probe', minRevision });
  const namesOf = ({ body }: Answer) =>
    (body.faces as { candidates: { subjectId: string }[] }[]).flatMap(({ candidates }) =>
      candidates.map(({ subjectId }) => subjectId),
    );
  const metric = async (service: RunningService, name: string) => {
    const { body } = await ask(service, '/metrics');
    return valueOf(parseMetrics(body.text as string), name);
  };

  it('find on one what was enrolled on the other, and lose it with it, by the revision of the answer', async () => {
    const enrolled = await ask(a, `${SUBJECTS}/ada/references`, { photo: 'image' });
    expect(enrolled).toMatchObject({ status: 201, stale: null });
    expect(enrolled.revision).toBeGreaterThan(0);

    const found = await identify(b, enrolled.revision);
    expect([found.status, namesOf(found)]).toEqual([200, ['ada']]);
    expect(found.revision).toBeGreaterThanOrEqual(enrolled.revision);
    expect(await metric(b, 'likeness_gallery_revision')).toBeGreaterThanOrEqual(enrolled.revision);

    const deleted = await ask(b, `${SUBJECTS}/ada`, { method: 'DELETE' });
    expect(deleted.status).toBe(204);
    expect(deleted.revision).toBeGreaterThan(enrolled.revision);

    expect(namesOf(await identify(a, deleted.revision))).toEqual([]);
    const gone = await ask(a, `${SUBJECTS}/ada`, { minRevision: deleted.revision });
    // Errors say it too.
    expect(gone).toMatchObject({ status: 404, body: { error: { code: 'SUBJECT_NOT_FOUND' } } });
    expect(gone.revision).toBeGreaterThanOrEqual(deleted.revision);
  });

  it('say that a revision was not read in time, and what is wrong with one', async () => {
    const { revision } = await ask(a, SUBJECTS);
    const early = await ask(a, `${SUBJECTS}/new`, {
      method: 'PUT',
      minRevision: revision + 1000,
      headers: { 'x-request-timeout-ms': '50' },
    });
    expect(early).toMatchObject({ status: 503, retryAfter: '1', revision });
    expect(early.body.error).toMatchObject({
      code: 'GALLERY_REVISION_PENDING',
      details: { minRevision: revision + 1000, revision },
    });
    const inDialect = await ask(a, '/search', {
      photo: 'img',
      minRevision: revision + 1000,
      headers: { 'x-request-timeout-ms': '50' },
    });
    expect(inDialect).toMatchObject({
      status: 503,
      revision,
      body: { code: 'GALLERY_REVISION_PENDING', requestId: expect.any(String) },
    });
    for (const minRevision of ['-1', '1.5', 'last', '1e3', '9'.repeat(17)]) {
      const { status, body } = await ask(a, SUBJECTS, { minRevision });
      expect([status, body.error]).toEqual([
        400,
        expect.objectContaining({
          code: 'PARAMETER_INVALID',
          details: { fields: { 'x-likeness-min-revision': expect.any(String) } },
        }),
      ]);
    }
  });

  it('search on while the server is away, refuse changes, and go on when it is back', async () => {
    const enrolled = await ask(a, `${SUBJECTS}/grace/references`, { photo: 'image' });
    await identify(b, enrolled.revision);
    await cluster.kill(0);

    for (const service of [a, b]) {
      const listed = await until(
        ({ stale }) => stale !== null,
        () => ask(service, SUBJECTS),
      );
      expect(listed.stale).toMatch(/^\d+$/);
      const found = await identify(service, enrolled.revision);
      expect([found.status, namesOf(found), found.stale !== null]).toEqual([200, ['grace'], true]);
      expect(await ask(service, '/health/ready')).toMatchObject({
        status: 200,
        body: { status: 'ready', gallery: { staleSince: expect.stringMatching(/^\d{4}-.*Z$/) } },
      });
      expect(await metric(service, 'likeness_gallery_stale_seconds')).toBeGreaterThan(0);
      const refused = await ask(service, `${SUBJECTS}/grace`, { method: 'DELETE' });
      expect(refused).toMatchObject({ status: 503, retryAfter: '1' });
      expect(refused.body.error?.code).toBe('GALLERY_STORE_FAILED');
      expect(refused.stale).not.toBeNull();
    }

    await cluster.restart(0);
    const deleted = await until(
      ({ status }) => status === 204,
      () => ask(a, `${SUBJECTS}/grace`, { method: 'DELETE' }),
    );
    expect(deleted.status).toBe(204);
    expect(namesOf(await identify(b, deleted.revision))).toEqual([]);
    // One heartbeat that a busy machine delays makes a replica stale for a moment again: so each is asked until it is current.
    const current = await until(
      ({ stale }) => stale === null,
      () => ask(b, SUBJECTS),
    );
    expect(current.stale).toBeNull();
    const ready = await until(
      ({ body }) => !('gallery' in body),
      () => ask(b, '/health/ready'),
    );
    expect(ready.body).toEqual({ status: 'ready' });
    const fresh = await until(
      ({ body }) => valueOf(parseMetrics(body.text as string), 'likeness_gallery_stale_seconds') === 0,
      () => ask(b, '/metrics'),
    );
    expect(valueOf(parseMetrics(fresh.body.text as string), 'likeness_gallery_stale_seconds')).toBe(0);
  });
});

describe('a store without replicas', () => {
  it('says no revision, and reads none', async () => {
    const { app, http } = await createApp({ FACE_GALLERY_SCAN_THREADS: '1' });
    try {
      const { headers } = await http
        .get('/v1/galleries')
        .set('x-likeness-min-revision', 'any, it is not read')
        .expect(200);
      expect(Object.keys(headers).filter((name) => name.startsWith('x-likeness'))).toEqual([]);
    } finally {
      await app.close();
    }
  });
});
