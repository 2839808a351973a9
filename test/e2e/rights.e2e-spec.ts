import { createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { auditKeys, hashSubject } from '../../src/server/audit/audit-chain';
import type { LikenessError } from '../../src/client';
import { GalleryService } from '../../src/gallery/gallery.service';
import { receiptProblem } from '../../src/server/receipts/erasure-receipt';
import { createApp, type TestApp } from '../support/create-app';
import { startCli } from '../support/start-cli';
import { tempFolders } from '../support/temp-folder';

const KEY = 'an-admin-key-of-tests';
const PATH = '/v1/galleries/default/subjects/ada';
const SUBJECT = '/v1/galleries/{galleryId}/subjects/{subjectId}';
const DEFAULT = { path: { galleryId: 'default' } };
const ADA = { path: { galleryId: 'default', subjectId: 'ada' } };

describe('rights of a subject', () => {
  let service: TestApp;
  const embedding = (of: number) =>
    Array.from({ length: service.model.embedder().dimensions }, (_, i) => (i === of ? 1 : 0));
  const probeOf = (of: number) => ({
    embedding: embedding(of),
    contract: service.model.embedder().contract,
  });
  const enroll = (subjectId: string, of: number) =>
    service.likeness.enroll('default', subjectId, probeOf(of), { metadata: { of } });

  /** Whether the subject is verified, otherwise why it cannot be. */
  const verifiedOrCode = (galleryId: string, subjectId: string, of: number) =>
    service.likeness.verifySubject(galleryId, subjectId, probeOf(of)).then(
      ({ verified }) => verified,
      ({ code }: LikenessError) => code,
    );

  beforeAll(async () => (service = await createApp({ ADMIN_KEY: KEY })));
  afterAll(() => service.app.close());

  it('shows why it is held and how long; a change keeps what it does not name', async () => {
    const rights = { consentRef: 'c-1', purpose: 'entry', expiresAt: '2999-01-31T01:00:00+01:00' };
    const put = await service.likeness.PUT(SUBJECT, { params: ADA, body: { metadata: { a: 1 }, ...rights } });
    const expected = { ...rights, expiresAt: '2999-01-31T00:00:00.000Z', metadata: { a: 1 } };
    expect([put.response.status, put.data]).toEqual([201, expect.objectContaining(expected)]);
    const patched = await service.likeness.PATCH(SUBJECT, { params: ADA, body: { purpose: null } });
    expect([patched.response.status, patched.data]).toEqual([
      200,
      expect.objectContaining({ ...expected, purpose: null }),
    ]);
    const listed = await service.likeness.GET('/v1/galleries/{galleryId}/subjects', { params: DEFAULT });
    expect(listed.data.subjects).toEqual([expect.objectContaining({ ...expected, purpose: null })]);
    const replaced = await service.likeness.PUT(SUBJECT, { params: ADA, body: {} });
    expect(replaced.data).toMatchObject({ metadata: {}, consentRef: null, purpose: null, expiresAt: null });
  });

  it.each([
    ['consentRef', 'x'.repeat(257)],
    ['consentRef', ''],
    ['purpose', 'x'.repeat(1025)],
    ['purpose', 7],
    ['expiresAt', 'tomorrow'],
    ['expiresAt', '2027-01-31'],
    ['expiresAt', '2027-13-31T00:00:00Z'],
    ['expiresAt', 1_800_000_000_000],
  ])('refuses a wrong %s: %j', async (field, value) => {
    for (const method of ['put', 'patch'] as const) {
      const { status, body } = await service.http[method](PATH).send({ [field]: value });
      expect([status, body.error.code]).toEqual([400, 'PARAMETER_INVALID']);
      expect(Object.keys(body.error.details.fields)).toEqual([field]);
    }
  });

  it('exports all that is held about one, and nothing of others', async () => {
    await service.likeness.PUT(SUBJECT, {
      params: ADA,
      body: { metadata: { a: 1 }, consentRef: 'c-1' },
    });
    await enroll('ada', 0);
    await enroll('grace', 1);
    const { data } = await service.likeness.GET(`${SUBJECT}/export`, { params: ADA });
    expect(data).toMatchObject({
      galleryId: 'default',
      contract: service.model.embedder().contract,
      subject: { id: 'ada', metadata: { a: 1 }, consentRef: 'c-1', referenceCount: 1 },
      references: [{ subjectId: 'ada', metadata: { of: 0 } }],
    });
    expect(JSON.stringify(data)).not.toMatch(/grace|"embedding"/);
  });

  it('exports one with much to it in full', async () => {
    await service.http.patch('/v1/galleries/default').send({ maxReferencesPerSubject: 60 }).expect(200);
    const { contract } = service.model.embedder();
    const metadata = Object.fromEntries(
      Array.from({ length: 32 }, (_, i) => [`${i}`, '"\n\u00e4'.repeat(300)]),
    );
    const path = '/v1/galleries/default/subjects/long';
    for (let i = 0; i < 50; i++)
      await service.http
        .post(`${path}/references`)
        .send({ embedding: embedding(3), contract, metadata })
        .expect(201);
    const { headers, body } = await service.http.get(`${path}/export`).expect(200);
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
    expect(body.references).toHaveLength(50);
    expect(new Set(body.references.map(({ id }: { id: string }) => id)).size).toBe(50);
    for (const reference of body.references) expect(reference.metadata).toEqual(metadata);
    expect(body.requestId).toBe(headers['x-request-id']);
    await service.http.delete(path).expect(204);
  });

  it('gives the embeddings to administrators alone', async () => {
    await service.http.get(PATH.replace('/v1/', '/admin/') + '/export').expect(401);
    const path = '/admin/galleries/{galleryId}/subjects/{subjectId}/export';
    const { data } = await service.likeness.GET(path, { params: ADA });
    expect(data.references).toEqual([expect.objectContaining({ subjectId: 'ada', embedding: embedding(0) })]);
  });

  it('never finds or verifies one that has expired, though nothing purged it', async () => {
    const params = { path: { galleryId: 'default', subjectId: 'mary' } };
    await enroll('mary', 2);
    const identify = async () => {
      const { faces } = await service.likeness.identify('default', probeOf(2));
      return faces[0].candidates.map(({ subjectId }) => subjectId);
    };
    expect(await identify()).toEqual(['mary']);
    await service.likeness.PATCH(SUBJECT, { params, body: { expiresAt: '2020-01-01T00:00:00Z' } });
    await expect(service.likeness.verifySubject('default', 'mary', probeOf(2))).rejects.toMatchObject({
      status: 404,
      code: 'REFERENCE_NOT_FOUND',
    });
    expect(await identify()).toEqual([]);
    await expect(service.likeness.GET(SUBJECT, { params })).rejects.toMatchObject({ status: 404 });
  });

  describe('expiry of a reference', () => {
    const path = '/v1/galleries/default/subjects/ruth';
    const params = { path: { galleryId: 'default', subjectId: 'ruth' } };
    const enrollUntil = (of: number, expiresAt: string | null) =>
      service.likeness.enroll('default', 'ruth', probeOf(of), { expiresAt });
    const verify = (of: number) => verifiedOrCode('default', 'ruth', of);
    afterEach(() => service.likeness.DELETE(SUBJECT, { params }));

    it('is set with the enrollment, and changed alone', async () => {
      const { status, reference } = await enrollUntil(4, '2999-01-31T01:00:00+01:00');
      expect([status, reference.expiresAt]).toEqual(['added', '2999-01-31T00:00:00.000Z']);
      const referenceParams = { path: { ...params.path, referenceId: reference.id } };
      const change = async (body: { metadata?: { a: number }; expiresAt?: null }) =>
        (
          await service.likeness.PATCH(`${SUBJECT}/references/{referenceId}`, {
            params: referenceParams,
            body,
          })
        ).data;
      expect(await change({ metadata: { a: 1 } })).toMatchObject({
        metadata: { a: 1 },
        expiresAt: '2999-01-31T00:00:00.000Z',
      });
      expect(await change({ expiresAt: null })).toMatchObject({ metadata: { a: 1 }, expiresAt: null });
      expect(await change({})).toMatchObject({ metadata: { a: 1 }, expiresAt: null });
      expect(
        (
          await service.http
            .patch(`${path}/references/${reference.id}`)
            .send({ expiresAt: 'soon' })
            .expect(400)
        ).body.error,
      ).toMatchObject({
        code: 'PARAMETER_INVALID',
        details: { fields: { expiresAt: expect.any(String) } },
      });
    });

    it('ends its matches at once, and the purge removes it alone', async () => {
      await enrollUntil(4, '2020-01-01T00:00:00Z');
      expect(await verify(4)).toBe('REFERENCE_NOT_FOUND');
      await enrollUntil(5, null);
      expect([await verify(4), await verify(5)]).toEqual([false, true]);
      const { data } = await service.likeness.POST('/admin/galleries/purge');
      expect(data).toMatchObject({ subjectCount: 0, referenceCount: 1 });
      expect((await service.likeness.GET(SUBJECT, { params })).data.referenceCount).toBe(1);
    });

    it('is judged item by item where many are enrolled', async () => {
      const items = ['2999-01-31T00:00:00Z', 'soon', null].map((expiresAt, i) => ({
        subjectId: 'ruth',
        ...probeOf(4 + i),
        expiresAt,
      }));
      const { results } = await service.likeness.enrollItems('default', items);
      expect(results).toMatchObject([
        { status: 'added', reference: { expiresAt: '2999-01-31T00:00:00.000Z' } },
        {
          error: {
            code: 'PARAMETER_INVALID',
            details: { index: 1, fields: { expiresAt: expect.any(String) } },
          },
        },
        { status: 'added', reference: { expiresAt: null } },
      ]);
    });
  });

  it('ends what is older than the gallery allows', async () => {
    const made = await service.likeness.POST('/v1/galleries', { body: { id: 'brief', maxAgeSeconds: 3600 } });
    expect([made.response.status, made.data.maxAgeSeconds]).toEqual([201, 3600]);
    await service.likeness.enroll('brief', 'guest', probeOf(1));
    const verify = () => verifiedOrCode('brief', 'guest', 1);
    expect(await verify()).toBe(true);
    for (const maxAgeSeconds of [0, 1.5, '1y']) {
      const { body } = await service.http.patch('/v1/galleries/brief').send({ maxAgeSeconds }).expect(400);
      expect(Object.keys(body.error.details.fields)).toEqual(['maxAgeSeconds']);
    }
    const params = { path: { galleryId: 'brief', subjectId: 'guest' } };
    await service.likeness.PATCH('/v1/galleries/{galleryId}', { params, body: { maxAgeSeconds: 1 } });
    while ((await verify()) !== 'REFERENCE_NOT_FOUND') await setTimeout(50);
    const { data } = await service.likeness.POST('/admin/galleries/purge');
    expect(data).toMatchObject({ subjectCount: 1, referenceCount: 0 });
    await expect(service.likeness.GET(SUBJECT, { params })).rejects.toMatchObject({ status: 404 });
  });

  it('ends who has not matched for as long as the gallery allows, and keeps times only there', async () => {
    const params = { path: { galleryId: 'forgetful', subjectId: 'guest' } };
    await service.likeness.POST('/v1/galleries', { body: { id: 'forgetful' } });
    await service.likeness.enroll('forgetful', 'guest', probeOf(1));
    const verify = () => verifiedOrCode('forgetful', 'guest', 1);
    const lastMatch = async () => {
      await service.app.get(GalleryService).matchesRecorded();
      return (await service.likeness.GET(SUBJECT, { params })).data.lastMatchedAt;
    };
    const set = async (sinceLastMatchSeconds: number | null) =>
      (await service.likeness.PATCH('/v1/galleries/{galleryId}', { params, body: { sinceLastMatchSeconds } }))
        .data;
    expect([await verify(), await lastMatch()]).toEqual([true, null]);
    const { matchesSince } = await set(1);
    expect(matchesSince).toEqual(expect.any(String));
    while ((await lastMatch()) == null) {
      expect(await verify()).toBe(true);
      await setTimeout(20);
    }
    const exported = await service.likeness.GET(`${SUBJECT}/export`, { params });
    expect(exported.data.subject.lastMatchedAt).not.toBeNull();
    // Identification counts as well, and another limit leaves the begin as it is.
    expect((await set(100)).matchesSince).toBe(matchesSince);
    const { faces } = await service.likeness.identify('forgetful', probeOf(1));
    expect(faces[0].candidates).toHaveLength(1);
    await set(1);
    await setTimeout(1000);
    expect(await verify()).toBe('REFERENCE_NOT_FOUND');
    expect((await set(null)).matchesSince).toBeNull();
    expect(await verify()).toBe(true);
  });

  it('purges on request, and reports how much', async () => {
    await enroll('old', 3);
    const params = { path: { galleryId: 'default', subjectId: 'old' } };
    await service.likeness.PATCH(SUBJECT, { params, body: { expiresAt: '2020-01-01T00:00:00Z' } });
    await service.http.post('/admin/galleries/purge').expect(401);
    const purge = async () => (await service.likeness.POST('/admin/galleries/purge')).data;
    expect(await purge()).toMatchObject({ subjectCount: 1, referenceCount: 0 });
    expect(await purge()).toMatchObject({ subjectCount: 0, referenceCount: 0 });
    await expect(service.likeness.GET(SUBJECT, { params })).rejects.toMatchObject({ status: 404 });
  });

  it('says where there is nobody to export', async () => {
    const { status, body } = await service.http.get('/v1/galleries/default/subjects/nobody/export');
    expect([status, body.error.code]).toEqual([404, 'SUBJECT_NOT_FOUND']);
  });
});

describe('receipts of erasures', () => {
  const makeFolder = tempFolders();
  const auditKey = 'a key of the audit stream, for tests';
  const subjects = '/v1/galleries/default/subjects';
  let folder: string;
  let service: TestApp;

  /** @returns the id of the reference. */
  const enroll = async (subjectId: string, of: number): Promise<string> => {
    const { dimensions, contract } = service.model.embedder();
    const embedding = Array.from({ length: dimensions }, (_, i) => (i === of ? 1 : 0));
    const { body } = await service.http
      .post(`${subjects}/${subjectId}/references`)
      .send({ embedding, contract })
      .expect(201);
    return body.reference.id;
  };
  const start = async (env: NodeJS.ProcessEnv) => {
    service = await createApp({ FACE_GALLERY_SCAN_THREADS: '1', ...env });
  };
  const withReceipts = () => ({
    FACE_RECEIPT_KEY_FILE: join(folder, 'receipt-key.pem'),
    FACE_AUDIT_FILE: join(folder, 'audit.jsonl'),
    FACE_AUDIT_KEY: auditKey,
  });

  beforeEach(() => (folder = makeFolder()));
  afterEach(() => service.app.close());

  it('says what was erased, signed, where one is asked for', async () => {
    await start(withReceipts());
    const publicKey = createPublicKey(readFileSync(join(folder, 'receipt-key.pem')));
    const [first] = [
      await enroll('ada', 0),
      await enroll('ada', 1),
      await enroll('ada', 2),
      await enroll('bob', 3),
    ];
    const person = hashSubject('default', 'ada', auditKeys(auditKey).subjects);

    const erase = async (path: string, requestId: string) => {
      const { body } = await service.http
        .delete(`${path}?receipt=true`)
        .set('x-request-id', requestId)
        .expect(200);
      expect(receiptProblem(body, publicKey)).toBeNull();
      expect(JSON.stringify(body)).not.toContain('ada');
      return body;
    };
    const base = { galleryId: 'default', subject: person, subjectFormat: 'hashed' };
    expect(await erase(`${subjects}/ada/references/${first}`, 'r-1')).toMatchObject({
      ...base,
      erased: 'reference',
      referenceId: first,
      subjectCount: 0,
      referenceCount: 1,
      requestId: 'r-1',
    });
    expect(await erase(`${subjects}/ada`, 'r-2')).toMatchObject({
      ...base,
      erased: 'subject',
      referenceId: null,
      subjectCount: 1,
      referenceCount: 2,
      requestId: 'r-2',
    });
    expect(await erase('/v1/galleries/default', 'r-3')).toMatchObject({
      erased: 'gallery',
      galleryId: 'default',
      subject: null,
      subjectFormat: null,
      referenceId: null,
      subjectCount: 1,
      referenceCount: 1,
      requestId: 'r-3',
    });
    await service.http.get('/v1/galleries/default').expect(404);

    await service.app.close();
    const lines = readFileSync(join(folder, 'audit.jsonl'), 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ action: 'delete', requestId: 'r-2', subject: person }),
      ]),
    );
    await start(withReceipts());
  });

  it('answers 204 without a body where none is asked for', async () => {
    await start(withReceipts());
    const id = await enroll('ada', 0);
    for (const path of [
      `${subjects}/ada/references/${id}`,
      `${subjects}/ada?receipt=false`,
      '/v1/galleries/default',
    ]) {
      const { status, text } = await service.http.delete(path);
      expect([status, text]).toEqual([204, '']);
    }
  });

  it('deletes nothing where a receipt is asked for that it cannot give, or the question is misspelt', async () => {
    await start({});
    const id = await enroll('ada', 0);
    for (const path of [`${subjects}/ada/references/${id}`, `${subjects}/ada`, '/v1/galleries/default']) {
      for (const [query, code] of [
        ['receipt=true', 'RECEIPTS_DISABLED'],
        ['reciept=true', 'PARAMETER_INVALID'],
        ['receipt=yes', 'PARAMETER_INVALID'],
      ]) {
        const { body } = await service.http.delete(`${path}?${query}`);
        expect([path, query, body.error.code]).toEqual([path, query, code]);
      }
    }
    await service.http.get(`${subjects}/ada/references/${id}`).expect(200);
  });

  it('gives none for what is not there', async () => {
    await start(withReceipts());
    const { body } = await service.http.delete(`${subjects}/nobody?receipt=true`).expect(404);
    expect(body.error.code).toBe('SUBJECT_NOT_FOUND');
  });

  it('names the subject itself where the audit stream does', async () => {
    await start({ FACE_RECEIPT_KEY_FILE: join(folder, 'k.pem'), FACE_AUDIT_SUBJECTS: 'plain' });
    await enroll('ada', 0);
    const { body } = await service.http.delete(`${subjects}/ada?receipt=true`).expect(200);
    expect(body).toMatchObject({ subject: 'ada', subjectFormat: 'plain' });
  });

  it('can be checked with the public key alone', async () => {
    await start(withReceipts());
    await enroll('ada', 0);
    const { body } = await service.http.delete(`${subjects}/ada?receipt=true`).expect(200);
    const file = join(folder, 'receipt.json');
    writeFileSync(file, JSON.stringify(body));
    const likeness = (args: string[], env: NodeJS.ProcessEnv = {}) =>
      startCli(['receipt', ...args], env).ended;

    const printed = await likeness(['public-key'], {
      FACE_RECEIPT_KEY_FILE: join(folder, 'receipt-key.pem'),
    });
    expect([printed.code, printed.stderr]).toEqual([0, `key id: ${body.keyId}\n`]);
    expect(printed.stdout).toMatch(/^-----BEGIN PUBLIC KEY-----/);
    const key = join(folder, 'public.pem');
    writeFileSync(key, printed.stdout);

    const held = await likeness(['verify', file, '--key', key]);
    expect([held.code, held.stdout]).toEqual([
      0,
      expect.stringMatching(/^ok: subject .* 1 references\) erased at/),
    ]);
    writeFileSync(file, JSON.stringify({ ...body, referenceCount: 7 }));
    const broken = await likeness(['verify', file, '--key', key, '--json']);
    expect([broken.code, JSON.parse(broken.stdout)]).toEqual([
      1,
      expect.objectContaining({ ok: false, problem: expect.stringMatching(/changed/) }),
    ]);
    for (const args of [
      ['verify', file],
      ['verify', file, '--key', file],
      ['verify', key, '--key', key],
    ]) {
      const refused = await likeness(args);
      expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('PARAMETER_INVALID')]);
    }
  });
});
