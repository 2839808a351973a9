import { createHash } from 'node:crypto';
import { FaceError } from '../errors';
import type { EmbedderInfo, ModelStatus } from '../face/face-model';
import { similarityAt } from '../face/thresholds';
import type { EmbeddingInput } from '../face/represent-input';
import type { CardCalibration } from '../models/model-card';
import type { WholeImageMode } from '../pipeline/face.types';
import { type FakeFace, FakeFaceModel } from '../testing';
import type { EnrollmentItem, EnrollmentResult } from './enrollment/enroller';
import { galleryErrors } from './gallery-errors';
import { GalleryService } from './gallery.service';
import { EMBEDDING_NORM_KEY, type Gallery, MAX_SEARCH_LIMIT, type Metadata } from './gallery.types';
import type { FindReferencesOptions, IdentifyOptions, VerifySubjectOptions } from './matching/matching.types';
import { MemoryStore } from './stores/memory-store';

const GALLERY = 'staff';

describe(GalleryService.name, () => {
  let model: FakeFaceModel;
  let store: MemoryStore;
  let service: GalleryService;
  let searches: number[];
  let imageCount = 0;

  beforeEach(async () => {
    model = new FakeFaceModel();
    store = new MemoryStore({ threadCount: 1, precision: 'float32' });
    searches = [];
    service = new GalleryService(model, store, { onSearch: ({ searchMs }) => searches.push(searchMs) });
    await service.createGallery({ id: GALLERY });
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await store.close();
  });

  /** Announces a new image with these faces. */
  function photo(...faces: (string | FakeFace)[]): Uint8Array {
    const image = Buffer.from(`image ${++imageCount}`);
    model.addImage(image, {
      faces: faces.map((face) => (typeof face === 'string' ? { person: face } : face)),
    });
    return image;
  }

  async function embeddingOf(person: string): Promise<EmbeddingInput> {
    const { faces } = await model.represent(photo(person));
    return { embedding: faces[0].embedding, contract: model.embedder().contract };
  }

  /** At this cosine distance of a person, away from everybody else. */
  async function near(person: string, distance: number): Promise<EmbeddingInput> {
    const { embedding: from, contract } = await embeddingOf(person);
    const { embedding: other } = await embeddingOf(`somebody who turns ${person}`);
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
      Array.from(a).reduce((sum, value, i) => sum + value * b[i], 0);
    const aside = Array.from(other, (value, i) => value - dot(from, other) * from[i]);
    const length = Math.sqrt(dot(aside, aside));
    const cos = 1 - distance;
    const sin = Math.sqrt(1 - cos * cos);
    return { embedding: aside.map((value, i) => cos * from[i] + (sin * value) / length), contract };
  }

  async function enrolled(subjectId: string, input: Uint8Array | EmbeddingInput): Promise<EnrollmentResult> {
    const [result] = await service.enroll(GALLERY, [{ subjectId, input }], { enrollmentGate: 'off' });
    if (result instanceof FaceError) throw result;
    return result;
  }

  function calibrationOf(fake: FakeFaceModel): CardCalibration {
    return fake.embedder().calibration as CardCalibration;
  }

  const codes = (results: (EnrollmentResult | FaceError)[]) =>
    results.map((result) => (result instanceof FaceError ? result.code : result.status));

  const reasons = (result: EnrollmentResult | FaceError) =>
    result instanceof FaceError && result.code === 'REFERENCE_REJECTED' ? result.details.reasons : result;

  /** As if the default embedder had been swapped for one of another contract. */
  function swapEmbedder(others: Partial<ModelStatus>[] = []): void {
    const info: EmbedderInfo = { ...model.embedder(), name: 'other', contract: 'other0000000' };
    jest.spyOn(model, 'embedder').mockReturnValue(info);
    jest.spyOn(model, 'models').mockReturnValue(others as ModelStatus[]);
  }

  describe('createGallery', () => {
    it('binds to the contract of the embedder, with the defaults for what is not given', async () => {
      const gallery = await service.createGallery({ id: 'new', capacity: 7, threshold: undefined });
      expect(gallery).toMatchObject({
        id: 'new',
        contract: 'fake00000000',
        dimensions: 512,
        threshold: null,
        capacity: 7,
        maxReferencesPerSubject: 20,
        enrollmentGate: 'standard',
        metadata: {},
      });
    });

    it('takes the defaults of the module', async () => {
      const strict = new GalleryService(model, store, {
        defaultGallery: { enrollmentGate: 'strict', capacity: 3 },
      });
      expect(await strict.createGallery({ id: 'new', capacity: 4 })).toMatchObject({
        enrollmentGate: 'strict',
        capacity: 4,
      });
    });

    it('refuses a wrong id and wrong settings together, and an id that is taken', async () => {
      await expect(service.createGallery({ id: 'a/b', capacity: 0 })).rejects.toMatchObject({
        code: 'PARAMETER_INVALID',
        details: { fields: { id: expect.any(String), capacity: expect.any(String) } },
      });
      await expect(service.createGallery({ id: GALLERY })).rejects.toMatchObject({ code: 'GALLERY_EXISTS' });
      await expect(service.createGallery({ id: 'x', embedder: 'nope' })).rejects.toMatchObject({
        code: 'MODEL_UNKNOWN',
      });
    });
  });

  describe('updateGallery', () => {
    it('changes what is given, and nothing that is undefined', async () => {
      await service.updateGallery(GALLERY, { threshold: 0.3, targetFmr: 1e-4, capacity: 7 });
      const changed = await service.updateGallery(GALLERY, { threshold: null, capacity: undefined });
      expect(changed).toMatchObject({ threshold: null, targetFmr: 1e-4, targetFpir: null, capacity: 7 });
    });

    it('refuses what is wrong, by its name', async () => {
      await expect(service.updateGallery(GALLERY, { targetFpir: 1, capacity: 0 })).rejects.toMatchObject({
        code: 'PARAMETER_INVALID',
        details: { fields: { targetFpir: expect.any(String), capacity: expect.any(String) } },
      });
      await expect(service.updateGallery('nope', {})).rejects.toMatchObject({ code: 'GALLERY_NOT_FOUND' });
    });

    it('takes a rate only where the embedder has a calibration', async () => {
      jest.spyOn(model, 'embedder').mockReturnValue({ ...model.embedder(), calibration: null });
      for (const settings of [{ targetFmr: 1e-3 }, { targetFpir: 1e-3 }]) {
        const refused = {
          code: 'PARAMETER_INVALID',
          details: { fields: { [Object.keys(settings)[0]]: expect.stringContaining('calibration') } },
        };
        await expect(service.updateGallery(GALLERY, settings)).rejects.toMatchObject(refused);
        await expect(service.createGallery({ id: 'new', ...settings })).rejects.toMatchObject(refused);
      }
      expect(await service.updateGallery(GALLERY, { targetFmr: null, threshold: 1 })).toMatchObject({
        threshold: 1,
      });
    });
  });

  describe('createDefaultGallery', () => {
    it('makes the gallery once', async () => {
      await service.createDefaultGallery();
      await store.putSubject('default', 'ada', {});
      await service.createDefaultGallery();
      expect((await store.getGallery('default')).subjectCount).toBe(1);
    });

    it('says where no loaded embedder fits, and does not fail', async () => {
      const notices: string[] = [];
      const telling = new GalleryService(model, store, { onNotice: ({ message }) => notices.push(message) });
      await telling.createDefaultGallery();
      expect(notices).toEqual([]);
      swapEmbedder();
      await telling.createDefaultGallery();
      expect(notices).toEqual([expect.stringContaining('fake00000000')]);
    });

    it('says that there is no room for it, and does not fail', async () => {
      const notices: string[] = [];
      const telling = new GalleryService(model, store, { onNotice: ({ message }) => notices.push(message) });
      jest.spyOn(store, 'createGallery').mockRejectedValue(galleryErrors.galleriesFull('default', 1));
      await telling.createDefaultGallery();
      expect(notices).toEqual([expect.stringMatching(/^gallery default: .*galleries \(1\)/)]);
    });

    it('fails with a store that fails', async () => {
      jest.spyOn(store, 'getGallery').mockRejectedValue(new FaceError('GALLERY_STORE_FAILED', 'no'));
      await expect(service.createDefaultGallery()).rejects.toMatchObject({ code: 'GALLERY_STORE_FAILED' });
    });
  });

  describe('the embedder', () => {
    it('is the loaded one of the contract of the gallery, default or not', async () => {
      const bound = model.embedder();
      await enrolled('ada', await embeddingOf('ada'));
      const probe = await embeddingOf('ada');
      swapEmbedder([
        { name: 'unloaded', state: 'available', embedder: { ...bound, name: 'unloaded' } },
        { name: 'second', state: 'loaded', embedder: { ...bound, name: 'second' } },
      ]);
      expect(await service.identify(GALLERY, probe)).toMatchObject({
        embedder: 'second',
        contract: bound.contract,
      });
    });

    it('is missed by its contract', async () => {
      const probe = photo('ada');
      await enrolled('ada', await embeddingOf('ada'));
      swapEmbedder();
      const missed = {
        code: 'MODEL_NOT_LOADED',
        message: expect.stringContaining('fake00000000'),
        details: { galleryId: GALLERY, contract: 'fake00000000' },
      };
      await expect(service.identify(GALLERY, probe)).rejects.toMatchObject(missed);
      await expect(service.verifySubject(GALLERY, 'ada', probe)).rejects.toMatchObject(missed);
      await expect(service.enroll(GALLERY, [{ subjectId: 'ada', input: probe }])).rejects.toMatchObject(
        missed,
      );
    });

    it.each<[ModelStatus['state'], string]>([
      ['absent', 'npx likeness models compile face-resnet-128, then restart with FACE_EMBEDDERS='],
      ['available', 'To load it: restart with FACE_EMBEDDERS='],
    ])('is named where its card is known and its file is %s, with how to load it', async (state, how) => {
      const bound = model.embedder();
      await enrolled('ada', await embeddingOf('ada'));
      const maker = { name: 'face-resnet-128', task: 'embed' as const, state, embedder: bound };
      const second = { name: 'second', task: 'embed' as const, state: 'loaded' as const };
      swapEmbedder([maker, second]);
      await expect(service.identify(GALLERY, photo('ada'))).rejects.toMatchObject({
        code: 'MODEL_NOT_LOADED',
        message: expect.stringContaining(`${how}${model.defaultEmbedder},second,face-resnet-128`),
        details: { galleryId: GALLERY, contract: bound.contract, embedder: 'face-resnet-128' },
      });
    });

    it('does not take embeddings of another contract, or malformed ones', async () => {
      const other = { ...(await embeddingOf('ada')), contract: 'other0000000' };
      await enrolled('ada', await embeddingOf('ada'));
      const mismatch = { code: 'EMBEDDING_CONTRACT_MISMATCH' };
      await expect(service.identify(GALLERY, other)).rejects.toMatchObject(mismatch);
      await expect(service.verifySubject(GALLERY, 'ada', other)).rejects.toMatchObject(mismatch);
      const short = { embedding: [1, 2], contract: model.embedder().contract };
      const results = await service.enroll(GALLERY, [
        { subjectId: 'bob', input: other },
        { subjectId: 'bob', input: short },
      ]);
      expect(codes(results)).toEqual(['EMBEDDING_CONTRACT_MISMATCH', 'EMBEDDING_INVALID']);
    });
  });

  describe('enroll', () => {
    it.each([
      ['the hash of the model', 'f'.repeat(64)],
      ['a hash of its own where the model gives none', undefined],
    ])('keeps %s with an image', async (_name, imageHash) => {
      const image = photo('ada');
      const represented = await model.represent(image, { quality: true });
      jest.spyOn(model, 'represent').mockResolvedValue({ ...represented, imageHash });
      const { reference } = await enrolled('ada', image);
      expect(reference.imageHash).toBe(imageHash ?? createHash('sha256').update(image).digest('hex'));
    });

    it('adds references in the order of the items, with what was seen of the faces', async () => {
      const image = photo({
        person: 'ada',
        quality: { sharpness: 123, brightness: 0.4 },
        detectionScore: 0.9,
      });
      const results = await service.enroll(GALLERY, [
        { subjectId: 'ada', input: image, metadata: { source: 'badge' } },
        { subjectId: 'bob', input: await embeddingOf('bob') },
      ]);
      expect(codes(results)).toEqual(['added', 'added']);
      const [ada, bob] = results as EnrollmentResult[];
      expect(ada.reference).toMatchObject({
        id: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
        subjectId: 'ada',
        metadata: { source: 'badge' },
        imageHash: createHash('sha256').update(image).digest('hex'),
        quality: {
          detectionScore: 0.9,
          faceSizePx: 200,
          sharpness: 123,
          brightness: 0.4,
          pose: { yaw: 0, roll: 0, pitch: expect.any(Number) },
        },
      });
      expect(ada.face).toMatchObject({ detectionScore: 0.9 });
      expect(ada.timings).not.toBeNull();
      expect(bob).toMatchObject({ face: null, timings: null, reference: { quality: null, imageHash: null } });
      expect(await store.getGallery(GALLERY)).toMatchObject({ subjectCount: 2, referenceCount: 2 });
    });

    it('takes a photo that lies on its side, with the pose of the upright face', async () => {
      // In the file the eyes are above each other: the face is rolled by a quarter to the left.
      const at = (x: number, y: number) => ({ x: 100 + y, y: 300 - x });
      const landmarks = [at(60, 80), at(140, 80), at(100, 120), at(70, 160), at(130, 160)] as const;
      const image = Buffer.from('lies on its side');
      model.addImage(image, { rotation: 90, faces: [{ person: 'ada', landmarks }] });
      const items = [{ subjectId: 'ada', input: image }];
      const [result] = await service.enroll(GALLERY, items, { enrollmentGate: 'strict' });
      expect(result).toMatchObject({
        status: 'added',
        reference: { quality: { pose: { yaw: 0, roll: 0 } } },
      });
      expect(await service.identify(GALLERY, image)).toMatchObject({ rotation: 90 });
      expect(await service.verifySubject(GALLERY, 'ada', image)).toMatchObject({ rotation: 90 });
    });

    it('refuses a face that is not aligned, with that detail', async () => {
      const image = photo({ person: 'ada', aligned: false });
      const [result] = await service.enroll(GALLERY, [{ subjectId: 'ada', input: image }]);
      expect(result).toMatchObject({
        code: 'FACE_NOT_DETECTED',
        details: { reason: 'not_aligned', unalignedCount: 1 },
      });
      await expect(service.identify(GALLERY, image)).rejects.toMatchObject({
        code: 'FACE_NOT_DETECTED',
        details: { reason: 'not_aligned', unalignedCount: 1 },
      });
    });

    it('keeps embeddings at unit length', async () => {
      const { embedding, contract } = await embeddingOf('ada');
      await enrolled('ada', { embedding: Array.from(embedding, (value) => value * 7), contract });
      const [stored] = await store.listReferences(GALLERY, 'ada');
      expect(Math.hypot(...stored.embedding)).toBeCloseTo(1, 6);
    });

    it('gives each item its own result', async () => {
      const empty = photo();
      const results = await service.enroll(GALLERY, [
        { subjectId: 'ada', input: photo('ada') },
        { subjectId: '..', input: photo('bob') },
        { subjectId: 'bob', input: photo('bob'), metadata: { bad: NaN } },
        { subjectId: 'eve', input: empty },
        { subjectId: 'cy', input: photo('cy') },
      ]);
      expect(codes(results)).toEqual([
        'added',
        'PARAMETER_INVALID',
        'PARAMETER_INVALID',
        'FACE_NOT_DETECTED',
        'added',
      ]);
    });

    it('adds more items than are worked on at a time, one acknowledgement for each lot', async () => {
      const add = jest.spyOn(store, 'addReferences');
      const people = Array.from({ length: 40 }, (_, i) => `p${i}`);
      const items = people.map((person) => ({ subjectId: person, input: photo(person) }));
      const results = (await service.enroll(GALLERY, items)) as EnrollmentResult[];
      expect(results.map(({ reference }) => reference.subjectId)).toEqual(people);
      expect(add.mock.calls.map(([, references]) => references.length)).toEqual([16, 16, 8]);
    });

    it('tells a duplicate, and where else the same image is', async () => {
      const image = photo('ada');
      const first = await enrolled('ada', image);
      const second = await enrolled('ada', image);
      expect(second).toMatchObject({ status: 'duplicate', reference: { id: first.reference.id } });
      const other = await enrolled('eve', image);
      expect(other.sameImage).toEqual([{ subjectId: 'ada', referenceId: first.reference.id }]);
    });

    it('hands on what the store refuses', async () => {
      await store.updateGallery(GALLERY, { maxReferencesPerSubject: 1 });
      const results = await service.enroll(GALLERY, [
        { subjectId: 'ada', input: photo('ada') },
        { subjectId: 'ada', input: photo('ada') },
        { subjectId: 'bob', input: photo('bob') },
      ]);
      expect(codes(results)).toEqual(['added', 'SUBJECT_FULL', 'added']);
    });

    it('throws what concerns the whole call', async () => {
      const item = { subjectId: 'ada', input: photo('ada') };
      await expect(service.enroll('nope', [item])).rejects.toMatchObject({ code: 'GALLERY_NOT_FOUND' });
      await expect(service.enroll(GALLERY, [item], { detector: 'nope' })).rejects.toMatchObject({
        code: 'MODEL_UNKNOWN',
      });
      const unannounced = { subjectId: 'ada', input: Buffer.from('not announced') };
      await expect(service.enroll(GALLERY, [unannounced])).rejects.toThrow('addImage');
      jest.spyOn(store, 'addReferences').mockRejectedValue(new FaceError('GALLERY_STORE_FAILED', 'no'));
      await expect(service.enroll(GALLERY, [item])).rejects.toMatchObject({ code: 'GALLERY_STORE_FAILED' });
    });

    it('needs a threshold for a strict gate only', async () => {
      jest.spyOn(model, 'embedder').mockReturnValue({ ...model.embedder(), maxDistances: {} });
      const enroll = async (enrollmentGate: 'standard' | 'strict') =>
        service.enroll(GALLERY, [{ subjectId: 'ada', input: photo('ada') }], { enrollmentGate });
      expect(codes(await enroll('standard'))).toEqual(['added']);
      await expect(enroll('strict')).rejects.toMatchObject({ code: 'PARAMETER_INVALID' });
      await store.updateGallery(GALLERY, { threshold: 0.4 });
      expect(codes(await enroll('strict'))).toEqual(['added']);
    });

    it('hands the options of the images on, and no others', async () => {
      const represent = jest.spyOn(model, 'represent');
      const { signal } = new AbortController();
      const image = {
        detector: 'fake-detector',
        minDetectionScore: 0.3,
        wholeImage: 'ifNoFace' as const,
        autoRotate: false,
        presentationAttack: 'report' as const,
        signal,
        timeoutMs: 5,
        caller: 'me',
      };
      await service.enroll(GALLERY, [{ subjectId: 'ada', input: photo('ada') }], {
        ...image,
        idempotencyKey: 'k',
        enrollmentGate: 'off',
      });
      expect(represent).toHaveBeenCalledTimes(1);
      expect(represent.mock.calls[0][1]).toEqual({
        ...image,
        align: true,
        crop: false,
        maxFaces: undefined,
        embedder: 'fake-embedder',
        faceSelection: 'best',
        hash: true,
        quality: true,
      });
    });
  });

  describe('the enrollment gate', () => {
    const enrollWith = async (
      gate: 'off' | 'standard' | 'strict' | undefined,
      ...faces: (string | FakeFace)[]
    ) => {
      const [result] = await service.enroll(GALLERY, [{ subjectId: 'ada', input: photo(...faces) }], {
        enrollmentGate: gate,
      });
      return result;
    };
    const spoilt: FakeFace = { person: 'ada', quality: { sharpness: 1, brightness: 0.01 } };

    it('refuses with all reasons, and what was measured', async () => {
      const result = await enrollWith('standard', spoilt, 'bob');
      expect(reasons(result)).toEqual(['SEVERAL_FACES', 'BLURRED', 'TOO_DARK']);
      expect((result as FaceError).details.quality).toMatchObject({ sharpness: 1, brightness: 0.01 });
      expect((await store.getGallery(GALLERY)).referenceCount).toBe(0);
    });

    it('refuses a whole image in the place of a face, of which no detector is sure; takes it where it is off', async () => {
      const enroll = async (enrollmentGate: 'off' | 'strict') => {
        const items = [{ subjectId: 'ada', input: photo('ada') }];
        const [result] = await service.enroll(GALLERY, items, { enrollmentGate, wholeImage: 'always' });
        return result;
      };
      expect(reasons(await enroll('strict'))).toEqual(['LOW_DETECTION_SCORE']);
      const added = await enroll('off');
      expect(added).toMatchObject({
        status: 'added',
        face: { landmarks: null },
        reference: { quality: { detectionScore: 0, faceSizePx: 480, sharpness: null, pose: null } },
      });
    });

    it('is that of the gallery where the call names none', async () => {
      expect(reasons(await enrollWith(undefined, spoilt))).toEqual(['BLURRED', 'TOO_DARK']);
      await store.updateGallery(GALLERY, { enrollmentGate: 'off' });
      expect(await enrollWith(undefined, spoilt, 'bob')).toMatchObject({ status: 'added' });
    });

    it('takes the largest face where it is off, or where the call says so', async () => {
      expect(await enrollWith('off', 'ada', 'bob')).toMatchObject({ status: 'added' });
      const [result] = await service.enroll(GALLERY, [{ subjectId: 'cy', input: photo('cy', 'bob') }], {
        faceSelection: 'best',
      });
      expect(result).toMatchObject({ status: 'added' });
      expect((await service.identify(GALLERY, photo('cy'))).faces[0].candidates[0].subjectId).toBe('cy');
    });

    it('lets faceSelection single refuse by its own error where it is off', async () => {
      const [result] = await service.enroll(GALLERY, [{ subjectId: 'ada', input: photo('ada', 'bob') }], {
        enrollmentGate: 'off',
        faceSelection: 'single',
      });
      expect(result).toMatchObject({ code: 'FACE_AMBIGUOUS' });
    });

    it('is tighter where it is strict', async () => {
      const soft: FakeFace = { person: 'ada', quality: { sharpness: 40 } };
      expect(reasons(await enrollWith('strict', soft))).toEqual(['BLURRED']);
      expect(await enrollWith('standard', soft)).toMatchObject({ status: 'added' });
    });

    it('refuses, strictly, a face near another subject, beside all other reasons', async () => {
      await enrolled('bob', await near('ada', 0.5));
      expect(await enrollWith('standard', 'ada')).toMatchObject({ status: 'added' });
      await store.deleteSubject(GALLERY, 'ada');
      expect(reasons(await enrollWith('strict', 'ada'))).toEqual(['NEAR_ANOTHER_SUBJECT']);
      expect(reasons(await enrollWith('strict', spoilt))).toEqual([
        'BLURRED',
        'TOO_DARK',
        'NEAR_ANOTHER_SUBJECT',
      ]);
    });

    it('looks, strictly, at no other subject where there is no identification', async () => {
      await enrolled('bob', await near('ada', 0.1));
      const verifying = new GalleryService(model, store, { identification: false });
      const [result] = await verifying.enroll(GALLERY, [{ subjectId: 'ada', input: photo('ada') }], {
        enrollmentGate: 'strict',
      });
      expect(result).toMatchObject({ status: 'added' });
    });

    it('finds, strictly, another subject behind the nearer own one', async () => {
      await enrolled('ada', await near('ada', 0.1));
      await enrolled('bob', await near('ada', 0.4));
      expect(reasons(await enrollWith('strict', 'ada'))).toEqual(['NEAR_ANOTHER_SUBJECT']);
    });

    it('refuses, strictly, a face that is far from all references of its subject', async () => {
      await enrolled('ada', await near('ada', 0.54));
      expect(reasons(await enrollWith('strict', 'ada'))).toEqual(['FAR_FROM_OWN_REFERENCES']);
      await enrolled('ada', await near('ada', 0.53));
      expect(await enrollWith('strict', 'ada')).toMatchObject({ status: 'added' });
    });

    it('compares, strictly, under the threshold of the gallery', async () => {
      await enrolled('bob', await near('ada', 0.4));
      await store.updateGallery(GALLERY, { threshold: 0.3 });
      expect(await enrollWith('strict', 'ada')).toMatchObject({ status: 'added' });
    });

    it('takes a new subject, and one without references, strictly', async () => {
      await store.putSubject(GALLERY, 'ada', {});
      expect(await enrollWith('strict', 'ada')).toMatchObject({ status: 'added' });
    });

    it('compares embeddings, strictly, but has no other reason against them', async () => {
      await enrolled('bob', await embeddingOf('ada'));
      const [result] = await service.enroll(
        GALLERY,
        [{ subjectId: 'ada', input: await embeddingOf('ada') }],
        {
          enrollmentGate: 'strict',
        },
      );
      expect(reasons(result)).toEqual(['NEAR_ANOTHER_SUBJECT']);
    });

    it('lets only one of two calls at once give a face to two subjects, strictly', async () => {
      const options = { enrollmentGate: 'strict' } as const;
      const results = await Promise.all(
        ['ada', 'bob', 'cy'].map((subjectId) =>
          service.enroll(GALLERY, [{ subjectId, input: photo('the same face') }], options),
        ),
      );
      expect(codes(results.flat()).sort()).toEqual(['REFERENCE_REJECTED', 'REFERENCE_REJECTED', 'added']);
    });

    it('compares the items of one call with each other, strictly', async () => {
      const results = await service.enroll(
        GALLERY,
        [
          { subjectId: 'ada', input: photo('ada') },
          { subjectId: 'bob', input: photo('ada') },
          { subjectId: 'ada', input: photo('somebody else') },
        ],
        { enrollmentGate: 'strict' },
      );
      expect(results.slice(1).map(reasons)).toEqual([['NEAR_ANOTHER_SUBJECT'], ['FAR_FROM_OWN_REFERENCES']]);
    });
  });

  describe('crops of faces', () => {
    const cropOf = async ({ reference: { subjectId, id } }: EnrollmentResult) =>
      store.getCrop(GALLERY, subjectId, id);

    it('are not made where the gallery keeps none', async () => {
      const represent = jest.spyOn(model, 'represent');
      const result = await enrolled('ann', photo('ann'));
      expect(represent.mock.calls[0][1]).toMatchObject({ crop: false });
      expect(await cropOf(result)).toBeNull();
    });

    it('are kept beside references of images, and are no part of the answer', async () => {
      await service.updateGallery(GALLERY, { keepCrops: true });
      const image = photo('ann');
      const result = await enrolled('ann', image);
      expect(await cropOf(result)).toEqual(new Uint8Array(image));
      expect(result.reference).toMatchObject({ hasCrop: true });
      expect(result.face).not.toHaveProperty('crop');
      expect(await cropOf(await enrolled('bob', await embeddingOf('bob')))).toBeNull();
    });

    it('are erased when the gallery is to keep none any more', async () => {
      await service.updateGallery(GALLERY, { keepCrops: true });
      const results: EnrollmentResult[] = [];
      for (let i = 0; i < 3; i++) results.push(await enrolled(`subject ${i}`, photo(`person ${i}`)));
      await service.updateGallery(GALLERY, { capacity: 100 });
      expect(await cropOf(results[0])).not.toBeNull();
      await service.updateGallery(GALLERY, { keepCrops: false });
      for (const result of results) expect(await cropOf(result)).toBeNull();
      expect(await store.getGallery(GALLERY)).toMatchObject({ referenceCount: 3, keepCrops: false });
    });

    it('go with a purge where their erasure was cut short', async () => {
      await service.updateGallery(GALLERY, { keepCrops: true });
      const result = await enrolled('ann', photo('ann'));
      jest.spyOn(store, 'deleteCrops').mockRejectedValueOnce(new FaceError('GALLERY_STORE_FAILED', 'no'));
      const change = service.updateGallery(GALLERY, { keepCrops: false });
      await expect(change).rejects.toMatchObject({ code: 'GALLERY_STORE_FAILED' });
      expect(await cropOf(result)).not.toBeNull();
      await service.purgeExpired();
      expect(await cropOf(result)).toBeNull();
    });

    it('go with references that are too old', async () => {
      await service.updateGallery(GALLERY, { keepCrops: true, maxAgeSeconds: 1 });
      const result = await enrolled('ann', photo('ann'));
      jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 2000);
      const later = new GalleryService(model, store);
      await later.purgeExpired();
      await expect(cropOf(result)).rejects.toMatchObject({ code: 'SUBJECT_NOT_FOUND' });
    });
  });

  describe('an idempotency key', () => {
    const options = { idempotencyKey: 'key-1' };

    it('makes a repeat give the same references, without the model', async () => {
      const items = [
        { subjectId: 'ada', input: photo('ada') },
        { subjectId: 'ada', input: photo('ada') },
      ];
      const first = (await service.enroll(GALLERY, items, options)) as EnrollmentResult[];
      const represent = jest.spyOn(model, 'represent');
      const second = (await service.enroll(GALLERY, items, options)) as EnrollmentResult[];
      expect(codes(first)).toEqual(['added', 'added']);
      expect(codes(second)).toEqual(['existing', 'existing']);
      expect(second.map(({ reference }) => reference)).toEqual(first.map(({ reference }) => reference));
      expect(second[0]).not.toHaveProperty('reference.embedding');
      expect(represent).not.toHaveBeenCalled();
      expect((await store.getGallery(GALLERY)).referenceCount).toBe(2);
    });

    it('lets the rest be added where a call was cut off', async () => {
      const items = ['ada', 'bob'].map((person) => ({ subjectId: person, input: photo(person) }));
      await service.enroll(GALLERY, items.slice(0, 1), options);
      expect(codes(await service.enroll(GALLERY, items, options))).toEqual(['existing', 'added']);
    });

    it('is not judged again by a gate', async () => {
      const items = [{ subjectId: 'ada', input: photo({ person: 'ada', quality: { sharpness: 1 } }) }];
      await service.enroll(GALLERY, items, { ...options, enrollmentGate: 'off' });
      expect(codes(await service.enroll(GALLERY, items, { ...options, enrollmentGate: 'strict' }))).toEqual([
        'existing',
      ]);
    });

    it('holds for embeddings', async () => {
      const input = await embeddingOf('ada');
      const first = await service.enroll(GALLERY, [{ subjectId: 'ada', input }], options);
      await enrolled('bob', await embeddingOf('ada'));
      const strict = { ...options, enrollmentGate: 'strict' } as const;
      const second = await service.enroll(GALLERY, [{ subjectId: 'ada', input }], strict);
      expect([...codes(first), ...codes(second)]).toEqual(['added', 'existing']);
    });

    it('conflicts with another image, embedding, kind or subject', async () => {
      const [image, embedding] = [photo('ada'), await embeddingOf('ada')];
      const enroll = async (subjectId: string, input: Uint8Array | EmbeddingInput, idempotencyKey: string) =>
        codes(await service.enroll(GALLERY, [{ subjectId, input }], { idempotencyKey }))[0];
      expect(await enroll('ada', image, 'image')).toBe('added');
      expect(await enroll('ada', embedding, 'embedding')).toBe('added');
      expect(await enroll('ada', photo('ada'), 'image')).toBe('IDEMPOTENCY_CONFLICT');
      expect(await enroll('ada', embedding, 'image')).toBe('IDEMPOTENCY_CONFLICT');
      expect(await enroll('bob', image, 'image')).toBe('IDEMPOTENCY_CONFLICT');
      expect(await enroll('ada', await embeddingOf('bob'), 'embedding')).toBe('IDEMPOTENCY_CONFLICT');
      expect(await enroll('ada', image, 'embedding')).toBe('IDEMPOTENCY_CONFLICT');
      expect(await enroll('bob', embedding, 'embedding')).toBe('IDEMPOTENCY_CONFLICT');
      expect((await store.getGallery(GALLERY)).referenceCount).toBe(2);
    });

    it.each<[string, Partial<EnrollmentItem>]>([
      ['metadata', { metadata: { camera: 2 } }],
      ['metadata that lack a key', { metadata: {} }],
      ['an expiry', { expiresAt: Date.now() + 1e9 }],
    ])('conflicts with other fields: %s', async (_, other) => {
      for (const input of [photo('ada'), await embeddingOf('ada')]) {
        const item = { subjectId: 'ada', input, metadata: { camera: 1 } };
        const call = { idempotencyKey: ArrayBuffer.isView(input) ? 'image' : 'embedding' };
        expect(codes(await service.enroll(GALLERY, [item], call))).toEqual(['added']);
        expect(codes(await service.enroll(GALLERY, [{ ...item, ...other }], call))).toEqual([
          'IDEMPOTENCY_CONFLICT',
        ]);
        expect(codes(await service.enroll(GALLERY, [item], call))).toEqual(['existing']);
      }
    });

    it('belongs to its gallery and to the place in the call', async () => {
      await service.createGallery({ id: 'other' });
      const image = photo('ada');
      const ids = await Promise.all(
        [GALLERY, 'other'].map(async (gallery) => {
          const items = ['ada', 'bob'].map((subjectId) => ({ subjectId, input: image }));
          const results = (await service.enroll(gallery, items, options)) as EnrollmentResult[];
          return results.map(({ reference }) => reference.id);
        }),
      );
      expect(new Set(ids.flat()).size).toBe(4);
      for (const id of ids.flat()) {
        expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      }
    });

    it('adds once where two calls come at once', async () => {
      const items = [{ subjectId: 'ada', input: photo('ada') }];
      const results = await Promise.all([1, 2].map(() => service.enroll(GALLERY, items, options)));
      expect(codes(results.flat()).sort()).toEqual(['added', 'existing']);
    });
  });

  describe('changes of subjects and references', () => {
    it('make and change what is given, and keep the rest', async () => {
      const made = await service.putSubject(GALLERY, 'ada', { team: 1 }, { purpose: 'door' });
      expect(made).toMatchObject({ isNew: true, subject: { metadata: { team: 1 }, purpose: 'door' } });
      expect(await service.updateSubject(GALLERY, 'ada', { consentRef: 'c' })).toMatchObject({
        metadata: { team: 1 },
        purpose: 'door',
        consentRef: 'c',
      });
      expect(await service.updateSubject(GALLERY, 'ada', { metadata: {}, purpose: undefined })).toMatchObject(
        {
          metadata: {},
          purpose: 'door',
        },
      );
      const [added] = await service.enroll(GALLERY, [
        { subjectId: 'ada', input: photo('ada'), metadata: { a: 1 } },
      ]);
      const { id } = (added as EnrollmentResult).reference;
      const expiresAt = Date.now() + 1e9;
      expect(await service.updateReference(GALLERY, 'ada', id, { expiresAt })).toMatchObject({
        metadata: { a: 1 },
        expiresAt,
      });
    });

    it('refuse what is wrong, and make no subject that is not there', async () => {
      const refused = { code: 'PARAMETER_INVALID' };
      await expect(service.putSubject(GALLERY, '', {})).rejects.toMatchObject(refused);
      await expect(service.putSubject(GALLERY, 'ada', {}, { purpose: '' })).rejects.toMatchObject(refused);
      await expect(service.renameSubject(GALLERY, 'ada', '..', { merge: true })).rejects.toMatchObject(
        refused,
      );
      const missing = { code: 'SUBJECT_NOT_FOUND' };
      await expect(service.updateSubject(GALLERY, 'ada', { metadata: {} })).rejects.toMatchObject(missing);
      await expect(service.deleteSubject(GALLERY, 'ada')).rejects.toMatchObject(missing);
    });

    it('do not bring back a subject that is being deleted', async () => {
      await service.putSubject(GALLERY, 'ada', {});
      const outcomes = await Promise.allSettled([
        service.deleteSubject(GALLERY, 'ada'),
        service.updateSubject(GALLERY, 'ada', { metadata: { late: true } }),
      ]);
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
      await expect(store.getSubject(GALLERY, 'ada')).rejects.toMatchObject({ code: 'SUBJECT_NOT_FOUND' });
    });

    it('purge cached answers with what is deleted', async () => {
      const purge = jest.spyOn(model, 'purgeCache');
      const [added] = await service.enroll(GALLERY, [{ subjectId: 'ada', input: photo('ada') }]);
      const { id, imageHash } = (added as EnrollmentResult).reference;
      await service.deleteReference(GALLERY, 'ada', id);
      expect(purge.mock.calls).toEqual([[imageHash]]);
      expect(await service.deleteSubject(GALLERY, 'ada')).toEqual({ subjectCount: 1, referenceCount: 0 });
      expect(await service.deleteGallery(GALLERY)).toEqual({ subjectCount: 0, referenceCount: 0 });
      expect(purge.mock.calls).toEqual([[imageHash], [], []]);
    });
  });

  describe('identify', () => {
    beforeEach(async () => {
      await store.putSubject(GALLERY, 'ada', { team: 'blue' });
      await enrolled('ada', await near('ada', 0.3));
      await enrolled('ada', await near('ada', 0.1));
      await enrolled('bob', await embeddingOf('bob'));
    });

    it('names the nearest subjects with their metadata, by their nearest reference', async () => {
      const { faces, ...rest } = await service.identify(GALLERY, photo('ada'), { threshold: 2 });
      const [, nearest] = await store.listReferences(GALLERY, 'ada');
      expect(faces).toHaveLength(1);
      expect(faces[0].unknown).toBe(false);
      expect(faces[0].face).toMatchObject({ detectionScore: 0.99 });
      expect(faces[0].face).not.toHaveProperty('embedding');
      expect(faces[0].candidates).toEqual([
        {
          rank: 1,
          subjectId: 'ada',
          referenceId: nearest.id,
          distance: expect.closeTo(0.1, 5),
          similarity: expect.closeTo(0.9, 5),
          falseMatchRate: 1e-6,
          metadata: { team: 'blue' },
        },
        expect.objectContaining({ rank: 2, subjectId: 'bob', metadata: {} }),
      ]);
      expect(rest).toEqual({
        threshold: 2,
        targetFpir: null,
        galleryId: GALLERY,
        galleryReferenceCount: 3,
        rotation: 0,
        detector: 'fake-detector',
        embedder: 'fake-embedder',
        contract: 'fake00000000',
        timings: expect.objectContaining({ detectMs: 0, searchMs: searches[0] }),
      });
    });

    it('calls a face unknown where no subject is within the threshold', async () => {
      const { faces } = await service.identify(GALLERY, photo('eve'));
      expect(faces).toEqual([expect.objectContaining({ unknown: true, candidates: [] })]);
    });

    it('takes threshold and rate of the call, else of the gallery, else the rate of the module', async () => {
      const applied = async (options: IdentifyOptions = {}) => {
        const { threshold, targetFpir } = await service.identify(GALLERY, photo('ada'), options);
        return [threshold, targetFpir];
      };
      // Two subjects.
      const at = (fpir: number) => {
        const similarity = similarityAt(calibrationOf(model), 1 - Math.sqrt(1 - fpir));
        return [expect.closeTo(1 - similarity, 9), fpir];
      };
      expect(await applied()).toEqual(at(0.01));
      await store.updateGallery(GALLERY, { targetFpir: 0.02 });
      expect(await applied()).toEqual(at(0.02));
      await store.updateGallery(GALLERY, { threshold: 0.3 });
      expect(await applied()).toEqual([0.3, null]);
      expect(await applied({ targetFpir: 0.001 })).toEqual(at(0.001));
      expect(await applied({ targetFpir: 0.001, threshold: 0.2 })).toEqual([0.2, null]);
    });

    it('takes the threshold of the card without a calibration, and refuses rates', async () => {
      const fixed = { ...model.embedder(), calibration: null, maxDistances: { cosine: 0.41 } };
      jest.spyOn(model, 'embedder').mockReturnValue(fixed);
      const { threshold, targetFpir, faces } = await service.identify(GALLERY, photo('ada'));
      expect([threshold, targetFpir]).toEqual([0.41, null]);
      expect(faces[0].candidates[0].falseMatchRate).toBeNull();
      const refused = {
        code: 'PARAMETER_INVALID',
        details: { fields: { targetFpir: expect.stringContaining('likeness calibrate') } },
      };
      await expect(service.identify(GALLERY, photo('ada'), { targetFpir: 0.1 })).rejects.toMatchObject(
        refused,
      );
      await store.updateGallery(GALLERY, { targetFpir: 0.1 });
      await expect(service.identify(GALLERY, photo('ada'))).rejects.toMatchObject(refused);
    });

    it('tightens the threshold as the gallery grows, down to the end of the calibration', async () => {
      const thresholds: number[] = [];
      const getGallery = store.getGallery.bind(store);
      for (const subjectCount of [0, 1, 2, 10, 1000, 1e5, 1e7]) {
        jest
          .spyOn(store, 'getGallery')
          .mockImplementation(async (id) => ({ ...(await getGallery(id)), subjectCount }));
        thresholds.push((await service.identify(GALLERY, photo('eve'))).threshold);
      }
      expect(thresholds[1]).toBe(thresholds[0]);
      expect([...thresholds].sort((a, b) => b - a)).toEqual(thresholds);
      expect(new Set(thresholds).size).toBe(5);
      const { points } = calibrationOf(model);
      expect(thresholds[6]).toBeCloseTo(1 - points[points.length - 1].minSimilarity, 12);
    });

    it('names nobody by two images without a face', async () => {
      const things = photo();
      const options = { wholeImage: 'ifNoFace' as const, enrollmentGate: 'off' as const };
      await service.enroll(GALLERY, [{ subjectId: 'thing', input: things }], options);
      const named = async (probe: Uint8Array, wholeImage: WholeImageMode) => {
        const { faces } = await service.identify(GALLERY, probe, { wholeImage });
        return faces[0].candidates.map(({ subjectId, falseMatchRate }) => [subjectId, falseMatchRate]);
      };
      expect(await named(things, 'ifNoFace')).toEqual([]);
      expect(await named(things, 'always')).toEqual([['thing', null]]);
      expect(await named(photo('bob'), 'ifNoFace')).toEqual([['bob', 1e-6]]);
    });

    it('takes the threshold of the call, else of the gallery', async () => {
      const unknown = async (threshold?: number) =>
        (await service.identify(GALLERY, photo('ada'), { threshold })).faces[0].unknown;
      expect([await unknown(), await unknown(0.05)]).toEqual([false, true]);
      await store.updateGallery(GALLERY, { threshold: 0.05 });
      expect([await unknown(), await unknown(0.2)]).toEqual([true, false]);
    });

    it('finds a face at distance 0 of itself, under a threshold of 0', async () => {
      const { faces } = await service.identify(GALLERY, photo('bob'), { threshold: 0 });
      expect(faces[0].candidates).toMatchObject([{ subjectId: 'bob', distance: 0, similarity: 1 }]);
    });

    it('searches all selected faces at once, the largest alone by default', async () => {
      const search = jest.spyOn(store, 'search');
      const image = photo('bob', 'eve', 'ada');
      const { faces } = await service.identify(GALLERY, image, { faceSelection: 'all' });
      expect(faces.map(({ candidates }) => candidates[0]?.subjectId)).toEqual(['bob', undefined, 'ada']);
      expect(search).toHaveBeenCalledTimes(1);
      expect((await service.identify(GALLERY, image)).faces).toHaveLength(1);
      const two = await service.identify(GALLERY, image, { faceSelection: 'all', maxFaces: 2 });
      expect(two.faces).toHaveLength(2);
    });

    it('takes an embedding, and has no image to tell of', async () => {
      const result = await service.identify(GALLERY, await embeddingOf('ada'));
      expect(result).toMatchObject({ detector: null, timings: { searchMs: expect.any(Number) } });
      expect(Object.keys(result.timings)).toEqual(['searchMs']);
      expect(result.faces).toMatchObject([{ face: null, candidates: [{ subjectId: 'ada' }] }]);
    });

    it('keeps to the limit and the filter', async () => {
      const subjects = async (options: Parameters<typeof service.identify>[2]) =>
        (await service.identify(GALLERY, photo('ada'), { threshold: 2, ...options })).faces[0].candidates.map(
          ({ subjectId }) => subjectId,
        );
      expect(await subjects({ limit: 1 })).toEqual(['ada']);
      expect(await subjects({ filter: { team: 'blue' } })).toEqual(['ada']);
      expect(await subjects({ filter: { team: 'red' } })).toEqual([]);
      for (let i = 0; i < 5; i++) await enrolled(`more ${i}`, await embeddingOf(`more ${i}`));
      expect(await subjects({})).toHaveLength(5);
    });

    it('leaves out a subject that is deleted before its metadata is read', async () => {
      const search = store.search.bind(store);
      jest.spyOn(store, 'search').mockImplementation(async (...call) => {
        const hits = await search(...call);
        await store.deleteSubject(GALLERY, 'ada');
        return hits;
      });
      const { faces } = await service.identify(GALLERY, photo('ada'), { threshold: 2 });
      expect(faces[0].candidates).toMatchObject([{ rank: 1, subjectId: 'bob' }]);
    });

    it.each([
      ['limit', { limit: 0 }],
      ['limit', { limit: 101 }],
      ['limit', { limit: 1.5 }],
      ['threshold', { threshold: -0.1 }],
      ['threshold', { threshold: NaN }],
      ['targetFpir', { targetFpir: 0 }],
      ['targetFpir', { targetFpir: 0.51 }],
    ])('refuses a wrong %s (%#)', async (field, options) => {
      await expect(service.identify(GALLERY, photo('ada'), options)).rejects.toMatchObject({
        code: 'PARAMETER_INVALID',
        details: { fields: { [field]: expect.any(String) } },
      });
    });

    it('has nobody in an empty gallery, and no answer without a face or a gallery', async () => {
      await service.createGallery({ id: 'empty' });
      expect((await service.identify('empty', photo('ada'))).faces[0].unknown).toBe(true);
      await expect(service.identify(GALLERY, photo())).rejects.toMatchObject({ code: 'FACE_NOT_DETECTED' });
      await expect(service.identify('nope', photo('ada'))).rejects.toMatchObject({
        code: 'GALLERY_NOT_FOUND',
      });
    });
  });

  describe('findReferences', () => {
    /** Makes a reference of an embedding of that length. */
    const keep = async (subjectId: string, input: EmbeddingInput, embeddingNorm?: number) => {
      const metadata: Metadata = embeddingNorm == null ? {} : { [EMBEDDING_NORM_KEY]: embeddingNorm };
      const [result] = await service.enroll(GALLERY, [{ subjectId, input, metadata }]);
      if (result instanceof FaceError) throw result;
    };
    const found = async (...[probe, options]: [EmbeddingInput, FindReferencesOptions?]) =>
      (await service.findReferences(GALLERY, probe, options)).map(({ subjectId, distance }) => [
        subjectId,
        distance,
      ]);

    beforeEach(async () => {
      await store.putSubject(GALLERY, 'ada', { team: 'it' });
      await keep('ada', await near('ada', 0));
      await keep('ada', await near('ada', 0.3));
      await keep('ada 2', await near('ada', 0.2), 2);
      await keep('bob', await near('bob', 0));
    });

    it('gives every reference, closest first, with the metadata of its subject', async () => {
      const references = await service.findReferences(GALLERY, await embeddingOf('ada'), { limit: 3 });
      expect(references).toMatchObject([
        { subjectId: 'ada', distance: 0, metadata: { team: 'it' } },
        { subjectId: 'ada 2', distance: 0.2, metadata: {} },
        { subjectId: 'ada', distance: 0.3, metadata: { team: 'it' } },
      ]);
      expect(new Set(references.map(({ referenceId }) => referenceId)).size).toBe(3);
      expect(searches).toHaveLength(1);
    });

    it('measures by euclidean with the lengths of the vectors', async () => {
      const probe = { ...(await embeddingOf('ada')), embeddingNorm: 2 };
      // |2a - 2b|, |2a - b| with the cosines 0.8, 1 and 0.7.
      const distances: [string, number][] = [
        ['ada', 1],
        ['ada 2', Math.sqrt(8 - 8 * 0.8)],
        ['ada', Math.sqrt(5 - 4 * 0.7)],
      ];
      const reported = distances.map(([id, distance]) => [id, Number(distance.toFixed(6))]);
      expect(await found(probe, { metric: 'euclidean', limit: 3 })).toEqual(reported);
      expect(await found(probe, { metric: 'euclidean', maxDistance: 1 })).toEqual([['ada', 1]]);
      expect(await found(probe, { metric: 'euclidean', maxDistance: 1.3 })).toEqual(reported.slice(0, 2));
    });

    it.each([
      ['cosine', 0.2],
      ['euclidean_l2', Math.sqrt(0.4)],
      ['angular', Math.acos(0.8) / Math.PI],
    ] as const)('takes the largest distance by %s inclusively', async (metric, distance) => {
      const probe = await embeddingOf('ada');
      const within = await found(probe, { metric, maxDistance: Number(distance.toFixed(6)) });
      expect(within.map(([id]) => id)).toEqual(['ada', 'ada 2']);
      expect(await found(probe, { metric, maxDistance: distance - 1e-5 })).toHaveLength(1);
    });

    it('filters by the metadata of subjects', async () => {
      const references = await found(await embeddingOf('ada'), { filter: { team: 'it' } });
      expect(references.map(([id]) => id)).toEqual(['ada', 'ada']);
    });

    it('refuses what euclidean could not rank exactly, and nothing that it could', async () => {
      const subjects = Array.from({ length: MAX_SEARCH_LIMIT }, (_, i) => `x${i}`);
      const { embedding, contract } = await embeddingOf('ada');
      const input = { embedding, contract };
      await service.enroll(
        GALLERY,
        subjects.map((subjectId) => ({ subjectId, input })),
      );
      await expect(found(input, { metric: 'euclidean', limit: 1000 })).rejects.toMatchObject({
        code: 'PARAMETER_INVALID',
        details: { fields: { metric: expect.any(String) } },
      });
      expect(await found(await embeddingOf('bob'), { metric: 'euclidean', maxDistance: 0.5 })).toEqual([
        ['bob', 0],
      ]);
    });

    it('refuses a limit out of range, another contract and an unknown gallery', async () => {
      const probe = await embeddingOf('ada');
      await expect(found(probe, { limit: 0 })).rejects.toMatchObject({ code: 'PARAMETER_INVALID' });
      await expect(found({ ...probe, contract: 'other' })).rejects.toMatchObject({
        code: 'EMBEDDING_CONTRACT_MISMATCH',
      });
      await expect(service.findReferences('nope', probe)).rejects.toMatchObject({
        code: 'GALLERY_NOT_FOUND',
      });
    });
  });

  describe('a gallery of faces that are not aligned', () => {
    it('takes and asks for such, with images and with embeddings', async () => {
      const gallery = await service.createGallery({ id: 'unaligned', align: false, enrollmentGate: 'off' });
      expect(gallery.contract).toBe(model.embedder(undefined, false).contract);
      const represent = jest.spyOn(model, 'represent');
      await service.enroll('unaligned', [{ subjectId: 'ada', input: photo('ada') }]);
      const { faces, contract } = await service.identify('unaligned', photo('ada'));
      expect([faces[0].candidates[0].subjectId, contract]).toEqual(['ada', gallery.contract]);
      expect(represent.mock.calls.map(([, options]) => options?.align)).toEqual([false, false]);
      await expect(service.identify('unaligned', await embeddingOf('ada'))).rejects.toMatchObject({
        code: 'EMBEDDING_CONTRACT_MISMATCH',
      });
    });
  });

  describe('verifySubject', () => {
    beforeEach(async () => {
      await enrolled('ada', await near('ada', 0.4));
      await enrolled('ada', await near('ada', 0.2));
    });

    it('decides by the most similar reference', async () => {
      const [, nearest] = await store.listReferences(GALLERY, 'ada');
      const result = await service.verifySubject(GALLERY, 'ada', photo('ada'));
      expect(result).toEqual({
        verified: true,
        decision: 'match',
        falseMatchRate: 1e-6,
        targetFmr: 5e-5,
        reason: null,
        distance: expect.closeTo(0.2, 5),
        similarity: expect.closeTo(0.8, 5),
        threshold: expect.closeTo(0.534949, 6),
        subjectId: 'ada',
        referenceId: nearest.id,
        face: expect.objectContaining({ detectionScore: 0.99 }),
        rotation: 0,
        detector: 'fake-detector',
        embedder: 'fake-embedder',
        contract: 'fake00000000',
        timings: expect.objectContaining({ detectMs: 0 }),
      });
      expect(result.face).not.toHaveProperty('quality');
    });

    it('takes the threshold of the call, else of the gallery', async () => {
      const verify = (threshold?: number) =>
        service.verifySubject(GALLERY, 'ada', photo('ada'), { threshold });
      expect((await verify(0.1)).verified).toBe(false);
      await store.updateGallery(GALLERY, { threshold: 0.15 } satisfies Partial<Gallery>);
      expect(await verify()).toMatchObject({ verified: false, threshold: 0.15 });
      expect((await verify(0.21)).verified).toBe(true);
    });

    it('takes an embedding', async () => {
      const result = await service.verifySubject(GALLERY, 'ada', await embeddingOf('ada'));
      expect(result).toMatchObject({ verified: true, face: null, detector: null, timings: null });
    });

    it('compares the largest face, or all of them', async () => {
      const image = photo('bob', 'ada');
      expect((await service.verifySubject(GALLERY, 'ada', image)).verified).toBe(false);
      const all = await service.verifySubject(GALLERY, 'ada', image, { faceSelection: 'all' });
      expect(all.verified).toBe(true);
    });

    it('needs a subject with references, and asks the model for nothing before', async () => {
      const represent = jest.spyOn(model, 'represent');
      await store.putSubject(GALLERY, 'eve', {});
      const probe = photo('ada');
      await expect(service.verifySubject(GALLERY, 'eve', probe)).rejects.toMatchObject({
        code: 'REFERENCE_NOT_FOUND',
        details: { galleryId: GALLERY, subjectId: 'eve' },
      });
      await expect(service.verifySubject(GALLERY, 'nobody', probe)).rejects.toMatchObject({
        code: 'SUBJECT_NOT_FOUND',
      });
      await expect(service.verifySubject('nope', 'ada', probe)).rejects.toMatchObject({
        code: 'GALLERY_NOT_FOUND',
      });
      expect(represent).not.toHaveBeenCalled();
    });

    it('takes the rate of the call, else of the gallery, else of the module; a threshold wins', async () => {
      const applied = async (options: VerifySubjectOptions = {}) => {
        const { threshold, targetFmr } = await service.verifySubject(GALLERY, 'ada', photo('ada'), options);
        return [threshold, targetFmr];
      };
      const at = (fmr: number) => [expect.closeTo(1 - similarityAt(calibrationOf(model), fmr), 9), fmr];
      expect(await applied()).toEqual(at(5e-5));
      await store.updateGallery(GALLERY, { targetFmr: 1e-3 });
      expect(await applied()).toEqual(at(1e-3));
      await store.updateGallery(GALLERY, { threshold: 0.3 });
      expect(await applied()).toEqual([0.3, null]);
      expect(await applied({ targetFmr: 0.02 })).toEqual(at(0.02));
      expect(await applied({ targetFmr: 0.02, threshold: 0.2 })).toEqual([0.2, null]);
    });

    it('leaves what is near the threshold for review, by the margin of the call, else of the module', async () => {
      const careful = new FakeFaceModel({ reviewMargin: 0.1 });
      const services = [service, new GalleryService(careful, store)];
      const image = photo('ada');
      careful.addImage(image, { faces: [{ person: 'ada' }] });
      const decided = async (options: VerifySubjectOptions) =>
        Promise.all(
          services.map(async (one) => {
            const { verified, decision } = await one.verifySubject(GALLERY, 'ada', image, options);
            return [verified, decision];
          }),
        );
      expect(await decided({ threshold: 0.25 })).toEqual([[true, 'match'], [true, 'review']]); // prettier-ignore
      expect(await decided({ threshold: 0.15 })).toEqual([[false, 'no_match'], [false, 'review']]); // prettier-ignore
      expect(await decided({ threshold: 0.4 })).toEqual([[true, 'match'], [true, 'match']]); // prettier-ignore
      expect(await decided({ threshold: 0.25, reviewMargin: 0.06 })).toEqual([[true, 'review'], [true, 'review']]); // prettier-ignore
      expect(await decided({ threshold: 0.25, reviewMargin: 0 })).toEqual([[true, 'match'], [true, 'match']]); // prettier-ignore
    });

    it('never verifies two images without a face', async () => {
      const things = photo();
      const options = { wholeImage: 'ifNoFace' as const, enrollmentGate: 'off' as const };
      await service.enroll(GALLERY, [{ subjectId: 'thing', input: things }], options);
      const verify = (probe: Uint8Array, wholeImage: WholeImageMode) =>
        service.verifySubject(GALLERY, 'thing', probe, { wholeImage });
      expect(await verify(things, 'ifNoFace')).toMatchObject({
        verified: false,
        decision: 'no_match',
        reason: 'no_face',
        distance: expect.closeTo(0, 5),
        falseMatchRate: null,
      });
      const skipped = { verified: true, decision: 'match', reason: null, falseMatchRate: null };
      expect(await verify(things, 'always')).toMatchObject(skipped);
      const found = { verified: false, decision: 'no_match', reason: null, falseMatchRate: null };
      expect(await verify(photo('ada'), 'ifNoFace')).toMatchObject(found);
    });

    it.each([
      ['threshold', { threshold: 3 }],
      ['targetFmr', { targetFmr: 0.6 }],
      ['targetFmr', { targetFmr: 1e-7 }],
      ['reviewMargin', { reviewMargin: -0.1 }],
      ['reviewMargin', { reviewMargin: NaN }],
    ])('refuses a wrong %s', async (field, options) => {
      await expect(service.verifySubject(GALLERY, 'ada', photo('ada'), options)).rejects.toMatchObject({
        code: 'PARAMETER_INVALID',
        details: { fields: { [field]: expect.any(String) } },
      });
    });
  });
});
