import { type Database, open as openDatabase, type RootDatabase } from 'lmdb';
import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { NumberPool } from '../state/number-pool';
import {
  decodeCrop,
  encodeBundle,
  type EncodedRecord,
  encodeRecord,
  type RecordContent,
  splitBundle,
} from './encode-content';
import { lockFolder } from './folder-lock';
import { openHeader } from './folder-header';
import { KEY_BYTES, KeyFile } from './key-file';
import { seal, unseal } from './seal';
import { storeInvalid } from './store-invalid';

/** In the order in which they are read: what others belong to comes first. */
export const RECORD_KINDS = ['gallery', 'subject', 'crop', 'reference'] as const;
export type RecordKind = RecordContent['kind'];

/** What is small fits a page more than once; pages of the system's own size would hold one reference and much air. */
const PAGE_BYTES = 8192;
/**
 * A bundle is full with so many records, or so many bytes. More of them make a start faster, and the removal of one record
 * dearer: the rest of its bundle is written again. A start takes about as long with 32 (measured).
 */
const BUNDLE_RECORDS = 64;
const BUNDLE_BYTES = 256 * 1024;
/** Bundles that are opened or sealed between two turns of the event loop. */
const BUNDLES_PER_TURN = 8;
const NOT_READ = Buffer.alloc(0);
/** Keys of bundles whose records were moved, not removed, are wiped when so many have gathered. A deletion waits for them. */
const MAX_UNWIPED = 128;

/** One record that is to be written. */
export interface RecordWrite {
  number: number;
  content: RecordContent;
}

/** Records of one kind that were written together. */
interface Bundle {
  kind: RecordKind;
  /** Their numbers, in the order of the content. */
  records: readonly number[];
  /** Of a crop, which is alone in its bundle. */
  uid?: number;
  /** How full it is, 0 to 1; more where one record has more bytes than a bundle should. */
  fill: number;
}

/** One bundle as it was read. */
export interface StoredBundle {
  kind: RecordKind;
  /** Numbers that its records have got. */
  records: readonly number[];
  /** Of a crop. */
  uid?: number;
  /** `undefined`: damaged. Of a crop empty: it is read when it is asked for. */
  content: Buffer | undefined;
}

/** A record on its way into a bundle. */
interface LooseRecord extends EncodedRecord {
  number: number;
}

/**
 * Records in a folder that no other process has.
 *
 * Records of one kind lie in bundles, which never change: a bundle is written under a number, sealed with a key of its own,
 * and removed. The database leaves what was removed in its file until the place is needed; so the keys lie apart, in a file
 * that is overwritten in place, and without its key a bundle is noise. To remove some records of a bundle is to write the
 * others into another one and to remove it. A crop has a bundle to itself: it is written once, and not read at a start.
 *
 * What a kill leaves, by its moment. A commit (1) writes and syncs the keys of its new bundles, into slots that no bundle
 * has; (2) puts the new bundles and removes the old ones in one synced transaction; (3) is acknowledged, where nothing was
 * deleted; (4) overwrites and syncs the keys of the old bundles; (5) is acknowledged, where something was.
 * - Before 2 is on the disk, all old bundles are there with their keys: nothing happened. New keys have no bundle.
 * - After it, what stays is in the new bundles, whose keys were safe before, and what was deleted is in none: it cannot come
 *   back, wiped or not. Old keys that are left have no bundle.
 * - Keys without a bundle are wiped at the next start, before anything is served.
 * A record that stays has copies in removed bundles. These keys may wait for their wipe, since every deletion after that
 * wipes all that wait before it is acknowledged. A slot is taken again only when 4 is done: what overwrites it can hurt
 * nobody, and no key is used twice.
 */
export class RecordFile {
  private readonly tables: Record<RecordKind, Database<Buffer, Row>>;
  private readonly bundles = new Map<number, Bundle>();
  /** Numbers of bundles that are not half full, by kind: they are merged when they make a full one. */
  private readonly small: Record<RecordKind, Set<number>> = {
    gallery: new Set(),
    subject: new Set(),
    crop: new Set(),
    reference: new Set(),
  };
  /** The bundle of each record, by its number; -1 where there is none. */
  private readonly bundleOf: number[] = [];
  /** Of the bundles. */
  private numbers = new NumberPool();
  /** Numbers of bundles that are gone, and whose keys are not wiped yet. */
  private unwiped: number[] = [];
  /** Records were removed whose keys are among them. */
  private hasTraces = false;

