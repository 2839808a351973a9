import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type SealedBundle, sealedBundles } from '../../../test/support/durable-folder';
import {
  allPages,
  exported,
  galleryStoreContract,
  newGallery,
  newReference,
} from '../../../test/support/gallery-store-contract';
import { unitVectors } from '../../../test/support/random-unit';
import { seededBytes } from '../../../test/support/seeded-random';
import { tempFolders } from '../../../test/support/temp-folder';
import type { Notice } from '../../face/face.options';
import { bindingOf, type RecordKind } from './durable/bundle-database';
import { RecordFile } from './durable/record-file';
import { unseal } from './durable/seal';
import type { NewGallery } from '../gallery.types';
import { DurableStore, type DurableStoreOptions } from './durable-store';

const KEY = 'a key of an operator, long enough';
const tempFolder = tempFolders();
const random = unitVectors(5, 8);

const open = (dir: string, options: Partial<DurableStoreOptions> = {}) =>
  DurableStore.open({ dir, threadCount: 1, precision: 'float32', ...options });

galleryStoreContract('DurableStore', (options) => open(tempFolder(), options));
galleryStoreContract('DurableStore, int8, encrypted', (options) =>
  open(tempFolder(), { key: KEY, precision: 'int8', ...options }),
);

describe(DurableStore.name, () => {
  let dir: string;
  let store: DurableStore;
  let notices: Notice[];

  const reopen = async (options: Partial<DurableStoreOptions> = {}) => {
    await store.close();
    notices = [];
    store = await open(dir, { onNotice: (notice) => notices.push(notice), ...options });
  };
  const addOne = (subjectId: string, id: string, embedding = random()) =>
    store.addReferences('staff', [newReference(subjectId, id, embedding)]);

  /** References in one bundle, or a few: two for each subject. */
  const addTogether = (count: number, prefix = 'r') =>
    store.addReferences(
      'staff',
      Array.from({ length: count }, (_, i) =>
        newReference(`${prefix}-subject-${i >> 1}`, `${prefix}${i}`, random()),
      ),
    );
  const addOneByOne = async (count: number, prefix = 'r') => {
    for (let i = 0; i < count; i++) await addOne(`${prefix}-subject-${i >> 1}`, `${prefix}${i}`);
  };
  async function whileClosed<T>(work: () => Promise<T>): Promise<T> {
    await store.close();
    const result = await work();
    store = await open(dir);
    return result;
  }

  beforeEach(async () => {
    dir = join(tempFolder(), 'galleries');
    store = await open(dir);
    await store.createGallery(newGallery({ metadata: { site: 'north' } }));
  });
  afterEach(() => store.close());

  /** Everything that the store returns, for comparison. */
  async function everything(): Promise<unknown> {
    const galleries = await allPages((page) => store.listGalleries(page), 10);
    return Promise.all(
      galleries.map(async (gallery) => ({
        gallery,
        records: JSON.parse(JSON.stringify(await exported(store, gallery.id))) as unknown,
        found: await store.search(gallery.id, [unitVectors(9, gallery.dimensions)()], { limit: 100 }),
      })),
    );
  }

  /** Changes of every kind. */
  async function fill(): Promise<void> {
    const quality = { detectionScore: 0.9, faceSizePx: 80, sharpness: null, brightness: 0.4, pose: null };
    await store.putSubject('staff', 'ann', { team: 'red', ['__proto__']: 'x' });
    await store.putSubject('staff', 'ann', { team: 'blue' }, { consentRef: 'c-1', purpose: 'entry' });
    await store.putSubject('staff', 'bob', {}, { expiresAt: 2e12 });
    for (let i = 0; i < 12; i++)
      await store.addReferences('staff', [
        newReference(`subject-${i % 5}`, `r${i}`, random(), {
          quality,
          imageHash: String(i % 8).repeat(64),
          metadata: { i },
          expiresAt: i % 3 ? null : 2e12,
        }),
      ]);
    await store.updateReference('staff', 'subject-1', 'r1', { a: 1 });
    await store.renameSubject('staff', 'subject-2', 'two', { merge: false });
    await store.renameSubject('staff', 'subject-3', 'subject-4', { merge: true });
    await store.deleteReference('staff', 'subject-0', 'r0');
    await store.deleteSubject('staff', 'two');
    await addOne('subject-0', 'again');
    await store.createGallery(newGallery({ id: 'guests', dimensions: 4, threshold: 0.5, targetFmr: 1e-4 }));
    await store.updateGallery('guests', { enrollmentGate: 'off' });
    await store.addReferences('guests', [newReference('ann', 'r1', unitVectors(3, 4)())]);
    await store.createGallery(newGallery({ id: 'gone' }));
    await store.deleteGallery('gone');
  }

  it.each([undefined, KEY])('is the same after it was opened again, with key %s', async (key) => {
    if (key) {
      dir = tempFolder();
      await reopen({ key });
      await store.createGallery(newGallery());
    }
    await fill();
    const before = await everything();
    for (let round = 0; round < 2; round++) {
      await reopen({ key });
      expect(await everything()).toEqual(before);
      expect(notices).toEqual([]);
    }
    const added = await addOne('late', 'late');
    expect(added).toMatchObject([{ status: 'added' }]);
    await reopen({ key });
    expect(await store.getReference('staff', 'late', 'late')).toMatchObject({ id: 'late' });
  });

  describe('crops', () => {
    const crops = Array.from({ length: 6 }, (_, i) => Uint8Array.from(seededBytes(i, 20_000 + i)));
    const addWithCrop = (subjectId: string, i: number) =>
      store.addReferences('staff', [newReference(subjectId, `r${i}`, random(), { crop: crops[i] })]);
    const read = (subjectId: string, i: number) => store.getCrop('staff', subjectId, `r${i}`);

    beforeEach(() => store.updateGallery('staff', { keepCrops: true }));

    it('are there when it is opened again, sealed, each with its own reference', async () => {
      for (let i = 0; i < 6; i++) await addWithCrop(`subject-${i % 2}`, i);
      await store.renameSubject('staff', 'subject-0', 'subject-1', { merge: true });
      await store.updateReference('staff', 'subject-1', 'r3', { a: 1 });
      for (let round = 0; round < 2; round++) {
        for (let i = 0; i < 6; i++) expect(await read('subject-1', i)).toEqual(Buffer.from(crops[i]));
        await reopen();
        expect(notices).toEqual([]);
      }
      const data = readFileSync(join(dir, 'records', 'data.mdb'));
      for (const crop of crops) expect(data.includes(Buffer.from(crop.subarray(0, 64)))).toBe(false);
    });

    it.each<[string, () => Promise<unknown>]>([
      ['reference', () => store.deleteReference('staff', 'ann', 'r0')],
      ['subject', () => store.deleteSubject('staff', 'ann')],
      ['gallery', () => store.deleteGallery('staff')],
      ['setting', () => store.deleteCrops('staff', ['ann'])],
    ])('cannot be opened any more when their %s is gone', async (_what, remove) => {
      await addWithCrop('ann', 0);
      await addOne('bob', 'b');
      const [{ place, sealed }] = await whileClosed(() => sealedBundles(dir, 'crop'));
      const keysBefore = await whileClosed(async () => readFileSync(join(dir, 'keys')));
      const opens = (keys: Buffer) =>
        Array.from({ length: keys.length / 32 }, (_, i) => keys.subarray(i * 32, (i + 1) * 32)).some(
          (key) => unseal(key, sealed, bindingOf(place)) !== undefined,
        );
      expect(opens(keysBefore)).toBe(true);
      await remove();
      // Its remains on the disk are noise.
      expect(opens(readFileSync(join(dir, 'keys')))).toBe(false);
      await reopen();
      expect(notices).toEqual([]);
      expect(await whileClosed(() => sealedBundles(dir, 'crop'))).toEqual([]);
    });

    it('are null where one is damaged, and all else is served', async () => {
      for (let i = 0; i < 2; i++) await addWithCrop('ann', i);
      const [{ sealed }] = await whileClosed(() => sealedBundles(dir, 'crop'));
      await store.close();
      const path = join(dir, 'records', 'data.mdb');
      const data = readFileSync(path);
      data[data.indexOf(sealed.subarray(0, 256)) + 100] ^= 1;
      writeFileSync(path, data);
      await reopen();
      expect(await read('ann', 0)).toBeNull();
      expect(await read('ann', 1)).toEqual(Buffer.from(crops[1]));
      await store.deleteSubject('staff', 'ann');
      expect(await store.getGallery('staff')).toMatchObject({ referenceCount: 0 });
    });

    it('count no bytes of memory', async () => {
      const bounded = await open(tempFolder(), { maxBytes: 20_000 });
      await bounded.createGallery(newGallery({ keepCrops: true }));
      const [outcome] = await bounded.addReferences('staff', [
        newReference('ann', 'r0', random(), { crop: crops[0] }),
      ]);
      expect(outcome).toMatchObject({ status: 'added' });
      await bounded.close();
    });
  });

  it('has a gallery in the place of another when it is opened again, and nothing of the other', async () => {
    await addTogether(10);
    await store.createGallery(newGallery({ id: 'copy', copyOf: 'staff' }));
    await store.addReferences('copy', [newReference('ann', 'r1', random())]);
    const before = await whileClosed(() => sealedBundles(dir));
    const gallery = await store.replaceGallery('staff', 'copy');
    await reopen();
    expect(notices).toEqual([]);
    expect(await store.getGallery('staff')).toEqual(gallery);
    expect((await store.listGalleries({ limit: 9 })).items).toHaveLength(1);
    const after = await whileClosed(() => sealedBundles(dir));
    expect(after).toHaveLength(3);
    expect(before.length).toBeGreaterThan(3);
  });

  it('reads galleries of a version without later settings, which have none then', async () => {
    const later = {
      targetFmr: null,
      targetFpir: null,
      maxSubjects: null,
      maxAgeSeconds: null,
      sinceLastMatchSeconds: null,
      matchesSince: null,
      keepCrops: false,
    };
    const old = Object.fromEntries(
      Object.entries(newGallery({ id: 'old', capacity: 7 })).filter(([name]) => !(name in later)),
    ) as unknown;
    await store.createGallery(old as NewGallery);
    await reopen();
    const gallery = await store.getGallery('old');
    expect(gallery).toMatchObject({ capacity: 7, ...later });
  });

  it('goes on with a listing where it was before it was opened again', async () => {
    for (const id of ['c', 'a', 'd', 'b', 'e']) await store.putSubject('staff', id, {});
    await store.deleteSubject('staff', 'a');
    const first = await store.listSubjects('staff', { limit: 2 });
    await reopen();
    const second = await store.listSubjects('staff', { limit: 2, after: first.next! });
    expect([...first.items, ...second.items].map((subject) => subject.id)).toEqual(['c', 'd', 'b', 'e']);
  });

  it('tells how far a restore is', async () => {
    await fill();
    const seen: { done: number; total: number }[] = [];
    await reopen({ onProgress: (progress) => seen.push(progress) });
    const last = seen.at(-1)!;
    expect(last.done).toBe(last.total);
    expect(last.total).toBeGreaterThan(12);
  });

  it('has one process at a time', async () => {
    await expect(open(dir)).rejects.toMatchObject({ code: 'GALLERY_STORE_INVALID' });
    await reopen();
  });

  describe('what cannot be opened, and stays as it is', () => {
    const snapshot = (folder: string) =>
      ['header.json', 'keys', 'records/data.mdb']
        .filter((name) => existsSync(join(folder, name)))
        .map((name) => readFileSync(join(folder, name)).toString('base64'));

    async function isRefused(change: () => void, options: Partial<DurableStoreOptions> = {}): Promise<void> {
      await store.close();
      change();
      const before = snapshot(dir);
      await expect(open(dir, options)).rejects.toMatchObject({ code: 'GALLERY_STORE_INVALID' });
      expect(snapshot(dir)).toEqual(before);
    }
    const header = () => join(dir, 'header.json');
    const noChange = () => undefined;

    it('a folder that is not encrypted, with a key', () => isRefused(noChange, { key: KEY }));

    it('a folder of another version', () =>
      isRefused(() => writeFileSync(header(), '{"format":"likeness-galleries","version":1}')));

    it('a folder of something else', () => isRefused(() => writeFileSync(header(), '{"name":"other"}')));

    it('a header that is cut off', () => isRefused(() => truncateSync(header(), 20)));

    it('a folder whose keys are gone', () => isRefused(() => truncateSync(join(dir, 'keys'), 0)));

    it.each([undefined, `${KEY}!`, 'short'])('an encrypted folder, with key %s', async (key) => {
      dir = tempFolder();
      await reopen({ key: KEY });
      await store.createGallery(newGallery());
      await isRefused(noChange, { key });
      store = await open(dir, { key: KEY });
      expect(await store.getGallery('staff')).toMatchObject({ id: 'staff' });
    });

    it('a folder with other files', async () => {
      const other = tempFolder();
      writeFileSync(join(other, 'notes.txt'), 'mine');
      await expect(open(other)).rejects.toMatchObject({ code: 'GALLERY_STORE_INVALID' });
      expect(readFileSync(join(other, 'notes.txt'), 'utf8')).toBe('mine');
    });
  });

  describe('damage', () => {
    /** Flips a byte of the sealed record in every copy in the database; a second call restores it. */
    function flipIn(offset: number): void {
      const path = join(dir, 'records', 'data.mdb');
      const data = readFileSync(path);
      const copies: number[] = [];
      for (let at = data.indexOf(lastSealed!); at >= 0; at = data.indexOf(lastSealed!, at + 1))
        copies.push(at);
      expect(copies.length).toBeGreaterThan(0);
      for (const at of copies) data[at + offset] ^= 1;
      lastSealed = Buffer.from(lastSealed!);
      lastSealed[offset] ^= 1;
      writeFileSync(path, data);
    }
    let lastSealed: Buffer | undefined;

    it('sets a record aside that is damaged, says so at each start, and serves the rest', async () => {
      await addOne('ann', 'r1');
      await addOne('ann', 'r2');
      await addOne('bob', 'r3');
      await store.close();
      lastSealed = (await sealedBundles(dir, 'reference'))[1].sealed;
      flipIn(40);
      store = await open(dir, { acceptDamage: true, onNotice: (notice) => notices.push(notice) });
      expect(notices).toMatchObject([
        { level: 'warn', message: expect.stringContaining('1 of 6 records cannot be read') },
      ]);
      expect(await store.listReferences('staff', 'ann')).toMatchObject([{ id: 'r1' }]);
      expect(await store.listReferences('staff', 'bob')).toMatchObject([{ id: 'r3' }]);
      await reopen({ acceptDamage: true });
      expect(notices).toHaveLength(1);
      // The byte is restored: nothing was lost.
      await store.close();
      flipIn(40);
      await reopen();
      expect(notices).toEqual([]);
      expect(await store.listReferences('staff', 'ann')).toMatchObject([{ id: 'r1' }, { id: 'r2' }]);
    });

    it('does not start where more than one record in a hundred is damaged, and changes nothing', async () => {
      await addOne('ann', 'r1');
      await addOne('bob', 'r2');
      await store.close();
      lastSealed = (await sealedBundles(dir, 'subject'))[0].sealed;
      flipIn(5);
      const files = ['keys', join('records', 'data.mdb')].map((name) => join(dir, name));
      const before = files.map((path) => readFileSync(path));
      await expect(open(dir)).rejects.toMatchObject({
        code: 'GALLERY_STORE_INVALID',
        message: expect.stringMatching(/1 of 5 records .* 1 whose gallery .*FACE_GALLERY_ACCEPT_DAMAGE=on/),
      });
      expect(files.map((path) => readFileSync(path))).toEqual(before);
      flipIn(5);
      store = await open(dir);
      expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 2, referenceCount: 2 });
    });

    it('sets aside the references of a subject that is damaged, which give way to newer ones', async () => {
      await addOne('ann', 'r1');
      await addOne('bob', 'r2');
      await store.close();
      lastSealed = (await sealedBundles(dir, 'subject'))[0].sealed;
      flipIn(5);
      store = await open(dir, { acceptDamage: true, onNotice: (notice) => notices.push(notice) });
      expect(notices).toMatchObject([{ message: expect.stringContaining('1 have no gallery') }]);
      expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 1, referenceCount: 1 });
      expect(await addOne('ann', 'r1')).toMatchObject([{ status: 'added' }]);
      // The reference enrolled again is newer than the one that comes back.
      const [again] = await store.listReferences('staff', 'ann');
      await store.close();
      flipIn(5);
      await reopen();
      expect(notices).toMatchObject([{ message: expect.stringContaining('and 2 were enrolled again') }]);
      expect(await store.listReferences('staff', 'ann')).toEqual([again]);
      expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 2, referenceCount: 2 });
      expect(await store.search('staff', [again.embedding], { limit: 5 })).toMatchObject([
        [{ subjectId: 'ann' }, { subjectId: 'bob' }],
      ]);
    });

    it('does not start where the record of a gallery is damaged, and changes nothing', async () => {
      await addOne('ann', 'r1');
      await store.close();
      lastSealed = (await sealedBundles(dir, 'gallery'))[0].sealed;
      const data = join(dir, 'records', 'data.mdb');
      const [keys, whole] = [readFileSync(join(dir, 'keys')), readFileSync(data)];
      flipIn(5);
      await expect(open(dir)).rejects.toMatchObject({ code: 'GALLERY_STORE_INVALID' });
      expect(readFileSync(join(dir, 'keys'))).toEqual(keys);
      writeFileSync(data, whole);
      store = await open(dir);
      expect(await store.getGallery('staff')).toMatchObject({ referenceCount: 1 });
    });

    it('sets aside records whose keys are cut off, until they are back', async () => {
      for (let i = 0; i < 6; i++) await addOne('ann', `r${i}`);
      await store.close();
      const keys = readFileSync(join(dir, 'keys'));
      truncateSync(join(dir, 'keys'), keys.length - 40);
      store = await open(dir, { acceptDamage: true, onNotice: (notice) => notices.push(notice) });
      expect(notices).toMatchObject([{ message: expect.stringContaining('2 of 8 records') }]);
      expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 1, referenceCount: 4 });
      await store.close();
      writeFileSync(join(dir, 'keys'), keys);
      await reopen();
      expect(await store.getGallery('staff')).toMatchObject({ referenceCount: 6 });
      expect(notices).toEqual([]);
    });

    it('gives the places of records that are set aside to no others', async () => {
      for (let i = 0; i < 6; i++) await addOne('ann', `r${i}`);
      await store.close();
      truncateSync(join(dir, 'keys'), statSync(join(dir, 'keys')).size - 40);
      store = await open(dir, { acceptDamage: true });
      for (let i = 6; i < 12; i++) expect(await addOne('ann', `r${i}`)).toMatchObject([{ status: 'added' }]);
      await reopen({ acceptDamage: true });
      expect(await store.getGallery('staff')).toMatchObject({ referenceCount: 10 });
      expect(notices).toMatchObject([{ message: expect.stringContaining('2 of 14 records') }]);
    });

    it('sets a bundle aside that is damaged, and counts its records', async () => {
      await addTogether(10);
      await addOne('bob', 'b');
      await store.close();
      lastSealed = (await sealedBundles(dir, 'reference'))[0].sealed;
      flipIn(300);
      store = await open(dir, { acceptDamage: true, onNotice: (notice) => notices.push(notice) });
      expect(notices).toMatchObject([
        { message: expect.stringContaining('10 of 18 records cannot be read') },
      ]);
      expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 6, referenceCount: 1 });
      expect(await addTogether(10)).toHaveLength(10);
      await reopen({ acceptDamage: true });
      expect(notices).toMatchObject([{ message: expect.stringContaining('10 of 28 records') }]);
      expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 6, referenceCount: 11 });
    });

    it('sets only the orphans of a bundle aside', async () => {
      await addOne('ann', 'a');
      await addOne('bob', 'b');
      await store.addReferences('staff', [
        newReference('ann', 'a2', random()),
        newReference('bob', 'b2', random()),
      ]);
      await store.close();
      lastSealed = (await sealedBundles(dir, 'subject'))[0].sealed;
      flipIn(5);
      store = await open(dir, { acceptDamage: true, onNotice: (notice) => notices.push(notice) });
      expect(notices).toMatchObject([{ message: expect.stringContaining('2 have no gallery') }]);
      expect(await store.listReferences('staff', 'bob')).toMatchObject([{ id: 'b' }, { id: 'b2' }]);
      await reopen({ acceptDamage: true });
      expect(notices).toMatchObject([{ message: expect.stringContaining('2 have no gallery') }]);
      expect(await store.listReferences('staff', 'bob')).toMatchObject([{ id: 'b' }, { id: 'b2' }]);
    });

    it('is removed on demand: what is set aside, and nothing else', async () => {
      await addOne('ann', 'a');
      await addOne('bob', 'b');
      await store.addReferences('staff', [
        newReference('ann', 'a2', random()),
        newReference('bob', 'b2', random()),
      ]);
      await store.close();
      lastSealed = (await sealedBundles(dir, 'subject'))[0].sealed;
      flipIn(5);
      store = await open(dir, { acceptDamage: true });
      expect(store).toMatchObject({ asideCount: 3 });
      await (store as DurableStore).removeAside();
      expect(store).toMatchObject({ asideCount: 0 });
      await addOne('ann', 'a');
      await reopen();
      expect(notices).toEqual([]);
      expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 2, referenceCount: 3 });
      expect(await store.listReferences('staff', 'bob')).toMatchObject([{ id: 'b' }, { id: 'b2' }]);
    });

    it('of a bundle while it is open takes nothing else along', async () => {
      await addTogether(10);
      const [{ sealed }] = await whileClosed(() => sealedBundles(dir, 'reference'));
      const path = join(dir, 'records', 'data.mdb');
      const at = readFileSync(path).lastIndexOf(sealed);
      const file = openSync(path, 'r+');
      writeSync(file, Buffer.alloc(8), 0, 8, at + 400);
      closeSync(file);
      // Erasing one of them would lose the others, which are served from memory and can still be exported.
      await expect(store.deleteReference('staff', 'r-subject-0', 'r0')).rejects.toMatchObject({
        code: 'GALLERY_STORE_FAILED',
      });
      expect(await store.getGallery('staff')).toMatchObject({ referenceCount: 10 });
      await addOneByOne(70, 's');
      await reopen({ acceptDamage: true });
      expect(notices).toMatchObject([{ message: expect.stringContaining('10 of 121 records') }]);
      expect(await store.getGallery('staff')).toMatchObject({ referenceCount: 70 });
    });

    beforeEach(() => (notices = []));
  });

  describe('deletion', () => {
    const files = () =>
      readdirSync(dir, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => readFileSync(join(entry.parentPath, entry.name)));
    const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) =>
      Buffer.from(buffer, byteOffset, byteLength);
    const slots = () => {
      const keys = readFileSync(join(dir, 'keys'));
      return Array.from({ length: keys.length / 32 }, (_, i) => keys.subarray(i * 32, (i + 1) * 32));
    };
    const isZero = (slot: Buffer) => slot.every((byte) => byte === 0);

    it('leaves nothing that can be read, and no key', async () => {
      const embedding = random();
      await addOne('subject-that-goes', 'r1', embedding);
      await addOne('subject-that-stays', 'r2');
      const sealed = await whileClosed(() => sealedBundles(dir, 'reference'));
      const before = slots();
      expect(before.filter(isZero)).toHaveLength(0);
      await store.deleteSubject('staff', 'subject-that-goes');
      // The bytes of the record may still lie in the database, but their only key is wiped.
      expect(files().some((file) => file.includes(sealed[0].sealed))).toBe(true);
      expect(slots().filter(isZero)).toHaveLength(2);
      const wiped = before.filter((_, i) => isZero(slots()[i]));
      for (const file of files())
        for (const trace of [...wiped, bytesOf(embedding), Buffer.from('subject-that-goes')])
          expect(file.includes(trace)).toBe(false);
    });

    it('wipes what a change replaced', async () => {
      await store.putSubject('staff', 'ann', { team: 'red' });
      await addOne('ann', 'r1');
      const before = slots();
      await store.putSubject('staff', 'ann', { team: 'blue' });
      await store.updateReference('staff', 'ann', 'r1', { a: 1 });
      await store.updateGallery('staff', { capacity: 5 });
      for (const old of before) for (const file of files()) expect(file.includes(old)).toBe(false);
    });

    it('takes the numbers again', async () => {
      for (let i = 0; i < 20; i++) {
        await addOne('ann', 'r1');
        await store.deleteSubject('staff', 'ann');
      }
      expect(slots().length).toBeLessThan(6);
    });

    it('wipes keys without a record when it is opened', async () => {
      await store.close();
      const path = join(dir, 'keys');
      writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(96, 7)]));
      store = await open(dir);
      expect(slots().filter(isZero)).toHaveLength(3);
      expect(await store.getGallery('staff')).toMatchObject({ id: 'staff' });
    });

    it('of some records of a bundle writes the others again, and leaves no key to the old one', async () => {
      await addTogether(20);
      await addOneByOne(20, 's');
      const old = await whileClosed(() => sealedBundles(dir));
      const gone = (await store.getReference('staff', 'r-subject-3', 'r6')).embedding;
      await store.deleteReference('staff', 'r-subject-3', 'r6');
      await store.deleteSubject('staff', 's-subject-0');
      const before = await everything();
      expectWiped(old, await whileClosed(() => sealedBundles(dir)));
      for (const file of files()) expect(file.includes(bytesOf(gone))).toBe(false);
      await reopen();
      expect(await everything()).toEqual(before);
      expect(notices).toEqual([]);
    });

    it('leaves no key to the copies that a merge has left', async () => {
      const old: SealedBundle[] = [];
      for (let i = 0; i < 3; i++) {
        await addOneByOne(20, `s${i}-`);
        old.push(...(await whileClosed(() => sealedBundles(dir))));
      }
      await addOneByOne(20, 't');
      await store.deleteSubject('staff', 't-subject-0');
      const rows = await sealedOf('reference');
      expect(rows.length).toBeLessThan(20);
      expectWiped(old, await whileClosed(() => sealedBundles(dir)));
    });

    it('of a gallery reads and writes none of its bundles', async () => {
      await addTogether(200);
      const decode = jest.spyOn(JSON, 'parse');
      await store.deleteGallery('staff');
      expect(decode).not.toHaveBeenCalled();
      decode.mockRestore();
      expect(slots().every(isZero)).toBe(true);
      expect(await sealedOf('reference')).toEqual([]);
    });

    /** Removed records open with no remaining key, and every remaining key belongs to a bundle. */
    function expectWiped(old: readonly SealedBundle[], now: readonly SealedBundle[]): void {
      const keys = slots().filter((slot) => !isZero(slot));
      const opens = ({ place, sealed }: SealedBundle) =>
        keys.some((key) => unseal(key, sealed, bindingOf(place)));
      expect(keys).toHaveLength(now.length);
      expect(now.every(opens)).toBe(true);
      const gone = old.filter(({ sealed }) => !now.some((other) => other.sealed.equals(sealed)));
      expect(gone.length).toBeGreaterThan(1);
      expect(gone.some(opens)).toBe(false);
    }
    const sealedOf = (kind: RecordKind) => whileClosed(() => sealedBundles(dir, kind));
  });

  describe('bundles', () => {
    const count = async (kind: RecordKind) =>
      whileClosed(async () => (await sealedBundles(dir, kind)).length);

    it('hold what was written together', async () => {
      await addTogether(200);
      expect(await count('reference')).toBe(4);
      expect(await count('subject')).toBe(2);
    });

    it('are merged where many are small, and hold the same', async () => {
      await addOneByOne(63);
      expect(await count('reference')).toBe(63);
      const before = await exported(store, 'staff');
      await addOneByOne(200, 's');
      // Four full bundles, and one that is not full yet.
      expect(await count('reference')).toBe(4 + 7);
      await reopen();
      expect((await exported(store, 'staff')).slice(0, before.length)).toEqual(before);
      expect(await store.getGallery('staff')).toMatchObject({ referenceCount: 263 });
    });

    it('are the same again after some of their records went, and others came', async () => {
      await addTogether(150);
      await addOneByOne(70, 's');
      for (let i = 0; i < 150; i += 7) await store.deleteReference('staff', `r-subject-${i >> 1}`, `r${i}`);
      for (let i = 1; i < 30; i += 3) await store.deleteSubject('staff', `s-subject-${i}`);
      await addOneByOne(30, 'u');
      const before = await everything();
      for (let round = 0; round < 2; round++) {
        await reopen();
        expect(await everything()).toEqual(before);
        expect(notices).toEqual([]);
      }
    });

    it('hold fewer records where those are large', async () => {
      const metadata = Object.fromEntries(
        Array.from({ length: 32 }, (_, i) => [`key${i}`, 'ü'.repeat(1024)]),
      );
      const large = Array.from({ length: 40 }, (_, i) =>
        newReference('ann', `r${i}`, random(), { metadata }),
      );
      await store.updateGallery('staff', { maxReferencesPerSubject: 100 });
      await store.addReferences('staff', large);
      expect(await count('reference')).toBeGreaterThan(4);
      const before = await everything();
      await reopen();
      expect(await everything()).toEqual(before);
    });
  });

  describe('a medium that fails', () => {
    afterEach(() => jest.restoreAllMocks());

    it('changes nothing', async () => {
      await fill();
      const before = await everything();
      jest.spyOn(RecordFile.prototype, 'commit').mockRejectedValue(new Error('disk full'));
      const answers = await Promise.allSettled([
        addOne('new', 'n1'),
        store.putSubject('staff', 'new', {}),
        store.deleteSubject('staff', 'subject-0'),
        store.renameSubject('staff', 'subject-1', 'subject-4', { merge: true }),
        store.deleteGallery('guests'),
        store.createGallery(newGallery({ id: 'late' })),
      ]);
      for (const answer of answers)
        expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'GALLERY_STORE_FAILED' } });
      expect(await everything()).toEqual(before);
      jest.restoreAllMocks();
      await reopen();
      expect(await everything()).toEqual(before);
      expect(await addOne('new', 'n1')).toMatchObject([{ status: 'added' }]);
      await reopen();
      expect(await store.getReference('staff', 'new', 'n1')).toMatchObject({ id: 'n1' });
    });

    it('does not answer from what was never written', async () => {
      jest.spyOn(RecordFile.prototype, 'commit').mockRejectedValueOnce(new Error('disk full'));
      const answers = await Promise.allSettled([
        addOne('ann', 'r1'),
        addOne('ann', 'r1'),
        store.renameSubject('staff', 'no', 'ann', { merge: false }),
      ]);
      // The second change depends on the first, so it is made on its own.
      expect(answers).toMatchObject([
        { status: 'rejected', reason: { code: 'GALLERY_STORE_FAILED' } },
        { status: 'fulfilled', value: [{ status: 'added' }] },
        { status: 'rejected', reason: { code: 'SUBJECT_NOT_FOUND' } },
      ]);
    });

    it('says so when a key cannot be wiped, and wipes it with the next change', async () => {
      await addOne('ann', 'r1');
      const spy = jest.spyOn(RecordFile.prototype, 'wipe').mockRejectedValueOnce(new Error('input/output'));
      await expect(store.deleteSubject('staff', 'ann')).rejects.toMatchObject({
        code: 'GALLERY_STORE_FAILED',
        message: expect.stringContaining('could not be wiped'),
      });
      await expect(store.getSubject('staff', 'ann')).rejects.toMatchObject({ code: 'SUBJECT_NOT_FOUND' });
      await addOne('bob', 'r2');
      await store.close(); // Waits for running calls.
      expect(spy).toHaveBeenCalledTimes(2);
      const keys = readFileSync(join(dir, 'keys'));
      expect(keys.subarray(32, 96).every((byte) => byte === 0)).toBe(true);
      store = await open(dir);
    });
  });

  it('flushes many changes of different subjects together', async () => {
    const commit = jest.spyOn(RecordFile.prototype, 'commit');
    await Promise.all(Array.from({ length: 100 }, (_, i) => addOne(`subject-${i}`, `r${i}`)));
    expect(commit.mock.calls.length).toBeLessThanOrEqual(2);
    commit.mockRestore();
  });
});
