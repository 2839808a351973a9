import { FaceError, isFaceError, nullOn } from '../../errors';
import type { EmbedderInfo, FaceModel } from '../../face/face-model';
import { commandToGet } from '../../models/model-store';
import { referencesBySubject } from '../gallery-calls';
import { type CopyCounts, GalleryCopier, type Parties } from './gallery-copier';
import { galleryErrors } from '../gallery-errors';
import { MAX_GALLERY_ID_LENGTH } from '../gallery-rules';
import type { GalleryStore } from '../stores/gallery-store';
import type { Gallery, GallerySettings, Page, PageRequest, Subject } from '../gallery.types';
import type { KeyedLock } from '../keyed-lock';
import type { SharedLock } from '../shared-lock';
import { Turns } from '../turns';

export const MIGRATION_STATES = ['idle', 'running', 'done', 'failed'] as const;
export type MigrationState = (typeof MIGRATION_STATES)[number];

/** How far the migration of a gallery to another embedder is. */
export interface MigrationStatus {
  galleryId: string;
  embedder: string;
  /** Gallery of the new contract, which can be searched already. */
  copyId: string;
  /**
   * `idle`: not asked for since the start of the process; `running`; `done`: the copy has all that could be embedded; `failed`:
   * it ended early, by `error`. Whatever it is: to ask for the migration again goes on with it.
   */
  state: MigrationState;
  /** References of the gallery when it began. */
  total: number;
  /** Of these: in the copy. */
  done: number;
  /** Of these: without a picture that could be embedded. */
  withoutCrop: number;
  /** Of these: in whose picture no face was found again, or that failed otherwise. */
  failed: number;
  /** Why it ended early. */
  error: FaceError | null;
}

/** A subject of which the copy lacks references. */
export interface MissingSubject {
  subjectId: string;
  referenceCount: number;
  /** References that the copy lacks. */
  missingCount: number;
  /** Of these: those without a crop. The others failed, or were enrolled since. */
  withoutCropCount: number;
}

/** One migration in this process. */
interface Run extends CopyCounts, Pick<MigrationStatus, 'state' | 'total' | 'error'> {
  /** Settles when it ends; never rejects. */
  ended: Promise<void>;
}

const PAGE_SIZE = 100;
const EMBEDDERS_MS = 1000;

/**
 * Moves galleries to other embedders: a copy of the gallery is filled with embeddings of the crops that it holds, and then takes
 * its place. Until then both are searched, the gallery goes on changing, and the copy follows it: what is deleted from the gallery
 * is deleted from the copy before the deletion is answered, all else follows when the migration goes on.
 */
export class GalleryMigrations {
  /** By the id of the copy. */
  private readonly runs = new Map<string, Run>();
  private readonly copier: GalleryCopier;
  /** Names of embedders, as they were a moment ago: to ask for all models is too much for each deletion. */
  private embedders = new Set<string>();
  private embeddersReadAt = -Infinity;

  constructor(
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
    private readonly locks: {
      /** By subject: of two changes at once the second starts from what the first has left. */
      subjects: KeyedLock;
      /** Shared by all changes of a gallery. */
      galleries: SharedLock;
    },
  ) {
    this.copier = new GalleryCopier(model, store, locks.subjects);
  }

