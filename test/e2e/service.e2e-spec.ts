import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { openAsBlob, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createLikenessClient, type LikenessClient } from '../../src/client';
import { FACE_ERRORS } from '../../src/errors';
import { exampleAddress } from '../support/example-address';
import { rootDir } from '../support/paths';
import { type RunningService, startService } from '../support/start-service';

const readme = readFileSync(join(rootDir, 'README.md'), 'utf8');
const samplePath = (i: number) =>
  join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', `sample${i}.jpg`);
const sample = (i: number) => readFileSync(samplePath(i));

describe('the service as it is started', () => {
  let service: RunningService;
  let likeness: LikenessClient;

  beforeAll(async () => {
    service = await startService();
    likeness = createLikenessClient({ baseUrl: service.url });
  });
  afterAll(() => service?.stop());

  const post = (path: string, body: object | FormData) =>
    fetch(service.url + path, {
      method: 'POST',
      ...(body instanceof FormData
        ? { body }
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
  const form = (fields: Record<string, Buffer | string>) => {
    const data = new FormData();
    for (const [name, value] of Object.entries(fields)) {
      if (typeof value === 'string') data.append(name, value);
      else data.append(name, new Blob([new Uint8Array(value)]), 'photo.jpg');
    }
    return data;
  };
  const models = async () => (await likeness.GET('/v1/models')).data.models;

  it('says live and ready', async () => {
    expect((await likeness.GET('/health/live')).response.status).toBe(200);
    expect((await likeness.GET('/health/ready')).response.status).toBe(200);
  });

  it('answers the client about real photos', async () => {
    const [photo, other] = await Promise.all([openAsBlob(samplePath(2)), openAsBlob(samplePath(3))]);
    expect(await likeness.verify(photo, photo)).toMatchObject({ verified: true, distance: 0 });
    const { faces } = await likeness.analyze(photo, { attributes: ['age', 'gender'], maxFaces: 1 });
    expect(faces).toEqual([expect.objectContaining({ age: expect.any(Number) })]);
    const { results } = await likeness.represent([photo, other], { maxFaces: 1 });
    const [first] = results.flatMap((result) => ('faces' in result ? result.faces : []));
    const { contract } = await likeness.represent(photo);
    const embedding = { embedding: first.embedding, contract };
    const options = { enrollmentGate: 'off', faceSelection: 'best' } as const;
    await likeness.POST('/v1/galleries', { body: { id: 'of-the-client' } });
    await likeness.enroll('of-the-client', 'first', photo, options);
    const { faces: identified } = await likeness.identify('of-the-client', embedding);
    expect(identified[0].candidates).toMatchObject([{ subjectId: 'first', distance: expect.closeTo(0, 2) }]);
  });

  it('runs the curl lines of the README as they are printed', async () => {
    const blocks = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, code]) => code);
    const lines = blocks.filter((code) => code.startsWith('S='));
    expect(lines).toHaveLength(3);
    const script = `set -euo pipefail\n${lines.join('\n')}`
      .replaceAll('localhost:3000', `127.0.0.1:${service.port}`)
      .replaceAll('curl ', `curl -sS --fail-with-body -w '\\n' `);
    const { stdout } = await promisify(execFile)('bash', ['-c', script], {
      cwd: rootDir,
      maxBuffer: 64 * 1024 * 1024,
    });
    // A deletion answers without a body.
    const answers = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
    expect(answers).toHaveLength(17);
    expect(answers[0]).toMatchObject({ verified: true, distance: 0, embedder: 'mobilefacenet-512' });
    expect(answers[2].faces.length).toBe(5);
    expect(answers[3].faces).toHaveLength(1);
    expect(answers[4].results).toHaveLength(2);
    const [deepfaceVerified, analyzed, represented] = answers.slice(7);
    expect(deepfaceVerified).toMatchObject({
      model: 'mobilefacenet-512',
      threshold: expect.closeTo(0.554, 3),
    });
    expect(Object.keys(analyzed.results[0]).slice(0, 2)).toEqual(['age', 'gender']);
    expect(represented.results[0].embedding).toHaveLength(512);
    const [ada, grace, identified, verified, , filtered, references] = answers.slice(10);
    expect(ada).toMatchObject({ status: 'added', reference: { metadata: { camera: 'door' } } });
    expect(grace.results).toMatchObject([{ status: 'added' }, { status: 'added' }]);
    // Two faces of the photo are as large as each other: which one comes first is not said.
    const named = identified.faces.map(
      ({ candidates }: { candidates: { subjectId: string }[] }) => candidates[0],
    );
    expect(named).toContainEqual(
      expect.objectContaining({ subjectId: 'ada', distance: expect.closeTo(0, 2) }),
    );
    expect(verified).toMatchObject({ verified: true, distance: 0, subjectId: 'ada' });
    expect(filtered.subjects).toMatchObject([{ id: 'ada' }]);
    expect(references.references).toHaveLength(1);
  });

  it('answers every request example of the OpenAPI document with success', async () => {
    const document = (await (await fetch(`${service.url}/openapi.json`)).json()) as {
      paths: Record<
        string,
        Record<string, { requestBody?: { content: Record<string, { example?: object }> } }>
      >;
    };
    const failures: unknown[] = [];
    let sent = 0;
    for (const [path, { post: operation }] of Object.entries(document.paths)) {
      // They change models and need the key: the suites of the admin routes send them.
      if (path.startsWith('/admin/')) continue;
      const example = operation?.requestBody?.content['application/json'].example;
      if (example == null) continue;
      sent++;
      const answer = await post(exampleAddress(path), example);
      if (!answer.ok) failures.push([path, answer.status, await answer.text()]);
    }
    expect(failures).toEqual([]);
    expect(sent).toBe(16);
  });

  it('keeps the loads of every model through 300 mixed requests', async () => {
    const before = await models();
    expect(before.filter(({ state }) => state === 'loaded').map(({ name }) => name)).toEqual([
      'age-gender',
      'face-expression',
      'face-landmark-68',
      'mobilefacenet-512',
      'rfb-320',
    ]);
    for (const { state, loads } of before) expect(loads > 0).toBe(state === 'loaded');
    const face = await smallFace(service);
    const requests: [string, () => object | FormData, number][] = [
      ['/v1/detect', () => ({ image: face }), 200],
      ['/v1/verify', () => form({ probe: sample(1) }), 400],
      ['/v1/verify', () => ({ probe: face, reference: face }), 200],
      ['/v1/represent', () => ({ image: face, maxFaces: 1 }), 200],
      ['/v1/detect', () => form({ image: Buffer.from('no image') }), 415],
      ['/v1/analyze', () => ({ image: face }), 200],
      ['/v1/detect', () => ({ image: face, detector: 'yunet' }), 409],
      ['/v1/detect', () => form({ image: sample(1).subarray(0, 60_000) }), 422],
      ['/v1/verify', () => ({ probe: face, reference: face, threshold: 'abc' }), 400],
      ['/v1/represent', () => ({ image: [face, face] }), 200],
    ];
    let next = 0;
    const wrong: unknown[] = [];
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        while (next < 300) {
          const [path, body, status] = requests[next++ % requests.length];
          const answer = await post(path, body());
          await answer.arrayBuffer();
          if (answer.status !== status) wrong.push([path, status, answer.status]);
        }
      }),
    );
    expect(wrong).toEqual([]);
    const loads = (list: Awaited<ReturnType<typeof models>>) => list.map(({ name, loads }) => [name, loads]);
    expect(loads(await models())).toEqual(loads(before));
  }, 300_000);

  it('drops the work of a client that leaves, and goes on', async () => {
    const controller = new AbortController();
    const pending = likeness.detect(sample(2), { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await expect(pending).rejects.toMatchObject({ name: 'AbortError' });
    expect((await likeness.detect(sample(2))).faces.length).toBeGreaterThan(0);
  });

  it('ends with its workers on SIGTERM, and finishes what it has begun', async () => {
    const own = await startService();
    const answer = fetch(`${own.url}/v1/detect`, { method: 'POST', body: form({ image: sample(3) }) });
    await new Promise((resolve) => setTimeout(resolve, 30));
    const exit = own.stop();
    expect((await answer).status).toBe(200);
    expect(await exit).toBe(0);
  });

  it('ends beside connections on which nothing was asked, or half a request', async () => {
    const own = await startService();
    const sockets = ['', 'GET /health/live HTTP/1.1\r\nHost: '].map((begun) => {
      const socket = connect(own.port, '127.0.0.1', () => socket.write(begun));
      return socket.on('error', () => undefined);
    });
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    // Answered after the server has accepted both.
    await fetch(`${own.url}/health/live`);
    const closed = Promise.all(sockets.map((socket) => once(socket, 'close')));
    expect(await own.stop()).toBe(0);
    await closed;
  });

  it('refuses what comes after SIGTERM on connections that are open, so that no client can hold it', async () => {
    const own = await startService();
    const detect = () =>
      fetch(`${own.url}/v1/detect`, { method: 'POST', body: form({ image: sample(3) }) }).then(
        ({ status, headers }) => ({ status, connection: headers.get('connection') }),
        () => null,
      );
    const answersAfter: Awaited<ReturnType<typeof detect>>[] = [];
    let isTold = false;
    const clients = Array.from({ length: 4 }, async () => {
      // Ends when the server is not there any more.
      for (let answer = await detect(); answer != null; answer = await detect()) {
        if (isTold) answersAfter.push(answer);
      }
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    isTold = true;
    expect(await own.stop()).toBe(0);
    await Promise.all(clients);
    // Each client: the answer that it waited for, and at most one refusal.
    expect(answersAfter.length).toBeLessThanOrEqual(8);
    for (const answer of answersAfter) expect([200, 503]).toContain(answer?.status);
    expect(answersAfter.filter((answer) => answer?.connection === 'close').length).toBeGreaterThan(0);
  });
});

describe('a boot that cannot succeed', () => {
  it.each([
    [{ FACE_DETECTORS: 'retina' }, 'MODEL_NOT_FOUND', 'retina'],
    [{ FACE_DETECTORS: 'scrfd-10g' }, 'MODEL_NOT_FOUND', 'det_10g.onnx'],
    [{ FACE_WORKER_COUNT: 'many' }, 'FACE_OPTIONS_INVALID', 'FACE_WORKER_COUNT'],
  ])('says what and where in one line: %j', async (env, code, name) => {
    const error = await startService(env).catch((reason: Error) => reason);
    expect(error).toBeInstanceOf(Error);
    const [, output] = /ended with 1: ([\s\S]*)/.exec((error as Error).message) ?? [];
    expect(output).toContain(`${code}: `);
    expect(output).toContain(name);
    expect(output).not.toMatch(/\n\s+at /);
    expect(FACE_ERRORS).toHaveProperty(code);
  });
});

/** The drawn face of the Swagger examples, as a data URI. */
async function smallFace(service: RunningService): Promise<string> {
  const text = await (await fetch(`${service.url}/openapi.json`)).text();
  const [dataUri] = /data:image\/webp;base64,[A-Za-z0-9+/=]+/.exec(text) ?? [];
  return dataUri as string;
}
