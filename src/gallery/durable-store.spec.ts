import { open as openDatabase } from 'lmdb';
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  allPages,
  exported,
  galleryStoreContract,
  newGallery,
  newReference,
} from '../../test/support/gallery-store-contract';
import { unitVectors } from '../../test/support/random-unit';
import { tempFolders } from '../../test/support/temp-folder';
import type { Notice } from '../face/face.options';
import { RecordFile } from './durable/record-file';
import { DurableStore, type DurableStoreOptions } from './durable-store';

const KEY = 'a key of an operator, long enough';
const tempFolder = tempFolders();
const random = unitVectors(5, 8);

const open = (dir: string, options: Partial<DurableStoreOptions> = {}) =>
  DurableStore.open({ dir, threadCount: 1, precision: 'float32', ...options });

galleryStoreContract('DurableStore', () => open(tempFolder()));
galleryStoreContract('DurableStore, int8, encrypted', () =>
  open(tempFolder(), { key: KEY, precision: 'int8' }),
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

  beforeEach(async () => {
    dir = join(tempFolder(), 'galleries');
    store = await open(dir);
    await store.createGallery(newGallery({ metadata: { site: 'north' } }));
  });
  afterEach(() => store.close());

  /** All that the store tells, to be compared. */
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
    await store.putSubject('staff', 'ann', { team: 'blue' });
    for (let i = 0; i < 12; i++)
      await store.addReferences('staff', [
        newReference(`subject-${i % 5}`, `r${i}`, random(), {
          quality,
          imageHash: String(i % 8).repeat(64),
          metadata: { i },
        }),
      ]);
    await store.updateReference('staff', 'subject-1', 'r1', { a: 1 });
    await store.renameSubject('staff', 'subject-2', 'two', { merge: false });
    await store.renameSubject('staff', 'subject-3', 'subject-4', { merge: true });
    await store.deleteReference('staff', 'subject-0', 'r0');
    await store.deleteSubject('staff', 'two');
    await addOne('subject-0', 'again');
    await store.createGallery(newGallery({ id: 'guests', dimensions: 4, threshold: 0.5 }));
    await store.updateGallery('guests', { enrolmentGate: 'off' });
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
    /** Flips a byte in the middle of the last record that was written: that of the reference. */
    function flipIn(sealedLength: number): void {
      const path = join(dir, 'records', 'data.mdb');
      const data = readFileSync(path);
      const at = data.lastIndexOf(lastSealed!) + sealedLength;
      expect(at).toBeGreaterThan(sealedLength);
      data[at] ^= 1;
      writeFileSync(path, data);
    }
    let lastSealed: Buffer | undefined;

    it('leaves out a record that is damaged, says so, and serves the rest', async () => {
      await addOne('ann', 'r1');
      await addOne('ann', 'r2');
      await addOne('bob', 'r3');
      await store.close();
      lastSealed = await sealedRecord(dir, 'reference', 1);
      flipIn(40);
      store = await open(dir, { onNotice: (notice) => notices.push(notice) });
      expect(notices).toMatchObject([
        { level: 'warn', message: expect.stringContaining('1 of 6 records could not be read') },
      ]);
      expect(await store.listReferences('staff', 'ann')).toMatchObject([{ id: 'r1' }]);
      expect(await store.listReferences('staff', 'bob')).toMatchObject([{ id: 'r3' }]);
      await reopen();
      expect(notices).toEqual([]);
    });

    it('leaves out the references of a subject that is damaged', async () => {
      await addOne('ann', 'r1');
      await addOne('bob', 'r2');
      await store.close();
      lastSealed = await sealedRecord(dir, 'subject', 0);
      flipIn(5);
      store = await open(dir, { onNotice: (notice) => notices.push(notice) });
      expect(notices).toMatchObject([{ message: expect.stringContaining('and 1 belonged to none') }]);
      expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 1, referenceCount: 1 });
      expect(await addOne('ann', 'r1')).toMatchObject([{ status: 'added' }]);
    });

    it('does not start where the record of a gallery is damaged, and changes nothing', async () => {
      await addOne('ann', 'r1');
      await store.close();
      lastSealed = await sealedRecord(dir, 'gallery', 0);
      const data = join(dir, 'records', 'data.mdb');
      const [keys, whole] = [readFileSync(join(dir, 'keys')), readFileSync(data)];
      flipIn(5);
      await expect(open(dir)).rejects.toMatchObject({ code: 'GALLERY_STORE_INVALID' });
      expect(readFileSync(join(dir, 'keys'))).toEqual(keys);
      writeFileSync(data, whole);
      store = await open(dir);
      expect(await store.getGallery('staff')).toMatchObject({ referenceCount: 1 });
    });

    it('leaves out records whose keys are cut off', async () => {
      for (let i = 0; i < 6; i++) await addOne('ann', `r${i}`);
      await store.close();
      truncateSync(join(dir, 'keys'), statSync(join(dir, 'keys')).size - 40);
      store = await open(dir, { onNotice: (notice) => notices.push(notice) });
      expect(notices).toMatchObject([{ message: expect.stringContaining('2 of 8 records') }]);
      expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 1, referenceCount: 4 });
      for (let i = 6; i < 12; i++) expect(await addOne('ann', `r${i}`)).toMatchObject([{ status: 'added' }]);
      await reopen();
      expect(await store.getGallery('staff')).toMatchObject({ referenceCount: 10 });
      expect(notices).toEqual([]);
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
      const sealed = [await whileClosed(() => sealedRecord(dir, 'reference', 0))];
      const before = slots();
      expect(before.filter(isZero)).toHaveLength(0);
      await store.deleteSubject('staff', 'subject-that-goes');
      // The bytes of the record may still lie in the database, but the only key to them is gone.
      expect(files().some((file) => file.includes(sealed[0]))).toBe(true);
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

    async function whileClosed<T>(work: () => Promise<T>): Promise<T> {
      await store.close();
      const result = await work();
      store = await open(dir);
      return result;
    }
  });

  describe('a medium that fails', () => {
    afterEach(() => jest.restoreAllMocks());

    it('changes nothing', async () => {
      await fill();
      const before = await everything();
      jest.spyOn(RecordFile.prototype, 'commit').mockRejectedValueOnce(new Error('disk full'));
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
      for (const answer of answers)
        expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'GALLERY_STORE_FAILED' } });
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
      await store.close(); // Lets what runs finish.
      expect(spy).toHaveBeenCalledTimes(2);
      const keys = readFileSync(join(dir, 'keys'));
      expect(keys.subarray(32, 96).every((byte) => byte === 0)).toBe(true);
      store = await open(dir);
    });
  });

  it('flushes many changes together', async () => {
    const commit = jest.spyOn(RecordFile.prototype, 'commit');
    await Promise.all(Array.from({ length: 100 }, (_, i) => addOne(`subject-${i % 10}`, `r${i}`)));
    expect(commit.mock.calls.length).toBeLessThanOrEqual(2);
    commit.mockRestore();
  });
});

/** The bytes of a record as they lie in the database, without its key. */
async function sealedRecord(
  dir: string,
  kind: 'gallery' | 'subject' | 'reference',
  index: number,
): Promise<Buffer> {
  const database = openDatabase<Buffer, number>({ path: join(dir, 'records'), noSubdir: false });
  const table = database.openDB<Buffer, number>({ name: kind, encoding: 'binary', keyEncoding: 'uint32' });
  const sealed = [...table.getRange()][index].value;
  await database.close();
  return sealed;
}
