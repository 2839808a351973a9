import { type Database, open as openDatabase, type RootDatabase } from 'lmdb';
import type { RecordContent } from './encode-content';
import { FORMAT, OLD_VERSION, VERSION } from './folder-header';
import { seal, unseal } from './seal';

/** In the order in which they are read: what others belong to comes first. */
export const RECORD_KINDS = ['gallery', 'subject', 'crop', 'reference'] as const;
export type RecordKind = RecordContent['kind'];

/** What is small fits a page more than once; pages of the system's own size would hold one reference and much air. */
const PAGE_BYTES = 8192;
/** Most records in a bundle: the row has room for this count. */
export const MAX_BUNDLE_RECORDS = 64;
/** Bundles of the old version are bound to nothing. */
const NO_BINDING = Buffer.alloc(0);

/** Where a bundle lies in the database. Its seal is bound to all of it. */
export interface BundlePlace {
  /** Format of the folder in which it was sealed. */
  version: typeof VERSION | typeof OLD_VERSION;
  kind: RecordKind;
  /** Place of its key in the file of keys. */
  number: number;
  /** How many records it holds, so that it is known how many are lost where it does not open. */
  count: number;
  /** Of a crop, which is alone in its bundle: by it its reference names it. */
  uid?: number;
}

/** The key of a row in the database. */
type Row = number | [number, uid: number];
type Table = Database<Buffer, Row>;

/** Sealed bundles in an LMDB database: one table for each kind of record and version of the format. */
export class BundleDatabase {
  private readonly tables: { version: BundlePlace['version']; kind: RecordKind; table: Table }[] = [];

  private constructor(private readonly database: RootDatabase<Buffer, number>) {
    const open = (name: string, kind: RecordKind) =>
      database.openDB<Buffer, Row>({ name, encoding: 'binary', keyEncoding: keyEncodingOf(kind) });
    // The root of an LMDB database has the names of its tables for keys.
    const names = new Set<unknown>(database.getKeys());
    for (const kind of RECORD_KINDS) {
      if (names.has(kind)) this.tables.push({ version: OLD_VERSION, kind, table: open(kind, kind) });
      this.tables.push({ version: VERSION, kind, table: open(tableOf(kind), kind) });
    }
  }

  /** @param path - of its folder, which is made where it is not there. */
  static open(path: string): BundleDatabase {
    return new BundleDatabase(
      openDatabase<Buffer, number>({
        path,
        noSubdir: false,
        encoding: 'binary',
        pageSize: PAGE_BYTES,
        // A commit is on the disk when its promise settles: nothing overlaps, which costs little where many share one.
        overlappingSync: false,
        // All is written in transactions. Batches beside them have a promise that nobody gets, and that a full disk rejects.
        eventTurnBatching: false,
      }),
    );
  }

  /** All bundles, in the order of {@link RECORD_KINDS}. */
  *places(): Generator<BundlePlace> {
    for (const { version, kind, table } of this.tables)
      for (const row of table.getKeys()) yield { version, kind, ...fromRow(row) };
  }

  /**
   * The content of a bundle; `undefined` where it is damaged, was moved from another place, or has another key.
   *
   * @param key - Uint8Array [32].
   */
  read(place: BundlePlace, key: Uint8Array): Buffer | undefined {
    // A view that is good until the next read: nothing is copied for the cipher.
    const sealed = this.table(place).getBinaryFast(toRow(place));
    return sealed && unseal(key, sealed, bindingOf(place));
  }

  /**
   * Removes and puts bundles in one transaction, which is on the disk when it settles.
   *
   * Where it fails, as it does on a full disk, lmdb rejects the promise of each change too, and one that comes with the error:
   * nobody else awaits those, and a rejection that nobody awaits ends the process.
   *
   * @param bundles - sealed by {@link sealBundle}.
   */
  async replace(
    old: readonly BundlePlace[],
    bundles: readonly { place: BundlePlace; sealed: Buffer }[],
  ): Promise<void> {
    const ignore = () => undefined;
    try {
      await this.database.transaction(() => {
        for (const { place, sealed } of bundles) this.table(place).put(toRow(place), sealed).catch(ignore);
        for (const place of old) this.table(place).remove(toRow(place)).catch(ignore);
      });
    } catch (error) {
      (error as { commitError?: Promise<never> }).commitError?.catch(ignore);
      throw error;
    }
  }

  close(): Promise<void> {
    return this.database.close();
  }

  private table({ version, kind }: BundlePlace): Table {
    return this.tables.find((one) => one.version === version && one.kind === kind)!.table;
  }
}

/**
 * Seals the content of a bundle for the place where it goes.
 *
 * @param key - Uint8Array [32], new.
 */
export function sealBundle(place: BundlePlace, key: Uint8Array, content: Uint8Array): Buffer {
  return seal(key, content, bindingOf(place));
}

/** Associated data of a seal: whoever moves a bundle together with its key has one that does not open. */
export function bindingOf({ version, kind, number, count, uid }: BundlePlace): Buffer {
  if (version === OLD_VERSION) return NO_BINDING;
  const names = [FORMAT, version, kind, number, count, ...(uid === undefined ? [] : [uid])];
  return Buffer.from(names.join(' '));
}

/** Name of the table of a kind in this version; the old version has them under the name of the kind alone. */
export function tableOf(kind: RecordKind): string {
  return `${kind}.${VERSION}`;
}

/** How the keys of the rows of a kind are written. */
export function keyEncodingOf(kind: RecordKind): 'uint32' | 'ordered-binary' {
  return kind === 'crop' ? 'ordered-binary' : 'uint32';
}

/** The key of a row in the database. */
export function toRow({ number, count, uid }: Pick<BundlePlace, 'number' | 'count' | 'uid'>): Row {
  const row = number * MAX_BUNDLE_RECORDS + count - 1;
  return uid === undefined ? row : [row, uid];
}

export function fromRow(row: Row): Pick<BundlePlace, 'number' | 'count' | 'uid'> {
  if (Array.isArray(row)) return { ...fromRow(row[0]), uid: row[1] };
  return {
    number: Math.floor(row / MAX_BUNDLE_RECORDS),
    count: (row % MAX_BUNDLE_RECORDS) + 1,
  };
}