  private constructor(
    private readonly lock: FileHandle,
    private readonly keyFile: KeyFile,
    private readonly database: RootDatabase<Buffer, number>,
  ) {
    const table = (name: RecordKind) =>
      database.openDB<Buffer, Row>({
        name,
        encoding: 'binary',
        keyEncoding: name === 'crop' ? 'ordered-binary' : 'uint32',
      });
    this.tables = {
      gallery: table('gallery'),
      subject: table('subject'),
      crop: table('crop'),
      reference: table('reference'),
    };
  }

  /**
   * Opens the folder, or makes it.
   *
   * @param key - of the operator; encrypts the keys of the bundles.
   * @throws {FaceError} GALLERY_STORE_INVALID where the folder is not ours, of another version, in use, or has another key.
   */
  static async open(dir: string, key: string | undefined): Promise<RecordFile> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const lock = await lockFolder(dir);
    try {
      const wrappingKey = await openHeader(dir, key);
      const keyFile = await KeyFile.open(join(dir, 'keys'), wrappingKey);
      // A commit is on the disk when its promise settles: nothing overlaps, which costs little where many share one.
      const database = openDatabase<Buffer, number>({
        path: join(dir, 'records'),
        noSubdir: false,
        encoding: 'binary',
        pageSize: PAGE_BYTES,
        overlappingSync: false,
        // All is written in transactions. Batches beside them have a promise that nobody gets, and that a full disk rejects.
        eventTurnBatching: false,
      });
      await syncFolder(dir);
      return new RecordFile(lock, keyFile, database);
    } catch (error) {
      await lock.close();
      throw error;
    }
  }

  /** How many records there are, of all kinds. */
  get count(): number {
    let count = 0;
    for (const kind of RECORD_KINDS) for (const row of this.tables[kind].getKeys()) count += countInRow(row);
    return count;
  }

  /**
   * Reads all records, in the order of {@link RECORD_KINDS}, then wipes keys without a bundle. What does not open stays where it
   * is, under its number: its key may come back.
   *
   * @param take - told of each bundle.
   * @param check - throws where what was taken must not be served; nothing was changed.
   * @returns numbers for new records.
   * @throws {FaceError} GALLERY_STORE_INVALID where there are records and none of them opens; nothing was changed.
   */
  async readAll(take: (bundle: StoredBundle) => void, check: () => void): Promise<NumberPool> {
    const { keys, isSet } = await this.keyFile.read();
    let openedCount = 0;
    let bound = isSet.length;
    for (const kind of RECORD_KINDS) {
      const table = this.tables[kind];
      for (const row of table.getKeys()) {
        const number = numberInRow(row);
        const first = this.bundleOf.length;
        const records = Array.from({ length: countInRow(row) }, (_, i) => first + i);
        bound = Math.max(bound, number + 1);
        if (kind === 'crop') {
          const uid = uidInRow(row);
          this.add(number, { kind, records, uid, fill: 1 });
          take({ kind, records, uid, content: isSet[number] === 1 ? NOT_READ : undefined });
        } else {
          // A view that is good until the next read: nothing is copied for the cipher.
          const value = table.getBinaryFast(row)!;
          this.add(number, { kind, records, fill: fillOf(records.length, value.length) });
          const key = keys.subarray(number * KEY_BYTES, (number + 1) * KEY_BYTES);
          const content = isSet[number] === 1 ? unseal(key, value) : undefined;
          if (content) openedCount++;
          take({ kind, records, content });
        }
        if (this.bundles.size % BUNDLES_PER_TURN === 0) await setImmediate();
      }
    }
    keys.fill(0);
    if (this.bundles.size > 0 && openedCount === 0)
      throw storeInvalid('has keys that open none of its records');
    check();

    this.numbers = new NumberPool(bound);
    for (let number = 0; number < bound; number++) {
      if (this.bundles.has(number)) continue;
      if (isSet[number] === 1) this.unwiped.push(number);
      else this.numbers.give(number);
    }
    this.hasTraces = true;
    await this.wipe();
    return new NumberPool(this.bundleOf.length);
  }

  /**
   * Writes and removes in one transaction. When it settles, that is on the disk; what was removed can be read from the disk
   * until {@link wipe}.
   *
   * @param removals - numbers of records.
   * @throws {Error} where the bundle of a record that is to be removed does not open, so that the others in it would be lost;
   * nothing was changed.
   */
  async commit(writes: readonly RecordWrite[], removals: readonly number[]): Promise<void> {
    const gone = new Set(removals);
    /** How many of its records each bundle loses. */
    const losses = new Map<number, number>();
    for (const record of gone) {
      const bundle = this.bundleOf[record] ?? -1;
      if (bundle >= 0) losses.set(bundle, (losses.get(bundle) ?? 0) + 1);
    }
    const old = new Set(losses.keys());
    const rests = [...old].filter((bundle) => losses.get(bundle)! < this.bundles.get(bundle)!.records.length);
    const written = writes
      // What was added and removed before it was written never was.
      .filter(({ number }) => !gone.has(number))
      .map(({ number, content }): LooseRecord => ({ number, ...encodeRecord(content) }));
    const loose = await this.unbundle(rests, gone);
    if (loose.unreadable.length > 0) throw new Error('A bundle of records cannot be read.');
    const merged = await this.unbundle(this.toMerge(written, old), gone);
    // These stay as they are: the next start reports them.
    for (const number of merged.unreadable) this.small[this.bundles.get(number)!.kind].delete(number);
    for (const number of merged.read) old.add(number);
    const bundles = pack([...merged.records, ...loose.records, ...written]);
    await this.replace(old, bundles);
    this.hasTraces ||= removals.length > 0;
  }

  /**
   * Reads a crop.
   *
   * @param record - its number.
   * @returns the encoded image; `undefined` where it is gone, does not open, or is another one.
   */
  async readCrop(record: number, uid: number): Promise<Buffer | undefined> {
    const number = this.bundleOf[record] ?? -1;
    const bundle = this.bundles.get(number);
    if (bundle?.kind !== 'crop') return undefined;
    const value = this.tables.crop.getBinary(toRow(number, bundle));
    const key = await this.keyFile.readSome([number]);
    const content = value && unseal(key, value);
    key.fill(0);
    const crop = content && decodeCrop(content);
    return crop?.uid === uid ? crop.image : undefined;
  }

  /** Makes noise of what was removed. What was only moved may wait: it is there all the same. */
  async wipe(): Promise<void> {
    if (!this.hasTraces && this.unwiped.length < MAX_UNWIPED) return;
    await this.keyFile.wipe(this.unwiped.sort((a, b) => a - b));
    for (const number of this.unwiped.splice(0)) this.numbers.give(number);
    this.hasTraces = false;
  }

  async close(): Promise<void> {
    await this.database.close();
    await this.keyFile.close();
    await this.lock.close();
  }

  private add(number: number, bundle: Bundle): void {
    this.bundles.set(number, bundle);
    if (bundle.fill < 1 / 2 && bundle.kind !== 'crop') this.small[bundle.kind].add(number);
    for (const record of bundle.records) this.bundleOf[record] = number;
  }

  /** Small bundles that, with what is written, make a full one: so a record is written about twice, however it came. */
  private toMerge(written: readonly LooseRecord[], old: ReadonlySet<number>): number[] {
    return RECORD_KINDS.flatMap((kind) => {
      const small = [...this.small[kind]].filter((number) => !old.has(number));
      const ofKind = written.filter((record) => record.kind === kind);
      if (ofKind.length === 0) return [];
      const fill = small.reduce((sum, number) => sum + this.bundles.get(number)!.fill, 0);
      const bytes = ofKind.reduce((sum, record) => sum + bytesOf(record), 0);
      return fill + fillOf(ofKind.length, bytes) >= 1 ? small : [];
    });
  }

  /** What is left of bundles without the records that are gone. */
  private async unbundle(
    numbers: readonly number[],
    gone: ReadonlySet<number>,
  ): Promise<{ records: LooseRecord[]; read: number[]; unreadable: number[] }> {
    const records: LooseRecord[] = [];
    const read: number[] = [];
    const unreadable: number[] = [];
    const sorted = [...numbers].sort((a, b) => a - b);
    const keys = await this.keyFile.readSome(sorted);
    for (const [i, number] of sorted.entries()) {
      const bundle = this.bundles.get(number)!;
      const value = this.tables[bundle.kind].getBinaryFast(toRow(number, bundle));
      const content = value && unseal(keys.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES), value);
      (content ? read : unreadable).push(number);
      if (content)
        splitBundle(bundle.kind, content).forEach((record, at) => {
          const number = bundle.records[at];
          if (!gone.has(number)) records.push({ number, ...record });
        });
      if (i % BUNDLES_PER_TURN === BUNDLES_PER_TURN - 1) await setImmediate();
    }
    keys.fill(0);
    return { records, read, unreadable };
  }

  /**
   * Makes changes in one transaction. Where it fails, as it does on a full disk, lmdb rejects the promise of each of them too,
   * and one that comes with the error: nobody else awaits those, and a rejection that nobody awaits ends the process.
   */
  private async transact(makeChanges: () => Promise<unknown>[]): Promise<void> {
    const ignore = () => undefined;
    try {
      await this.database.transaction(() => {
        for (const change of makeChanges()) change.catch(ignore);
      });
    } catch (error) {
      (error as { commitError?: Promise<never> }).commitError?.catch(ignore);
      throw error;
    }
  }

  /** Puts new bundles in the place of old ones. */
  private async replace(old: ReadonlySet<number>, packed: readonly LooseRecord[][]): Promise<void> {
    const numbers = packed.map(() => this.numbers.take()).sort((a, b) => a - b);
    const keys = randomBytes(packed.length * KEY_BYTES);
    const sealed: Buffer[] = [];
    for (const [i, records] of packed.entries()) {
      sealed.push(seal(keys.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES), encodeBundle(records)));
      if (i % BUNDLES_PER_TURN === BUNDLES_PER_TURN - 1) await setImmediate();
    }
    const bundles = packed.map((records, i): Bundle => ({
      kind: records[0].kind,
      records: records.map((record) => record.number),
      uid: records[0].kind === 'crop' ? records[0].numbers[0] : undefined,
      fill: fillOf(records.length, sealed[i].length),
    }));
    // A key without a bundle is nothing; a bundle without a key is lost. The numbers do not go back when one of these fails:
    // should the transaction have been made after all, the next start finds it whole.
    await this.keyFile.write(numbers, keys);
    keys.fill(0);
    await this.transact(() => [
      ...bundles.map((bundle, i) => this.tables[bundle.kind].put(toRow(numbers[i], bundle), sealed[i])),
      ...[...old].map((number) => {
        const bundle = this.bundles.get(number)!;
        return this.tables[bundle.kind].remove(toRow(number, bundle));
      }),
    ]);
    for (const number of old) {
      const { kind, records } = this.bundles.get(number)!;
      for (const record of records) this.bundleOf[record] = -1;
      this.small[kind].delete(number);
      this.bundles.delete(number);
      this.unwiped.push(number);
    }
    bundles.forEach((bundle, i) => this.add(numbers[i], bundle));
  }
}

