import { FaceError } from '../errors';
import type { Notice } from '../face/face.options';
import { decodeGalleries, decodeReferences, decodeSubjects } from './durable/encode-content';
import type { RecordFile, StoredBundle } from './durable/record-file';
import { galleryErrors } from './gallery-errors';
import type { StoreProgress } from './gallery.options';
import { MemoryStore, type MemoryStoreOptions } from './memory-store';
import { storeInvalid } from './durable/store-invalid';
import type { GalleryEntry } from './state/entries';
import type { GalleryState } from './state/gallery-state';
import type { Plan } from './state/plan';

export interface DurableStoreOptions extends MemoryStoreOptions {
  /** Folder of the galleries, for one process at a time. Made where it is not there. */
  dir: string;
  /** Encrypts the folder; 32 characters or more. What was made without one stays so. @defaultValue none */
  key?: string;
  /** Open a folder of which more than {@link MAX_DAMAGE} cannot be read. @defaultValue false */
  acceptDamage?: boolean;
  /** Told of the restore and of an upgrade, now and then and at the end of each. */
  onProgress?: (progress: StoreProgress) => void;
  /** Told what an operator should read: records that were damaged. */
  onNotice?: (notice: Notice) => void;
}

/** Share of records that may be set aside at a start: more is not a broken sector but the wrong file. */
const MAX_DAMAGE = 0.01;
/** Records between two calls of `onProgress`. */
const PROGRESS_STEP = 5000;

/** A change that waits to be written. */
interface WaitingPlan {
  plan: Plan;
  resolve: () => void;
  reject: (error: FaceError) => void;
}

/**
 * Galleries in memory and, before they are there, in a folder: a change is on the disk when it is acknowledged, and reads
 * and searches never touch the disk. Changes that come while others are written go together, in one flush.
 *
 * @publicApi
 */
export class DurableStore extends MemoryStore {
  private file: RecordFile;
  private waiting: WaitingPlan[] = [];
  /** Of all that waits now. */
  private flushing?: Promise<void>;
  /** Numbers of the records that are set aside. */
  private aside: readonly number[] = [];

  private constructor(options: MemoryStoreOptions) {
    super(options);
  }

  /**
   * Takes the folder and restores what it holds. A record that is damaged, or belongs to one that is, is set aside and
   * reported: it is not served, and stays in the folder, as a file that was cut off may come back.
   *
   * @throws {FaceError} GALLERY_STORE_INVALID where the folder is not ours, of another version, in use, has another key, or is
   * damaged by more than {@link MAX_DAMAGE}; nothing was changed.
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
        'The folder of the galleries cannot be used.',
        {},
        {
          cause: error,
        },
      );
    }
  }

  /** Records that are set aside: damaged, or in the way of others. */
  get asideCount(): number {
    return this.aside.length;
  }

  /**
   * Removes for good what is set aside. To be called before any change.
   *
   * @throws {Error} of the disk; what is there is as it was, or removed.
   */
  async removeAside(): Promise<void> {
    await this.file.commit([], this.aside);
    await this.file.wipe();
    for (const record of this.aside) this.records.give(record);
    this.aside = [];
  }

  override async close(): Promise<void> {
    await this.flushing;
    await super.close();
    await this.file?.close();
  }

  protected override async commit(plan: Plan): Promise<void> {
    if (plan.isEmpty && !this.flushing) return plan.settle();
    await new Promise<void>((resolve, reject) => {
      this.waiting.push({ plan, resolve, reject });
      this.flushing ??= this.flushAll();
    });
  }

  private async flushAll(): Promise<void> {
    // What is asked for in this turn goes in the first flush.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.waiting.length > 0) await this.flush(this.waiting.splice(0));
    this.flushing = undefined;
  }

