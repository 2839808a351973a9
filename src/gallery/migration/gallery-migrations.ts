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
import { Turns } from '../../turns';

export const MIGRATION_STATES = ['idle', 'running', 'done', 'failed'] as const;
export type MigrationState = (typeof MIGRATION_STATES)[number];

/** Progress of migrating a gallery to another embedder. */
export interface MigrationStatus {
  galleryId: string;
  embedder: string;
  /** Id of the copy under the new contract, which can already be searched. */
  copyId: string;
  /**
   * `idle`: not started since the process started; `running`; `done`: the copy has all references that could be embedded;
   * `failed`: stopped by `error`. In every state, starting the migration again continues it.
   */
  state: MigrationState;
  /** References of the gallery at the start. */
  total: number;
  /** References in the copy. */
  done: number;
  /** References without a crop. */
  withoutCrop: number;
  /** References in whose crop no face was found, or that failed otherwise. */
  failed: number;
  /** Cause of `failed`. */
  error: FaceError | null;
}

/** A subject with references that are missing in the copy. */
export interface MissingSubject {
  subjectId: string;
  referenceCount: number;
  /** References missing in the copy. */
  missingCount: number;
  /** Missing references without a crop. The others failed, or were enrolled later. */
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
 * Migrates galleries to other embedders: embeds the stored crops into a copy of the gallery, which then replaces it. Until then
 * both can be searched, and the gallery can change. Deletions reach the copy before they are answered, all other changes when
 * the migration continues.
 */
export class GalleryMigrations {
  /** By the id of the copy. */
  private readonly runs = new Map<string, Run>();
  private readonly copier: GalleryCopier;
  /** Names of embedders, cached briefly: listing all models is too expensive for each deletion. */
  private embedders = new Set<string>();
  private embeddersReadAt = -Infinity;

  constructor(
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
    private readonly locks: {
      /** By subject: concurrent changes run one after the other. */
      subjects: KeyedLock;
      /** Shared by all changes of a gallery. */
      galleries: SharedLock;
    },
  ) {
    this.copier = new GalleryCopier(model, store, locks.subjects);
  }

  /**
   * Starts a migration, or continues it without embedding again what the copy has. It runs in the background, after waiting
   * requests.
   *
   * @throws {FaceError} GALLERY_NOT_FOUND; MODEL_UNKNOWN, MODEL_NOT_LOADED for the embedder; PARAMETER_INVALID if the gallery
   * already has its contract, or the store keeps no crops; GALLERY_EXISTS if another gallery has the id of the copy;
   * GALLERY_FULL; GALLERY_MIGRATING for a copy.
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
   * Reports the progress of a migration.
   *
   * @throws {FaceError} GALLERY_NOT_FOUND for the gallery, or if it has no copy for this embedder.
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
   * Lists subjects with references that are missing in the copy, in the order of the gallery: references without a crop, failed
   * ones, and those enrolled after the migration passed their subject.
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
    // Never more than fit: the cursor covers all subjects read so far.
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
   * Copies the last changes and replaces the gallery with the copy: changes wait for that, searches do not. The old gallery is
   * deleted. Its settings stay, except `threshold`, `targetFmr` and `targetFpir`, which are those of the copy.
   *
   * @param options.dropMissing - also if references are missing, which are then lost.
   * @throws {FaceError} GALLERY_MIGRATING if the migration is not `done`, or with the count of missing references; all errors
   * of {@link status}; MODEL_NOT_LOADED.
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

  /** Unfinished migration copies of a gallery. */
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

  /** Removes a subject, or one of its references, from the migration copies of a gallery. */
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
   * Stops running migrations; settles when they have stopped.
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

  /** @throws {FaceError} MODEL_UNKNOWN; MODEL_NOT_LOADED, with instructions to load it. */
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
      // A distance does not carry over to another embedder; a rate does if that embedder has a calibration.
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

/** @throws {FaceError} GALLERY_MIGRATING for a migration copy, which only changes with its gallery. */
export function assertNoCopy({ id, copyOf }: Gallery): void {
  if (copyOf != null) throw galleryErrors.isCopy(id, copyOf);
}

/** The changed settings of a gallery that its copy takes over. */
export function followedSettings(settings: Partial<GallerySettings>): Partial<GallerySettings> {
  const { threshold: _threshold, targetFmr: _fmr, targetFpir: _fpir, ...rest } = settings;
  return settingsOf(rest);
}

/** The settings of a gallery, without its identity and counts. */
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

/** Truncated if too long: `copyOf` of the copy still names its gallery. */
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