/** Bundles of one kind each, in the given order of their records. */
function pack(records: readonly LooseRecord[]): LooseRecord[][] {
  const bundles: LooseRecord[][] = [];
  for (const kind of RECORD_KINDS) {
    let bundle: LooseRecord[] = [];
    let bytes = 0;
    for (const record of records) {
      if (record.kind !== kind) continue;
      const isFull = kind === 'crop' || fillOf(bundle.length + 1, bytes + bytesOf(record)) > 1;
      if (bundle.length > 0 && isFull) {
        bundles.push(bundle);
        bundle = [];
        bytes = 0;
      }
      bundle.push(record);
      bytes += bytesOf(record);
    }
    if (bundle.length > 0) bundles.push(bundle);
  }
  return bundles;
}

function fillOf(count: number, bytes: number): number {
  return Math.max(count / BUNDLE_RECORDS, bytes / BUNDLE_BYTES);
}

/** About: most characters are of one byte. */
function bytesOf({ json, numbers, embedding }: EncodedRecord): number {
  return json.length + numbers.length * 8 + embedding.length;
}

/*
 * Under the key of its row in the database a bundle has its number and how many records it holds: so it is known how many
 * are lost where it does not open. That of a crop also has its uid, by which its reference names it.
 */
type Row = number | [number, uid: number];

function toRow(number: number, { records, uid }: Bundle): Row {
  const row = number * BUNDLE_RECORDS + records.length - 1;
  return uid === undefined ? row : [row, uid];
}

function numberInRow(row: Row): number {
  return Math.floor((Array.isArray(row) ? row[0] : row) / BUNDLE_RECORDS);
}

function countInRow(row: Row): number {
  return ((Array.isArray(row) ? row[0] : row) % BUNDLE_RECORDS) + 1;
}

function uidInRow(row: Row): number | undefined {
  return Array.isArray(row) ? row[1] : undefined;
}

/** Makes the names of new files safe. */
async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return; // Folders cannot be opened there.
  const folder = await open(dir, 'r');
  await folder.sync();
  await folder.close();
}
