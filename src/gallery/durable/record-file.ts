import { type Database, open as openDatabase, type RootDatabase } from 'lmdb';
import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { RecordContent } from '../state/entries';
import { NumberPool } from '../state/number-pool';
import type { RecordErasure, RecordWrite } from '../state/plan';
import { encodeContent } from './encode-content';
import { lockFolder } from './folder-lock';
import { openHeader } from './folder-header';
import { KEY_BYTES, KeyFile } from './key-file';
import { openRecord, sealRecord } from './sealed-record';
import { storeInvalid } from './store-invalid';

/** In the order in which they are read: what others belong to comes first. */
export const RECORD_KINDS = ['gallery', 'subject', 'reference'] as const;
export type RecordKind = RecordContent['kind'];

/** Two records with 512 numbers, or more, fit a page; those of the system's own size would hold one and much air. */
const PAGE_BYTES = 8192;
/** Records that are read between two turns of the event loop. */
const RECORDS_PER_TURN = 2000;

/** One record as it was read. */
export interface StoredRecord {
  kind: RecordKind;
  number: number;
  /** `undefined`: damaged. */
  content: Buffer | undefined;
}

/**
 * Records in a folder that no other process has.
 *
 * A record never changes: it is written under a number, sealed with a key of its own, and removed. The database leaves what
 * was removed in its file until the place is needed; so the keys lie apart, in a file that is overwritten in place, and
 * without its key a record is noise.
 */
export class RecordFile {
  private readonly tables: Record<RecordKind, Database<Buffer, number>>;

  private constructor(
    private readonly lock: FileHandle,
    private readonly keyFile: KeyFile,
    private readonly database: RootDatabase<Buffer, number>,
  ) {
    const table = (name: RecordKind) =>
      database.openDB<Buffer, number>({ name, encoding: 'binary', keyEncoding: 'uint32' });
    this.tables = { gallery: table('gallery'), subject: table('subject'), reference: table('reference') };
  }

  /**
   * Opens the folder, or makes it.
   *
   * @param key - of the operator; encrypts the keys of the records.
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
      });
      await syncFolder(dir);
      return new RecordFile(lock, keyFile, database);
    } catch (error) {
      await lock.close();
      throw error;
    }
  }

  /** How many there are, of all kinds. */
  get count(): number {
    return RECORD_KINDS.reduce((sum, kind) => sum + this.tables[kind].getCount(), 0);
  }

  /**
   * Reads all records, in the order of {@link RECORD_KINDS}, then tidies: records that `take` refuses are removed, keys
   * without a record are wiped.
   *
   * @param take - told of each; false where it is of no use.
   * @returns numbers for new records.
   * @throws {FaceError} GALLERY_STORE_INVALID where there are records and none of them opens; nothing was changed.
   */
  async readAll(take: (record: StoredRecord) => boolean): Promise<NumberPool> {
    const { keys, isSet } = await this.keyFile.read();
    const refused: RecordErasure[] = [];
    const isTaken = new Uint8Array(Math.max(isSet.length, this.boundOfNumbers()));
    let openedCount = 0;
    let readCount = 0;
    for (const kind of RECORD_KINDS) {
      const table = this.tables[kind];
      for (const number of table.getKeys()) {
        // A view that is good until the next read: nothing is copied for the cipher.
        const value = table.getBinaryFast(number)!;
        const key = keys.subarray(number * KEY_BYTES, (number + 1) * KEY_BYTES);
        const content = isSet[number] === 1 ? openRecord(key, value) : undefined;
        if (content) openedCount++;
        if (take({ kind, number, content })) isTaken[number] = 1;
        else refused.push({ kind, number });
        if (++readCount % RECORDS_PER_TURN === 0) await setImmediate();
      }
    }
    keys.fill(0);
    if (readCount > 0 && openedCount === 0) throw storeInvalid('has keys that open none of its records');

    if (refused.length > 0) await this.remove(refused);
    const pool = new NumberPool(isTaken.length);
    const unused: number[] = [];
    isTaken.forEach((taken, number) => {
      if (taken) return;
      pool.give(number);
      if (isSet[number] === 1) unused.push(number);
    });
    await this.keyFile.wipe(unused);
    return pool;
  }

  /**
   * Writes and removes in one transaction. When it settles, that is on the disk; what was removed can be read from the disk
   * until {@link wipe}.
   */
  async commit(writes: readonly RecordWrite[], removals: readonly RecordErasure[]): Promise<void> {
    const sorted = [...writes].sort((a, b) => a.number - b.number);
    const keys = randomBytes(sorted.length * KEY_BYTES);
    const sealed = sorted.map(({ content }, i) => ({
      kind: content.kind,
      record: sealRecord(keys.subarray(i * KEY_BYTES, (i + 1) * KEY_BYTES), encodeContent(content)),
    }));
    // A key without a record is nothing; a record without a key is lost.
    await this.keyFile.write(
      sorted.map(({ number }) => number),
      keys,
    );
    keys.fill(0);
    await this.database.transaction(() => {
      sorted.forEach(({ number }, i) => void this.tables[sealed[i].kind].put(number, sealed[i].record));
      for (const { kind, number } of removals) void this.tables[kind].remove(number);
    });
  }

  /** Makes noise of records that were removed. */
  async wipe(numbers: readonly number[]): Promise<void> {
    await this.keyFile.wipe([...numbers].sort((a, b) => a - b));
  }

  async close(): Promise<void> {
    await this.database.close();
    await this.keyFile.close();
    await this.lock.close();
  }

  private async remove(records: readonly RecordErasure[]): Promise<void> {
    await this.database.transaction(() => {
      for (const { kind, number } of records) void this.tables[kind].remove(number);
    });
  }

  /** Above the number of every record. */
  private boundOfNumbers(): number {
    let bound = 0;
    for (const kind of RECORD_KINDS)
      for (const last of this.tables[kind].getKeys({ reverse: true, limit: 1 }))
        bound = Math.max(bound, last + 1);
    return bound;
  }
}

/** Makes the names of new files safe. */
async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return; // Folders cannot be opened there.
  const folder = await open(dir, 'r');
  await folder.sync();
  await folder.close();
}
