import { setImmediate } from 'node:timers/promises';
import { FaceError } from '../../errors';
import type { Notice } from '../../face/face.options';
import {
  decodeGalleries,
  decodeReferences,
  decodeSubjects,
  type RecordContent,
  type StoredGallery,
} from './durable/encode-content';
import type { RecordFile, RecordWrite, StoredBundle } from './durable/record-file';
import type { StoreProgress } from '../gallery.options';
import type { ReservedChange } from './change-queue';
import { MemoryStore, type MemoryStoreOptions } from './memory-store';
import { storeInvalid } from './durable/store-invalid';
import type { CropEntry } from './state/entries';
import type { GalleryEntry } from './state/gallery-entry';
import type { GalleryState } from './state/gallery-state';
import { NumberPool } from './state/number-pool';
import { type RestoredSubject, RestoreGallery } from './state/restore-gallery';
import { Turns } from '../../turns';

export interface DurableStoreOptions extends MemoryStoreOptions {
  /** Folder of the galleries, for one process at a time. Created if missing. */
  dir: string;
  /** Encryption key, 32 characters or more. An existing folder keeps its encryption, or lack of it. @defaultValue none */
  key?: string;
  /** Open a folder even if more than {@link MAX_DAMAGE} of its records cannot be read. @defaultValue false */
  acceptDamage?: boolean;
  /** Called with the progress of the restore and of an upgrade, and at the end of each. */
  onProgress?: (progress: StoreProgress) => void;
  /** Called with messages for the operator: damaged records. */
  onNotice?: (notice: Notice) => void;
}

/** Share of records that a start may set aside: more means the wrong file, not a broken sector. */
const MAX_DAMAGE = 0.01;
/** Records between two calls of `onProgress`. */
const PROGRESS_STEP = 5000;

/**
 * Galleries in memory and in a folder: an acknowledged change is on the disk, and reads and searches never touch the disk.
 * Changes that arrive during a write share the next flush.
 *
 * @publicApi
 */
export class DurableStore extends MemoryStore {
  private file!: RecordFile;
  /** Numbers of the records. */
  private records = new NumberPool();
  /** Numbers of deleted records that are not wiped yet. */
  private unwiped: number[] = [];
  /** Numbers of the records that are set aside. */
  private aside: readonly number[] = [];

  private constructor(options: MemoryStoreOptions) {
    super(options);
  }

  /**
   * Locks the folder and restores its content. Damaged records, and those that belong to them, are set aside and reported:
   * they are not served, and stay in the folder, as a truncated file may be restored.
   *
   * @throws {FaceError} GALLERY_STORE_INVALID if the folder has another format, version or key, is in use, or is damaged by
   * more than {@link MAX_DAMAGE}; nothing was changed.
   *
   * @example
   * const store = await DurableStore.open({ dir: 'data/gallery', threadCount: 2, precision: 'float32' });
   * GalleryModule.forRoot({ store })
   */
  static async open(options: DurableStoreOptions): Promise<DurableStore> {
    const store = new DurableStore(options);
    try {
      // The native libraries behind it are loaded with the first store that needs them. import() would want a flag under Jest.
      // eslint-disable-next-line @typescript-eslint/no-require-imports
      const { RecordFile } = require('./durable/record-file') as typeof import('./durable/record-file');
      store.file = await RecordFile.open(options.dir, options.key);
      await store.readFile(options);
      return store;
    } catch (error) {
      await store.close();
      if (error instanceof FaceError) throw error;
      throw new FaceError(
        'GALLERY_STORE_INVALID',
        'The gallery folder cannot be used.',
        {},
        {
          cause: error,
        },
      );
    }
  }

  /** Number of records set aside: damaged, orphaned, or enrolled again since. */
  get asideCount(): number {
    return this.aside.length;
  }

  /**
   * Erases the records that are set aside. Call it before any change.
   *
   * @throws {Error} for a failure of the disk; each record is then unchanged or removed.
   *
   * @example
   * if (store.asideCount > 0) await store.removeAside();
   */
  async removeAside(): Promise<void> {
    await this.file.commit([], this.aside);
    this.unwiped = this.unwiped.concat(this.aside);
    this.aside = [];
    await this.wipe();
  }

