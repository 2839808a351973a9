import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { nextTurn } from '../../../turns';
import { NumberPool } from '../state/number-pool';
import {
  BundleDatabase,
  type BundlePlace,
  MAX_BUNDLE_RECORDS,
  RECORD_KINDS,
  type RecordKind,
  sealBundle,
} from './bundle-database';
import {
  encodeBundle,
  type EncodedRecord,
  encodeRecord,
  type RecordContent,
  splitBundle,
} from './encode-content';
import { lockFolder } from './folder-lock';
import { type Header, openHeader, VERSION, writeHeader } from './folder-header';
import { KEY_BYTES, KeyFile } from './key-file';
import { finishRekey } from './rekey-folder';
import { storeInvalid } from './store-invalid';
import { syncFolder } from './sync-folder';

/**
 * A bundle is full with {@link MAX_BUNDLE_RECORDS} records or this many bytes. Larger bundles make a start faster, but the
 * removal of a record more expensive: the rest of its bundle is rewritten. A start takes about as long with 32 (measured).
 */
const BUNDLE_BYTES = 256 * 1024;
/** Bundles decrypted or sealed between two turns of the event loop. */
const BUNDLES_PER_TURN = 8;
const NOT_READ = Buffer.alloc(0);
/** Pending keys that trigger a wipe if their bundles held only moved records. A deletion wipes all pending keys. */
const MAX_UNWIPED = 128;

/** Bundles upgraded in one transaction: at most this many are on the disk twice. */
const BUNDLES_PER_UPGRADE = 64;

/** A record to write. */
export interface RecordWrite {
  number: number;
  content: RecordContent;
}

/** Records of one kind, sealed together. */
interface Bundle {
  place: BundlePlace;
  /** Numbers of its records, in the order of the content. */
  records: readonly number[];
  /** Fill level, 0 to 1; above 1 if a single record exceeds the size of a bundle. 1 if the bundle does not open. */
  fill: number;
}

/** A bundle without a place yet. */
interface NewBundle {
  kind: RecordKind;
  records: readonly number[];
  /** Uid, only of a crop. */
  uid?: number;
  encode: () => Uint8Array;
}

/** A bundle read from the database. */
export interface StoredBundle {
  kind: RecordKind;
  /** Numbers assigned to its records. */
  records: readonly number[];
  /** Uid, only of a crop. */
  uid?: number;
  /** `undefined` if damaged. Empty for a crop, which is read on demand. */
  content: Buffer | undefined;
}

/** A record on its way into a bundle. */
interface LooseRecord extends EncodedRecord {
  number: number;
}

/**
 * Records in a folder locked for this process.
 *
 * Records of one kind lie in bundles, which are immutable: a bundle is written under a number, sealed with a key of its own, and
 * removed. The database leaves removed data in its file until the space is reused. So the keys lie in a separate file, which is
 * overwritten in place, and without its key a bundle is noise. To remove some records of a bundle, the others are written to a
 * new bundle and the old one is removed. A crop has a bundle of its own: it is written once, and not read at a start.
 *
 * Crash safety. A commit (1) writes and syncs the keys of its new bundles, into slots without a bundle; (2) puts the new bundles
 * and removes the old ones in one synced transaction; (3) is acknowledged if nothing was deleted; (4) overwrites and syncs the
 * keys of the old bundles; (5) is acknowledged if something was deleted.
 * - Before 2 is on the disk, all old bundles exist with their keys: nothing has happened. The new keys have no bundle.
 * - After 2, remaining records are in the new bundles, whose keys were already synced. Deleted records are in no bundle: they
 *   cannot come back, wiped or not. The old keys have no bundle.
 * - Keys without a bundle are wiped at the next start, before anything is served.
 * A remaining record has copies in removed bundles. The keys of these may be wiped later, since every later deletion wipes all
 * pending keys before it is acknowledged. A slot is reused only after 4: no other bundle depends on its content, and no key is
 * used twice.
 *
 * Bundles of an older format version lie in tables of their own. Those that open are replaced as in a commit, before anything is
 * served, so that a kill at any moment leaves each bundle in either the old or the new form.
 */
