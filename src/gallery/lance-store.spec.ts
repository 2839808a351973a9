import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '@lancedb/lancedb';
import { galleryStoreContract, newGallery, newReference } from '../../test/support/gallery-store-contract';
import { unitVectors } from '../../test/support/random-unit';
import { LanceStore } from './lance-store';

/** Settings that came after the first version, as a gallery of that version has them. */
const LATER_SETTINGS = {
  targetFmr: null,
  targetFpir: null,
  maxAgeSeconds: null,
  sinceLastMatchSeconds: null,
  matchesSince: null,
};

describe('LanceStore', () => {
  let root: string;
  let folders = 0;
  const stores: LanceStore[] = [];
  const random = unitVectors(7, 8);

  const newFolder = () => join(root, `${folders++}`);
  const open = (uri = newFolder()) => LanceStore.open({ uri });
  /** A store that the suite closes. */
  async function openHere(uri?: string): Promise<LanceStore> {
    const store = await open(uri);
    stores.push(store);
    return store;
  }

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'lance-store-'));
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  galleryStoreContract('LanceStore', open);

  /** Files below a folder that hold any of the byte strings, or have one in their names. */
  async function filesWith(folder: string, ...needles: (string | Float32Array)[]): Promise<string[]> {
    const bytes = needles.map((needle) =>
      typeof needle === 'string'
        ? Buffer.from(needle)
        : Buffer.from(needle.buffer, needle.byteOffset, needle.byteLength),
    );
    const found: string[] = [];
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const content = await readFile(join(entry.parentPath, entry.name)).catch(whereItIsThere);
      // The lock is given back after the change: its file has got another name since the folder was read.
      if (content == null) return filesWith(folder, ...needles);
      if (
        bytes.some((needle) => content.includes(needle) || entry.name.includes(needle.toString('latin1')))
      ) {
        found.push(entry.name);
      }
    }
    return found;
  }

  it('gives a database of a version without later settings their columns, empty', async () => {
    const uri = newFolder();
    const old = await open(uri);
    await old.createGallery(newGallery({ capacity: 7 }));
    await old.close();
    const table = await (await connect(uri)).openTable('galleries');
    await table.dropColumns(Object.keys(LATER_SETTINGS));
    table.close();

    const store = await openHere(uri);
    const later = { ...LATER_SETTINGS };
    expect(await store.getGallery('staff')).toMatchObject({ capacity: 7, ...later });
    await store.updateGallery('staff', { targetFpir: 0.02, maxAgeSeconds: 60 });
    await store.createGallery(newGallery({ id: 'new', targetFmr: 1e-4 }));
    await store.close();
    const again = await openHere(uri);
    expect(await again.getGallery('staff')).toMatchObject({ ...later, targetFpir: 0.02, maxAgeSeconds: 60 });
    expect(await again.getGallery('new')).toMatchObject({ ...later, targetFmr: 1e-4 });
  });

  describe('what is deleted', () => {
    it.each([
      ['a reference', (store: LanceStore) => store.deleteReference('staff', 'ann', 'reference-to-go')],
      ['a subject', (store: LanceStore) => store.deleteSubject('staff', 'ann')],
      ['a gallery', (store: LanceStore) => store.deleteGallery('staff')],
    ])('is gone from the files: %s', async (_what, remove) => {
      const uri = newFolder();
      const store = await openHere(uri);
      await store.createGallery(newGallery());
      const [gone, stays] = [random(), random()];
      // Many that stay: LanceDB by itself keeps deleted rows while they are under a tenth.
      await store.addReferences(
        'staff',
        [
          newReference('ann', 'reference-to-go', gone, { metadata: { note: 'note-to-go' } }),
          ...Array.from({ length: 40 }, (_, i) => newReference('bob', `r${i}`, i === 0 ? stays : random())),
        ].slice(0, 11),
      );
      await store.addReferences(
        'staff',
        Array.from({ length: 40 }, (_, i) => newReference(`s${i}`, `t${i}`, random())),
      );
      expect(await filesWith(uri, gone)).not.toEqual([]);
      expect(await filesWith(uri, 'reference-to-go')).not.toEqual([]);
      expect(await filesWith(uri, 'note-to-go')).not.toEqual([]);

      await remove(store);
      expect(await filesWith(uri, gone, 'reference-to-go', 'note-to-go')).toEqual([]);
      if (_what !== 'a gallery') expect(await filesWith(uri, stays)).not.toEqual([]);
    });

    it('is gone by its old name where it was renamed', async () => {
      const uri = newFolder();
      const store = await openHere(uri);
      await store.createGallery(newGallery());
      await store.addReferences('staff', [newReference('name-to-go', 'r1', random())]);
      expect(await filesWith(uri, 'name-to-go')).not.toEqual([]);
      await store.renameSubject('staff', 'name-to-go', 'new-name', { merge: false });
      expect(await filesWith(uri, 'name-to-go')).toEqual([]);
      expect(await filesWith(uri, 'new-name')).not.toEqual([]);
    });

    it('goes when the next one comes, where a process ended between deleting and erasing', async () => {
      const uri = newFolder();
      const store = await openHere(uri);
      await store.createGallery(newGallery());
      const gone = random();
      await store.addReferences('staff', [
        newReference('ann', 'r1', gone),
        newReference('bob', 'r2', random()),
      ]);
      // What such a process leaves behind: rows that are only marked, and a lock that nobody renews.
      const connection = await connect(uri);
      const galleries = await connection.openTable('galleries');
      const [{ tableName }] = await galleries.query().where("id = 'staff'").toArray();
      const faces = await connection.openTable(tableName);
      await faces.delete("subjectId = 'ann'");
      await galleries.update({
        where: "id = 'staff'",
        values: { lockedBy: 'nobody', lockedUntil: Date.now() - 1 },
      });
      connection.close();
      expect(await filesWith(uri, gone)).not.toEqual([]);

      await store.putSubject('staff', 'cleo', {});
      expect(await filesWith(uri, gone)).toEqual([]);
      expect(await store.getGallery('staff')).toMatchObject({ subjectCount: 2, referenceCount: 1 });
    });
  });

  it('takes quotes, backslashes and SQL for what they are', async () => {
    const store = await openHere();
    await store.createGallery(newGallery());
    const texts = ["it's", '"quoted"', 'back\\slash', "\\'", "' OR true --", 'a,b]', '%', '\n'];
    for (const [i, text] of texts.entries()) {
      const id = text === '\n' ? 'line' : text;
      await store.putSubject('staff', id, { [text]: text });
      await store.addReferences('staff', [newReference(id, `r'${i}`, random(), { imageHash: "'" })]);
    }
    for (const text of texts) {
      const id = text === '\n' ? 'line' : text;
      const filter = { [text]: text };
      expect((await store.listSubjects('staff', { limit: 9, filter })).items.map((one) => one.id)).toEqual([
        id,
      ]);
      const [hits] = await store.search('staff', [random()], { limit: 9, filter });
      expect(hits.map((hit) => hit.subjectId)).toEqual([id]);
      expect(await store.listReferences('staff', id)).toHaveLength(1);
    }
    await store.deleteSubject('staff', "' OR true --");
    expect(await store.getGallery('staff')).toMatchObject({ subjectCount: texts.length - 1 });
  });

  it('finds as many subjects as are asked for where one has most of the near references', async () => {
    const store = await openHere();
    await store.createGallery(newGallery({ maxReferencesPerSubject: 500 }));
    const probe = random();
    const near = Array.from({ length: 300 }, (_, i) => newReference('many', `m${i}`, probe));
    const far = Array.from({ length: 5 }, (_, i) => newReference(`far-${i}`, `f${i}`, random()));
    await store.addReferences('staff', [...near, ...far]);
    const [hits] = await store.search('staff', [probe], { limit: 6 });
    expect(hits[0]).toMatchObject({ subjectId: 'many', referenceId: 'm0' });
    expect(new Set(hits.map((hit) => hit.subjectId)).size).toBe(6);
  });

  it('finds what another process of the same database has done, as soon as it is acknowledged', async () => {
    const uri = newFolder();
    const [one, two] = [await openHere(uri), await openHere(uri)];
    await one.createGallery(newGallery());
    const embedding = random();
    await one.addReferences('staff', [newReference('ann', 'r1', embedding)]);
    expect((await two.search('staff', [embedding], { limit: 1 }))[0]).toMatchObject([{ subjectId: 'ann' }]);
    await two.deleteSubject('staff', 'ann');
    expect(await one.search('staff', [embedding], { limit: 1 })).toEqual([[]]);
    await one.deleteGallery('staff');
    await expect(two.getGallery('staff')).rejects.toMatchObject({ code: 'GALLERY_NOT_FOUND' });
    await two.createGallery(newGallery({ dimensions: 4 }));
    expect(await one.getGallery('staff')).toMatchObject({ dimensions: 4 });
  });

  it('keeps its rules where several stores change one gallery at once', async () => {
    const uri = newFolder();
    const replicas = await Promise.all([openHere(uri), openHere(uri), openHere(uri)]);
    const made = await Promise.allSettled(
      replicas.map((store) => store.createGallery(newGallery({ capacity: 5 }))),
    );
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        replicas[i % 3].addReferences('staff', [newReference('ann', `r${i % 6}`, random())]),
      ),
    );
    const statuses = outcomes
      .flat()
      .map((outcome) => (outcome instanceof Error ? outcome.code : outcome.status));
    expect(statuses.filter((status) => status === 'added')).toHaveLength(5);
    expect(await replicas[0].getGallery('staff')).toMatchObject({ subjectCount: 1, referenceCount: 5 });
  });

  it('waits for whoever has the lock of the gallery', async () => {
    const uri = newFolder();
    const store = await openHere(uri);
    await store.createGallery(newGallery());
    const connection = await connect(uri);
    const galleries = await connection.openTable('galleries');
    const lock = (lockedBy: string, lockedUntil: number) =>
      galleries.update({ where: "id = 'staff'", values: { lockedBy, lockedUntil } });
    await lock('another', Date.now() + 60_000);
    let isAdded = false;
    const added = store
      .addReferences('staff', [newReference('ann', 'r1', random())])
      .then(() => (isAdded = true));
    // Reads do not wait.
    expect(await store.search('staff', [random()], { limit: 1 })).toEqual([[]]);
    await delay(100);
    expect(isAdded).toBe(false);
    await lock('', 0);
    await added;
    connection.close();
    expect(await store.getGallery('staff')).toMatchObject({ referenceCount: 1 });
  });

  it('keeps on over so many changes that files are put together', async () => {
    const store = await openHere();
    await store.createGallery(newGallery());
    // One after the other, so that each is a turn of its own.
    for (let i = 0; i < 70; i++) await store.putSubject('staff', `s${i % 7}`, { i });
    const { items } = await store.listSubjects('staff', { limit: 10 });
    expect(items.map(({ metadata }) => metadata.i)).toEqual([63, 64, 65, 66, 67, 68, 69]);
  });

  it('finishes the deletion of a gallery that another process began', async () => {
    const uri = newFolder();
    const store = await open(uri);
    await store.createGallery(newGallery());
    const embedding = random();
    await store.addReferences('staff', [newReference('ann', 'r1', embedding)]);
    await store.close();
    const connection = await connect(uri);
    await (
      await connection.openTable('galleries')
    ).update({ where: "id = 'staff'", values: { isDeleted: true } });
    connection.close();
    expect(await filesWith(uri, embedding)).not.toEqual([]);

    const next = await openHere(uri);
    expect(await next.listGalleries({ limit: 10 })).toEqual({ items: [], next: null });
    expect(await filesWith(uri, embedding, 'staff')).toEqual([]);
  });

  it('says that a database cannot be opened', async () => {
    await expect(LanceStore.open({ uri: 'nowhere://x' })).rejects.toMatchObject({
      code: 'GALLERY_STORE_INVALID',
    });
  });

  it('waits for changes when it is closed', async () => {
    const uri = newFolder();
    const store = await open(uri);
    await store.createGallery(newGallery());
    const added = store.addReferences('staff', [newReference('ann', 'r1', random())]);
    await store.close();
    expect(await added).toMatchObject([{ status: 'added' }]);
    expect(await (await openHere(uri)).getGallery('staff')).toMatchObject({ referenceCount: 1 });
  });
});

function whereItIsThere(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  throw error;
}
