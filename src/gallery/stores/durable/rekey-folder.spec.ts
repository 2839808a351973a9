import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { watchDisk } from '../../../../test/support/disk-steps';
import {
  contentOf,
  countOldBundles,
  makeFolder,
  makeOld,
  openFolder,
} from '../../../../test/support/durable-folder';
import { tempFolders } from '../../../../test/support/temp-folder';
import { rekeyFolder } from './rekey-folder';

const KEY = 'a key of an operator, long enough';
const NEW_KEY = 'another key of the same operator!';
const tempFolder = tempFolders();
const refused = { code: 'GALLERY_STORE_INVALID' };

describe(rekeyFolder.name, () => {
  const folders = new Map<string | undefined, { dir: string; content: unknown }>();

  beforeAll(async () => {
    for (const key of [undefined, KEY]) {
      const dir = tempFolder();
      await makeFolder(dir, key);
      folders.set(key, { dir, content: await contentOf(dir, { key }) });
    }
  });
  afterEach(() => jest.restoreAllMocks());

  const contentWith = (key: string | undefined) => folders.get(key)!.content;
  function folderWith(key: string | undefined): string {
    return copyOf(folders.get(key)!.dir);
  }
  function copyOf(dir: string): string {
    const copy = tempFolder();
    cpSync(dir, copy, { recursive: true });
    return copy;
  }
  const filesOf = (dir: string) =>
    readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => ({ name: entry.name, bytes: readFileSync(join(entry.parentPath, entry.name)) }));
  const keyFilesOf = (dir: string) =>
    filesOf(dir)
      .map(({ name }) => name)
      .filter((name) => name.startsWith('keys'));
  const headerOf = (dir: string) =>
    JSON.parse(readFileSync(join(dir, 'header.json'), 'utf8')) as { keys: string; leftover?: string };

  /** Expects the folder to open with exactly one of the keys, with the same content and no leftover. @returns that key. */
  async function keyOf(dir: string, keys: readonly (string | undefined)[]): Promise<string | undefined> {
    const opening: (string | undefined)[] = [];
    for (const key of keys) {
      try {
        expect(await contentOf(dir, { key })).toEqual(contentWith(keys[0]));
        opening.push(key);
      } catch (error) {
        expect(error).toMatchObject(refused);
      }
    }
    expect(opening).toHaveLength(1);
    hasNothingLeft(dir);
    return opening[0];
  }
  function hasNothingLeft(dir: string): void {
    expect(keyFilesOf(dir)).toEqual([headerOf(dir).keys]);
    expect(headerOf(dir)).not.toHaveProperty('leftover');
  }

  const changes: [string, string | undefined, string | undefined][] = [
    ['one key to another', KEY, NEW_KEY],
    ['no key to one', undefined, NEW_KEY],
    ['a key to none', KEY, undefined],
  ];

  it.each(changes)('changes %s, and leaves no trace of the old one', async (_name, key, newKey) => {
    const dir = folderWith(key);
    const old = readFileSync(join(dir, 'keys'));
    const records = readFileSync(join(dir, 'records', 'data.mdb'));
    await rekeyFolder(dir, key, newKey);
    expect(readFileSync(join(dir, 'records', 'data.mdb')).equals(records)).toBe(true);
    const slots = Array.from({ length: old.length / 32 }, (_, i) => old.subarray(i * 32, (i + 1) * 32));
    const wrapped = slots.filter((slot) => slot.some((byte) => byte !== 0));
    expect(wrapped.length).toBeGreaterThan(50);
    for (const { bytes } of filesOf(dir)) expect(wrapped.some((slot) => bytes.includes(slot))).toBe(false);
    expect(await keyOf(dir, [key, newKey])).toBe(newKey);
    // Slots without a key have none in the new file either.
    const kept = readFileSync(join(dir, headerOf(dir).keys));
    slots.forEach((slot, i) => {
      const other = kept.subarray(i * 32, (i + 1) * 32);
      expect(other.every((byte) => byte === 0)).toBe(slot.every((byte) => byte === 0));
    });
  });

  it('can be repeated, and changes go on', async () => {
    const dir = folderWith(KEY);
    for (const [key, newKey] of [
      [KEY, NEW_KEY],
      [NEW_KEY, undefined],
      [undefined, KEY],
    ])
      await rekeyFolder(dir, key, newKey);
    const store = await openFolder(dir, { key: KEY });
    await store.putSubject('full', 'late', {});
    await store.close();
    const again = await openFolder(dir, { key: KEY });
    expect(await again.getSubject('full', 'late')).toMatchObject({ id: 'late' });
    await again.close();
  });

  it.each(changes)('leaves one key after a kill between any two steps: %s', async (_name, key, newKey) => {
    const dir = folderWith(key);
    const states: string[] = [];
    await watchDisk(() => states.push(copyOf(dir)));
    await rekeyFolder(dir, key, newKey);
    jest.restoreAllMocks();
    states.push(dir);
    expect(states.length).toBeGreaterThan(15);
    const found: (string | undefined)[] = [];
    for (const state of states) found.push(await keyOf(state, [key, newKey]));
    const changedAt = found.indexOf(newKey);
    expect(changedAt).toBeGreaterThan(5);
    expect(found).toEqual(found.map((_, i) => (i < changedAt ? key : newKey)));
    expect(found.length - changedAt).toBeGreaterThan(5);
  });

  it.each(changes)('says which key there is after a failure of any step: %s', async (_name, key, newKey) => {
    const reported = new Set<string>();
    let failedCount = 0;
    for (let failing = 0; failedCount === failing; failing++) {
      const dir = folderWith(key);
      let step = 0;
      await watchDisk(() => {
        if (step++ === failing) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
      });
      let message = '';
      try {
        await rekeyFolder(dir, key, newKey);
      } catch (error) {
        expect(error).toMatchObject({ code: 'GALLERY_STORE_FAILED' });
        ({ message } = error as Error);
        reported.add(message);
        failedCount++;
      }
      jest.restoreAllMocks();
      const now = await keyOf(copyOf(dir), [key, newKey]);
      expect(now).toBe(/not changed/.test(message) ? key : newKey);
      if (now === key) {
        await rekeyFolder(dir, key, newKey);
        hasNothingLeft(dir);
      }
    }
    expect(failedCount).toBeGreaterThan(15);
    expect(reported.size).toBe(2);
  });

  it('removes no file that it did not make', async () => {
    const dir = folderWith(KEY);
    writeFileSync(join(dir, 'keys-of-last-year'), 'mine');
    await rekeyFolder(dir, KEY, NEW_KEY);
    await contentOf(dir, { key: NEW_KEY });
    expect(readFileSync(join(dir, 'keys-of-last-year'), 'utf8')).toBe('mine');
  });

  it('changes the key of a folder of version 2, which is upgraded later', async () => {
    const dir = folderWith(KEY);
    await makeOld(dir, KEY);
    await rekeyFolder(dir, KEY, NEW_KEY);
    expect(await countOldBundles(dir)).toBeGreaterThan(50);
    expect(await keyOf(dir, [KEY, NEW_KEY])).toBe(NEW_KEY);
    expect(await countOldBundles(dir)).toBe(0);
  });

  it.each([
    ['a new key that is too short', KEY, NEW_KEY.slice(2)],
    ['the key that it has', KEY, KEY],
    ['another old key', NEW_KEY, 'a third key, which is long enough'],
    ['no old key', undefined, NEW_KEY],
  ])('changes nothing for %s', async (_name, key, newKey) => {
    const dir = folderWith(KEY);
    const before = filesOf(dir);
    await expect(rekeyFolder(dir, key, newKey)).rejects.toMatchObject(refused);
    expect(filesOf(dir)).toEqual(before);
  });

  it('changes nothing where no key is to be removed', async () => {
    const dir = folderWith(undefined);
    await expect(rekeyFolder(dir, undefined, undefined)).rejects.toMatchObject(refused);
    expect(await keyOf(dir, [undefined, KEY])).toBe(undefined);
  });

  it('changes nothing while the folder is in use', async () => {
    const dir = folderWith(KEY);
    const store = await openFolder(dir, { key: KEY });
    await expect(rekeyFolder(dir, KEY, NEW_KEY)).rejects.toMatchObject({
      ...refused,
      message: expect.stringContaining('in use'),
    });
    await store.close();
    expect(await keyOf(dir, [KEY, NEW_KEY])).toBe(KEY);
  });
});
