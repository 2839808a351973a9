import type { FaceErrorCode } from '../../src/errors';
import type { GalleryStore } from '../../src/gallery/stores/gallery-store';
import type {
  AddedReference,
  GalleryRecord,
  NewGallery,
  NewReference,
  Page,
  PageRequest,
} from '../../src/gallery/gallery.types';
import { MAX_PAGE_BYTES } from '../../src/gallery/pages';
import { cosine, unit, unitVectors } from './random-unit';

/** Length of the embeddings in the galleries of the suite. */
const DIMENSIONS = 8;
/** Most that a similarity may be off for its sum being made in another order. */
const SIMILARITY_DIGITS = 5;

export function newGallery(changes: Partial<NewGallery> = {}): NewGallery {
  return {
    id: 'staff',
    contract: 'contract-1',
    dimensions: DIMENSIONS,
    threshold: null,
    targetFmr: null,
    targetFpir: null,
    capacity: 1000,
    maxSubjects: null,
    maxReferencesPerSubject: 10,
    enrollmentGate: 'standard',
    maxAgeSeconds: null,
    sinceLastMatchSeconds: null,
    matchesSince: null,
    keepCrops: false,
    metadata: {},
    ...changes,
  };
}

export function newReference(
  subjectId: string,
  id: string,
  embedding: Float32Array,
  changes: Partial<NewReference> = {},
): NewReference {
  return { id, subjectId, embedding, metadata: {}, quality: null, imageHash: null, ...changes };
}

/** What a store of the suite is made with beside what its kind needs. */
export interface ContractStoreOptions {
  maxGalleries?: number;
}

/**
 * What every store does, as its documentation says: one store for each test, from `makeStore`.
 *
 * @param keepsCrops - false: of a store that keeps no crops, and so moves no gallery to another embedder.
 */