  override async close(): Promise<void> {
    await super.close();
    await this.file?.close();
  }

  /** Changes requested in the same turn of the event loop share the first flush. */
  protected override async gather(): Promise<void> {
    await setImmediate();
  }

  protected override async write(changes: readonly ReservedChange[]): Promise<void> {
    const { writes, erasures, crops } = await this.toRecords(changes);
    try {
      await this.file.commit(writes, erasures);
    } catch (error) {
      for (const { number } of writes) this.records.give(number);
      throw error;
    }
    this.unwiped.push(...erasures);
    for (const crop of crops) crop.content = undefined;
  }

  protected override readonly holdsCrops = false;

  protected override readCrop({ record }: CropEntry): Promise<Uint8Array | undefined> {
    return this.file.readCrop(record!);
  }

  protected override async wipe(): Promise<void> {
    await this.file.wipe();
    for (const record of this.unwiped.splice(0)) this.records.give(record);
  }

  private async toRecords(
    changes: readonly ReservedChange[],
  ): Promise<{ writes: RecordWrite[]; erasures: number[]; crops: CropEntry[] }> {
    const writes: RecordWrite[] = [];
    /** Written crops. */
    const crops: CropEntry[] = [];
    const erasures: number[] = [];
    const erase = ({ record }: Recorded) => erasures.push(record!);
    const write = (entry: Recorded, content: RecordContent) =>
      writes.push({ number: (entry.record = this.records.take()), content });
    for (const { gallery, replaced, draft } of changes) {
      if (gallery) {
        const { before, after } = gallery;
        if (after) write(after, { kind: 'gallery', gallery: after });
        if (before) erase(before);
        if (before && !after) await eraseAll(before, erase);
      }
      if (replaced) {
        erase(replaced);
        await eraseAll(replaced, erase);
      }
      if (!draft) continue;
      const { state, subjects, references } = draft;
      for (const { before, after } of subjects) {
        // Only its references changed.
        if (before?.details === after?.details) continue;
        if (before) erase(before.details);
        if (after) write(after.details, { kind: 'subject', galleryUid: state.uid, subject: after.details });
      }
      /** Uids of subjects whose references changed, by subject number. */
      const uids = new Map(subjects.map(({ after }) => [after?.number, after?.details.uid]));
      for (const { before, after, embedding = after && before && state.embeddingOf(before) } of references) {
        if (before) erase(before);
        if (before?.crop !== after?.crop) {
          if (before?.crop) erase(before.crop);
          if (after?.crop) {
            const { crop } = after;
            crops.push(crop);
            write(crop, { kind: 'crop', uid: crop.uid, content: crop.content! });
          }
        }
        if (after)
          write(after, {
            kind: 'reference',
            subjectUid: uids.get(after.subject)!,
            reference: after,
            embedding: embedding!,
          });
      }
    }
    return { writes, erasures, crops };
  }

  private async readFile({ onProgress, onNotice, acceptDamage }: DurableStoreOptions): Promise<void> {
    const total = this.file.count;
    const restore = new Restore((gallery) => this.makeState(gallery));
    let done = 0;
    let reported = 0;
    this.records = await this.file.readAll(
      (bundle) => {
        done += bundle.records.length;
        if (done - reported >= PROGRESS_STEP) onProgress?.({ done: (reported = done), total });
        restore.take(bundle);
      },
      () => {
        restore.leaveCrops();
        const { damaged, orphans } = restore;
        if (acceptDamage || damaged.length + orphans.length <= total * MAX_DAMAGE) return;
        throw storeInvalid(
          `has ${damaged.length} of ${total} records that cannot be read, and ${orphans.length} whose gallery or subject ` +
            'is missing. Nothing was changed: restore its files from a backup, or set FACE_GALLERY_ACCEPT_DAMAGE=on to ' +
            'serve the rest',
        );
      },
      (upgraded, outdated) => onProgress?.({ stage: 'upgrade', done: upgraded, total: outdated }),
    );
    const { galleries, older } = await restore.finish();
    this.restore(galleries, restore.lastUid);
    onProgress?.({ done, total });
    const { damaged, orphans } = restore;
    this.aside = [...damaged, ...orphans, ...older];
    if (this.aside.length > 0)
      onNotice?.({
        level: 'warn',
        message:
          `The gallery folder is damaged: ${damaged.length} of ${total} records cannot be read, ${orphans.length} have no ` +
          `gallery or subject, and ${older.length} were enrolled again since. They are set aside: not served, and not removed.`,
      });
  }
}

