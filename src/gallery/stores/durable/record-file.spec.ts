import { cpSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { watchDisk } from '../../../../test/support/disk-steps';
import {
  contentOf,
  copyBundle,
  countOldBundles,
  exchangeBundles,
  makeFolder,
  makeOld,
  openFolder,
  sealedBundles,
} from '../../../../test/support/durable-folder';
import { seededRandom } from '../../../../test/support/seeded-random';
import { tempFolders } from '../../../../test/support/temp-folder';
import type { StoreProgress } from '../../gallery.options';
import type { BundlePlace } from './bundle-database';
import { RecordFile } from './record-file';

const KEY = 'a key of an operator, long enough';
const tempFolder = tempFolders();
/** Error of most refused starts. */
const refused = { code: 'GALLERY_STORE_INVALID' };

/** A folder created once by {@link makeFolder}, to be copied, and its content. */
interface Fixture {
  dir: string;
  content: Awaited<ReturnType<typeof contentOf>>;
}

describe(RecordFile.name, () => {
  let plain: Fixture;
  let encrypted: Fixture;
  let plainOld: Fixture;
  let encryptedOld: Fixture;

  beforeAll(async () => {
    const [plainDir, encryptedDir] = [tempFolder(), tempFolder()];
    await makeFolder(plainDir);
    await makeFolder(encryptedDir, KEY);
    plain = { dir: plainDir, content: await contentOf(plainDir) };
    encrypted = { dir: encryptedDir, content: await contentOf(encryptedDir, { key: KEY }) };
    plainOld = { ...plain, dir: copyOf(plain) };
    encryptedOld = { ...encrypted, dir: copyOf(encrypted) };
    await makeOld(plainOld.dir);
    await makeOld(encryptedOld.dir, KEY);
  });
  afterEach(() => jest.restoreAllMocks());

  const copyOf = ({ dir }: Fixture) => {
    const copy = tempFolder();
    cpSync(dir, copy, { recursive: true });
    return copy;
  };
  const headerOf = (dir: string) =>
    JSON.parse(readFileSync(join(dir, 'header.json'), 'utf8')) as { version: number };
  const dataOf = (dir: string) => ['keys', 'records/data.mdb'].map((name) => readFileSync(join(dir, name)));

  describe('the place of a bundle', () => {
    /** Bundles of a kind with a single record. */
    async function singles(dir: string, kind: BundlePlace['kind']): Promise<BundlePlace[]> {
      const bundles = await sealedBundles(dir, kind);
      return bundles.map(({ place }) => place).filter(({ count }) => count === 1);
    }

    it.each(['plain', 'encrypted'])(
      'is bound to it: two that were exchanged are damaged, %s',
      async (which) => {
        const [fixture, key] = which === 'plain' ? [plain, undefined] : [encrypted, KEY];
        const dir = copyOf(fixture);
        const [a, b] = await singles(dir, 'reference');
        await exchangeBundles(dir, a, b);
        expect(await contentOf(dir, { key, acceptDamage: true })).toMatchObject({ asideCount: 2 });
        await exchangeBundles(dir, a, b);
        expect(await contentOf(dir, { key })).toEqual(fixture.content);
      },
    );

    it.each([
      ['another kind', (place: BundlePlace) => ({ ...place, kind: 'subject' as const }), 1],
      ['another count of records', (place: BundlePlace) => ({ ...place, count: 3 }), 3],
    ])('is damaged under %s', async (_name, move, asideCount) => {
      const dir = copyOf(plain);
      const [place] = await singles(dir, 'reference');
      const moved = move(place);
      await exchangeBundles(dir, place, moved);
      expect(await contentOf(dir, { acceptDamage: true })).toMatchObject({ asideCount });
      await exchangeBundles(dir, moved, place);
      expect(await contentOf(dir)).toEqual(plain.content);
    });
  });

  it('keeps its key where a copy of it is removed', async () => {
    const dir = copyOf(plain);
    const [{ place }] = await sealedBundles(dir, 'reference');
    await copyBundle(dir, place, { ...place, kind: 'subject' });
    const store = await openFolder(dir, { acceptDamage: true });
    expect(store.asideCount).toBe(place.count);
    await store.removeAside();
    await store.close();
    expect(await contentOf(dir)).toEqual(plain.content);
  });

  it('removes nothing for 68 bits that flip one after the other, and for keys that are cut', async () => {
    const random = seededRandom(68);
    const below = (bound: number) => Math.floor(random() * bound);
    const dir = copyOf(plain);
    const files = ['keys', 'records/data.mdb'].map((name) => join(dir, name));
    const bundles = (await sealedBundles(dir)).filter(({ place }) => place.kind !== 'gallery');
    const whole = dataOf(dir);
    for (let flip = 0; flip < 68; flip++) {
      const { place, sealed } = bundles[below(bundles.length)];
      const [keys, data] = whole.map((bytes) => Buffer.from(bytes));
      const bit = 1 << below(8);
      if (flip % 4 === 0) keys[place.number * 32 + below(32)] ^= bit;
      else {
        const offset = below(sealed.length);
        for (let at = data.indexOf(sealed); at >= 0; at = data.indexOf(sealed, at + 1))
          data[at + offset] ^= bit;
      }
      [keys, data].forEach((bytes, i) => writeFileSync(files[i], bytes));
      const { asideCount } = await contentOf(dir, { acceptDamage: true });
      expect(asideCount).toBeGreaterThanOrEqual(place.count);
      expect(Buffer.concat(dataOf(dir)).equals(Buffer.concat([keys, data]))).toBe(true);
    }
    whole.forEach((bytes, i) => writeFileSync(files[i], bytes));
    truncateSync(files[0], whole[0].length / 2);
    const { asideCount } = await contentOf(dir, { acceptDamage: true });
    expect(asideCount).toBeGreaterThan(10);
    writeFileSync(files[0], whole[0]);
    expect(await contentOf(dir)).toEqual(plain.content);
  });

  describe('the upgrade from version 2', () => {
    it.each(['plain', 'encrypted'])(
      'changes no content, and leaves no key of the old form, %s',
      async (which) => {
        const [fixture, key] = which === 'plain' ? [plainOld, undefined] : [encryptedOld, KEY];
        const dir = copyOf(fixture);
        const oldKeys = readFileSync(join(dir, 'keys'));
        const oldCount = await countOldBundles(dir);
        const seen: StoreProgress[] = [];
        expect(await contentOf(dir, { key, onProgress: (progress) => seen.push(progress) })).toEqual(
          fixture.content,
        );
        expect(headerOf(dir)).toMatchObject({ version: 3 });
        expect(await countOldBundles(dir)).toBe(0);
        expect(await sealedBundles(dir)).toHaveLength(oldCount);
        const upgrades = seen.filter(({ stage }) => stage === 'upgrade');
        expect(upgrades.length).toBeGreaterThan(1);
        expect(upgrades.at(-1)!.done).toBe(upgrades[0].total);
        const keys = readFileSync(join(dir, 'keys'));
        for (let at = 0; at < oldKeys.length; at += 32) {
          const old = oldKeys.subarray(at, at + 32);
          if (old.some((byte) => byte !== 0)) expect(keys.includes(old)).toBe(false);
        }
        // The upgrade runs only once.
        const data = dataOf(dir);
        expect(await contentOf(dir, { key })).toEqual(fixture.content);
        expect(dataOf(dir)).toEqual(data);
      },
    );

    it('waits for bundles that do not open until they do', async () => {
      const dir = copyOf(plainOld);
      const path = join(dir, 'keys');
      const keys = readFileSync(path);
      const changed = Buffer.from(keys);
      const number = (await sealedBundles(plain.dir, 'reference')).find(({ place }) => place.count === 1)!
        .place.number;
      changed[number * 32] ^= 1;
      writeFileSync(path, changed);
      for (let round = 0; round < 2; round++) {
        expect(await contentOf(dir, { acceptDamage: true })).toMatchObject({ asideCount: 1 });
        expect(await countOldBundles(dir)).toBe(1);
      }
      const upgraded = readFileSync(path);
      keys.copy(upgraded, number * 32, number * 32, (number + 1) * 32);
      writeFileSync(path, upgraded);
      expect(await contentOf(dir)).toEqual(plain.content);
      expect(await countOldBundles(dir)).toBe(0);
    });

    it('does not begin where too much is damaged', async () => {
      const dir = copyOf(plainOld);
      const keys = readFileSync(join(dir, 'keys'));
      truncateSync(join(dir, 'keys'), keys.length / 2);
      await expect(contentOf(dir)).rejects.toMatchObject(refused);
      expect(headerOf(dir)).toMatchObject({ version: 2 });
      expect(await countOldBundles(dir)).toBe(await countOldBundles(plainOld.dir));
      writeFileSync(join(dir, 'keys'), keys);
      expect(await contentOf(dir)).toEqual(plain.content);
    });

    it('goes on after a kill between any two steps', async () => {
      const dir = copyOf(encryptedOld);
      const states: string[] = [];
      await watchDisk(() => states.push(copyOf({ dir } as Fixture)));
      await contentOf(dir, { key: KEY });
      jest.restoreAllMocks();
      expect(states.length).toBeGreaterThan(10);
      const oldCounts = new Set<number>();
      for (const state of states) {
        oldCounts.add(await countOldBundles(state));
        expect(await contentOf(state, { key: KEY })).toEqual(encrypted.content);
        expect(await countOldBundles(state)).toBe(0);
      }
      expect(oldCounts.size).toBeGreaterThan(2);
    });

    it('goes on after a failure of any step, as on a full disk', async () => {
      let failedCount = 0;
      for (let failing = 0; failedCount === failing; failing++) {
        const dir = copyOf(plainOld);
        let step = 0;
        await watchDisk(() => {
          if (step++ === failing) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
        });
        try {
          await contentOf(dir);
        } catch (error) {
          expect(error).toMatchObject(refused);
          failedCount++;
        }
        jest.restoreAllMocks();
        expect(await contentOf(dir)).toEqual(plain.content);
        expect(await countOldBundles(dir)).toBe(0);
      }
      expect(failedCount).toBeGreaterThan(10);
    });
  });
});