  private async flush(group: readonly WaitingPlan[]): Promise<void> {
    const erasures = group.flatMap(({ plan }) => plan.erasures);
    try {
      await this.file.commit(
        group.flatMap(({ plan }) => plan.writes),
        erasures,
      );
    } catch (error) {
      // What came meanwhile was planned on top of it.
      for (const { plan, reject } of [...group, ...this.waiting.splice(0)]) {
        plan.forget();
        reject(galleryErrors.storeFailed(error));
      }
      return;
    }
    for (const { plan } of group) plan.settle();
    const [wiping, done] = [
      group.filter(({ plan }) => plan.erasures.length > 0),
      group.filter(({ plan }) => plan.erasures.length === 0),
    ];
    for (const { resolve } of done) resolve();
    for (const record of erasures) this.records.give(record);
    try {
      await this.file.wipe();
      for (const { resolve } of wiping) resolve();
    } catch (error) {
      for (const { reject } of wiping) reject(notWiped(error));
    }
  }

  private async readFile({ onProgress, onNotice, acceptDamage }: DurableStoreOptions): Promise<void> {
    const total = this.file.count;
    const restore = new Restore((gallery) => this.makeState(gallery));
    let done = 0;
    let told = 0;
    this.records = await this.file.readAll(
      (bundle) => {
        done += bundle.records.length;
        if (done - told >= PROGRESS_STEP) onProgress?.({ done: (told = done), total });
        restore.take(bundle);
      },
      () => {
        const { damaged, orphans } = restore;
        if (acceptDamage || damaged.length + orphans.length <= total * MAX_DAMAGE) return;
        throw storeInvalid(
          `has ${damaged.length} of ${total} records that cannot be read, and ${orphans.length} that belong to ` +
            'none that can. Nothing was changed: bring its files back from a backup, or set FACE_GALLERY_ACCEPT_DAMAGE=on to ' +
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
          `The folder of the galleries is damaged: ${damaged.length} of ${total} records cannot be read, ${orphans.length} belong ` +
          `to none that can, and ${older.length} were enrolled again since. They are set aside: not served, and not removed.`,
      });
  }
}

/** Puts records together again. */
class Restore {
  /** Numbers of records that do not open. */
  readonly damaged: number[] = [];
  /** Numbers of records whose subject or gallery is not there. */
  readonly orphans: number[] = [];
  lastUid = 0;
  /** By uid. */
  private readonly galleries = new Map<number, GalleryEntry>();
  private readonly subjects = new Map<number, { state: GalleryState; number: number }>();

  constructor(private readonly makeState: (gallery: GalleryEntry) => GalleryState) {}

  take({ kind, records, content }: StoredBundle): void {
    // Leaving it out would take the whole gallery with it: an operator decides about that.
    if (!content && kind === 'gallery')
      throw storeInvalid('has a damaged record of a gallery: restore an export');
    if (content) this[kind](records, content);
    else this.damaged.push(...records);
  }

  /** @returns the galleries, and numbers of records that made way for newer ones of the same id. */
  async finish(): Promise<{ galleries: GalleryEntry[]; older: number[] }> {
    const galleries = [...this.galleries.values()];
    const older: number[][] = [];
    for (const gallery of galleries) older.push(await gallery.state.restored());
    return { galleries, older: older.flat() };
  }

  private gallery(records: readonly number[], content: Buffer): void {
    decodeGalleries(content).forEach((stored, i) => {
      this.lastUid = Math.max(this.lastUid, stored.uid);
      const gallery = { ...stored, record: records[i] } as GalleryEntry;
      this.galleries.set(stored.uid, { ...gallery, state: this.makeState(gallery) });
    });
  }

  private subject(records: readonly number[], content: Buffer): void {
    decodeSubjects(content).forEach((stored, i) => {
      this.lastUid = Math.max(this.lastUid, stored.uid);
      const state = this.galleries.get(stored.galleryUid)?.state;
      if (state) this.subjects.set(stored.uid, { state, number: state.restoreSubject(records[i], stored) });
      else this.orphans.push(records[i]);
    });
  }

  private reference(records: readonly number[], content: Buffer): void {
    decodeReferences(content).forEach((stored, i) => {
      this.lastUid = Math.max(this.lastUid, stored.uid);
      const owner = this.subjects.get(stored.subjectUid);
      if (owner) owner.state.restoreReference(records[i], owner.number, stored);
      else this.orphans.push(records[i]);
    });
  }
}

function notWiped(cause: unknown): FaceError {
  return new FaceError(
    'GALLERY_STORE_FAILED',
    'The change was made, but what it took away could not be wiped from the disk yet; it is tried again with every change.',
    {},
    { cause },
  );
}