  /**
   * Begins a migration, or goes on with it: what is in the copy already is not embedded again. It runs in the background, behind
   * requests that wait.
   *
   * @throws {FaceError} GALLERY_NOT_FOUND; MODEL_UNKNOWN, MODEL_NOT_LOADED for the embedder; PARAMETER_INVALID where the gallery is
   * of its contract already, or the store keeps no crops; GALLERY_EXISTS where the id of the copy is taken by another gallery; GALLERY_FULL;
   * GALLERY_MIGRATING for a copy.
   *
   * @example
   * const { copyId, total } = await galleries.migrations.start('staff', 'face-resnet-128');
   * // copyId: 'staff.face-resnet-128', total: 1200
   */
  async start(galleryId: string, embedderName: string): Promise<MigrationStatus> {
    const source = await this.store.getGallery(galleryId);
    assertNoCopy(source);
    if (!this.store.keepsCrops) throw cannotMove();
    const embedder = this.loadedEmbedder(embedderName);
    if (embedder.contract === source.contract) throw sameContract(embedderName);
    this.embedders.add(embedderName);
    const copy = await this.copyFor(source, embedder);
    if (this.runs.get(copy.id)?.state !== 'running') {
      const run: Run = {
        state: 'running',
        total: source.referenceCount,
        done: 0,
        withoutCrop: 0,
        failed: 0,
        error: null,
        failures: new Set(),
        ended: Promise.resolve(),
      };
      this.runs.set(copy.id, run);
      run.ended = this.run({ source, copy, embedder }, run);
    }
    return this.status(galleryId, embedderName);
  }

  /**
   * @throws {FaceError} GALLERY_NOT_FOUND for the gallery, or where there is no copy of it for this embedder.
   *
   * @example
   * const { state, done, total } = await galleries.migrations.status('staff', 'face-resnet-128');
   * // state: 'running', done: 340, total: 1200
   */
  async status(galleryId: string, embedder: string): Promise<MigrationStatus> {
    const { copy } = await this.find(galleryId, embedder);
    const run = this.runs.get(copy.id);
    return {
      galleryId,
      embedder,
      copyId: copy.id,
      state: run?.state ?? 'idle',
      total: run?.total ?? 0,
      done: run?.done ?? 0,
      withoutCrop: run?.withoutCrop ?? 0,
      failed: run?.failed ?? 0,
      error: run?.error ?? null,
    };
  }

  /**
   * Subjects of which the copy lacks references, in the order of the gallery: without a crop, or failed, or enrolled since the
   * migration went over them.
   *
   * @throws {FaceError} as {@link status}.
   *
   * @example
   * const { items } = await galleries.migrations.missing('staff', 'face-resnet-128', { limit: 100 });
   * // items[0]: { subjectId: 'bob', referenceCount: 3, missingCount: 1, withoutCropCount: 1 }
   */
  async missing(
    galleryId: string,
    embedder: string,
    { limit, after }: PageRequest,
  ): Promise<Page<MissingSubject>> {
    const { source, copy } = await this.find(galleryId, embedder);
    const items: MissingSubject[] = [];
    let next: string | null | undefined = after;
    const turns = new Turns();
    // Never more than fit: the cursor is that of the subjects that were looked at.
    for (let first = true; (first || next != null) && items.length < limit; first = false) {
      await turns.next();
      const page: Page<Subject> = await this.store.listSubjects(source.id, {
        limit: Math.min(limit - items.length, PAGE_SIZE),
        after: next ?? undefined,
      });
      items.push(...(await this.missingOf(source, copy, page.items)));
      next = page.next;
    }
    return { items, next: next ?? null };
  }

  /**
   * Lets the copy take the place of the gallery, after a last look at what has changed: changes wait for that, searches do not.
   * The gallery as it was is deleted. Settings stay those of the gallery, but for `threshold`, `targetFmr` and `targetFpir`, which
   * stay those of the copy.
   *
   * @param options.dropMissing - also where references are missing, which are lost then.
   * @throws {FaceError} GALLERY_MIGRATING where the migration is not `done`, or references are missing, with their count; all
   * that {@link status} throws; MODEL_NOT_LOADED.
   */
  async switchOver(
    galleryId: string,
    embedderName: string,
    { dropMissing }: { dropMissing: boolean },
  ): Promise<Gallery> {
    const parties = {
      ...(await this.find(galleryId, embedderName)),
      embedder: this.loadedEmbedder(embedderName),
    };
    const run = this.runs.get(parties.copy.id);
    if (run?.state !== 'done') throw galleryErrors.notMigrated(galleryId, run?.state ?? 'idle');
    const { failures } = run;
    const catchUp = () => this.copier.catchUp(parties, { ...run, failures });
    await catchUp();
    const gallery = await this.locks.galleries.runAlone(galleryId, async () => {
      await catchUp();
      const source = await this.store.getGallery(galleryId);
      const missing = await this.countMissing(source, parties.copy);
      if (missing.referenceCount > 0 && !dropMissing)
        throw galleryErrors.referencesMissing(galleryId, missing);
      await this.store.updateGallery(parties.copy.id, followedSettings(source));
      return this.store.replaceGallery(galleryId, parties.copy.id);
    });
    this.runs.delete(parties.copy.id);
    return gallery;
  }

