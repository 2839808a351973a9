import type { EnrollOptions, IdentifyOptions, VerifySubjectOptions } from '../../src/client';
import { createApp, type TestApp } from '../support/create-app';

const photo = (name: string) => Buffer.from(`a photo: ${name}`);
const alice = photo('alice');
const alice2 = photo('alice, later');
const bob = photo('bob');
const carol = photo('carol');
const crowd = photo('alice and bob');
const empty = photo('a landscape');
const dark = photo('dora, at night');
const dataUri = (image: Buffer) => `data:image/jpeg;base64,${image.toString('base64')}`;

const CONTRACT = 'fake00000000';
const ADMIN_KEY = 'a-key-of-the-test-suite';

const GALLERY = '/v1/galleries/{galleryId}';
const SUBJECT = '/v1/galleries/{galleryId}/subjects/{subjectId}';
const REFERENCES = '/v1/galleries/{galleryId}/subjects/{subjectId}/references';

describe('galleries over HTTP', () => {
  let service: TestApp;
  let galleryCount = 0;
  /** Id of a new, empty gallery. */
  let galleryId: string;
  /** Address of this gallery. */
  let gallery: string;

  beforeAll(async () => {
    service = await createApp({ ADMIN_KEY, FACE_MAX_IMAGES: '4', FACE_GALLERY_SCAN_THREADS: '1' });
    service.model
      .addImage(alice, { faces: [{ person: 'alice' }] })
      .addImage(alice2, { faces: [{ person: 'alice' }] })
      .addImage(bob, { faces: [{ person: 'bob' }] })
      .addImage(carol, { faces: [{ person: 'carol' }] })
      .addImage(crowd, { faces: [{ person: 'alice' }, { person: 'bob' }] })
      .addImage(dark, { faces: [{ person: 'dora', quality: { brightness: 0.01 } }] })
      .addImage(empty, { faces: [] });
  });
  beforeEach(async () => {
    galleryId = `gallery-${++galleryCount}`;
    await service.likeness.POST('/v1/galleries', { body: { id: galleryId } });
    gallery = `/v1/galleries/${galleryId}`;
  });
  afterEach(() => jest.restoreAllMocks());
  afterAll(() => service.app.close());

  const enroll = (subjectId: string, body: object) =>
    service.http.post(`${gallery}/subjects/${encodeURIComponent(subjectId)}/references`).send(body);
  /** As {@link enroll}, for what succeeds. */
  const add = (subjectId: string, image: Buffer, options: EnrollOptions = {}) =>
    service.likeness.enroll(galleryId, subjectId, image, options);
  const identify = (image: Buffer, options: IdentifyOptions = {}) =>
    service.likeness.identify(galleryId, image, options);
  /** Parameters of a path in the gallery. */
  const at = (subjectId: string) => ({ path: { galleryId, subjectId } });
  const names = (face: { candidates: { subjectId: string }[] }) =>
    face.candidates.map(({ subjectId }) => subjectId);
  const embeddingOf = async (image: Buffer) => {
    const { faces, contract } = await service.likeness.represent(image);
    return { embedding: faces[0].embedding, contract };
  };

  describe('a gallery', () => {
    it('is made, shown, changed, listed and deleted', async () => {
      const settings = {
        id: 'staff',
        threshold: 0.3,
        targetFmr: 1e-4,
        targetFpir: 0.05,
        metadata: { site: 'berlin' },
      };
      const made = await service.likeness.POST('/v1/galleries', { body: settings });
      expect(made.response.status).toBe(201);
      const shown = {
        id: 'staff',
        contract: CONTRACT,
        dimensions: expect.any(Number),
        threshold: 0.3,
        targetFmr: 1e-4,
        targetFpir: 0.05,
        capacity: 100_000,
        maxSubjects: null,
        maxReferencesPerSubject: 20,
        enrollmentGate: 'standard',
        maxAgeSeconds: null,
        sinceLastMatchSeconds: null,
        matchesSince: null,
        keepCrops: false,
        metadata: { site: 'berlin' },
        subjectCount: 0,
        referenceCount: 0,
        createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        updatedAt: expect.any(String),
      };
      expect(made.data).toEqual({ ...shown, requestId: made.response.headers.get('x-request-id') });

      const params = { path: { galleryId: 'staff' } };
      const changed = await service.likeness.PATCH(GALLERY, {
        params,
        body: { threshold: null, targetFmr: null, targetFpir: 0.02, enrollmentGate: 'off' },
      });
      expect([changed.response.status, changed.data]).toEqual([
        200,
        {
          ...shown,
          threshold: null,
          targetFmr: null,
          targetFpir: 0.02,
          enrollmentGate: 'off',
          requestId: expect.any(String),
        },
      ]);
      const { data: staff } = await service.likeness.GET(GALLERY, { params });
      expect(staff).toMatchObject({ threshold: null, targetFpir: 0.02, capacity: 100_000 });

      const ids: string[] = [];
      for (let cursor: string | null | undefined; cursor !== null;) {
        const query: { limit: number; cursor?: string } = { limit: 2, cursor };
        const { data: page } = await service.likeness.GET('/v1/galleries', { params: { query } });
        ids.push(...page.galleries.map(({ id }) => id));
        cursor = page.nextCursor;
      }
      expect(ids).toEqual(expect.arrayContaining(['default', 'staff']));
      expect(new Set(ids).size).toBe(ids.length);

      const deleted = await service.likeness.DELETE(GALLERY, { params });
      expect([deleted.response.status, deleted.data]).toEqual([204, undefined]);
      const gone = await service.http.get('/v1/galleries/staff');
      expect([gone.status, gone.body.error.code]).toEqual([404, 'GALLERY_NOT_FOUND']);
    });

    it('is there after boot as "default"', async () => {
      const params = { path: { galleryId: 'default' } };
      expect((await service.likeness.GET(GALLERY, { params })).data).toMatchObject({ id: 'default' });
    });

    it('is not made twice', async () => {
      const { status, body } = await service.http.post('/v1/galleries').send({ id: 'default' });
      expect([status, body.error.code]).toEqual([409, 'GALLERY_EXISTS']);
    });

    it.each<[object, string, string]>([
      [{}, 'id', 'must be 1 to 64 letters'],
      [{ id: '-x' }, 'id', 'must be 1 to 64 letters'],
      [{ id: '../x' }, 'id', 'must be 1 to 64 letters'],
      [{ id: 7 }, 'id', 'must be 1 to 64 letters'],
      [{ id: 'x', threshold: 2.1 }, 'threshold', 'must not be greater than 2'],
      [{ id: 'x', targetFmr: 0.6 }, 'targetFmr', 'must not be greater than 0.5'],
      [{ id: 'x', targetFpir: 0 }, 'targetFpir', 'must not be less than'],
      [{ id: 'x', targetFpir: 'often' }, 'targetFpir', 'must be a number'],
      [{ id: 'x', capacity: 0 }, 'capacity', 'must not be less than 1'],
      [{ id: 'x', capacity: null }, 'capacity', 'must be an integer'],
      [{ id: 'x', keepCrops: 'yes' }, 'keepCrops', 'must be true or false'],
      [{ id: 'x', maxSubjects: 0 }, 'maxSubjects', 'must not be less than 1'],
      [{ id: 'x', maxReferencesPerSubject: 1.5 }, 'maxReferencesPerSubject', 'must be an integer'],
      [{ id: 'x', enrollmentGate: 'lax' }, 'enrollmentGate', 'must be one of'],
      [{ id: 'x', metadata: { a: { b: 1 } } }, 'metadata', 'must have values that are'],
      [{ id: 'x', metadata: [1] }, 'metadata', 'must be a flat object'],
      [{ id: 'x', metadata: 'a' }, 'metadata', 'must be a flat object'],
      [{ id: 'x', color: 'red' }, 'color', 'should not exist'],
    ])('is refused as %j', async (body, field, reason) => {
      const answer = await service.http.post('/v1/galleries').send(body);
      expect([answer.status, answer.body.error?.code]).toEqual([400, 'PARAMETER_INVALID']);
      expect(answer.body.error.details.fields).toEqual({ [field]: expect.stringContaining(reason) });
    });
  });

  describe('a subject', () => {
    it('is made and replaced by PUT, changed by PATCH only where it is there', async () => {
      const params = at('ada/lovelace ä');
      const missing = service.likeness.PATCH(SUBJECT, { params, body: { metadata: {} } });
      await expect(missing).rejects.toMatchObject({ status: 404, code: 'SUBJECT_NOT_FOUND' });
      const made = await service.likeness.PUT(SUBJECT, { params, body: { metadata: { floor: 3 } } });
      expect([made.response.status, made.data]).toEqual([
        201,
        {
          id: 'ada/lovelace ä',
          consentRef: null,
          purpose: null,
          expiresAt: null,
          lastMatchedAt: null,
          metadata: { floor: 3 },
          referenceCount: 0,
          createdAt: expect.any(String),
          updatedAt: expect.any(String),
          requestId: made.response.headers.get('x-request-id'),
        },
      ]);
      const replaced = await service.likeness.PUT(SUBJECT, { params, body: {} });
      expect([replaced.response.status, replaced.data.metadata]).toEqual([200, {}]);
      const patched = await service.likeness.PATCH(SUBJECT, { params, body: { metadata: { floor: 4 } } });
      expect([patched.response.status, patched.data.metadata]).toEqual([200, { floor: 4 }]);
      expect((await service.likeness.GET(SUBJECT, { params })).data.metadata).toEqual({ floor: 4 });
      expect((await service.likeness.DELETE(SUBJECT, { params })).response.status).toBe(204);
      await expect(service.likeness.GET(SUBJECT, { params })).rejects.toMatchObject({ status: 404 });
    });

    it('is found in a list by its metadata', async () => {
      for (const [id, department] of [
        ['a', 'it'],
        ['b', 'hr'],
        ['c', 'it'],
        ['d', 'law'],
      ]) {
        await service.likeness.PUT(SUBJECT, { params: at(id), body: { metadata: { department } } });
      }
      const list = async (query: { filter?: string }) => {
        const params = { path: { galleryId }, query };
        const { data } = await service.likeness.GET('/v1/galleries/{galleryId}/subjects', { params });
        return data.subjects.map(({ id }) => id).sort();
      };
      expect(await list({})).toEqual(['a', 'b', 'c', 'd']);
      expect(await list({ filter: '{"department":"it"}' })).toEqual(['a', 'c']);
      expect(await list({ filter: '{"department":["hr","law"]}' })).toEqual(['b', 'd']);
    });

    it('has references in pages of about 1 MiB at most', async () => {
      await service.http.patch(gallery).send({ maxReferencesPerSubject: 40 }).expect(200);
      const { embedding, contract } = await embeddingOf(alice);
      const metadata = Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`${i}`, 'x'.repeat(1024)]));
      for (let i = 0; i < 36; i++) await enroll('ada', { embedding, contract, metadata }).expect(201);
      const ids: string[] = [];
      const sizes: number[] = [];
      for (let cursor: string | null | undefined; cursor !== null;) {
        const page = await service.http
          .get(`${gallery}/subjects/ada/references`)
          .query({ limit: 1000, cursor })
          .expect(200);
        sizes.push(page.text.length);
        ids.push(...page.body.references.map(({ id }: { id: string }) => id));
        cursor = page.body.nextCursor;
      }
      expect([ids.length, new Set(ids).size, sizes.length]).toEqual([36, 36, 2]);
      expect(Math.max(...sizes)).toBeLessThan(1.01 * 1024 ** 2);
      const { body } = await service.http
        .get(`${gallery}/subjects/ada/references?limit=1&cursor=zzz`)
        .expect(400);
      expect(Object.keys(body.error.details.fields)).toEqual(['cursor']);
    });

    it.each<[object, string]>([
      [{ limit: 0 }, 'limit'],
      [{ limit: 1001 }, 'limit'],
      [{ limit: 'all' }, 'limit'],
      [{ cursor: '' }, 'cursor'],
      [{ cursor: 'zzz' }, 'cursor'],
      [{ filter: 'department=it' }, 'filter'],
      [{ filter: '{"a":{"b":1}}' }, 'filter'],
      [{ 'filter[department]': 'it' }, 'filter[department]'],
      [{ page: 2 }, 'page'],
    ])('is not listed by %j', async (query, field) => {
      const { status, body } = await service.http.get(`${gallery}/subjects`).query(query);
      expect([status, Object.keys(body.error?.details.fields ?? {})]).toEqual([400, [field]]);
    });

    it.each([
      ['a control character', 'a%00b'],
      ['257 characters', 'x'.repeat(257)],
    ])('has no id with %s', async (_name, id) => {
      const { status, body } = await service.http.put(`${gallery}/subjects/${id}`).send({});
      expect([status, Object.keys(body.error?.details.fields ?? {})]).toEqual([400, ['subjectId']]);
    });

    it('gets another id, or is merged', async () => {
      await add('ada', alice);
      await add('lovelace', alice2);
      const rename = (body: { newSubjectId: string; merge?: boolean }) =>
        service.likeness.POST(`${SUBJECT}/rename`, { params: at('ada'), body });
      await expect(rename({ newSubjectId: 'lovelace' })).rejects.toMatchObject({
        status: 409,
        code: 'SUBJECT_EXISTS',
      });
      const merged = await rename({ newSubjectId: 'lovelace', merge: true });
      expect([merged.response.status, merged.data]).toEqual([
        200,
        expect.objectContaining({ id: 'lovelace', referenceCount: 2 }),
      ]);
      await service.http.get(`${gallery}/subjects/ada`).expect(404);
      expect(names((await identify(alice)).faces[0])).toEqual(['lovelace']);
      const wrong = await service.http
        .post(`${gallery}/subjects/lovelace/rename`)
        .send({ newSubjectId: '..' });
      expect(wrong.body.error.details.fields).toEqual({ newSubjectId: expect.any(String) });
    });
  });

  describe('enrollment', () => {
    it('answers with the reference, and searches find it from then on', async () => {
      const before = await identify(alice);
      expect(before).toMatchObject({ galleryReferenceCount: 0, faces: [{ unknown: true, candidates: [] }] });
      const { status, body, headers } = await service.http
        .post(`${gallery}/subjects/alice/references`)
        .attach('image', alice, 'alice.jpg')
        .field('metadata', '{"camera":"door"}');
      expect(status).toBe(201);
      expect(body).toEqual({
        status: 'added',
        reference: {
          expiresAt: null,
          hasCrop: false,
          id: expect.stringMatching(/^[0-9a-f-]{36}$/),
          subjectId: 'alice',
          metadata: { camera: 'door' },
          quality: {
            detectionScore: 0.99,
            faceSizePx: expect.any(Number),
            sharpness: 200,
            brightness: 0.5,
            pose: { yaw: expect.any(Number), pitch: expect.any(Number), roll: expect.any(Number) },
          },
          imageHash: expect.stringMatching(/^[0-9a-f]{64}$/),
          createdAt: expect.any(String),
        },
        sameImage: [],
        face: expect.objectContaining({ detectionScore: 0.99 }),
        timings: expect.any(Object),
        requestId: headers['x-request-id'],
      });
      expect(headers['server-timing']).toMatch(/^queue;.*total;/);

      const after = await service.http.post(`${gallery}/identify`).attach('probe', alice2, 'alice2.jpg');
      expect(after.body).toEqual({
        faces: [
          {
            face: expect.any(Object),
            unknown: false,
            candidates: [
              {
                rank: 1,
                subjectId: 'alice',
                referenceId: body.reference.id,
                distance: 0,
                similarity: 1,
                falseMatchRate: 0.000001,
                metadata: {},
              },
            ],
          },
        ],
        // Of one subject: the similarity at a false match rate of 0.01.
        threshold: expect.closeTo(0.65, 9),
        targetFpir: 0.01,
        galleryId: gallery.split('/').pop(),
        galleryReferenceCount: 1,
        rotation: 0,
        detector: 'fake-detector',
        embedder: 'fake-embedder',
        contract: CONTRACT,
        timings: expect.objectContaining({ searchMs: expect.any(Number), queueMs: 0 }),
        requestId: expect.any(String),
      });
      expect(after.headers['server-timing']).toMatch(
        /presentation_attack;dur=0.0, search;dur=\d+\.\d, total;/,
      );
    });

    it('keeps embeddings to itself', async () => {
      const { reference } = await add('alice', alice);
      const params = { path: { ...at('alice').path, referenceId: reference.id } };
      const path = '/v1/galleries/{galleryId}/subjects/{subjectId}/references/{referenceId}';
      const list = await service.likeness.GET(REFERENCES, { params });
      const one = await service.likeness.GET(path, { params });
      const changed = await service.likeness.PATCH(path, { params, body: { metadata: { a: 1 } } });
      expect(changed.data.metadata).toEqual({ a: 1 });
      for (const { data } of [list, one, changed]) expect(JSON.stringify(data)).not.toContain('embedding');
      expect(list.data.references).toHaveLength(1);
      await service.likeness.DELETE(path, { params });
      await expect(service.likeness.GET(path, { params })).rejects.toMatchObject({ status: 404 });
      expect((await service.likeness.GET(REFERENCES, { params })).data.references).toEqual([]);
      expect((await identify(alice)).faces[0].unknown).toBe(true);
    });

    it('takes an embedding', async () => {
      const { status, body } = await enroll('alice', {
        ...(await embeddingOf(alice)),
        metadata: { from: 'file' },
      });
      expect([status, body.reference]).toEqual([
        201,
        expect.objectContaining({ quality: null, imageHash: null, metadata: { from: 'file' } }),
      ]);
      const probe = await embeddingOf(alice2);
      const found = await service.http.post(`${gallery}/identify`).send({ probe });
      expect(found.body).toMatchObject({
        faces: [{ face: null, unknown: false, candidates: [{ subjectId: 'alice' }] }],
        detector: null,
        timings: { searchMs: expect.any(Number) },
      });
      expect(found.headers['server-timing']).toMatch(/^search;dur=[\d.]+, total;/);
    });

    it('answers 200 where nothing is new', async () => {
      await enroll('alice', { image: dataUri(alice) }).expect(201);
      const again = await enroll('alice', { image: dataUri(alice) });
      expect([again.status, again.body.status]).toEqual([200, 'duplicate']);
      const other = await enroll('bob', { image: dataUri(alice) });
      expect([other.status, other.body.sameImage]).toEqual([
        201,
        [{ subjectId: 'alice', referenceId: again.body.reference.id }],
      ]);
    });

    it('has a result for each image of a list', async () => {
      const { status, body } = await enroll('alice', {
        image: [dataUri(alice), 'no base64!', dataUri(empty), dataUri(crowd)],
      });
      expect(status).toBe(201);
      expect(body.results).toMatchObject([
        { index: 0, status: 'added', reference: { subjectId: 'alice' } },
        { index: 1, error: { code: 'PARAMETER_INVALID', details: { field: 'image', index: 1 } } },
        { index: 2, error: { code: 'FACE_NOT_DETECTED', details: { index: 2 } } },
        {
          index: 3,
          error: { code: 'REFERENCE_REJECTED', details: { index: 3, reasons: ['SEVERAL_FACES'] } },
        },
      ]);
      const none = await enroll('alice', { image: [dataUri(empty)] });
      expect([none.status, none.body.results.length]).toEqual([200, 1]);
    });

    it('takes the gate of the call', async () => {
      const refused = await enroll('dora', { image: dataUri(dark) });
      expect([refused.status, refused.body.error]).toMatchObject([
        422,
        { code: 'REFERENCE_REJECTED', details: { reasons: ['TOO_DARK'], quality: { brightness: 0.01 } } },
      ]);
      expect((await add('dora', dark, { enrollmentGate: 'off' })).status).toBe('added');
    });

    it('adds nothing where a call is repeated with its key', async () => {
      const send = (image: Buffer, key: string) =>
        service.http
          .post(`${gallery}/subjects/alice/references`)
          .set('Idempotency-Key', key)
          .send({ image: dataUri(image) });
      const first = await send(alice, 'import-1');
      const second = await send(alice, 'import-1');
      expect([first.status, second.status, second.body.status]).toEqual([201, 200, 'existing']);
      expect(second.body.reference).toEqual(first.body.reference);
      const other = await send(alice2, 'import-1');
      expect([other.status, other.body.error.code]).toEqual([409, 'IDEMPOTENCY_CONFLICT']);
      const wrong = await send(alice, 'ä'.normalize('NFD').slice(0, 1) + ' ');
      expect(wrong.status).toBe(200);
      const tooLong = await send(alice, 'x'.repeat(256));
      expect([tooLong.status, tooLong.body.error.details.fields]).toEqual([
        400,
        { 'Idempotency-Key': expect.any(String) },
      ]);
    });

    it('stops at the limit of a subject and of a gallery', async () => {
      await service.http.patch(gallery).send({ maxReferencesPerSubject: 1, capacity: 2 }).expect(200);
      await enroll('alice', { image: dataUri(alice) }).expect(201);
      const full = await enroll('alice', { image: dataUri(alice2) });
      expect([full.status, full.body.error.code]).toEqual([409, 'SUBJECT_FULL']);
      await enroll('bob', { image: dataUri(bob) }).expect(201);
      const over = await enroll('carol', { image: dataUri(carol) });
      expect([over.status, over.body.error.code]).toEqual([507, 'GALLERY_FULL']);
    });

    it('refuses what is wrong with the call', async () => {
      const cases: [object, number, string][] = [
        [{}, 400, 'IMAGE_MISSING'],
        [{ image: [] }, 400, 'IMAGE_MISSING'],
        [{ image: dataUri(alice), embedding: [1], contract: CONTRACT }, 400, 'PARAMETER_INVALID'],
        [{ embedding: [1, 2], contract: CONTRACT }, 422, 'EMBEDDING_INVALID'],
        [{ embedding: [1, 2] }, 400, 'PARAMETER_INVALID'],
        [{ ...(await embeddingOf(alice)), contract: 'other' }, 409, 'EMBEDDING_CONTRACT_MISMATCH'],
        [{ image: dataUri(alice), detector: 'none' }, 400, 'MODEL_UNKNOWN'],
        [{ image: dataUri(alice), faceSelection: 'all' }, 400, 'PARAMETER_INVALID'],
        [{ image: dataUri(alice), metadata: { a: null } }, 400, 'PARAMETER_INVALID'],
        [{ image: Array(5).fill(dataUri(alice)) }, 413, 'REQUEST_TOO_LARGE'],
      ];
      for (const [body, status, code] of cases) {
        const answer = await enroll('alice', body);
        expect([answer.status, answer.body.error?.code, answer.body.results]).toEqual([
          status,
          code,
          undefined,
        ]);
      }
      const nowhere = await service.http
        .post('/v1/galleries/nowhere/subjects/a/references')
        .send({ image: dataUri(alice) });
      expect([nowhere.status, nowhere.body.error.code]).toEqual([404, 'GALLERY_NOT_FOUND']);
      expect((await service.http.get(`${gallery}/subjects`)).body.subjects).toEqual([]);
    });
  });

  describe('bulk enrollment', () => {
    const enroll = (body: object, key?: string) => {
      const post = service.http.post(`${gallery}/enroll`);
      if (key != null) void post.set('Idempotency-Key', key);
      return post.send(body);
    };

    it('has a result for each item', async () => {
      const { status, body } = await enroll({
        items: [
          { subjectId: 'alice', image: dataUri(alice), metadata: { camera: 'door' } },
          { subjectId: 'bob', image: '%%%' },
          { subjectId: 'carol', ...(await embeddingOf(carol)) },
          { subjectId: '..', image: dataUri(bob) },
          { subjectId: 'dora' },
        ],
      });
      expect(status).toBe(201);
      expect(body.results).toMatchObject([
        { index: 0, status: 'added', reference: { subjectId: 'alice', metadata: { camera: 'door' } } },
        { index: 1, error: { code: 'PARAMETER_INVALID', details: { index: 1 } } },
        { index: 2, status: 'added', reference: { subjectId: 'carol', imageHash: null } },
        {
          index: 3,
          error: {
            code: 'PARAMETER_INVALID',
            details: { index: 3, fields: { subjectId: expect.any(String) } },
          },
        },
        { index: 4, error: { code: 'IMAGE_MISSING', details: { index: 4 } } },
      ]);
      expect((await service.http.get(gallery)).body).toMatchObject({ subjectCount: 2, referenceCount: 2 });
    });

    it('takes files for the items that have no image, in their order', async () => {
      const { results } = await service.likeness.enrollItems(galleryId, [
        { subjectId: 'alice', image: alice },
        { subjectId: 'carol', ...(await embeddingOf(carol)) },
        { subjectId: 'bob', image: bob },
      ]);
      expect(results).toMatchObject([{ status: 'added' }, { status: 'added' }, { status: 'added' }]);
      expect(names((await identify(bob)).faces[0])).toEqual(['bob']);
    });

    it('adds nothing where a call is repeated with its key', async () => {
      const items = [
        { subjectId: 'alice', image: dataUri(alice) },
        { subjectId: 'bob', image: dataUri(bob) },
      ];
      const first = await enroll({ items }, 'batch-1');
      const [again, beside] = await Promise.all([enroll({ items }, 'batch-1'), enroll({ items }, 'batch-1')]);
      expect([first.status, again.status, beside.status]).toEqual([201, 200, 200]);
      expect((await service.http.get(gallery)).body.referenceCount).toBe(2);
    });

    it.each<[object, string]>([
      [{}, 'items'],
      [{ items: [] }, 'items'],
      [{ items: 'all' }, 'items'],
      [{ items: ['alice'] }, 'items'],
      [{ items: [{ subjectId: 'a', image: 'aaaa', name: 'x' }] }, 'items'],
      [{ items: [{ subjectId: 'a', image: 'aaaa', embedding: [1] }] }, 'embedding'],
      [{ items: [{ subjectId: 'a', image: 'aaaa' }], image: 'aaaa' }, 'image'],
    ])('is refused as %j', async (body, field) => {
      const answer = await enroll(body);
      expect([answer.status, Object.keys(answer.body.error?.details.fields ?? {})]).toEqual([400, [field]]);
    });

    it('is refused with more images than a call may have, or more files than items', async () => {
      const many = await enroll({ items: Array(5).fill({ subjectId: 'a', image: dataUri(alice) }) });
      expect([many.status, many.body.error.code]).toEqual([413, 'REQUEST_TOO_LARGE']);
      const left = await service.http
        .post(`${gallery}/enroll`)
        .field('items', '[{"subjectId":"alice"}]')
        .attach('image', alice, 'a.jpg')
        .attach('image', bob, 'b.jpg');
      expect([left.status, left.body.error.details.fields]).toEqual([
        400,
        { items: expect.stringContaining('files without an item: 1') },
      ]);
    });
  });

  describe('identification', () => {
    beforeEach(async () => {
      const body = { metadata: { department: 'it' } };
      await service.likeness.PUT(SUBJECT, { params: at('alice'), body });
      await service.likeness.enroll(galleryId, 'alice', [alice, alice2]);
      await add('bob', bob);
    });

    it('names every face of a photo, and says who is unknown', async () => {
      const { faces } = await identify(crowd, { faceSelection: 'all' });
      expect(faces.map(names)).toEqual([['alice'], ['bob']]);
      expect(faces[0].candidates[0].metadata).toEqual({ department: 'it' });
      expect((await identify(carol)).faces).toMatchObject([{ unknown: true, candidates: [] }]);
    });

    it('takes threshold, limit and filter', async () => {
      expect(names((await identify(alice, { threshold: 2, limit: 1 })).faces[0])).toEqual(['alice']);
      expect(names((await identify(alice, { threshold: 2 })).faces[0])).toEqual(['alice', 'bob']);
      const filter = { department: ['it'] };
      expect(names((await identify(bob, { threshold: 2, filter })).faces[0])).toEqual(['alice']);
      const form = await service.http
        .post(`${gallery}/identify`)
        .attach('probe', bob, 'bob.jpg')
        .field('filter', JSON.stringify({ department: 'hr' }))
        .field('threshold', '2');
      expect(form.body.faces).toMatchObject([{ unknown: true }]);
    });

    it.each<[object, string]>([
      [{ limit: 101 }, 'limit'],
      [{ threshold: 3 }, 'threshold'],
      [{ targetFpir: 0.51 }, 'targetFpir'],
      [{ targetFpir: null }, 'targetFpir'],
      [{ targetFmr: 0.1 }, 'targetFmr'],
      [{ reviewMargin: 0.1 }, 'reviewMargin'],
      [{ filter: [] }, 'filter'],
      [{ topK: 3 }, 'topK'],
    ])('refuses %j', async (options, field) => {
      const answer = await service.http
        .post(`${gallery}/identify`)
        .send({ probe: dataUri(alice), ...options });
      expect([answer.status, Object.keys(answer.body.error.details.fields)]).toEqual([400, [field]]);
    });

    it('takes the threshold from a rate and the number of subjects: of the call, else of the gallery', async () => {
      const applied = async (options: IdentifyOptions = {}) => {
        const { threshold, targetFpir } = await identify(alice, options);
        return [Math.round(threshold * 1e4) / 1e4, targetFpir];
      };
      // 1 - (1 - 0.0199)^(1/2) is 0.01, where the fake calibration has 0.35.
      expect(await applied({ targetFpir: 0.0199 })).toEqual([0.65, 0.0199]);
      await enroll('carol', { image: dataUri(carol) }).expect(201);
      const [tighter] = await applied({ targetFpir: 0.0199 });
      expect(tighter).toBeLessThan(0.65);
      await service.http.patch(gallery).send({ targetFpir: 0.0199 }).expect(200);
      expect(await applied()).toEqual([tighter, 0.0199]);
      await service.http.patch(gallery).send({ threshold: 0.3 }).expect(200);
      expect(await applied()).toEqual([0.3, null]);
      expect(await applied({ targetFpir: 0.0199 })).toEqual([tighter, 0.0199]);
    });

    it('compares with one subject by a rate, with a margin for review', async () => {
      const verify = (options: VerifySubjectOptions) =>
        service.likeness.verifySubject(galleryId, 'alice', alice, options);
      expect(await verify({ targetFmr: 1e-3 })).toMatchObject({
        threshold: expect.closeTo(0.6, 9),
        targetFmr: 1e-3,
        decision: 'match',
      });
      expect(await verify({ threshold: 0.1, reviewMargin: 0.2 })).toMatchObject({
        verified: true,
        decision: 'review',
        targetFmr: null,
      });
    });

    it.each<[object, string]>([
      [{ targetFmr: 0 }, 'targetFmr'],
      [{ targetFmr: '1e-7' }, 'targetFmr'],
      [{ reviewMargin: -1 }, 'reviewMargin'],
      [{ reviewMargin: 2.1 }, 'reviewMargin'],
      [{ targetFpir: 0.1 }, 'targetFpir'],
    ])('does not compare with one subject by %j', async (options, field) => {
      const answer = await service.http
        .post(`${gallery}/subjects/alice/verify`)
        .send({ probe: dataUri(alice), ...options });
      expect([answer.status, Object.keys(answer.body.error.details.fields)]).toEqual([400, [field]]);
    });

    it('compares with one subject', async () => {
      const verify = (subjectId: string, image: Buffer) =>
        service.http.post(`${gallery}/subjects/${subjectId}/verify`).send({ probe: dataUri(image) });
      const same = await verify('alice', alice2);
      expect([same.status, same.body]).toEqual([
        200,
        {
          verified: true,
          decision: 'match',
          falseMatchRate: 0.000001,
          targetFmr: 0.00005,
          reason: null,
          distance: expect.closeTo(0, 6),
          similarity: expect.closeTo(1, 6),
          threshold: expect.closeTo(0.534949, 6),
          subjectId: 'alice',
          referenceId: expect.any(String),
          face: expect.any(Object),
          rotation: 0,
          detector: 'fake-detector',
          embedder: 'fake-embedder',
          contract: CONTRACT,
          timings: expect.any(Object),
          requestId: same.headers['x-request-id'],
        },
      ]);
      expect((await verify('alice', bob)).body).toMatchObject({ verified: false, subjectId: 'alice' });
      expect((await verify('nobody', bob)).body.error.code).toBe('SUBJECT_NOT_FOUND');
      await service.http.put(`${gallery}/subjects/empty`).send({});
      expect((await verify('empty', bob)).body.error).toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
      const noFace = await verify('alice', empty);
      expect([noFace.status, noFace.body.error]).toMatchObject([
        422,
        { code: 'FACE_NOT_DETECTED', details: { field: 'probe' } },
      ]);
    });

    it('forgets what is deleted, cached answers too, before it answers', async () => {
      const purge = jest.spyOn(service.model, 'purgeCache');
      await service.http.delete(`${gallery}/subjects/alice`).expect(204);
      expect(purge.mock.calls).toEqual([[]]);
      expect((await identify(alice)).faces[0]).toMatchObject({ unknown: true });
      await service.http.delete(gallery).expect(204);
      expect(purge.mock.calls).toEqual([[], []]);
      await service.http
        .post(`${gallery}/identify`)
        .send({ probe: dataUri(bob) })
        .expect(404);
    });
  });

  describe('POST /v1/distances', () => {
    const compare = (body: object) => service.http.post('/v1/distances').send(body);

    it('compares each probe with each reference', async () => {
      const { embedding: a, contract } = await embeddingOf(alice);
      const { embedding: b } = await embeddingOf(bob);
      const { data, response } = await service.likeness.POST('/v1/distances', {
        body: { probes: [a, b], references: [a, b, a], contract },
      });
      const far = expect.closeTo(1, 0);
      expect([response.status, data]).toEqual([
        200,
        {
          distances: [
            [0, far, 0],
            [far, 0, far],
          ],
          similarities: [
            [1, expect.closeTo(0, 0), 1],
            [expect.closeTo(0, 0), 1, expect.closeTo(0, 0)],
          ],
          metric: 'cosine',
          embedder: 'fake-embedder',
          contract,
          requestId: response.headers.get('x-request-id'),
        },
      ]);
      const doubled = a.map((value) => 2 * value);
      const raw = await compare({ probes: [a], references: [doubled], contract, metric: 'euclidean' });
      expect(raw.body.distances[0][0]).toBeCloseTo(1);
    });

    it('refuses what cannot be compared', async () => {
      const { embedding, contract } = await embeddingOf(alice);
      const cases: [object, number, string][] = [
        [{}, 400, 'PARAMETER_INVALID'],
        [{ probes: [], references: [embedding], contract }, 400, 'PARAMETER_INVALID'],
        [{ probes: [[null]], references: [embedding], contract }, 400, 'PARAMETER_INVALID'],
        [
          { probes: [embedding], references: [embedding], contract: 'other' },
          409,
          'EMBEDDING_CONTRACT_MISMATCH',
        ],
        [{ probes: [embedding], references: [[1, 2]], contract }, 422, 'EMBEDDING_INVALID'],
        [{ probes: [embedding.map(() => 0)], references: [embedding], contract }, 422, 'EMBEDDING_INVALID'],
        [
          { probes: Array(201).fill([1]), references: Array(200).fill([1]), contract },
          400,
          'PARAMETER_INVALID',
        ],
        [
          { probes: [embedding], references: [embedding], contract, metric: 'taxi' },
          400,
          'PARAMETER_INVALID',
        ],
      ];
      for (const [body, status, code] of cases) {
        const answer = await compare(body);
        expect([answer.status, answer.body.error?.code]).toEqual([status, code]);
      }
    });
  });

  describe('export and import', () => {
    const adminPath = () => gallery.replace('/v1/', '/admin/');
    const exported = (format: string) =>
      service.http
        .get(`${adminPath()}/export`)
        .query({ format })
        .auth(ADMIN_KEY, { type: 'bearer' })
        .buffer(true)
        .parse((response, done) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => done(null, Buffer.concat(chunks)));
        });
    const importInto = (path: string, file: Buffer, type = 'application/octet-stream') =>
      service.http.post(`${path}/import`).auth(ADMIN_KEY, { type: 'bearer' }).type(type).send(file);

    beforeEach(async () => {
      await service.http.put(`${gallery}/subjects/alice`).send({ metadata: { department: 'it' } });
      await enroll('alice', { image: dataUri(alice), metadata: { camera: 'door' } }).expect(201);
      await enroll('bob', { image: dataUri(bob) }).expect(201);
    });

    it.each([
      ['jsonl', 'application/x-ndjson'],
      ['binary', 'application/octet-stream'],
    ])('gives the same gallery back (%s)', async (format, type) => {
      const file = await exported(format).expect(200);
      expect(file.headers['content-type']).toMatch(type);
      expect(file.headers['content-disposition']).toMatch(
        /^attachment; filename="gallery-\d+\.(jsonl|bin)"$/,
      );
      const references = await service.http.get(`${gallery}/subjects/alice/references`);
      await service.http.delete(`${gallery}/subjects/alice`).expect(204);
      const restored = await importInto(adminPath(), file.body as Buffer, type);
      expect([restored.status, restored.body]).toEqual([
        200,
        { subjectCount: 2, addedCount: 1, existingCount: 1, requestId: restored.headers['x-request-id'] },
      ]);
      expect((await identify(alice2)).faces[0].candidates).toMatchObject([
        { subjectId: 'alice', metadata: { department: 'it' } },
      ]);
      const again = await service.http.get(`${gallery}/subjects/alice/references`);
      const withoutTime = (list: { createdAt: string }[]) => list.map(({ createdAt: _, ...rest }) => rest);
      expect(withoutTime(again.body.references)).toEqual(withoutTime(references.body.references));
    });

    it('is refused without the key', async () => {
      const none = await service.http.get(`${adminPath()}/export`);
      const wrong = await service.http.post(`${adminPath()}/import`).auth('x'.repeat(16), { type: 'bearer' });
      expect([none.status, wrong.status]).toEqual([401, 401]);
    });

    it('says where a file is cut off, and what was imported before', async () => {
      const { body: file } = await exported('binary');
      const cut = await importInto(adminPath(), (file as Buffer).subarray(0, -10));
      expect([cut.status, cut.body.error]).toMatchObject([
        400,
        { code: 'REQUEST_MALFORMED', details: { record: expect.any(Number), imported: { addedCount: 0 } } },
      ]);
      const cases: [string, Buffer, string | undefined, number, string][] = [
        [adminPath(), Buffer.from('{"a":1}\n{"b":2}\n'), undefined, 400, 'REQUEST_MALFORMED'],
        [adminPath(), Buffer.from('{}'), 'application/json', 415, 'CONTENT_TYPE_UNSUPPORTED'],
        ['/admin/galleries/nowhere', file as Buffer, undefined, 404, 'GALLERY_NOT_FOUND'],
      ];
      for (const [path, bytes, type, status, code] of cases) {
        const answer = await importInto(path, bytes, type);
        expect([answer.status, answer.body.error?.code]).toEqual([status, code]);
      }
      const other = (await exported('jsonl')).body.toString().replaceAll(CONTRACT, 'other0000000') as string;
      const mismatch = await importInto(adminPath(), Buffer.from(other));
      expect([mismatch.status, mismatch.body.error.code]).toEqual([409, 'EMBEDDING_CONTRACT_MISMATCH']);
      const nowhere = await exported('xml');
      expect(nowhere.status).toBe(400);
    });
  });

  it('takes many changes and searches at once', async () => {
    const people = Array.from({ length: 12 }, (_, i) => photo(`person ${i}`));
    people.forEach((image, i) => service.model.addImage(image, { faces: [{ person: `person ${i}` }] }));
    const statuses = await Promise.all(
      people.flatMap((image, i) => [
        enroll(`person-${i}`, { image: dataUri(image) }).then(async ({ status }) => {
          // What was acknowledged is found at once, whatever else goes on.
          const { faces } = await identify(image);
          expect(names(faces[0])).toEqual([`person-${i}`]);
          return status;
        }),
        service.http
          .post(`${gallery}/identify`)
          .send({ probe: dataUri(image) })
          .then(({ status }) => status),
      ]),
    );
    expect(new Set(statuses)).toEqual(new Set([200, 201]));
    await Promise.all(
      people.map((_image, i) => service.http.delete(`${gallery}/subjects/person-${i}`).expect(204)),
    );
    expect((await service.http.get(gallery)).body).toMatchObject({ subjectCount: 0, referenceCount: 0 });
  });
});
