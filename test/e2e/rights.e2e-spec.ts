import { createApp, type TestApp } from '../support/create-app';

const KEY = 'an-admin-key-of-tests';
const PATH = '/v1/galleries/default/subjects/ada';

describe('rights of a subject', () => {
  let service: TestApp;
  const embedding = (of: number) =>
    Array.from({ length: service.model.embedder().dimensions }, (_, i) => (i === of ? 1 : 0));
  const enroll = (subjectId: string, of: number) =>
    service.http
      .post(`/v1/galleries/default/subjects/${subjectId}/references`)
      .send({ embedding: embedding(of), contract: service.model.embedder().contract, metadata: { of } })
      .expect(201);

  beforeAll(async () => (service = await createApp({ ADMIN_KEY: KEY })));
  afterAll(() => service.app.close());

  it('shows why it is held and how long; a change keeps what it does not name', async () => {
    const rights = { consentRef: 'c-1', purpose: 'entry', expiresAt: '2999-01-31T01:00:00+01:00' };
    const put = await service.http.put(PATH).send({ metadata: { a: 1 }, ...rights });
    const expected = { ...rights, expiresAt: '2999-01-31T00:00:00.000Z', metadata: { a: 1 } };
    expect([put.status, put.body]).toEqual([201, expect.objectContaining(expected)]);
    const patched = await service.http.patch(PATH).send({ purpose: null });
    expect([patched.status, patched.body]).toEqual([
      200,
      expect.objectContaining({ ...expected, purpose: null }),
    ]);
    const listed = await service.http.get('/v1/galleries/default/subjects');
    expect(listed.body.subjects).toEqual([expect.objectContaining({ ...expected, purpose: null })]);
    const replaced = await service.http.put(PATH).send({});
    expect(replaced.body).toMatchObject({ metadata: {}, consentRef: null, purpose: null, expiresAt: null });
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
    await service.http.put(PATH).send({ metadata: { a: 1 }, consentRef: 'c-1' });
    await enroll('ada', 0);
    await enroll('grace', 1);
    const { status, body } = await service.http.get(`${PATH}/export`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      galleryId: 'default',
      contract: service.model.embedder().contract,
      subject: { id: 'ada', metadata: { a: 1 }, consentRef: 'c-1', referenceCount: 1 },
      references: [{ subjectId: 'ada', metadata: { of: 0 } }],
    });
    expect(JSON.stringify(body)).not.toMatch(/grace|"embedding"/);
  });

  it('gives the embeddings to administrators alone', async () => {
    const path = PATH.replace('/v1/', '/admin/') + '/export';
    await service.http.get(path).expect(401);
    const { body } = await service.http.get(path).set('authorization', `Bearer ${KEY}`).expect(200);
    expect(body.references).toEqual([expect.objectContaining({ subjectId: 'ada', embedding: embedding(0) })]);
  });

  it('never finds or verifies one that has expired, though nothing purged it', async () => {
    const { contract } = service.model.embedder();
    const probe = { embedding: embedding(2), contract };
    await enroll('mary', 2);
    const identify = async () => {
      const { body } = await service.http.post('/v1/galleries/default/identify').send({ probe });
      return body.faces[0].candidates.map(({ subjectId }: { subjectId: string }) => subjectId);
    };
    expect(await identify()).toEqual(['mary']);
    const path = '/v1/galleries/default/subjects/mary';
    await service.http.patch(path).send({ expiresAt: '2020-01-01T00:00:00Z' }).expect(200);
    const verified = await service.http.post(`${path}/verify`).send({ probe });
    expect([verified.status, verified.body.error.code]).toEqual([404, 'REFERENCE_NOT_FOUND']);
    expect(await identify()).toEqual([]);
    await service.http.get(path).expect(404);
  });

  it('purges on request, and reports how much', async () => {
    await enroll('old', 3);
    const path = '/v1/galleries/default/subjects/old';
    await service.http.patch(path).send({ expiresAt: '2020-01-01T00:00:00Z' }).expect(200);
    await service.http.post('/admin/galleries/purge').expect(401);
    const purge = () => service.http.post('/admin/galleries/purge').set('authorization', `Bearer ${KEY}`);
    expect((await purge().expect(200)).body).toMatchObject({ subjectCount: 1, referenceCount: 0 });
    expect((await purge().expect(200)).body).toMatchObject({ subjectCount: 0, referenceCount: 0 });
    await service.http.get(path).expect(404);
  });

  it('says where there is nobody to export', async () => {
    const { status, body } = await service.http.get('/v1/galleries/default/subjects/nobody/export');
    expect([status, body.error.code]).toEqual([404, 'SUBJECT_NOT_FOUND']);
  });
});
