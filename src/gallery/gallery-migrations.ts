import { setTimeout } from 'node:timers/promises';
import { FaceError, type FaceErrorCode } from '../errors';
import type { EmbedderInfo, FaceModel } from '../face/face-model';
import { representInput } from '../face/verification.service';
import { commandToGet } from '../model-store/model-store';
import { isFaceError, orNull, subjectKey } from './gallery-calls';
import { galleryErrors } from './gallery-errors';
import { MAX_GALLERY_ID_LENGTH } from './gallery-rules';
import type { GalleryStore } from './gallery-store';
import {
  EMBEDDING_NORM_KEY,
  type Gallery,
  type GallerySettings,
  type Metadata,
  type NewReference,
  type Page,
  type PageRequest,
  type Reference,
  type Subject,
} from './gallery.types';
import type { KeyedLock } from './keyed-lock';
import type { SharedLock } from './shared-lock';

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
interface Run extends Pick<MigrationStatus, 'state' | 'total' | 'done' | 'withoutCrop' | 'failed' | 'error'> {
  /** Ids of references that failed. */
  readonly failures: Set<string>;
  /** Settles when it ends; never rejects. */
  ended: Promise<void>;
}

/** The parties of a migration. */
interface Parties {
  source: Gallery;
  copy: Gallery;
  embedder: EmbedderInfo;
}

/** Whose work the embedding is, in the queue of the model. */
const CALLER = 'gallery migration';
const PAGE_SIZE = 100;
/** Subjects that are worked on at the same time. */
const SUBJECTS_AT_A_TIME = 4;
/** While requests wait, an image of a migration waits so long at most, and looks so often whether they still do. */
const MAX_WAIT_MS = 1000;
const LOOK_MS = 20;
/** Errors that pass by themselves, and how often and after how long an image is tried again. */
const TRANSIENT: readonly FaceErrorCode[] = ['QUEUE_FULL', 'CALLER_QUEUE_FULL', 'INFERENCE_TIMEOUT'];
const MAX_ATTEMPTS = 20;
const RETRY_MS = 500;
/** Errors that are none of the image: they end the migration. */
const ERRORS_OF_THE_RUN: readonly FaceErrorCode[] = [
  ...TRANSIENT,
  'MODEL_UNKNOWN',
  'MODEL_NOT_LOADED',
  'REQUEST_ABORTED',
  'NOT_READY',
];

/**
 * Moves galleries to other embedders: a copy of the gallery is filled with embeddings of the crops that it holds, and then takes
 * its place. Until then both are searched, the gallery goes on changing, and the copy follows it: what is deleted from the gallery
 * is deleted from the copy before the deletion is answered, all else follows when the migration goes on.
 */
export class GalleryMigrations {
  /** By the id of the copy. */
  private readonly runs = new Map<string, Run>();
  private isStopping = false;

  constructor(
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
    private readonly locks: {
      /** By subject: of two changes at once the second starts from what the first has left. */
      subjects: KeyedLock;
      /** Shared by all changes of a gallery. */
      galleries: SharedLock;
    },
  ) {}

