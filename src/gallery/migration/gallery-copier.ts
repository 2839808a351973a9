import { setTimeout } from 'node:timers/promises';
import { FaceError, type FaceErrorCode, isFaceError, nullOn } from '../../errors';
import type { EmbedderInfo, FaceModel } from '../../face/face-model';
import { representInput } from '../../face/represent-input';
import { referencesBySubject, subjectKey } from '../gallery-calls';
import type { GalleryStore } from '../stores/gallery-store';
import {
  EMBEDDING_NORM_KEY,
  type Gallery,
  type Metadata,
  type NewReference,
  type Reference,
  type Subject,
} from '../gallery.types';
import type { KeyedLock } from '../keyed-lock';
import { Turns } from '../../turns';

/** The parties of a migration. */
export interface Parties {
  source: Gallery;
  copy: Gallery;
  embedder: EmbedderInfo;
}

/** Numbers of copied and missing references. */
export interface CopyCounts {
  /** References in the copy. */
  done: number;
  /** References without a crop. */
  withoutCrop: number;
  /** References in whose crop no face was found, or that failed otherwise. */
  failed: number;
  /** Ids of failed references, which are not retried. */
  readonly failures: Set<string>;
}

/** Caller of the embeddings, for fair queueing. */
const CALLER = 'gallery migration';
const PAGE_SIZE = 100;
/** Subjects processed at the same time. */
const SUBJECTS_AT_A_TIME = 4;
/** How long an image waits for queued requests at most, and how often it checks the queue. */
const MAX_WAIT_MS = 1000;
const LOOK_MS = 20;
/** Transient errors, with the number of attempts and the delay between them. */
const TRANSIENT: readonly FaceErrorCode[] = ['QUEUE_FULL', 'CALLER_QUEUE_FULL', 'INFERENCE_TIMEOUT'];
const MAX_ATTEMPTS = 20;
const RETRY_MS = 500;
/** Errors that end the migration, as they do not depend on the image. */
const ERRORS_OF_THE_RUN: readonly FaceErrorCode[] = [
  ...TRANSIENT,
  'MODEL_UNKNOWN',
  'MODEL_NOT_LOADED',
  'REQUEST_ABORTED',
  'NOT_READY',
];

/** Updates a migration copy from its gallery: embeds new references, and applies changes and deletions. */
export class GalleryCopier {
  private isStopping = false;

  constructor(
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
    /** By subject: concurrent changes run one after the other. */
    private readonly subjects: KeyedLock,
  ) {}

  /** Makes running work end soon. */
  stop(): void {
    this.isStopping = true;
  }

  /**
   * Updates the copy to the current state of the gallery, except references that cannot be embedded.
   *
   * @throws {FaceError} NOT_READY after {@link stop}; GALLERY_FULL, GALLERY_NOT_FOUND; errors of the model that do not depend
   * on the image.
   */
  async catchUp({ source, copy, embedder }: Parties, counts: CopyCounts): Promise<void> {
    const turns = new Turns();
    for (let after: string | undefined | null; after !== null;) {
      const { items, next } = await this.store.listSubjects(source.id, { limit: PAGE_SIZE, after });
      const ids = items.map(({ id }) => id);
      const [ours, theirs] = await Promise.all([
        referencesBySubject(this.store, source.id, ids),
        referencesBySubject(this.store, copy.id, ids),
      ]);
      const waiting = [...items];
      const parties = { source, copy, embedder };
      const work = async () => {
        for (let subject = waiting.shift(); subject != null; subject = waiting.shift()) {
          if (this.isStopping) throw new FaceError('NOT_READY', 'The service is shutting down.');
          await turns.next();
          const { id } = subject;
          await this.follow(parties, subject, ours.get(id) ?? [], theirs.get(id) ?? [], counts);
        }
      };
      const workers = Array.from({ length: SUBJECTS_AT_A_TIME }, () =>
        work().finally(() => void waiting.splice(0)),
      );
      // After a failure, no worker may continue in the background.
      const failure = (await Promise.allSettled(workers)).find(({ status }) => status === 'rejected');
      if (failure != null) throw (failure as PromiseRejectedResult).reason;
      after = next;
    }
    for (let after: string | undefined | null; after !== null;) {
      const { items, next } = await this.store.listSubjects(copy.id, { limit: PAGE_SIZE, after });
      for (const { id } of items) {
        await turns.next();
        await this.dropSubject(source, copy, id);
      }
      after = next;
    }
  }

