import { type Database, open as openDatabase, type RootDatabase } from 'lmdb';
import type { RecordContent } from './encode-content';
import { FORMAT, OLD_VERSION, VERSION } from './folder-header';
import { seal, unseal } from './seal';

/** In the order of reading: owners come before their parts. */
export const RECORD_KINDS = ['gallery', 'subject', 'crop', 'reference'] as const;
export type RecordKind = RecordContent['kind'];

/** Several small records fit one page; a page of the system's own size would hold one reference and much unused space. */
const PAGE_BYTES = 8192;
/** Maximum records of a bundle; the row key encodes the count. */
export const MAX_BUNDLE_RECORDS = 64;
/** Bundles of the old version have no associated data. */
const NO_BINDING = Buffer.alloc(0);

/** Place of a bundle in the database. Its seal is bound to all these fields. */
export interface BundlePlace {
  /** Format version of the folder in which it was sealed. */
  version: typeof VERSION | typeof OLD_VERSION;
  kind: RecordKind;
  /** Slot of its key in the key file. */
  number: number;
  /** Number of its records, known even if it does not open. */
  count: number;
  /** Uid, only of a crop, which is alone in its bundle; the reference of the crop stores it. */
  uid?: number;
}

/** The key of a row in the database. */
type Row = number | [number, uid: number];
type Table = Database<Buffer, Row>;

/** Sealed bundles in an LMDB database: one table per kind of record and format version. */
export class BundleDatabase {
  private readonly tables: { version: BundlePlace['version']; kind: RecordKind; table: Table }[] = [];

  private constructor(private readonly database: RootDatabase<Buffer, number>) {
    const open = (name: string, kind: RecordKind) =>
      database.openDB<Buffer, Row>({ name, encoding: 'binary', keyEncoding: keyEncodingOf(kind) });
    // The keys of an LMDB root database are the names of its tables.
    const names = new Set<unknown>(database.getKeys());
    for (const kind of RECORD_KINDS) {
      if (names.has(kind)) this.tables.push({ version: OLD_VERSION, kind, table: open(kind, kind) });
      this.tables.push({ version: VERSION, kind, table: open(tableOf(kind), kind) });
    }
  }

  /** @param path - of its folder, created if missing. */
  static open(path: string): BundleDatabase {
    return new BundleDatabase(
      openDatabase<Buffer, number>({
        path,
        noSubdir: false,
        encoding: 'binary',
        pageSize: PAGE_BYTES,
        // A commit is on the disk when its promise settles. Without overlap this costs little, as many changes share one commit.
        overlappingSync: false,
        // All writes use transactions. Automatic batches have a promise that nobody awaits, and that a full disk rejects.
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
   * Reads the content of a bundle; `undefined` if it is damaged, was moved from another place, or has another key.
   *
   * @param key - Uint8Array [32].
   */
  read(place: BundlePlace, key: Uint8Array): Buffer | undefined {
    // A view, valid until the next read: the cipher needs no copy.
    const sealed = this.table(place).getBinaryFast(toRow(place));
    return sealed && unseal(key, sealed, bindingOf(place));
  }

  /**
   * Removes and puts bundles in one transaction, which is on the disk when the promise settles.
   *
   * If it fails, such as on a full disk, lmdb also rejects the promise of each change and one attached to the error. Nobody else
   * awaits those, and an unhandled rejection would end the process.
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
 * Seals the content of a bundle for its place.
 *
 * @param key - Uint8Array [32], unused so far.
 */
export function sealBundle(place: BundlePlace, key: Uint8Array, content: Uint8Array): Buffer {
  return seal(key, content, bindingOf(place));
}

/** Associated data of a seal: a bundle moved to another place does not open, even with its key. */
export function bindingOf({ version, kind, number, count, uid }: BundlePlace): Buffer {
  if (version === OLD_VERSION) return NO_BINDING;
  const names = [FORMAT, version, kind, number, count, ...(uid === undefined ? [] : [uid])];
  return Buffer.from(names.join(' '));
}

/** Table name of a kind in this version; in the old version it is the name of the kind alone. */
export function tableOf(kind: RecordKind): string {
  return `${kind}.${VERSION}`;
}

/** Encoding of the row keys of a kind. */
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