/** An entry with a record in the file. */
interface Recorded {
  record?: number;
}

/** Erases the content of a gallery, in small steps between turns of the event loop. */
async function eraseAll({ state }: GalleryEntry, erase: (entry: Recorded) => void): Promise<void> {
  const turns = new Turns();
  for (const { details, references } of state.entries()) {
    erase(details);
    for (const reference of references) {
      erase(reference);
      if (reference.crop) erase(reference.crop);
    }
    await turns.next();
  }
}

/** Rebuilds galleries from records. */
class Restore {
  /** Numbers of records that cannot be decrypted. */
  readonly damaged: number[] = [];
  /** Numbers of records whose subject or gallery is missing. */
  readonly orphans: number[] = [];
  lastUid = 0;
  /** Galleries by uid. */
  private readonly galleries = new Map<number, { entry: GalleryEntry; restore: RestoreGallery }>();
  private readonly subjects = new Map<number, { restore: RestoreGallery; subject: RestoredSubject }>();
  /** Crops without a reference so far, by uid. */
  private readonly crops = new Map<number, CropEntry>();

  constructor(private readonly makeState: (gallery: StoredGallery) => GalleryState) {}

  take({ kind, records, uid, content }: StoredBundle): void {
    // Skipping it would drop the whole gallery, which is the operator's decision.
    if (!content && kind === 'gallery') throw storeInvalid('has a damaged gallery record: restore an export');
    if (!content) this.damaged.push(...records);
    else if (kind === 'crop') this.crop(records[0], uid!);
    else this[kind](records, content);
  }

  /** After the last record: counts crops without a reference as orphans. */
  leaveCrops(): void {
    for (const { record } of this.crops.values()) this.orphans.push(record!);
    this.crops.clear();
  }

  /** @returns the galleries, and the numbers of records replaced by newer ones with the same id. */
  async finish(): Promise<{ galleries: GalleryEntry[]; older: number[] }> {
    const older: number[] = [];
    for (const { restore } of this.galleries.values())
      for (const { record } of await restore.finish()) older.push(record!);
    return { galleries: Array.from(this.galleries.values(), ({ entry }) => entry), older };
  }

  private gallery(records: readonly number[], content: Buffer): void {
    decodeGalleries(content).forEach((stored, i) => {
      this.lastUid = Math.max(this.lastUid, stored.uid);
      const state = this.makeState(stored);
      const entry = { ...stored, record: records[i], state };
      this.galleries.set(stored.uid, { entry, restore: new RestoreGallery(state) });
    });
  }

  private subject(records: readonly number[], content: Buffer): void {
    decodeSubjects(content).forEach(({ galleryUid, ...details }, i) => {
      this.lastUid = Math.max(this.lastUid, details.uid);
      const restore = this.galleries.get(galleryUid)?.restore;
      if (!restore) return void this.orphans.push(records[i]);
      const subject = restore.addSubject({ ...details, record: records[i] });
      this.subjects.set(details.uid, { restore, subject });
    });
  }

  private crop(record: number, uid: number): void {
    this.lastUid = Math.max(this.lastUid, uid);
    this.crops.set(uid, { uid, record });
  }

  private reference(records: readonly number[], content: Buffer): void {
    decodeReferences(content).forEach(({ subjectUid, cropUid, embedding, ...reference }, i) => {
      this.lastUid = Math.max(this.lastUid, reference.uid);
      const owner = this.subjects.get(subjectUid);
      if (!owner) return void this.orphans.push(records[i]);
      const crop = cropUid === null ? undefined : this.crops.get(cropUid);
      if (crop) this.crops.delete(crop.uid);
      owner.restore.addReference(owner.subject, { ...reference, crop, record: records[i] }, embedding);
    });
  }
}