  /** Updates a subject of the copy. */
  private async follow(
    { source, copy, embedder }: Parties,
    { id }: Subject,
    ours: readonly Reference[],
    theirs: readonly Reference[],
    counts: CopyCounts,
  ): Promise<void> {
    const there = new Map(theirs.map((reference) => [reference.id, reference]));
    const added: NewReference[] = [];
    for (const reference of ours) {
      if (there.has(reference.id)) counts.done++;
      else {
        const copied = await this.embedAgain(source, reference, embedder, counts);
        if (copied) added.push(copied);
      }
    }
    // A concurrent deletion runs before or after all of this.
    await this.subjects.run(subjectKey(source.id, id), async () => {
      const subject = await nullOn('SUBJECT_NOT_FOUND', this.store.getSubject(source.id, id));
      if (subject == null) return;
      await this.followSubject(copy, subject);
      const now = new Map(
        (await this.store.describeReferences(source.id, [id])).map((reference) => [reference.id, reference]),
      );
      for (const reference of theirs) {
        const ours = now.get(reference.id);
        if (ours == null) {
          const removal = this.store.deleteReference(copy.id, id, reference.id);
          await nullOn('SUBJECT_NOT_FOUND', nullOn('REFERENCE_NOT_FOUND', removal));
        } else await this.followReference(copy, ours, reference);
      }
      const left = added.filter((reference) => now.has(reference.id));
      for (const outcome of left.length > 0 ? await this.store.addReferences(copy.id, left) : []) {
        if (!(outcome instanceof FaceError)) counts.done++;
        else if (isFaceError(outcome, 'GALLERY_FULL')) throw outcome;
        else counts.failed++;
      }
    });
  }

  private async followSubject(copy: Gallery, subject: Subject): Promise<void> {
    const { id, metadata, consentRef, purpose, expiresAt, createdAt } = subject;
    const old = await nullOn('SUBJECT_NOT_FOUND', this.store.getSubject(copy.id, id));
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
    await nullOn('SUBJECT_NOT_FOUND', nullOn('REFERENCE_NOT_FOUND', update));
  }

  /** Removes a subject from the copy if it is no longer in the gallery. */
  private async dropSubject(source: Gallery, copy: Gallery, id: string): Promise<void> {
    await this.subjects.run(subjectKey(source.id, id), async () => {
      if ((await nullOn('SUBJECT_NOT_FOUND', this.store.getSubject(source.id, id))) != null) return;
      await nullOn('SUBJECT_NOT_FOUND', this.store.deleteSubject(copy.id, id));
    });
  }

  /** Embeds a reference under the new contract; counts it and returns `null` if that is not possible. */
  private async embedAgain(
    source: Gallery,
    reference: Reference,
    embedder: EmbedderInfo,
    counts: CopyCounts,
  ): Promise<NewReference | null> {
    const { id, subjectId, metadata, quality, imageHash, expiresAt, createdAt } = reference;
    if (counts.failures.has(id)) {
      counts.failed++;
      return null;
    }
    const reading = reference.hasCrop ? this.store.getCrop(source.id, subjectId, id) : Promise.resolve(null);
    const crop = await nullOn('SUBJECT_NOT_FOUND', nullOn('REFERENCE_NOT_FOUND', reading));
    if (crop == null) {
      counts.withoutCrop++;
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
      counts.failures.add(id);
      counts.failed++;
      return null;
    }
  }

  /** @param isWhole - no face was located in the photo, so that the whole image counts as the face. */
  private async represent(
    crop: Uint8Array,
    embedder: EmbedderInfo,
    isWhole: boolean,
  ): Promise<{ embedding: Float32Array; norm: number }> {
    for (let attempt = 1; ; attempt++) {
      await this.untilQuiet();
      try {
        const { faces } = await representInput(this.model, crop, embedder, {
          // The face is in the center of its crop, even if others are beside it.
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

  /** Lets waiting requests of the model go first, for a limited time. */
  private async untilQuiet(): Promise<void> {
    const end = performance.now() + MAX_WAIT_MS;
    while (performance.now() < end && (await this.model.status()).queue.length > 0) await setTimeout(LOOK_MS);
  }
}

function isSameMetadata(a: Metadata, b: Metadata): boolean {
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])
  );
}
