import { type Database, open as openDatabase } from 'lmdb';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  bindingOf,
  type BundlePlace,
  fromRow,
  keyEncodingOf,
  RECORD_KINDS,
  type RecordKind,
  tableOf,
  toRow,
} from '../../src/gallery/stores/durable/bundle-database';
import { openHeader, VERSION } from '../../src/gallery/stores/durable/folder-header';
import { KEY_BYTES, KeyFile } from '../../src/gallery/stores/durable/key-file';
import { seal, unseal } from '../../src/gallery/stores/durable/seal';
import { DurableStore, type DurableStoreOptions } from '../../src/gallery/stores/durable-store';
import { exported, newGallery, newReference } from './gallery-store-contract';
import { unitVectors } from './random-unit';

type Table = Database<Buffer, ReturnType<typeof toRow>>;

/** A bundle as it lies in the database of a folder, without its key. */
export interface SealedBundle {
  place: BundlePlace;
  sealed: Buffer;
}

export function openFolder(dir: string, options: Partial<DurableStoreOptions> = {}): Promise<DurableStore> {
  return DurableStore.open({ dir, threadCount: 0, precision: 'float32', ...options });
}

/** Makes a folder with one gallery, `full`, whose records lie in some large and many small bundles. */
export async function makeFolder(dir: string, key?: string): Promise<void> {
  const store = await openFolder(dir, { key });
  const random = unitVectors(7, newGallery().dimensions);
  await store.createGallery(newGallery({ id: 'full' }));
  const many = Array.from({ length: 100 }, (_, i) => newReference(`subject-${i >> 1}`, `m${i}`, random()));
  await store.addReferences('full', many);
  for (let i = 0; i < 40; i++)
    await store.addReferences('full', [newReference(`single-${i}`, `s${i}`, random(), { metadata: { i } })]);
  await store.deleteSubject('full', 'single-3');
  await store.close();
}

/** Opens a folder of {@link makeFolder}: what is in it, as JSON, and how many records are set aside. */
export async function contentOf(
  dir: string,
  options: Partial<DurableStoreOptions> = {},
): Promise<{ records: string; asideCount: number }> {
  const store = await openFolder(dir, options);
  try {
    return { records: JSON.stringify(await exported(store, 'full')), asideCount: store.asideCount };
  } finally {
    await store.close();
  }
}

/** The bundles of a folder that no store has open, of one kind or of all. */
export function sealedBundles(dir: string, ...kinds: RecordKind[]): Promise<SealedBundle[]> {
  return inDatabase(dir, (table) =>
    (kinds.length > 0 ? kinds : RECORD_KINDS).flatMap((kind) =>
      [...table(tableOf(kind), kind).getRange()].map(({ key, value }) => ({
        place: { version: VERSION, kind, ...fromRow(key) },
        sealed: Buffer.from(value),
      })),
    ),
  );
}

/** How many bundles there are in the form of version 2. */
export function countOldBundles(dir: string): Promise<number> {
  return inDatabase(dir, (table) =>
    RECORD_KINDS.map((kind) => table(kind, kind).getCount()).reduce((sum, count) => sum + count),
  );
}

/** Exchanges what lies at two places of the database, if only at one of them, together with the keys. */
export async function exchangeBundles(dir: string, a: BundlePlace, b: BundlePlace): Promise<void> {
  await inDatabase(dir, (table) => {
    const [sealedA, sealedB] = [a, b].map((place) =>
      table(tableOf(place.kind), place.kind).get(toRow(place)),
    );
    const set = ({ kind, ...row }: BundlePlace, sealed?: Buffer) =>
      sealed
        ? table(tableOf(kind), kind).putSync(toRow(row), sealed)
        : table(tableOf(kind), kind).removeSync(toRow(row));
    set(a, sealedB);
    set(b, sealedA);
  });
  const path = join(dir, 'keys');
  const keys = readFileSync(path);
  const [slotA, slotB] = [a, b].map(({ number }) => slotOf(keys, number));
  const heldA = Buffer.from(slotA);
  slotB.copy(slotA);
  heldA.copy(slotB);
  writeFileSync(path, keys);
}

/** Puts a copy of a bundle at another place of the database. */
export function copyBundle(dir: string, from: BundlePlace, to: BundlePlace): Promise<void> {
  return inDatabase(dir, (table) => {
    const sealed = table(tableOf(from.kind), from.kind).get(toRow(from))!;
    table(tableOf(to.kind), to.kind).putSync(toRow(to), sealed);
  });
}

/**
 * Turns a folder into one of format version 2: there a bundle is sealed without associated data, in a table that has the name
 * of the kind alone, and the header does not name the file of keys.
 */
export async function makeOld(dir: string, key?: string): Promise<void> {
  const { header, wrappingKey } = await openHeader(dir, key);
  const keyFile = await KeyFile.open(join(dir, header.keys), wrappingKey);
  const { keys } = await keyFile.read();
  await keyFile.close();
  const bundles = await sealedBundles(dir);
  await inDatabase(dir, (table) => {
    for (const kind of RECORD_KINDS) table(tableOf(kind), kind).dropSync();
    for (const { place, sealed } of bundles) {
      const bundleKey = slotOf(keys, place.number);
      const content = unseal(bundleKey, sealed, bindingOf(place))!;
      table(place.kind, place.kind).putSync(toRow(place), seal(bundleKey, content, Buffer.alloc(0)));
    }
  });
  const { format, encryption } = header;
  writeFileSync(join(dir, 'header.json'), `${JSON.stringify({ format, version: 2, encryption })}\n`);
}

function slotOf(keys: Buffer, number: number): Buffer {
  return keys.subarray(number * KEY_BYTES, (number + 1) * KEY_BYTES);
}

async function inDatabase<T>(
  dir: string,
  work: (table: (name: string, kind: RecordKind) => Table) => T,
): Promise<T> {
  const database = openDatabase<Buffer, number>({ path: join(dir, 'records'), noSubdir: false });
  const tables = new Map<string, Table>();
  try {
    return work((name, kind) => {
      const table =
        tables.get(name) ??
        database.openDB<Buffer, ReturnType<typeof toRow>>({
          name,
          encoding: 'binary',
          keyEncoding: keyEncodingOf(kind),
        });
      tables.set(name, table);
      return table;
    });
  } finally {
    await database.close();
  }
}