  /** Copies of a gallery that migrations have begun. */
  async copiesOf(galleryId: string): Promise<Gallery[]> {
    if (performance.now() - this.embeddersReadAt > EMBEDDERS_MS) {
      this.embeddersReadAt = performance.now();
      for (const { name, task } of this.model.models()) if (task === 'embed') this.embedders.add(name);
    }
    const found = await Promise.all(
      Array.from(this.embedders, (name) =>
        nullOn('GALLERY_NOT_FOUND', this.store.getGallery(copyIdOf(galleryId, name))),
      ),
    );
    return found.filter((gallery) => gallery?.copyOf === galleryId) as Gallery[];
  }

  /** Removes a subject, or one of its references, from the copies that migrations have begun. */
  async removeFromCopies(galleryId: string, subjectId: string, referenceId?: string): Promise<void> {
    for (const { id } of await this.copiesOf(galleryId)) {
      const removal: Promise<unknown> =
        referenceId === undefined
          ? this.store.deleteSubject(id, subjectId)
          : this.store.deleteReference(id, subjectId, referenceId);
      await nullOn('GALLERY_NOT_FOUND', nullOn('SUBJECT_NOT_FOUND', nullOn('REFERENCE_NOT_FOUND', removal)));
    }
  }

  /**
   * Ends what runs; settles when it has ended.
   *
   * @example
   * await galleries.migrations.stop();
   */
  async stop(): Promise<void> {
    this.copier.stop();
    await Promise.all(Array.from(this.runs.values(), ({ ended }) => ended));
  }

  private async find(galleryId: string, embedder: string): Promise<Omit<Parties, 'embedder'>> {
    const source = await this.store.getGallery(galleryId);
    const copyId = copyIdOf(galleryId, embedder);
    const copy = await this.store.getGallery(copyId);
    if (copy.copyOf !== galleryId) throw galleryErrors.galleryNotFound(copyId);
    return { source, copy };
  }

  /** @throws {FaceError} MODEL_UNKNOWN; MODEL_NOT_LOADED, with how to load it. */
  private loadedEmbedder(name: string): EmbedderInfo {
    try {
      return this.model.embedder(name);
    } catch (error) {
      const status = this.model.models().find((model) => model.name === name && model.task === 'embed');
      if (!isFaceError(error, 'MODEL_NOT_LOADED') || status == null) throw error;
      const get = status.state === 'absent' ? `npx ${commandToGet(name)}, then ` : '';
      throw new FaceError(
        'MODEL_NOT_LOADED',
        `${error.message} To load it: ${get}npx likeness models load ${name}; add it to FACE_EMBEDDERS for later starts.`,
        error.details,
      );
    }
  }

  private async copyFor(source: Gallery, embedder: EmbedderInfo): Promise<Gallery> {
    const id = copyIdOf(source.id, embedder.name);
    const { contract, dimensions, calibration } = embedder;
    const created = this.store.createGallery({
      ...settingsOf(source),
      // A distance of one embedder means nothing to another; a rate does, where its thresholds are known.
      threshold: null,
      targetFmr: calibration == null ? null : source.targetFmr,
      targetFpir: calibration == null ? null : source.targetFpir,
      id,
      contract,
      dimensions,
      copyOf: source.id,
    });
    const copy = (await nullOn('GALLERY_EXISTS', created)) ?? (await this.store.getGallery(id));
    if (copy.copyOf !== source.id || copy.contract !== contract) throw galleryErrors.galleryExists(id);
    return copy;
  }