export function galleryStoreContract(
  name: string,
  makeStore: (options?: ContractStoreOptions) => Promise<GalleryStore>,
  { keepsCrops = true }: { keepsCrops?: boolean } = {},
): void {
  const describeCrops = keepsCrops ? describe : () => undefined;

  describe(`${name} as a gallery store`, () => {
    let store: GalleryStore;
    const random = unitVectors(1, DIMENSIONS);

    beforeEach(async () => {
      store = await makeStore();
      await store.createGallery(newGallery());
    });
    afterEach(() => store.close());

    /** Adds one reference, which must be added. */
    async function add(
      subjectId: string,
      id: string,
      embedding = random(),
      changes: Partial<NewReference> = {},
    ): Promise<AddedReference> {
      const [outcome] = await store.addReferences('staff', [newReference(subjectId, id, embedding, changes)]);
      expect(outcome).toMatchObject({ status: 'added' });
      return outcome as AddedReference;
    }

    async function refused(answer: Promise<unknown>, code: FaceErrorCode): Promise<void> {
      await expect(answer).rejects.toMatchObject({ name: 'FaceError', code });
    }

    const subjectIds = async () =>
      (await allPages((page) => store.listSubjects('staff', page), 100)).map((subject) => subject.id);

    const referenceIds = async (subjectId: string) =>
      (await store.listReferences('staff', subjectId)).map((reference) => reference.id);

    describe('galleries', () => {
      it('makes one with its settings, its times and nothing in it', async () => {
        const before = Date.now();
        const settings = newGallery({
          id: 'guests',
          contract: 'contract-2',
          dimensions: 4,
          threshold: 0.25,
          targetFmr: 1e-4,
          targetFpir: 0.02,
          capacity: 7,
          maxSubjects: 5,
          maxReferencesPerSubject: 3,
          enrollmentGate: 'strict',
          metadata: { site: 'north', floor: 2, open: true },
        });
        const made = await store.createGallery(settings);
        expect(made).toMatchObject({ ...settings, subjectCount: 0, referenceCount: 0 });
        expect(made.createdAt).toBeGreaterThanOrEqual(before);
        expect(made.createdAt).toBeLessThanOrEqual(Date.now());
        expect(made.updatedAt).toBe(made.createdAt);
        expect(await store.getGallery('guests')).toEqual(made);
      });

      it('refuses a second one of the same id', async () => {
        await refused(store.createGallery(newGallery({ capacity: 1 })), 'GALLERY_EXISTS');
        expect((await store.getGallery('staff')).capacity).toBe(1000);
      });

      it('lists all, page by page', async () => {
        for (const id of ['b', 'a', 'd', 'c']) await store.createGallery(newGallery({ id }));
        const listed = await allPages((page) => store.listGalleries(page), 2);
        expect(listed.map((gallery) => gallery.id).sort()).toEqual(['a', 'b', 'c', 'd', 'staff']);
      });

      it('changes the settings that are named, and no other', async () => {
        const old = await store.getGallery('staff');
        const changed = await store.updateGallery('staff', {
          threshold: 0.5,
          targetFpir: 0.001,
          metadata: { a: 1 },
        });
        expect(changed).toEqual({
          ...old,
          threshold: 0.5,
          targetFpir: 0.001,
          metadata: { a: 1 },
          updatedAt: expect.any(Number),
        });
        expect(changed.updatedAt).toBeGreaterThanOrEqual(old.updatedAt);
        expect(await store.getGallery('staff')).toEqual(changed);
      });

      it('takes a capacity below what is there: nothing goes, nothing comes in', async () => {
        await add('ann', 'r1');
        await add('ann', 'r2');
        await store.updateGallery('staff', { capacity: 1 });
        const [outcome] = await store.addReferences('staff', [newReference('bob', 'r3', random())]);
        expect(outcome).toMatchObject({ code: 'GALLERY_FULL' });
        expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 1, referenceCount: 2 });
      });

      it('takes as many as the store may have, and others when some are gone', async () => {
        const small = await makeStore({ maxGalleries: 2 });
        try {
          await small.createGallery(newGallery({ id: 'a' }));
          const bursts = await Promise.allSettled(
            ['b', 'c', 'd'].map((id) => small.createGallery(newGallery({ id }))),
          );
          expect(bursts.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
          await expect(small.createGallery(newGallery({ id: 'e' }))).rejects.toMatchObject({
            code: 'GALLERY_FULL',
            details: { galleryId: 'e', maxGalleries: 2 },
          });
          await refused(small.createGallery(newGallery({ id: 'a' })), 'GALLERY_EXISTS');
          expect(await small.updateGallery('a', { threshold: 0.5 })).toMatchObject({ threshold: 0.5 });
          await small.deleteGallery('a');
          await small.createGallery(newGallery({ id: 'e' }));
          const ids = (await small.listGalleries({ limit: 10 })).items.map(({ id }) => id);
          expect(ids.sort()).toEqual(['b', 'e']);
        } finally {
          await small.close();
        }
      });

      it('deletes one with all that is in it, and only that one', async () => {
        await store.createGallery(newGallery({ id: 'guests' }));
        await store.addReferences('guests', [newReference('gus', 'g1', random())]);
        await add('ann', 'r1');
        await add('ann', 'r2');
        expect(await store.deleteGallery('staff')).toEqual({ subjectCount: 1, referenceCount: 2 });
        await refused(store.getGallery('staff'), 'GALLERY_NOT_FOUND');
        await refused(store.search('staff', [random()], { limit: 1 }), 'GALLERY_NOT_FOUND');
        expect(await store.getGallery('guests')).toMatchObject({ referenceCount: 1 });
        await store.createGallery(newGallery());
        expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 0, referenceCount: 0 });
        expect(await store.search('staff', [random()], { limit: 1 })).toEqual([[]]);
        expect(await add('ann', 'r1')).toMatchObject({ status: 'added' });
      });

      it('says of every call that there is no such gallery', async () => {
        const probe = random();
        const calls: Promise<unknown>[] = [
          store.getGallery('none'),
          store.updateGallery('none', {}),
          store.deleteGallery('none'),
          store.putSubject('none', 'ann', {}),
          store.getSubject('none', 'ann'),
          store.listSubjects('none', { limit: 1 }),
          store.renameSubject('none', 'ann', 'bob', { merge: true }),
          store.deleteSubject('none', 'ann'),
          store.addReferences('none', [newReference('ann', 'r1', probe)]),
          store.getReference('none', 'ann', 'r1'),
          store.listReferences('none', 'ann'),
          store.updateReference('none', 'ann', 'r1', {}),
          store.deleteReference('none', 'ann', 'r1'),
          store.search('none', [probe], { limit: 1 }),
          exported(store, 'none'),
        ];
        for (const call of calls) call.catch(() => undefined);
        for (const call of calls) await refused(call, 'GALLERY_NOT_FOUND');
      });
    });

    describeCrops('a gallery in the place of another', () => {
      beforeEach(async () => {
        await store.createGallery(
          newGallery({ id: 'copy', contract: 'contract-2', dimensions: 4, copyOf: 'staff' }),
        );
        await add('ann', 'r1');
        await store.addReferences('copy', [newReference('ann', 'r1', unit([1, 0, 0, 0]))]);
        await store.putSubject('copy', 'bob', { a: 1 });
      });

      it('has its id and all that was in it, and the other is gone', async () => {
        const copy = await store.getGallery('copy');
        expect(copy).toMatchObject({ copyOf: 'staff' });
        const gallery = await store.replaceGallery('staff', 'copy');
        expect(gallery).toEqual({ ...copy, id: 'staff', copyOf: null, updatedAt: expect.any(Number) });
        expect(await store.getGallery('staff')).toEqual(gallery);
        await refused(store.getGallery('copy'), 'GALLERY_NOT_FOUND');
        expect((await store.listGalleries({ limit: 9 })).items.map(({ id }) => id)).toEqual(['staff']);
        expect((await subjectIds()).sort()).toEqual(['ann', 'bob']);
        const [[hit]] = await store.search('staff', [unit([1, 0, 0, 0])], { limit: 1 });
        expect(hit).toMatchObject({ subjectId: 'ann', referenceId: 'r1' });
        await refused(store.search('staff', [random()], { limit: 1 }), 'EMBEDDING_INVALID');
        await refused(store.getReference('staff', 'ann', 'r9'), 'REFERENCE_NOT_FOUND');
      });

      it('takes changes under its new id, beside those that come at the same time', async () => {
        const changes = [
          store.putSubject('copy', 'cleo', {}),
          store.putSubject('staff', 'dan', {}),
          store.replaceGallery('staff', 'copy'),
          store.putSubject('staff', 'eve', {}),
        ];
        await Promise.all(changes);
        await refused(store.putSubject('copy', 'fay', {}), 'GALLERY_NOT_FOUND');
        expect((await subjectIds()).sort()).toEqual(['ann', 'bob', 'cleo', 'eve']);
        await store.createGallery(newGallery({ id: 'copy' }));
      });

      it('has to be there, as has the other', async () => {
        await refused(store.replaceGallery('nobody', 'copy'), 'GALLERY_NOT_FOUND');
        await refused(store.replaceGallery('staff', 'nobody'), 'GALLERY_NOT_FOUND');
        expect(await store.getGallery('staff')).toMatchObject({ referenceCount: 1 });
      });
    });

    describe('subjects', () => {
      it('makes one, then replaces its metadata', async () => {
        const made = await store.putSubject('staff', 'ann', { team: 'red', age: 7 });
        expect(made).toMatchObject({
          isNew: true,
          subject: { id: 'ann', metadata: { team: 'red', age: 7 }, referenceCount: 0 },
        });
        await add('ann', 'r1');
        const replaced = await store.putSubject('staff', 'ann', { team: 'blue' });
        expect(replaced.isNew).toBe(false);
        expect(replaced.subject).toMatchObject({
          metadata: { team: 'blue' },
          referenceCount: 1,
          createdAt: made.subject.createdAt,
        });
        expect(await store.getSubject('staff', 'ann')).toEqual(replaced.subject);
        expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 1, referenceCount: 1 });
      });

      it('makes as many as the gallery may have, and others when some are gone', async () => {
        await store.updateGallery('staff', { maxSubjects: 2 });
        await store.putSubject('staff', 'ann', {});
        const outcomes = await store.addReferences('staff', [
          newReference('bob', 'r1', random()),
          newReference('cleo', 'r2', random()),
          newReference('ann', 'r3', random()),
          newReference('cleo', 'r1', random()),
        ]);
        const full = { code: 'GALLERY_FULL', details: { galleryId: 'staff', maxSubjects: 2 } };
        expect(outcomes).toMatchObject([
          { status: 'added' },
          full,
          { status: 'added' },
          { status: 'existing' },
        ]);
        await expect(store.putSubject('staff', 'cleo', {})).rejects.toMatchObject(full);
        expect(await store.putSubject('staff', 'ann', { team: 'red' })).toMatchObject({ isNew: false });
        await store.renameSubject('staff', 'ann', 'anna', { merge: false });
        expect(await subjectIds()).toEqual(['anna', 'bob']);
        await store.deleteSubject('staff', 'bob');
        expect(await store.putSubject('staff', 'cleo', {})).toMatchObject({ isNew: true });
        await refused(store.putSubject('staff', 'dan', {}), 'GALLERY_FULL');
        await store.renameSubject('staff', 'anna', 'cleo', { merge: true });
        expect(await store.putSubject('staff', 'dan', {})).toMatchObject({ isNew: true });
        expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 2, referenceCount: 1 });
      });

      it('makes as many as the capacity where the gallery has no limit of its own for them', async () => {
        await store.updateGallery('staff', { capacity: 2, maxSubjects: null });
        await store.putSubject('staff', 'ann', {});
        await store.putSubject('staff', 'bob', {});
        await expect(store.putSubject('staff', 'cleo', {})).rejects.toMatchObject({
          code: 'GALLERY_FULL',
          details: { maxSubjects: 2 },
        });
        await store.updateGallery('staff', { capacity: 3 });
        expect(await store.putSubject('staff', 'cleo', {})).toMatchObject({ isNew: true });
      });

      it('are all kept where a limit below what is there is set: nothing comes in', async () => {
        for (const id of ['ann', 'bob', 'cleo']) await store.putSubject('staff', id, {});
        expect(await store.updateGallery('staff', { maxSubjects: 1 })).toMatchObject({
          maxSubjects: 1,
          subjectCount: 3,
        });
        await add('ann', 'r1');
        await store.deleteSubject('staff', 'cleo');
        await refused(store.putSubject('staff', 'dan', {}), 'GALLERY_FULL');
        expect(await subjectIds()).toEqual(['ann', 'bob']);
      });

      it('keeps why it is held and how long, until that is changed', async () => {
        const rights = { consentRef: 'consent-1', purpose: 'Entry "north"', expiresAt: 2e12 };
        const { subject } = await store.putSubject('staff', 'ann', { team: 'red' }, rights);
        expect(subject).toMatchObject({ ...rights, metadata: { team: 'red' } });
        await store.putSubject('staff', 'ann', {}, { purpose: null });
        const expected = { ...rights, purpose: null, metadata: {} };
        expect(await store.getSubject('staff', 'ann')).toMatchObject(expected);
        await add('ann', 'r1', random(), { expiresAt: 1e12 });
        await store.updateReference('staff', 'ann', 'r1', { a: 1 });
        expect(await store.getReference('staff', 'ann', 'r1')).toMatchObject({
          expiresAt: 1e12,
          metadata: { a: 1 },
        });
        expect((await store.renameSubject('staff', 'ann', 'anna', { merge: false })).consentRef).toBe(
          'consent-1',
        );
      });

      it('records matches of those that are there, and changes nothing else of them', async () => {
        await add('ann', 'r1');
        const rights = { consentRef: 'c-1', purpose: null, expiresAt: 2e12 };
        const { subject } = await store.putSubject('staff', 'ann', { team: 'red' }, rights);
        await store.putSubject('staff', 'bob', {});
        await store.recordMatches('staff', ['ann', 'nobody', 'ann'], 500);
        expect(await store.getSubject('staff', 'ann')).toEqual({ ...subject, lastMatchedAt: 500 });
        expect((await store.getSubject('staff', 'bob')).lastMatchedAt).toBeNull();
        await store.recordMatches('staff', ['ann', 'bob'], 400);
        expect((await store.getSubject('staff', 'ann')).lastMatchedAt).toBe(500);
        expect((await store.getSubject('staff', 'bob')).lastMatchedAt).toBe(400);
        const { subject: replaced } = await store.putSubject('staff', 'ann', {});
        expect(replaced).toMatchObject({ ...rights, metadata: {}, lastMatchedAt: 500 });
        expect((await store.renameSubject('staff', 'bob', 'ann', { merge: true })).lastMatchedAt).toBe(500);
        expect(await store.listReferences('staff', 'ann')).toHaveLength(1);
        await store.recordMatches('staff', [], 900);
        await refused(store.recordMatches('none', ['ann'], 900), 'GALLERY_NOT_FOUND');
      });

      it('merges the rights of two: what the target lacks, and the earlier end', async () => {
        await store.putSubject('staff', 'ann', {}, { consentRef: 'a', purpose: 'entry', expiresAt: 1e12 });
        await store.putSubject('staff', 'anna', {}, { consentRef: 'b', expiresAt: 2e12 });
        const merged = await store.renameSubject('staff', 'ann', 'anna', { merge: true });
        expect(merged).toMatchObject({ consentRef: 'b', purpose: 'entry', expiresAt: 1e12 });
      });

      it('takes ids and metadata keys that mean something to JavaScript', async () => {
        const metadata = JSON.parse('{"__proto__":"x","constructor":true}');
        for (const id of ['__proto__', 'constructor', 'toString', '0', 'a/b', 'ä 😀']) {
          await store.putSubject('staff', id, metadata);
          expect(await store.getSubject('staff', id)).toMatchObject({ id });
        }
        expect(JSON.stringify((await store.getSubject('staff', '__proto__')).metadata)).toBe(
          JSON.stringify(metadata),
        );
        const filtered = await store.listSubjects('staff', { limit: 10, filter: { constructor: true } });
        expect(filtered.items).toHaveLength(6);
      });

      it('lists all, page by page, while others come and go', async () => {
        const ids = Array.from({ length: 25 }, (_, i) => `subject-${i}`);
        for (const id of ids) await store.putSubject('staff', id, {});
        const seen: string[] = [];
        let after: string | undefined;
        for (let page = 0; ; page++) {
          const { items, next } = await store.listSubjects('staff', { limit: 4, after });
          seen.push(...items.map((subject) => subject.id));
          expect(items.length).toBeLessThanOrEqual(4);
          if (next == null) break;
          after = next;
          await store.deleteSubject('staff', ids[page]);
          await store.putSubject('staff', `late-${page}`, {});
        }
        expect(new Set(seen).size).toBe(seen.length);
        const stayed = ids.slice(7);
        expect(seen).toEqual(expect.arrayContaining(stayed));
      });

      it('lists them and galleries in pages that end early where metadata is large', async () => {
        const metadata = Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`${i}`, 'x'.repeat(1024)]));
        const ids = Array.from({ length: 40 }, (_, i) => `large-${i}`);
        for (const id of ids) {
          await store.putSubject('staff', id, metadata);
          await store.createGallery(newGallery({ id, metadata }));
        }
        for (const list of [
          (page: PageRequest) => store.listSubjects('staff', page),
          (page: PageRequest) => store.listSubjects('staff', { ...page, filter: { 0: metadata[0] } }),
          (page: PageRequest) => store.listGalleries(page),
        ]) {
          const { items, next } = await list({ limit: 1000 });
          expect(next).not.toBeNull();
          const bytes = JSON.stringify(items).length;
          expect(bytes).toBeGreaterThan(0.9 * MAX_PAGE_BYTES);
          expect(bytes).toBeLessThan(1.01 * MAX_PAGE_BYTES);
          const all = await allPages<{ id: string }>(list, 1000);
          const listed = all.map(({ id }) => id).filter((id) => id !== 'staff');
          expect(listed.sort()).toEqual([...ids].sort());
        }
      });

      it('lists those that pass a filter', async () => {
        await store.putSubject('staff', 'ann', { team: 'red', age: 7 });
        await store.putSubject('staff', 'bob', { team: 'blue', age: 7 });
        await store.putSubject('staff', 'cleo', { age: '7' });
        const ids = async (filter: Record<string, string | number | (string | number)[]>) =>
          (await allPages((page) => store.listSubjects('staff', { ...page, filter }), 1))
            .map((subject) => subject.id)
            .sort();
        expect(await ids({ team: 'red' })).toEqual(['ann']);
        expect(await ids({ age: 7 })).toEqual(['ann', 'bob']);
        expect(await ids({ age: [7, '7'], team: ['blue', 'green'] })).toEqual(['bob']);
        expect(await ids({ toString: 'x' })).toEqual([]);
        expect(await ids({ team: [] })).toEqual([]);
        expect(await ids({})).toEqual(['ann', 'bob', 'cleo']);
      });

      it('deletes one with its references, and only it', async () => {
        const embedding = random();
        await add('ann', 'r1', embedding);
        await add('ann', 'r2');
        await add('bob', 'r3', embedding);
        expect(await store.deleteSubject('staff', 'ann')).toEqual({ subjectCount: 1, referenceCount: 2 });
        await refused(store.getSubject('staff', 'ann'), 'SUBJECT_NOT_FOUND');
        await refused(store.listReferences('staff', 'ann'), 'SUBJECT_NOT_FOUND');
        await refused(store.deleteSubject('staff', 'ann'), 'SUBJECT_NOT_FOUND');
        expect(await subjectIds()).toEqual(['bob']);
        expect((await store.search('staff', [embedding], { limit: 9 }))[0]).toMatchObject([
          { subjectId: 'bob', referenceId: 'r3' },
        ]);
        expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 1, referenceCount: 1 });
        expect(await add('ann', 'r1')).toMatchObject({ status: 'added', sameImage: [] });
        expect(await referenceIds('ann')).toEqual(['r1']);
      });

      it('renames one', async () => {
        const embedding = random();
        await store.putSubject('staff', 'ann', { team: 'red' });
        await add('ann', 'r1', embedding);
        const renamed = await store.renameSubject('staff', 'ann', 'anna', { merge: false });
        expect(renamed).toMatchObject({ id: 'anna', metadata: { team: 'red' }, referenceCount: 1 });
        expect(await store.getSubject('staff', 'anna')).toEqual(renamed);
        await refused(store.getSubject('staff', 'ann'), 'SUBJECT_NOT_FOUND');
        await refused(store.getReference('staff', 'ann', 'r1'), 'SUBJECT_NOT_FOUND');
        expect(await store.getReference('staff', 'anna', 'r1')).toMatchObject({ subjectId: 'anna' });
        expect((await store.search('staff', [embedding], { limit: 9 }))[0]).toMatchObject([
          { subjectId: 'anna', referenceId: 'r1' },
        ]);
        await add('ann', 'r2');
        expect(await referenceIds('ann')).toEqual(['r2']);
        expect(await referenceIds('anna')).toEqual(['r1']);
      });

      it('takes the name that it has', async () => {
        await store.putSubject('staff', 'ann', { team: 'red' });
        await add('ann', 'r1');
        const same = await store.renameSubject('staff', 'ann', 'ann', { merge: false });
        expect(same).toMatchObject({ id: 'ann', referenceCount: 1 });
        expect(await store.renameSubject('staff', 'ann', 'ann', { merge: true })).toMatchObject({
          id: 'ann',
          metadata: { team: 'red' },
          referenceCount: 1,
        });
        expect(await referenceIds('ann')).toEqual(['r1']);
      });

      it('refuses a name that is taken, without merge', async () => {
        await add('ann', 'r1');
        await add('bob', 'r2');
        await refused(store.renameSubject('staff', 'ann', 'bob', { merge: false }), 'SUBJECT_EXISTS');
        await refused(store.renameSubject('staff', 'no', 'bob', { merge: true }), 'SUBJECT_NOT_FOUND');
        expect(await referenceIds('ann')).toEqual(['r1']);
        expect(await referenceIds('bob')).toEqual(['r2']);
      });

      it('merges two: references, and metadata that is lacking', async () => {
        const [one, two] = [random(), random()];
        await store.putSubject('staff', 'ann', { team: 'red', age: 7 });
        await store.putSubject('staff', 'anna', { team: 'blue' });
        await add('anna', 'r1', one, { imageHash: hash(1) });
        await add('ann', 'r2', two, { imageHash: hash(2), metadata: { lens: 3 } });
        await add('ann', 'r3', random(), { imageHash: hash(1) });
        const merged = await store.renameSubject('staff', 'ann', 'anna', { merge: true });
        expect(merged).toMatchObject({
          id: 'anna',
          metadata: { team: 'blue', age: 7 },
          referenceCount: 2,
        });
        expect(await store.getSubject('staff', 'anna')).toEqual(merged);
        expect(await referenceIds('anna')).toEqual(expect.arrayContaining(['r1', 'r2']));
        await refused(store.getReference('staff', 'anna', 'r3'), 'REFERENCE_NOT_FOUND');
        await refused(store.getSubject('staff', 'ann'), 'SUBJECT_NOT_FOUND');
        expect(await store.getReference('staff', 'anna', 'r2')).toMatchObject({ metadata: { lens: 3 } });
        expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 1, referenceCount: 2 });
        const [hits] = await store.search('staff', [two], { limit: 9 });
        expect(hits).toMatchObject([{ subjectId: 'anna', referenceId: 'r2' }]);
      });

      it('refuses a merge that makes the subject too full, and changes nothing', async () => {
        await store.updateGallery('staff', { maxReferencesPerSubject: 3 });
        for (const id of ['r1', 'r2']) await add('ann', id);
        for (const id of ['r3', 'r4']) await add('bob', id);
        await refused(store.renameSubject('staff', 'ann', 'bob', { merge: true }), 'SUBJECT_FULL');
        expect(await referenceIds('ann')).toEqual(['r1', 'r2']);
        expect(await referenceIds('bob')).toEqual(['r3', 'r4']);
      });
    });

    describe('copies', () => {
      it('of a subject have the times that they are given', async () => {
        const history = { createdAt: 1000, lastMatchedAt: 2000 };
        const { subject } = await store.putSubject('staff', 'ann', {}, history);
        expect(subject).toMatchObject(history);
        await store.putSubject('staff', 'ann', { a: 1 }, { createdAt: 5, lastMatchedAt: 3000 });
        expect(await store.getSubject('staff', 'ann')).toMatchObject({
          createdAt: 1000,
          lastMatchedAt: 3000,
        });
      });

      it('of a reference have the time that they are given', async () => {
        const { reference } = await add('ann', 'r1', random(), { createdAt: 1000 });
        expect(reference).toMatchObject({ createdAt: 1000 });
        expect(await store.getReference('staff', 'ann', 'r1')).toMatchObject({ createdAt: 1000 });
      });
    });

    describe('references', () => {
      const quality = {
        detectionScore: 0.98,
        faceSizePx: 117.5,
        sharpness: 80.25,
        brightness: 0.5,
        pose: { yaw: 3, pitch: -2.5, roll: 0.5 },
      };

      it('keeps all that was said of one, and its embedding to the bit', async () => {
        const before = Date.now();
        const embedding = random();
        const given = Array.from(embedding);
        const metadata = { camera: 'door', shot: 3 };
        const { reference } = await add('ann', 'r1', embedding, {
          metadata,
          quality,
          imageHash: hash(1),
        });
        expect(reference).toEqual({
          id: 'r1',
          hasCrop: false,
          expiresAt: null,
          subjectId: 'ann',
          metadata: { camera: 'door', shot: 3 },
          quality,
          imageHash: hash(1),
          createdAt: expect.any(Number),
        });
        expect(reference.createdAt).toBeGreaterThanOrEqual(before);
        embedding.fill(0);
        metadata.camera = 'gate';
        const stored = await store.getReference('staff', 'ann', 'r1');
        expect({ ...stored, embedding: Array.from(stored.embedding) }).toEqual({
          ...reference,
          embedding: given,
        });
        stored.embedding.fill(0);
        expect(Array.from((await store.getReference('staff', 'ann', 'r1')).embedding)).toEqual(given);
        expect(await store.getSubject('staff', 'ann')).toMatchObject({ metadata: {}, referenceCount: 1 });
      });

      it('lists those of a subject in the order in which they were added', async () => {
        const ids = ['z', 'a', 'm', 'b'];
        for (const id of ids) await add('ann', id);
        await add('bob', 'c');
        expect(await referenceIds('ann')).toEqual(ids);
        await store.updateReference('staff', 'ann', 'a', { x: 1 });
        expect(await referenceIds('ann')).toEqual(ids);
      });

      it('answers for each of many, in their order', async () => {
        await store.updateGallery('staff', { maxReferencesPerSubject: 2, capacity: 4 });
        const outcomes = await store.addReferences('staff', [
          newReference('ann', 'r1', random(), { imageHash: hash(1) }),
          newReference('ann', 'r2', random().slice(1)),
          newReference('ann', 'r1', random()),
          newReference('ann', 'r3', random(), { imageHash: hash(1) }),
          newReference('bob', 'r4', random(), { imageHash: hash(1) }),
          newReference('ann', 'r5', random()),
          newReference('ann', 'r6', random()),
          newReference('cleo', 'r7', random()),
          newReference('dan', 'r8', random()),
        ]);
        expect(outcomes).toMatchObject([
          { status: 'added', reference: { id: 'r1' }, sameImage: [] },
          { code: 'EMBEDDING_INVALID' },
          { status: 'existing', reference: { id: 'r1', subjectId: 'ann' } },
          { status: 'duplicate', reference: { id: 'r1' } },
          { status: 'added', sameImage: [{ subjectId: 'ann', referenceId: 'r1' }] },
          { status: 'added', reference: { id: 'r5' } },
          { code: 'SUBJECT_FULL' },
          { status: 'added', reference: { id: 'r7' } },
          { code: 'GALLERY_FULL' },
        ]);
        expect((await subjectIds()).sort()).toEqual(['ann', 'bob', 'cleo']);
        expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 3, referenceCount: 4 });
      });

      it('has nothing to do for none', async () => {
        expect(await store.addReferences('staff', [])).toEqual([]);
      });

      it('gives the one that is there where an id comes again, whatever comes with it', async () => {
        const embedding = random();
        await add('ann', 'r1', embedding, { metadata: { a: 1 } });
        const [again] = await store.addReferences('staff', [
          newReference('bob', 'r1', random(), { metadata: { a: 2 } }),
        ]);
        expect(again).toMatchObject({
          status: 'existing',
          reference: { subjectId: 'ann', metadata: { a: 1 } },
        });
        await refused(store.getSubject('staff', 'bob'), 'SUBJECT_NOT_FOUND');
        expect(Array.from((await store.getReference('staff', 'ann', 'r1')).embedding)).toEqual(
          Array.from(embedding),
        );
      });

      it('answers for one that is there even where no more fit', async () => {
        await add('ann', 'r1', random(), { imageHash: hash(1) });
        await store.updateGallery('staff', { capacity: 1, maxReferencesPerSubject: 1 });
        const outcomes = await store.addReferences('staff', [
          newReference('ann', 'r1', random()),
          newReference('ann', 'r2', random(), { imageHash: hash(1) }),
        ]);
        expect(outcomes).toMatchObject([{ status: 'existing' }, { status: 'duplicate' }]);
      });

      it('names the others of the same image, and of those only what is there', async () => {
        await add('ann', 'r1', random(), { imageHash: hash(1) });
        await add('bob', 'r2', random(), { imageHash: hash(1) });
        await add('bob', 'r3', random(), { imageHash: hash(2) });
        const third = await add('cleo', 'r4', random(), { imageHash: hash(1) });
        expect(third.sameImage).toHaveLength(2);
        expect(third.sameImage).toEqual(
          expect.arrayContaining([
            { subjectId: 'ann', referenceId: 'r1' },
            { subjectId: 'bob', referenceId: 'r2' },
          ]),
        );
        await store.deleteReference('staff', 'ann', 'r1');
        const fourth = await add('ann', 'r5', random(), { imageHash: hash(1) });
        expect(fourth.sameImage).toHaveLength(2);
        expect(fourth.sameImage).not.toContainEqual({ subjectId: 'ann', referenceId: 'r1' });
      });

      it('replaces the metadata of one', async () => {
        const { reference } = await add('ann', 'r1', random(), { metadata: { a: 1 }, quality });
        const changed = await store.updateReference('staff', 'ann', 'r1', { b: 2 });
        expect(changed).toEqual({ ...reference, metadata: { b: 2 } });
        const { embedding: _embedding, ...stored } = await store.getReference('staff', 'ann', 'r1');
        expect(stored).toEqual(changed);
      });

      it('changes the expiry of one where it is named', async () => {
        await add('ann', 'r1', random(), { metadata: { a: 1 } });
        const ending = await store.updateReference('staff', 'ann', 'r1', { a: 1 }, { expiresAt: 5 });
        expect(ending).toMatchObject({ metadata: { a: 1 }, expiresAt: 5 });
        const kept = await store.updateReference('staff', 'ann', 'r1', { a: 3 });
        expect(kept).toMatchObject({ metadata: { a: 3 }, expiresAt: 5 });
        const endless = await store.updateReference('staff', 'ann', 'r1', { a: 1 }, { expiresAt: null });
        expect(endless).toEqual({ ...kept, metadata: { a: 1 }, expiresAt: null });
        const { embedding: _embedding, ...stored } = await store.getReference('staff', 'ann', 'r1');
        expect(stored).toEqual(endless);
      });

      it('describes those of several subjects, without embeddings', async () => {
        await add('ann', 'r1', random(), { metadata: { a: 1 }, quality, expiresAt: 5 });
        await add('ann', 'r2');
        await add('bob', 'r3');
        await add('cleo', 'r4');
        await store.putSubject('staff', 'empty', {});
        const described = await store.describeReferences('staff', ['bob', 'empty', 'ann', 'nobody']);
        const expected = [
          ...(await store.listReferences('staff', 'ann')),
          ...(await store.listReferences('staff', 'bob')),
        ].map(({ embedding: _embedding, ...reference }) => reference);
        expect(described.sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(expected);
        await refused(store.describeReferences('none', ['ann']), 'GALLERY_NOT_FOUND');
      });

      it('deletes one; the subject stays', async () => {
        const embedding = random();
        await add('ann', 'r1', embedding);
        await add('ann', 'r2', unit(Array.from(embedding, (value) => -value)));
        await store.deleteReference('staff', 'ann', 'r1');
        await refused(store.getReference('staff', 'ann', 'r1'), 'REFERENCE_NOT_FOUND');
        await refused(store.deleteReference('staff', 'ann', 'r1'), 'REFERENCE_NOT_FOUND');
        expect((await store.search('staff', [embedding], { limit: 9 }))[0]).toMatchObject([
          { subjectId: 'ann', referenceId: 'r2' },
        ]);
        await store.deleteReference('staff', 'ann', 'r2');
        expect(await store.getSubject('staff', 'ann')).toMatchObject({ referenceCount: 0 });
        expect(await store.search('staff', [embedding], { limit: 9 })).toEqual([[]]);
        expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 1, referenceCount: 0 });
      });

      it('does not find one under another subject', async () => {
        await add('ann', 'r1');
        await store.putSubject('staff', 'bob', {});
        await refused(store.getReference('staff', 'bob', 'r1'), 'REFERENCE_NOT_FOUND');
        await refused(store.updateReference('staff', 'bob', 'r1', {}), 'REFERENCE_NOT_FOUND');
        await refused(store.deleteReference('staff', 'bob', 'r1'), 'REFERENCE_NOT_FOUND');
        await refused(store.getReference('staff', 'cleo', 'r1'), 'SUBJECT_NOT_FOUND');
        await refused(store.updateReference('staff', 'cleo', 'r1', {}), 'SUBJECT_NOT_FOUND');
        await refused(store.deleteReference('staff', 'cleo', 'r1'), 'SUBJECT_NOT_FOUND');
        expect(await referenceIds('ann')).toEqual(['r1']);
      });
    });

    describeCrops('crops', () => {
      const crop = Uint8Array.of(0xff, 0xd8, 1, 2, 3);
      const cropOf = (subjectId: string, id: string) => store.getCrop('staff', subjectId, id);

      beforeEach(() => store.updateGallery('staff', { keepCrops: true }));

      it('are kept as they were given, and reported', async () => {
        const given = crop.slice();
        const { reference } = await add('ann', 'r1', random(), { crop: given });
        given.fill(0);
        expect(reference).toMatchObject({ hasCrop: true });
        const read = await cropOf('ann', 'r1');
        expect(read && Uint8Array.from(read)).toEqual(crop);
        read?.fill(0);
        expect(await cropOf('ann', 'r1')).toHaveLength(crop.length);
        expect((await cropOf('ann', 'r1'))?.[0]).toBe(0xff);
        expect(await store.getReference('staff', 'ann', 'r1')).toMatchObject({ hasCrop: true });
        expect(await store.getReference('staff', 'ann', 'r1')).not.toHaveProperty('crop');
      });

      it('are null where there is none, and errors where there is no reference', async () => {
        await add('ann', 'r1');
        expect(await cropOf('ann', 'r1')).toBeNull();
        expect(await store.getReference('staff', 'ann', 'r1')).toMatchObject({ hasCrop: false });
        await refused(cropOf('ann', 'r2'), 'REFERENCE_NOT_FOUND');
        await refused(cropOf('bob', 'r1'), 'SUBJECT_NOT_FOUND');
        await refused(store.getCrop('nobody', 'ann', 'r1'), 'GALLERY_NOT_FOUND');
        await refused(store.deleteCrops('nobody', ['ann']), 'GALLERY_NOT_FOUND');
      });

      it('are not kept where the gallery keeps none', async () => {
        await store.updateGallery('staff', { keepCrops: false });
        await add('ann', 'r1', random(), { crop });
        expect(await cropOf('ann', 'r1')).toBeNull();
      });

      it('stay with their reference through changes, renames and merges', async () => {
        await add('ann', 'r1', random(), { crop });
        await add('bob', 'r2', random(), { crop: crop.map((byte) => byte ^ 1) });
        await store.updateReference('staff', 'ann', 'r1', { a: 1 });
        await store.renameSubject('staff', 'ann', 'cleo', { merge: false });
        await store.renameSubject('staff', 'bob', 'cleo', { merge: true });
        expect((await cropOf('cleo', 'r1'))?.[0]).toBe(0xff);
        expect((await cropOf('cleo', 'r2'))?.[0]).toBe(0xfe);
      });

      it('go without their references', async () => {
        await add('ann', 'r1', random(), { crop });
        await add('ann', 'r2', random(), { crop });
        await add('ann', 'r3');
        await add('bob', 'r4', random(), { crop });
        expect(await store.deleteCrops('staff', ['ann', 'ann', 'nobody'])).toBe(2);
        expect(await store.deleteCrops('staff', ['ann'])).toBe(0);
        expect(await cropOf('ann', 'r1')).toBeNull();
        expect(await cropOf('bob', 'r4')).not.toBeNull();
        expect(await referenceIds('ann')).toEqual(['r1', 'r2', 'r3']);
      });
    });

    describe('search', () => {
      it('finds nothing in an empty gallery, for every probe', async () => {
        expect(await store.search('staff', [random(), random()], { limit: 5 })).toEqual([[], []]);
        expect(await store.search('staff', [], { limit: 5 })).toEqual([]);
      });

      it('names each subject once, by its best reference, most similar first', async () => {
        const all = Array.from({ length: 60 }, (_, i) => ({
          subjectId: `subject-${i % 20}`,
          referenceId: `r${i}`,
          embedding: random(),
        }));
        await store.addReferences(
          'staff',
          all.map(({ subjectId, referenceId, embedding }) => newReference(subjectId, referenceId, embedding)),
        );
        const probes = [random(), random(), random()];
        const answers = await store.search('staff', probes, { limit: 7 });
        answers.forEach((hits, p) => {
          const best = new Map<string, { subjectId: string; referenceId: string; similarity: number }>();
          for (const { subjectId, referenceId, embedding } of all) {
            const similarity = cosine(probes[p], embedding);
            if (similarity > (best.get(subjectId)?.similarity ?? -2))
              best.set(subjectId, { subjectId, referenceId, similarity });
          }
          const expected = [...best.values()].sort((a, b) => b.similarity - a.similarity).slice(0, 7);
          expect(hits.map(({ subjectId, referenceId }) => ({ subjectId, referenceId }))).toEqual(
            expected.map(({ subjectId, referenceId }) => ({ subjectId, referenceId })),
          );
          hits.forEach((hit, i) =>
            expect(hit.similarity).toBeCloseTo(expected[i].similarity, SIMILARITY_DIGITS),
          );
        });
      });

      it('gives equally similar subjects in the order of their ids, up to the limit', async () => {
        const embedding = random();
        for (const id of ['mia', 'zoe', 'ann', 'bob', 'eve']) await add(id, `r-${id}`, embedding);
        const [hits] = await store.search('staff', [embedding], { limit: 3 });
        expect(hits.map((hit) => hit.subjectId)).toEqual(['ann', 'bob', 'eve']);
      });

      it('keeps similarities within [-1, 1], and to the bound inclusive', async () => {
        const embedding = random();
        await add('same', 'r1', embedding);
        await add('opposite', 'r2', unit(Array.from(embedding, (value) => -value)));
        const [hits] = await store.search('staff', [embedding], { limit: 5 });
        expect(hits.map((hit) => hit.subjectId)).toEqual(['same', 'opposite']);
        expect(hits[0].similarity).toBeCloseTo(1, SIMILARITY_DIGITS);
        expect(hits[0].similarity).toBeLessThanOrEqual(1);
        expect(hits[1].similarity).toBeCloseTo(-1, SIMILARITY_DIGITS);
        expect(hits[1].similarity).toBeGreaterThanOrEqual(-1);
        const bound = async (minSimilarity: number) =>
          (await store.search('staff', [embedding], { limit: 5, minSimilarity }))[0].map(
            (hit) => hit.subjectId,
          );
        expect(await bound(hits[0].similarity)).toEqual(['same']);
        expect(await bound(-0.9)).toEqual(['same']);
        expect(await bound(-1)).toEqual(['same', 'opposite']);
      });

      it('looks only among those whose metadata passes, as it is now', async () => {
        const embedding = random();
        for (const [id, team] of [
          ['ann', 'red'],
          ['bob', 'blue'],
          ['cleo', 'green'],
        ]) {
          await store.putSubject('staff', id, { team });
          await add(id, `r-${id}`, embedding);
        }
        await add('dan', 'r-dan', embedding);
        const found = async (team: string | string[]) =>
          (await store.search('staff', [embedding], { limit: 5, filter: { team } }))[0].map(
            (hit) => hit.subjectId,
          );
        expect(await found('blue')).toEqual(['bob']);
        expect(await found(['red', 'green'])).toEqual(['ann', 'cleo']);
        await store.putSubject('staff', 'bob', { team: 'red' });
        expect(await found('blue')).toEqual([]);
        expect(await found('red')).toEqual(['ann', 'bob']);
      });

      it('refuses a probe of another length', async () => {
        await add('ann', 'r1');
        await refused(
          store.search('staff', [random(), random().slice(1)], { limit: 1 }),
          'EMBEDDING_INVALID',
        );
      });

      it('never names what was gone before it began, nor misses what was there, beside other changes', async () => {
        const embedding = random();
        await add('stays', 'r-stays', embedding);
        const stop = Date.now() + 200;
        const churn = async (subjectId: string) => {
          while (Date.now() < stop) {
            await add(subjectId, `r-${subjectId}`, embedding);
            await store.deleteSubject('staff', subjectId);
            const [hits] = await store.search('staff', [embedding], { limit: 10 });
            const ids = hits.map((hit) => hit.subjectId);
            expect(ids).toContain('stays');
            expect(ids).not.toContain(subjectId);
          }
        };
        await Promise.all(['a', 'b', 'c'].map(churn));
      });

      it('never names what a deletion took while it ran', async () => {
        const embedding = random();
        await add('ann', 'r1', embedding);
        await add('bob', 'r2', random());
        let isGone = false;
        const searches = Array.from({ length: 8 }, () =>
          store.search('staff', [embedding], { limit: 5 }).then(([hits]) => ({ hits, isGone })),
        );
        const deletion = store.deleteSubject('staff', 'ann').then(() => (isGone = true));
        for (const { hits, isGone: wasGone } of await Promise.all(searches)) {
          if (wasGone) expect(hits.map((hit) => hit.subjectId)).toEqual(['bob']);
        }
        await deletion;
      });
    });

    describe('changes at the same time', () => {
      it('adds one id once', async () => {
        const outcomes = await Promise.all(
          Array.from({ length: 8 }, (_, i) =>
            store.addReferences('staff', [newReference(`subject-${i}`, 'r1', random())]),
          ),
        );
        const statuses = outcomes.flat().map((outcome) => (outcome as AddedReference).status);
        expect(statuses.filter((status) => status === 'added')).toHaveLength(1);
        expect(statuses.filter((status) => status === 'existing')).toHaveLength(7);
        expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 1, referenceCount: 1 });
      });

      it('holds the capacity and the limit of a subject', async () => {
        await store.updateGallery('staff', { capacity: 5, maxReferencesPerSubject: 3 });
        const outcomes = await Promise.all(
          Array.from({ length: 12 }, (_, i) =>
            store.addReferences('staff', [newReference(`subject-${i % 2}`, `r${i}`, random())]),
          ),
        );
        const added = outcomes.flat().filter((outcome) => 'reference' in outcome);
        expect(added).toHaveLength(5);
        expect(await store.getGallery('staff')).toMatchObject({ referenceCount: 5 });
      });

      it('holds the limit of subjects', async () => {
        await store.updateGallery('staff', { maxSubjects: 3 });
        const calls = Array.from({ length: 12 }, (_, i) =>
          i % 2 === 0
            ? store.putSubject('staff', `subject-${i}`, {})
            : store.addReferences('staff', [newReference(`subject-${i}`, `r${i}`, random())]),
        );
        await Promise.allSettled(calls);
        expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 3 });
      });

      it('keeps changes of one subject in their order', async () => {
        const puts = Array.from({ length: 10 }, (_, i) => store.putSubject('staff', 'ann', { i }));
        const isNew = (await Promise.all(puts)).map((answer) => answer.isNew);
        expect(isNew).toEqual([true, ...Array.from({ length: 9 }, () => false)]);
        expect((await store.getSubject('staff', 'ann')).metadata).toEqual({ i: 9 });
      });

      it('does what comes after a deletion without what was deleted', async () => {
        await add('ann', 'r1');
        const [, outcome] = await Promise.all([
          store.deleteSubject('staff', 'ann'),
          store.addReferences('staff', [newReference('ann', 'r1', random())]),
        ]);
        expect(outcome).toMatchObject([{ status: 'added' }]);
        expect(await referenceIds('ann')).toEqual(['r1']);
      });
    });

    describe('export', () => {
      it('gives all, each subject before its references', async () => {
        const embeddings = Array.from({ length: 6 }, random);
        await store.putSubject('staff', 'empty', { team: 'red' });
        for (const [i, embedding] of embeddings.entries()) await add(`subject-${i % 3}`, `r${i}`, embedding);
        const records = await exported(store, 'staff');
        const known = new Set<string>();
        for (const record of records) {
          if (record.kind === 'subject') known.add(record.subject.id);
          else expect(known).toContain(record.reference.subjectId);
        }
        expect(records).toHaveLength(10);
        const subject = records.find((record) => record.kind === 'subject' && record.subject.id === 'empty');
        expect(subject).toEqual({ kind: 'subject', subject: await store.getSubject('staff', 'empty') });
        for (const [i, embedding] of embeddings.entries()) {
          const record = records.find((one) => one.kind === 'reference' && one.reference.id === `r${i}`);
          if (record?.kind !== 'reference') throw new Error(`r${i} is missing`);
          expect(Array.from(record.reference.embedding)).toEqual(Array.from(embedding));
        }
      });

      it('gives what stays exactly once, while the gallery changes', async () => {
        for (let i = 0; i < 30; i++) await add(`subject-${i}`, `r${i}`);
        const records: GalleryRecord[] = [];
        let step = 0;
        for await (const record of store.exportRecords('staff')) {
          records.push(record);
          if (step < 8) {
            await store.deleteSubject('staff', `subject-${step}`);
            await add(`late-${step}`, `late-r${step}`);
            step++;
          }
        }
        const ids = records.flatMap((record) => (record.kind === 'reference' ? [record.reference.id] : []));
        expect(new Set(ids).size).toBe(ids.length);
        expect(ids).toEqual(expect.arrayContaining(Array.from({ length: 22 }, (_, i) => `r${i + 8}`)));
      });
    });
  });
}

/** sha256 of an image that does not exist. */
function hash(image: number): string {
  return image.toString(16).padStart(64, '0');
}

export async function allPages<T>(
  list: (page: PageRequest) => Promise<Page<T>>,
  limit: number,
): Promise<T[]> {
  const items: T[] = [];
  for (let after: string | undefined; ;) {
    const page = await list({ limit, after });
    items.push(...page.items);
    if (page.next == null) return items;
    after = page.next;
  }
}

export async function exported(store: GalleryStore, galleryId: string): Promise<GalleryRecord[]> {
  const records: GalleryRecord[] = [];
  for await (const record of store.exportRecords(galleryId)) records.push(record);
  return records;
}