export class RecordFile {
  /** Bundles less than half full, by kind: they are merged once they fill a bundle. */
  private readonly small: Record<RecordKind, Set<Bundle>> = {
    gallery: new Set(),
    subject: new Set(),
    crop: new Set(),
    reference: new Set(),
  };
  /** The bundle of each record, by its number. */
  private readonly bundleOf: (Bundle | undefined)[] = [];
  /** Number of bundles with a number: one, unless the database is damaged. */
  private readonly uses: number[] = [];
  /** Numbers of the bundles. */
  private numbers = new NumberPool();
  /** Numbers of removed bundles whose keys are not wiped yet. */
  private unwiped: number[] = [];
  /** Whether `unwiped` includes bundles with deleted records. */
  private hasTraces = false;

  private constructor(
    private readonly dir: string,
    private readonly header: Header,
    private readonly lock: FileHandle,
    private readonly keyFile: KeyFile,
    private readonly database: BundleDatabase,
  ) {}

  /**
   * Opens the folder, or creates it.
   *
   * @param key - the operator's key; encrypts the keys of the bundles.
   * @throws {FaceError} GALLERY_STORE_INVALID if the folder is not a gallery folder, has another version or key, or is in use.
   */
  static async open(dir: string, key: string | undefined): Promise<RecordFile> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const lock = await lockFolder(dir);
    let keyFile: KeyFile | undefined;
    let database: BundleDatabase | undefined;
    try {
      const { header: found, wrappingKey } = await openHeader(dir, key);
      const header = await finishRekey(dir, found);
      keyFile = await KeyFile.open(join(dir, header.keys), wrappingKey);
      database = BundleDatabase.open(join(dir, 'records'));
      await syncFolder(dir);
      return new RecordFile(dir, header, lock, keyFile, database);
    } catch (error) {
      await database?.close();
      await keyFile?.close();
      await lock.close();
      throw error;
    }
  }

  /** Number of records of all kinds. */
  get count(): number {
    let count = 0;
    for (const place of this.database.places()) count += place.count;
    return count;
  }

  /**
   * Reads all records, in the order of {@link RECORD_KINDS}, upgrades those of an older version, then wipes keys without a
   * bundle. A bundle that does not open stays in place, under its number: its key may be restored.
   *
   * @param take - called with each bundle.
   * @param check - throws if the bundles must not be served; nothing was changed.
   * @param onUpgrade - called after records were upgraded.
   * @returns numbers for new records.
   * @throws {FaceError} GALLERY_STORE_INVALID if there are records and none of them opens; nothing was changed. Also if the
   * upgrade fails, such as on a full disk: the next call continues it.
   */
  async readAll(
    take: (bundle: StoredBundle) => void,
    check: () => void,
    onUpgrade?: (done: number, total: number) => void,
  ): Promise<NumberPool> {
    const { keys, isSet } = await this.keyFile.read();
    const outdated: Bundle[] = [];
    let bundleCount = 0;
    let openedCount = 0;
    let bound = isSet.length;
    for (const place of this.database.places()) {
      const { kind, number, count, uid } = place;
      const first = this.bundleOf.length;
      const records = Array.from({ length: count }, (_, i) => first + i);
      const key = keys.subarray(number * KEY_BYTES, (number + 1) * KEY_BYTES);
      const isCrop = kind === 'crop';
      const read = () => (isCrop ? NOT_READ : this.database.read(place, key));
      const content = isSet[number] === 1 ? read() : undefined;
      const bundle = { place, records, fill: content && !isCrop ? fillOf(count, content.length) : 1 };
      this.add(bundle);
      bound = Math.max(bound, number + 1);
      if (content && !isCrop) openedCount++;
      if (content && place.version !== VERSION) outdated.push(bundle);
      take({ kind, records, uid, content });
      if (++bundleCount % BUNDLES_PER_TURN === 0) await nextTurn();
    }
    keys.fill(0);
    if (bundleCount > 0 && openedCount === 0) throw storeInvalid('has keys that decrypt none of its records');
    check();

    this.numbers = new NumberPool(bound);
    for (let number = 0; number < bound; number++) {
      if (this.uses[number] > 0) continue;
      if (isSet[number] === 1) this.unwiped.push(number);
      else this.numbers.give(number);
    }
    await this.upgrade(outdated, onUpgrade);
    this.hasTraces = true;
    await this.wipe();
    return new NumberPool(this.bundleOf.length);
  }

  /**
   * Writes and removes records in one transaction, which is on the disk when the promise settles. Removed records can be read
   * from the disk until {@link wipe}.
   *
   * @param removals - numbers of records.
   * @throws {Error} if the bundle of a removed record does not open, as its other records would be lost; nothing was changed.
   */
  async commit(writes: readonly RecordWrite[], removals: readonly number[]): Promise<void> {
    const gone = new Set(removals);
    /** Number of removed records per bundle. */
    const losses = new Map<Bundle, number>();
    for (const record of gone) {
      const bundle = this.bundleOf[record];
      if (bundle) losses.set(bundle, (losses.get(bundle) ?? 0) + 1);
    }
    const old = new Set(losses.keys());
    const rests = [...old].filter((bundle) => losses.get(bundle)! < bundle.records.length);
    const written = writes
      // A record added and removed in the same commit is never written.
      .filter(({ number }) => !gone.has(number))
      .map(({ number, content }): LooseRecord => ({ number, ...encodeRecord(content) }));
    const unpacked = await this.unbundle(rests, gone);
    if (unpacked.unreadable.length > 0) throw new Error('A bundle of records cannot be read.');
    const merged = await this.unbundle(this.toMerge(written, old), gone);
    // Unreadable bundles stay as they are: the next start reports them.
    for (const bundle of merged.unreadable) this.small[bundle.place.kind].delete(bundle);
    for (const bundle of merged.read) old.add(bundle);
    const packed = pack([...merged.records, ...unpacked.records, ...written]);
    await this.replace(
      old,
      packed.map((records) => ({
        kind: records[0].kind,
        records: records.map((record) => record.number),
        uid: records[0].uid,
        encode: () => encodeBundle(records),
      })),
    );
    this.hasTraces ||= removals.length > 0;
  }

  /**
   * Reads a crop.
   *
   * @param record - its number.
   * @returns the encoded image; `undefined` if it was removed or does not open.
   */
  async readCrop(record: number): Promise<Buffer | undefined> {
    const bundle = this.bundleOf[record];
    if (bundle?.place.kind !== 'crop') return undefined;
    let image: Buffer | undefined;
    // If a commit removes the crop while its key is read, its row is gone: undefined.
    for await (const { content } of this.open([bundle])) image = content;
    return image;
  }

  /** Wipes the keys of removed records. Keys of records that were only moved may wait: these records still exist. */
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

  private add(bundle: Bundle): void {
    const { kind, number } = bundle.place;
    this.uses[number] = (this.uses[number] ?? 0) + 1;
    if (bundle.fill < 1 / 2 && kind !== 'crop') this.small[kind].add(bundle);
    for (const record of bundle.records) this.bundleOf[record] = bundle;
  }

  /** Seals bundles of an older version for this one. Bundles that do not open are excluded and stay in the old form. */
  private async upgrade(
    outdated: readonly Bundle[],
    onUpgrade?: (done: number, total: number) => void,
  ): Promise<void> {
    const total = outdated.reduce((sum, { records }) => sum + records.length, 0);
    let done = 0;
    try {
      // The header comes first: an older release would take the new bundles for damage.
      if (this.header.version !== VERSION) {
        await writeHeader(this.dir, { ...this.header, version: VERSION });
        await syncFolder(this.dir);
      }
      for (let from = 0; from < outdated.length; from += BUNDLES_PER_UPGRADE) {
        const bundles: NewBundle[] = [];
        const old = outdated.slice(from, from + BUNDLES_PER_UPGRADE);
        for await (const { bundle, content } of this.open(old)) {
          const { place, records } = bundle;
          if (!content) throw new Error('A bundle of records cannot be read.');
          bundles.push({ kind: place.kind, records, encode: () => content });
          done += records.length;
        }
        await this.replace(new Set(old), bundles);
        await this.wipe();
        onUpgrade?.(done, total);
      }
    } catch (error) {
      throw storeInvalid(
        `could not be upgraded to format version ${VERSION}. Nothing is lost, and the next start continues; its disk may be full`,
        error,
      );
    }
  }

  /** Small bundles to merge, if they fill a bundle together with the new records: so each record is written about twice. */
  private toMerge(written: readonly LooseRecord[], old: ReadonlySet<Bundle>): Bundle[] {
    return RECORD_KINDS.flatMap((kind) => {
      const small = [...this.small[kind]].filter((bundle) => !old.has(bundle));
      const ofKind = written.filter((record) => record.kind === kind);
      if (ofKind.length === 0) return [];
      const fill = small.reduce((sum, bundle) => sum + bundle.fill, 0);
      const bytes = ofKind.reduce((sum, record) => sum + bytesOf(record), 0);
      return fill + fillOf(ofKind.length, bytes) >= 1 ? small : [];
    });
  }

  /** Reads the remaining records of bundles. */
  private async unbundle(
    bundles: readonly Bundle[],
    gone: ReadonlySet<number>,
  ): Promise<{ records: LooseRecord[]; read: Bundle[]; unreadable: Bundle[] }> {
    const records: LooseRecord[] = [];
    const read: Bundle[] = [];
    const unreadable: Bundle[] = [];
    for await (const { bundle, content } of this.open(bundles)) {
      (content ? read : unreadable).push(bundle);
      if (content)
        splitBundle(bundle.place.kind, content).forEach((record, at) => {
          const number = bundle.records[at];
          if (!gone.has(number)) records.push({ number, ...record });
        });
    }
    return { records, read, unreadable };
  }

  /** Reads bundles, ascending by number; `content` is `undefined` if one does not open. */
  private async *open(
    bundles: readonly Bundle[],
  ): AsyncGenerator<{ bundle: Bundle; content: Buffer | undefined }> {
    const sorted = [...bundles].sort((a, b) => a.place.number - b.place.number);
    const keys = await this.keyFile.readSome(sorted.map(({ place }) => place.number));
    for (const [i, bundle] of sorted.entries()) {
      const key = keys.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES);
      yield { bundle, content: this.database.read(bundle.place, key) };
      if (i % BUNDLES_PER_TURN === BUNDLES_PER_TURN - 1) await nextTurn();
    }
    keys.fill(0);
  }

  /** Replaces old bundles with new ones. */
  private async replace(old: ReadonlySet<Bundle>, added: readonly NewBundle[]): Promise<void> {
    const numbers = added.map(() => this.numbers.take()).sort((a, b) => a - b);
    const keys = randomBytes(added.length * KEY_BYTES);
    const bundles: (Bundle & { sealed: Buffer })[] = [];
    for (const [i, { kind, records, uid, encode }] of added.entries()) {
      const place: BundlePlace = { version: VERSION, kind, number: numbers[i], count: records.length, uid };
      const content = encode();
      const sealed = sealBundle(place, keys.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES), content);
      bundles.push({ place, records, fill: fillOf(records.length, content.length), sealed });
      if (i % BUNDLES_PER_TURN === BUNDLES_PER_TURN - 1) await nextTurn();
    }
    // Keys first: a key without a bundle is harmless, a bundle without a key is lost. If a step fails, the numbers stay taken:
    // should the transaction have been committed after all, the next start finds it complete.
    await this.keyFile.write(numbers, keys);
    keys.fill(0);
    await this.database.replace(
      [...old].map(({ place }) => place),
      bundles,
    );
    for (const bundle of old) {
      const { kind, number } = bundle.place;
      for (const record of bundle.records) this.bundleOf[record] = undefined;
      this.small[kind].delete(bundle);
      if (--this.uses[number] === 0) this.unwiped.push(number);
    }
    for (const { sealed: _sealed, ...bundle } of bundles) this.add(bundle);
  }
}

/** Packs records into bundles of one kind each, in the given order. */
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
  return Math.max(count / MAX_BUNDLE_RECORDS, bytes / BUNDLE_BYTES);
}

/** Approximate size: most characters take one byte. */
function bytesOf({ json, numbers, embedding }: EncodedRecord): number {
  return json.length + numbers.length * 8 + embedding.length;
}