  private async run(parties: Parties, run: Run): Promise<void> {
    try {
      await this.copier.catchUp(parties, run);
      run.state = 'done';
    } catch (error) {
      run.state = 'failed';
      run.error = error instanceof FaceError ? error : galleryErrors.storeFailed(error);
    }
  }

  private async missingOf(
    source: Gallery,
    copy: Gallery,
    subjects: readonly Subject[],
  ): Promise<MissingSubject[]> {
    const ids = subjects.map(({ id }) => id);
    const [ours, theirs] = await Promise.all([
      referencesBySubject(this.store, source.id, ids),
      referencesBySubject(this.store, copy.id, ids),
    ]);
    return ids.flatMap((subjectId) => {
      const references = ours.get(subjectId) ?? [];
      const there = new Set(theirs.get(subjectId)?.map(({ id }) => id));
      const missing = references.filter(({ id }) => !there.has(id));
      if (missing.length === 0) return [];
      const withoutCropCount = missing.filter(({ hasCrop }) => !hasCrop).length;
      const referenceCount = references.length;
      return [{ subjectId, referenceCount, missingCount: missing.length, withoutCropCount }];
    });
  }

  private async countMissing(
    source: Gallery,
    copy: Gallery,
  ): Promise<{ subjectCount: number; referenceCount: number }> {
    const count = { subjectCount: 0, referenceCount: 0 };
    const turns = new Turns();
    for (let after: string | undefined | null; after !== null;) {
      await turns.next();
      const { items, next } = await this.store.listSubjects(source.id, { limit: PAGE_SIZE, after });
      for (const { missingCount } of await this.missingOf(source, copy, items)) {
        count.subjectCount++;
        count.referenceCount += missingCount;
      }
      after = next;
    }
    return count;
  }
}

/** @throws {FaceError} GALLERY_MIGRATING for the copy that a migration fills: it changes with its gallery alone. */
export function assertNoCopy({ id, copyOf }: Gallery): void {
  if (copyOf != null) throw galleryErrors.isCopy(id, copyOf);
}

/** What a copy takes over when settings of its gallery change. */
export function followedSettings(settings: Partial<GallerySettings>): Partial<GallerySettings> {
  const { threshold: _threshold, targetFmr: _fmr, targetFpir: _fpir, ...rest } = settings;
  return settingsOf(rest);
}

/** The settings among what a gallery is. */
function settingsOf<T extends Partial<GallerySettings>>(
  gallery: T,
): Pick<T, keyof T & keyof GallerySettings> {
  const {
    id: _id,
    contract: _contract,
    dimensions: _dimensions,
    copyOf: _copyOf,
    subjectCount: _subjects,
    referenceCount: _references,
    createdAt: _createdAt,
    updatedAt: _updatedAt,
    ...settings
  } = gallery as Partial<Gallery>;
  return settings as Pick<T, keyof T & keyof GallerySettings>;
}

/** Cut off where it is too long: whose copy a gallery is, it says itself. */
function copyIdOf(galleryId: string, embedder: string): string {
  const ending = `.${embedder}`;
  return `${galleryId.slice(0, Math.max(1, MAX_GALLERY_ID_LENGTH - ending.length))}${ending}`;
}

function cannotMove(): FaceError {
  const problem = 'is in a store that does not keep face crops, so it cannot be migrated';
  return new FaceError('PARAMETER_INVALID', `Invalid: the gallery ${problem}.`, {
    fields: { galleryId: problem },
  });
}

function sameContract(embedder: string): FaceError {
  const problem = 'already makes the embeddings of the gallery';
  return new FaceError('PARAMETER_INVALID', `Invalid: embedder ${embedder} ${problem}.`, {
    fields: { embedder: problem },
  });
}
