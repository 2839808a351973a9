import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { auditKeys, hashSubject } from '../../src/server/audit/audit-chain';
import { AUDITED_ROUTES, UNAUDITED_ROUTES } from '../../src/server/audit/audit-routes';
import { AuditTrail } from '../../src/server/audit/audit-trail';
import { verifyAudit } from '../../src/server/audit/verify-audit';
import { FREE_FAILURES } from '../../src/server/http/auth/failed-keys';
import { writeKeyFile } from '../support/key-file';
import { createApp, type TestApp } from '../support/create-app';
import { parseMetrics } from '../support/parse-metrics';
import { startCli } from '../support/start-cli';
import { tempFolders } from '../support/temp-folder';

const AUDIT_KEY = 'a key of the audit stream, for tests';
const ADMIN_KEY = 'a-key-of-the-test-suite';
const DEEPFACE_TOKEN = 'a-token-of-the-test-suite';
const { chain, subjects } = auditKeys(AUDIT_KEY);
const person = (id: string, gallery = 'staff') => hashSubject(gallery, id, subjects);

const alice = Buffer.from('a photo of alice');
const bob = Buffer.from('a photo of bob');
const crowd = Buffer.from('a photo of alice and carol');
const empty = Buffer.from('a landscape');
const dataUri = (image: Buffer) => `data:image/jpeg;base64,${image.toString('base64')}`;

const newFolder = tempFolders();

interface Line {
  action: string;
  gallery: string | null;
  subject: string | null;
  outcome: string;
  [field: string]: unknown;
}