  /**
   * Begins a migration, or goes on with it: what is in the copy already is not embedded again. It runs in the background, behind
   * requests that wait.
   *
   * @throws {FaceError} GALLERY_NOT_FOUND; MODEL_UNKNOWN, MODEL_NOT_LOADED for the embedder; PARAMETER_INVALID where the gallery is
   * of its contract already; GALLERY_EXISTS where the id of the copy is taken by another gallery; GALLERY_FULL;
   * GALLERY_MIGRATING for a copy.
   */
  async start(galleryId: string, embedderName: string): Promise<MigrationStatus> {
    const source = await this.store.getGallery(galleryId);
    assertNoCopy(source);
    const embedder = this.loadedEmbedder(embedderName);
    if (embedder.contract === source.contract) throw sameContract(embedderName);
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

  /** @throws {FaceError} GALLERY_NOT_FOUND for the gallery, or where there is no copy of it for this embedder. */
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
   */
  async missing(
    galleryId: string,
    embedder: string,
    { limit, after }: PageRequest,
  ): Promise<Page<MissingSubject>> {
    const { source, copy } = await this.find(galleryId, embedder);
    const items: MissingSubject[] = [];
    let next: string | null | undefined = after;
    // Never more than fit: the cursor is that of the subjects that were looked at.
    for (let first = true; (first || next != null) && items.length < limit; first = false) {
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
    const catchUp = () => this.catchUp(parties, { ...run, failures });
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
    const embedders = this.model.models().filter(({ task }) => task === 'embed');
    const found = await Promise.all(
      embedders.map(({ name }) =>
        orNull('GALLERY_NOT_FOUND', this.store.getGallery(copyIdOf(galleryId, name))),
      ),
    );
    return found.filter((gallery) => gallery?.copyOf === galleryId) as Gallery[];
  }

  /** Ends what runs; settles when it has ended. */
  async stop(): Promise<void> {
    this.isStopping = true;
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
    const copy = (await orNull('GALLERY_EXISTS', created)) ?? (await this.store.getGallery(id));
    if (copy.copyOf !== source.id || copy.contract !== contract) throw galleryErrors.galleryExists(id);
    return copy;
  }

  private async run(parties: Parties, run: Run): Promise<void> {
    try {
      await this.catchUp(parties, run);
      run.state = 'done';
    } catch (error) {
      run.state = 'failed';
      run.error = error instanceof FaceError ? error : galleryErrors.storeFailed(error);
    }
  }

  /** Makes the copy what the gallery is, as far as that goes. */
  private async catchUp({ source, copy, embedder }: Parties, run: Run): Promise<void> {
    for (let after: string | undefined | null; after !== null;) {
      const { items, next } = await this.store.listSubjects(source.id, { limit: PAGE_SIZE, after });
      const ids = items.map(({ id }) => id);
      const [ours, theirs] = await Promise.all([
        this.referencesOf(source.id, ids),
        this.referencesOf(copy.id, ids),
      ]);
      const waiting = [...items];
      const parties = { source, copy, embedder };
      const work = async () => {
        for (let subject = waiting.shift(); subject != null; subject = waiting.shift()) {
          if (this.isStopping) throw new FaceError('NOT_READY', 'The service is shutting down.');
          const { id } = subject;
          await this.follow(parties, subject, ours.get(id) ?? [], theirs.get(id) ?? [], run);
        }
      };
      const workers = Array.from({ length: SUBJECTS_AT_A_TIME }, () =>
        work().finally(() => void waiting.splice(0)),
      );
      // None goes on in the background when one has failed.
      const failure = (await Promise.allSettled(workers)).find(({ status }) => status === 'rejected');
      if (failure != null) throw (failure as PromiseRejectedResult).reason;
      after = next;
    }
    for (let after: string | undefined | null; after !== null;) {
      const { items, next } = await this.store.listSubjects(copy.id, { limit: PAGE_SIZE, after });
      for (const { id } of items) await this.dropSubject(source, copy, id);
      after = next;
    }
  }

  /** Makes a subject of the copy what that of the gallery is. */
  private async follow(
    { source, copy, embedder }: Parties,
    { id }: Subject,
    ours: readonly Reference[],
    theirs: readonly Reference[],
    run: Run,
  ): Promise<void> {
    const there = new Map(theirs.map((reference) => [reference.id, reference]));
    const added: NewReference[] = [];
    for (const reference of ours) {
      if (there.has(reference.id)) run.done++;
      else {
        const copied = await this.embedAgain(source, reference, embedder, run);
        if (copied) added.push(copied);
      }
    }
    // A deletion that comes meanwhile is before all this, or after it.
    await this.locks.subjects.run(subjectKey(source.id, id), async () => {
      const subject = await orNull('SUBJECT_NOT_FOUND', this.store.getSubject(source.id, id));
      if (subject == null) return;
      await this.followSubject(copy, subject);
      const now = new Map(
        (await this.store.describeReferences(source.id, [id])).map((reference) => [reference.id, reference]),
      );
      for (const reference of theirs) {
        const ours = now.get(reference.id);
        if (ours == null) {
          const removal = this.store.deleteReference(copy.id, id, reference.id);
          await orNull('SUBJECT_NOT_FOUND', orNull('REFERENCE_NOT_FOUND', removal));
        } else await this.followReference(copy, ours, reference);
      }
      const left = added.filter((reference) => now.has(reference.id));
      for (const outcome of left.length > 0 ? await this.store.addReferences(copy.id, left) : []) {
        if (!(outcome instanceof FaceError)) run.done++;
        else if (isFaceError(outcome, 'GALLERY_FULL')) throw outcome;
        else run.failed++;
      }
    });
  }

  private async followSubject(copy: Gallery, subject: Subject): Promise<void> {
    const { id, metadata, consentRef, purpose, expiresAt, createdAt } = subject;
    const old = await orNull('SUBJECT_NOT_FOUND', this.store.getSubject(copy.id, id));
    const matches = [subject.lastMatchedAt, old?.lastMatchedAt].filter((match) => match != null);
    const lastMatchedAt = matches.length === 0 ? null : Math.max(...matches);
    const rights = { consentRef, purpose, expiresAt, lastMatchedAt };
    const isSame =
      old != null &&
      isSameMetadata(old.metadata, metadata) &&
      Object.entries(rights).every(([name, value]) => old[name as keyof Subject] === value);
    if (!isSame) await this.store.putSubject(copy.id, id, metadata, { ...rights, createdAt });
  }

  private async followReference(copy: Gallery, ours: Reference, theirs: Reference): Promise<void> {
    const { [EMBEDDING_NORM_KEY]: norm, ...known } = theirs.metadata;
    const { [EMBEDDING_NORM_KEY]: _norm, ...metadata } = ours.metadata;
    if (isSameMetadata(known, metadata) && ours.expiresAt === theirs.expiresAt) return;
    const wanted = norm === undefined ? metadata : { ...metadata, [EMBEDDING_NORM_KEY]: norm };
    const { id, subjectId, expiresAt } = ours;
    const update = this.store.updateReference(copy.id, subjectId, id, wanted, { expiresAt });
    await orNull('SUBJECT_NOT_FOUND', orNull('REFERENCE_NOT_FOUND', update));
  }

  /** Removes a subject from the copy that is not in the gallery. */
  private async dropSubject(source: Gallery, copy: Gallery, id: string): Promise<void> {
    await this.locks.subjects.run(subjectKey(source.id, id), async () => {
      if ((await orNull('SUBJECT_NOT_FOUND', this.store.getSubject(source.id, id))) != null) return;
      await orNull('SUBJECT_NOT_FOUND', this.store.deleteSubject(copy.id, id));
    });
  }

  /** A reference under the new contract; `null`, and counted, where that cannot be. */
  private async embedAgain(
    source: Gallery,
    reference: Reference,
    embedder: EmbedderInfo,
    run: Run,
  ): Promise<NewReference | null> {
    const { id, subjectId, metadata, quality, imageHash, expiresAt, createdAt } = reference;
    if (run.failures.has(id)) {
      run.failed++;
      return null;
    }
    const reading = reference.hasCrop ? this.store.getCrop(source.id, subjectId, id) : Promise.resolve(null);
    const crop = await orNull('SUBJECT_NOT_FOUND', orNull('REFERENCE_NOT_FOUND', reading));
    if (crop == null) {
      run.withoutCrop++;
      return null;
    }
    try {
      const face = await this.represent(crop, embedder, quality?.detectionScore === 0);
      const { embedding, norm } = face;
      const hasNorm = metadata[EMBEDDING_NORM_KEY] !== undefined;
      return {
        id,
        subjectId,
        embedding,
        metadata: hasNorm ? { ...metadata, [EMBEDDING_NORM_KEY]: norm } : metadata,
        quality,
        imageHash,
        expiresAt,
        createdAt,
        crop,
      };
    } catch (error) {
      if (!(error instanceof FaceError) || ERRORS_OF_THE_RUN.includes(error.code)) throw error;
      run.failures.add(id);
      run.failed++;
      return null;
    }
  }

  /** @param isWhole - in the photo no face was located: the whole of it was taken for one. */
  private async represent(
    crop: Uint8Array,
    embedder: EmbedderInfo,
    isWhole: boolean,
  ): Promise<{ embedding: Float32Array; norm: number }> {
    for (let attempt = 1; ; attempt++) {
      await this.untilQuiet();
      try {
        const { faces } = await representInput(this.model, crop, embedder, {
          // The face is in the middle, whoever else is beside it.
          faceSelection: 'centerLargest',
          wholeImage: isWhole ? 'always' : 'never',
          presentationAttack: 'off',
          cache: false,
          caller: CALLER,
        });
        return faces[0];
      } catch (error) {
        const isPassing = error instanceof FaceError && TRANSIENT.includes(error.code);
        if (!isPassing || attempt === MAX_ATTEMPTS || this.isStopping) throw error;
        await setTimeout(RETRY_MS);
      }
    }
  }

  /** Lets requests go first that wait for the model, for a while. */
  private async untilQuiet(): Promise<void> {
    const end = performance.now() + MAX_WAIT_MS;
    while (performance.now() < end && (await this.model.status()).queue.length > 0) await setTimeout(LOOK_MS);
  }

  private async referencesOf(
    galleryId: string,
    subjectIds: readonly string[],
  ): Promise<ReadonlyMap<string, Reference[]>> {
    const bySubject = new Map<string, Reference[]>();
    if (subjectIds.length === 0) return bySubject;
    for (const reference of await this.store.describeReferences(galleryId, subjectIds)) {
      const others = bySubject.get(reference.subjectId);
      if (others == null) bySubject.set(reference.subjectId, [reference]);
      else others.push(reference);
    }
    return bySubject;
  }

  private async missingOf(
    source: Gallery,
    copy: Gallery,
    subjects: readonly Subject[],
  ): Promise<MissingSubject[]> {
    const ids = subjects.map(({ id }) => id);
    const [ours, theirs] = await Promise.all([
      this.referencesOf(source.id, ids),
      this.referencesOf(copy.id, ids),
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
    for (let after: string | undefined | null; after !== null;) {
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

function isSameMetadata(a: Metadata, b: Metadata): boolean {
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])
  );
}

function sameContract(embedder: string): FaceError {
  const problem = 'makes the embeddings that the gallery holds already';
  return new FaceError('PARAMETER_INVALID', `Invalid: embedder ${embedder} ${problem}.`, {
    fields: { embedder: problem },
  });
}