describe('the audit stream', () => {
  let file: string;
  let service: TestApp;
  let isClosed = false;

  const start = async (env: NodeJS.ProcessEnv = {}) => {
    isClosed = false;
    service = await createApp({
      ADMIN_KEY,
      DEEPFACE_AUTH_TOKEN: DEEPFACE_TOKEN,
      FACE_GALLERY_SCAN_THREADS: '1',
      FACE_AUDIT_FILE: file,
      FACE_AUDIT_KEY: AUDIT_KEY,
      ...env,
    });
    service.model
      .addImage(alice, { faces: [{ person: 'alice' }] })
      .addImage(bob, { faces: [{ person: 'bob' }] })
      .addImage(crowd, { faces: [{ person: 'alice' }, { person: 'carol' }] })
      .addImage(empty, { faces: [] });
  };
  const stop = async () => {
    if (!isClosed) await service.app.close();
    isClosed = true;
  };

  beforeEach(async () => {
    file = join(newFolder(), 'audit.jsonl');
    await start();
  });
  afterEach(() => stop());

  /** Ends the service; the lines of what was asked, without those of the service itself. */
  const lines = async (): Promise<Line[]> => {
    await stop();
    expect(await verifyAudit([file], { key: chain })).toMatchObject({ broken: null, endsWithStop: true });
    return readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line)
      .filter(({ action }) => !['start', 'stop'].includes(action));
  };
  /** Lines in short. */
  const reported = async () =>
    (await lines()).map(({ action, gallery, subject, outcome }) => [action, gallery, subject, outcome]);

  const admin = { authorization: `Bearer ${ADMIN_KEY}` };
  const staff = '/v1/galleries/staff';
  const makeGallery = () => service.http.post('/v1/galleries').send({ id: 'staff' }).expect(201);
  const enroll = (subjectId: string, image: Buffer) =>
    service.http
      .post(`${staff}/subjects/${subjectId}/references`)
      .send({ image: dataUri(image), enrollmentGate: 'off' });

  it('knows every route of the OpenAPI document', async () => {
    const { body } = await service.http.get('/openapi.json').expect(200);
    const routes = Object.entries(body.paths as Record<string, object>).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
    );
    expect([...Object.keys(AUDITED_ROUTES), ...UNAUDITED_ROUTES].sort()).toEqual(routes.sort());
  });

  it('names the candidates of a search, with their similarity', async () => {
    await makeGallery();
    await enroll('alice', alice).expect(201);
    await service.http
      .post(`${staff}/identify`)
      .set('x-request-id', 'search-1')
      .send({ probe: dataUri(crowd), faceSelection: 'all' })
      .expect(200);
    const searched = (await lines()).filter(({ action }) => action === 'identify');
    const common = {
      action: 'identify',
      gallery: 'staff',
      key: null,
      address: expect.stringMatching(/127\.0\.0\.1$/),
      requestId: 'search-1',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    };
    expect(searched).toHaveLength(2);
    expect(searched).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          ...common,
          subject: person('alice'),
          outcome: 'match',
          similarity: expect.closeTo(1, 3),
        }),
        expect.objectContaining({ ...common, subject: null, outcome: 'no_match' }),
      ]),
    );
  });

  it('has the exact similarity of a search by a key that sees a rounded one', async () => {
    await stop();
    const { file: keyFile, keys } = writeKeyFile(newFolder(), {
      blind: { scopes: ['enroll', 'identify'], maySeeDistances: false },
    });
    await start({ FACE_API_KEYS_FILE: keyFile, FACE_AUDIT_SUBJECTS: 'plain' });
    const post = (path: string, body: object) =>
      service.http.post(path).set('x-api-key', keys.blind).send(body);
    await post('/v1/galleries', { id: 'staff' }).expect(201);
    const { dimensions, contract } = service.model.embedder();
    const unit = (x: number) => [x, Math.sqrt(1 - x * x), ...Array<number>(dimensions - 2).fill(0)];
    await post(`${staff}/subjects/alice/references`, { embedding: unit(1), contract }).expect(201);
    const probe = { embedding: unit(0.8765), contract };
    const { body } = await post(`${staff}/identify`, { probe }).expect(200);
    expect(body.faces[0].candidates).toMatchObject([{ subjectId: 'alice', similarity: 0.9, distance: null }]);
    const searched = (await lines()).filter(({ action }) => action === 'identify');
    expect(searched).toMatchObject([{ key: 'blind', subject: 'alice', outcome: 'match' }]);
    expect(searched[0].similarity).toBeCloseTo(0.8765, 5);
  });

  it('has every action on a gallery and its people', async () => {
    await makeGallery();
    await enroll('alice', alice).expect(201);
    await service.http
      .post(`${staff}/enroll`)
      .send({
        enrollmentGate: 'off',
        items: [
          { subjectId: 'bob', image: dataUri(bob) },
          { subjectId: 'nobody', image: dataUri(empty) },
        ],
      })
      .expect(201);
    await service.http
      .post(`${staff}/subjects/bob/verify`)
      .send({ probe: dataUri(alice) })
      .expect(200);
    await service.http.get(`${staff}/subjects`).expect(200);
    await service.http.get(`${staff}/subjects/alice`).expect(200);
    await service.http
      .patch(`${staff}/subjects/alice`)
      .send({ metadata: { floor: 1 } })
      .expect(200);
    await service.http.post(`${staff}/subjects/bob/rename`).send({ newSubjectId: 'rob' }).expect(200);
    await service.http.get('/admin/galleries/staff/export').set(admin).expect(200);
    await service.http.delete(`${staff}/subjects/alice`).expect(204);
    await service.http.get(`${staff}/subjects/alice`).expect(404);
    await service.http.delete(staff).expect(204);
    await service.http.delete('/admin/cache').set(admin).expect(200);
    expect(await reported()).toEqual([
      ['enroll', 'staff', person('alice'), 'added'],
      ['enroll', 'staff', person('bob'), 'added'],
      ['enroll', 'staff', person('nobody'), 'FACE_NOT_DETECTED'],
      ['verify', 'staff', person('bob'), 'no_match'],
      ['read', 'staff', null, 'ok'],
      ['read', 'staff', person('alice'), 'ok'],
      ['change', 'staff', person('alice'), 'ok'],
      ['change', 'staff', person('bob'), 'renamed'],
      ['change', 'staff', person('rob'), 'ok'],
      ['export', 'staff', null, 'ok'],
      ['delete', 'staff', person('alice'), 'ok'],
      ['read', 'staff', person('alice'), 'SUBJECT_NOT_FOUND'],
      ['delete', 'staff', null, 'ok'],
      ['admin', null, null, 'ok'],
    ]);
  });

  it('has the calls without a gallery, and their failures', async () => {
    const images = { probe: dataUri(alice), reference: dataUri(bob) };
    await service.http.post('/v1/verify').send(images).expect(200);
    await service.http
      .post('/v1/verify')
      .send({ ...images, threshold: 'x' })
      .expect(400);
    await service.http
      .post('/v1/represent')
      .send({ image: dataUri(alice) })
      .expect(200);
    await service.http.post('/v1/detect').send({ image: 'no image' }).expect(400);
    await service.http.get('/health/ready').expect(200);
    await service.http.get('/v1/models').expect(200);
    expect(await reported()).toEqual([
      ['verify', null, null, 'no_match'],
      ['verify', null, null, 'PARAMETER_INVALID'],
      ['represent', null, null, 'ok'],
      ['detect', null, null, expect.stringMatching(/^[A-Z_]+$/)],
    ]);
  });

  it('has the calls of the DeepFace API', async () => {
    const token = { authorization: `Bearer ${DEEPFACE_TOKEN}` };
    const post = (path: string, body: object) => service.http.post(path).set(token).send(body).expect(200);
    await post('/verify', { img1: dataUri(alice), img2: dataUri(alice) });
    await post('/register', { img: dataUri(alice), img_name: 'alice.jpg' });
    await post('/register', { img: dataUri(alice), img_name: 'alice.jpg' });
    await post('/search', { img: dataUri(alice) });
    await post('/search', { img: dataUri(bob) });
    const written = await lines();
    const gallery = 'deepface-fake00000000';
    const found = expect.stringMatching(/^[0-9a-f]{32}$/);
    expect(written.map((line) => [line.action, line.gallery, line.subject, line.outcome])).toEqual([
      ['verify', null, null, 'match'],
      ['enroll', gallery, found, 'added'],
      ['enroll', gallery, found, 'existing'],
      ['identify', gallery, found, 'match'],
      ['identify', gallery, null, 'no_match'],
    ]);
    expect(written[3].similarity).toBeCloseTo(1, 3);
    expect(new Set(written.slice(1, 4).map(({ subject }) => subject)).size).toBe(1);
  });

  it('has failed authentication, a burst of it as two lines', async () => {
    for (let i = 0; i < 50; i++) {
      await service.http
        .get('/admin/galleries/default/export')
        .set('authorization', 'Bearer wrong')
        .expect(401);
    }
    await service.http.post('/verify').send({}).expect(401);
    const written = await lines();
    // They are refused before their route is known.
    const failed = { action: 'authenticate', outcome: 'UNAUTHORIZED', gallery: null, subject: null };
    expect(written).toEqual([
      expect.objectContaining(failed),
      expect.objectContaining({ ...failed, count: 50 }),
    ]);
  });

  it('names the key that has expired', async () => {
    await stop();
    const { file: keyFile, keys } = writeKeyFile(newFolder(), {
      past: { scopes: ['read'], expiresAt: '2020-01-01T00:00:00Z' },
    });
    await start({ FACE_API_KEYS_FILE: keyFile });
    await service.http.get(`${staff}/subjects`).set('x-api-key', keys.past).expect(401);
    expect(await lines()).toMatchObject([
      { action: 'authenticate', key: 'past', outcome: 'API_KEY_EXPIRED', subject: null },
    ]);
  });

  it('has that too many wrong keys came from an address', async () => {
    await service.http.delete(staff).expect(404);
    for (let i = 0; i <= FREE_FAILURES; i++) {
      await service.http.get('/admin/status').set('authorization', 'Bearer wrong');
    }
    expect(await reported()).toEqual([
      ['delete', 'staff', null, 'GALLERY_NOT_FOUND'],
      ['authenticate', null, null, 'UNAUTHORIZED'],
      ['authenticate', null, null, 'AUTH_ATTEMPTS_EXCEEDED'],
      ['authenticate', null, null, 'UNAUTHORIZED'],
    ]);
  });

  it('goes on over restarts, and names subjects in plain text where it is asked to', async () => {
    await makeGallery();
    await enroll('alice', alice).expect(201);
    await stop();
    await start({ FACE_AUDIT_SUBJECTS: 'plain' });
    await makeGallery();
    await enroll('alice', alice).expect(201);
    expect(await reported()).toEqual([
      ['enroll', 'staff', person('alice'), 'added'],
      ['enroll', 'staff', 'alice', 'added'],
    ]);
    expect(readdirSync(join(file, '..'))).toEqual(['audit.jsonl']);
  });

  it('refuses what it cannot record, is not ready meanwhile, and counts it', async () => {
    // That a failed write makes it so is a test of AuditFile.
    const refusing = jest.spyOn(service.app.get(AuditTrail), 'isRefusing', 'get').mockReturnValue(true);
    const images = { probe: dataUri(alice), reference: dataUri(bob) };
    const refused = await service.http.post('/v1/verify').send(images).expect(503);
    expect(refused.body.error.code).toBe('AUDIT_FAILED');
    const ready = await service.http.get('/health/ready').expect(503);
    expect(ready.body.error.details.reason).toBe('the audit stream cannot be written');
    refusing.mockRestore();
    await service.http.post('/v1/verify').send(images).expect(200);
    expect(await reported()).toEqual([['verify', null, null, 'no_match']]);
  });

  it('goes on without it where the operator wants that', async () => {
    await stop();
    await start({ FACE_AUDIT_ON_FAILURE: 'continue' });
    const trail = service.app.get(AuditTrail) as unknown as { file: { failed: boolean } };
    trail.file.failed = true;
    const images = { probe: dataUri(alice), reference: dataUri(bob) };
    await service.http.post('/v1/verify').send(images).expect(200);
    await service.http.get('/health/ready').expect(200);
  });

  it('is counted by GET /metrics, as requests are by key', async () => {
    await service.http
      .post('/v1/represent')
      .send({ image: dataUri(alice) })
      .expect(200);
    const metrics = parseMetrics((await service.http.get('/metrics').expect(200)).text);
    const samples = (name: string) => metrics.get(name)?.samples;
    expect(samples('likeness_audit_failing')).toMatchObject([{ value: 0 }]);
    expect(samples('likeness_audit_lines_total')).toEqual(
      expect.arrayContaining([expect.objectContaining({ labels: { outcome: 'dropped' }, value: 0 })]),
    );
    expect(samples('likeness_key_requests_total')).toEqual(
      expect.arrayContaining([expect.objectContaining({ labels: { key: 'none', status: '200' }, value: 1 })]),
    );
  });

  it('is checked and searched by the command line', async () => {
    await makeGallery();
    await enroll('alice', alice).expect(201);
    await stop();
    const likeness = (...args: string[]) => startCli(['audit', ...args], { FACE_AUDIT_KEY: AUDIT_KEY }).ended;
    const whole = await likeness('verify', file);
    expect([whole.code, whole.stdout]).toEqual([
      0,
      expect.stringMatching(/^ok: 3 lines, 1 to 3, last hash [0-9a-f]{64}\n$/),
    ]);
    const subject = await likeness('subject', 'staff', 'alice');
    expect(subject.stdout.trim()).toBe(person('alice'));

    const tampered = join(newFolder(), 'audit.jsonl');
    writeFileSync(tampered, readFileSync(file, 'utf8').replace('"added"', '"ok"'));
    const broken = await likeness('verify', tampered, '--json');
    expect(broken.code).toBe(1);
    expect(JSON.parse(broken.stdout)).toMatchObject({ ok: false, lineCount: 1, broken: { line: 2 } });
    const absent = await likeness('verify', join(newFolder(), 'absent.jsonl'));
    expect([absent.code, absent.stderr]).toEqual([2, expect.stringContaining('PARAMETER_INVALID')]);
  });
});
