import { randomBytes, randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { FaceError } from '../../errors';
import type { Notice } from '../../face/face.options';
import { galleryErrors } from '../gallery-errors';
import { jetstreamInvalid, untilReady } from './jetstream/connect-nats';
import { encodeGallery, encodeSubject } from './jetstream/entry-content';
import {
  changeUncertain,
  type Entry,
  EntryLog,
  EntryTooLarge,
  type EntryVersion,
  newWriteId,
  RevisionConflict,
} from './jetstream/entry-log';
import { EntrySealer } from './jetstream/entry-sealer';
import { HeldEntries, type Repair, toContent } from './jetstream/held-entries';
import type { NatsSettings } from './jetstream/nats-settings';
import { type Member, type ReservedChange, takesAway } from './change-queue';
import { MemoryStore, type MemoryStoreOptions } from './memory-store';
import type { AddedReference, Gallery, GallerySettings, NewGallery } from '../gallery.types';
import type { Draft } from './state/draft';
import type { ReferenceEntry } from './state/entries';
import type { GalleryTable } from './state/gallery-table';

export interface JetstreamStoreOptions extends MemoryStoreOptions {
  nats: NatsSettings;
  /** Encrypts the entries; 32 characters or more. */
  key: string | null | undefined;
  /** Called during the first reading, now and then and at its end. */
  onProgress?: (progress: { done: number; total: number }) => void;
  /** Called with what an operator should read. */
  onNotice?: (notice: Notice) => void;
}

/** The stream, and what was made of its messages. */
interface Reading {
  log: EntryLog;
  held: HeldEntries;
  table: GalleryTable;
}

/** One entry that a change writes. */
interface Step {
  key: string;
  /** `null`: it is removed. */
  value: Uint8Array | null;
  expected: EntryVersion | undefined;
}

/** A change with the entries that it writes. */
interface Attempt {
  member: Member;
  steps: Step[];
  /** A subject that is removed when the first step is made, as another takes its place. */
  moved?: Step;
  /** Why it cannot be written. */
  refusal?: unknown;
  /** Of the change, once it was made here. */
  answer?: { value: unknown } | { error: unknown };
  /** Changes after it that write nothing: they are answered as things are when this one was made. */
  followers: Attempt[];
}

/** What is known of a change that is planned again. */
interface Retries {
  count: number;
  failedAnswers: number;
  /** Of references that it has added. */
  addedIds: Set<string>;
}

/** A change that so often finds that others were first is given up. */
const MAX_ATTEMPTS = 50;
const MAX_FAILED_ANSWERS = 10;
/** Ids of one process in a millisecond begin at a random one of these. */
const UIDS_PER_MS = 2048;
/** Before the stream is read from its start again, and between two attempts. */
const REREAD_MS = 1000;

/**
 * Galleries in the memory of each replica, fed by a stream of NATS JetStream that they share: a gallery is one entry of the
 * stream, a subject with its references another. A change is planned on what this replica has, written by compare-and-set, and
 * planned again where another replica was first. It is acknowledged when a quorum of the servers has it and this replica has
 * read it back: everything in memory comes from the stream, in its order, on all replicas alike.
 *
 * @publicApi
 */
export class JetstreamStore extends MemoryStore {
  private log!: EntryLog;
  private held!: HeldEntries;
  /** What is to be done when an entry that was written here is read, by the number of its write. */
  private readonly written = new Map<number, (isValid: boolean) => void>();
  /** Whether the entry that is being read took something away. */
  private hasRemoved = false;
  private readonly attempts = new WeakMap<Member['plan'], Retries>();

  private rereading?: Promise<void>;
  private isClosed = false;

  private constructor(private readonly settings: JetstreamStoreOptions) {
    super(settings);
  }

  /**
   * Connects and reads all that is there.
   *
   * @throws {FaceError} GALLERY_STORE_INVALID where the servers cannot be used, the key is another, or an entry of a gallery
   * is damaged; nothing was changed.
   */
  static async open(options: JetstreamStoreOptions): Promise<JetstreamStore> {
    const store = new JetstreamStore(options);
    try {
      store.use(await store.read(options.onProgress));
      await store.finishReading();
      return store;
    } catch (error) {
      await store.close();
      if (error instanceof FaceError) throw error;
      throw jetstreamInvalid('cannot be read', error);
    }
  }

  override get revision(): number {
    return this.log.revision;
  }

  override get staleSince(): number | null {
    return this.log.staleSince;
  }

  override waitFor(revision: number, timeoutMs?: number): Promise<boolean> {
    return this.log.waitFor(revision, timeoutMs);
  }

  override async createGallery(gallery: NewGallery): Promise<Gallery> {
    refuseCrops(gallery);
    return super.createGallery(gallery);
  }

  override async updateGallery(galleryId: string, changes: Partial<GallerySettings>): Promise<Gallery> {
    refuseCrops(changes);
    return super.updateGallery(galleryId, changes);
  }

  override get keepsCrops(): boolean {
    return false;
  }

  /** A gallery is moved to another embedder by its crops, and none are kept here. */
  override async replaceGallery(): Promise<Gallery> {
    throw galleryErrors.cropsNotKept();
  }

  override async close(): Promise<void> {
    this.isClosed = true;
    await super.close();
    await this.log?.close();
    await this.rereading;
  }

  /** A gallery or reference is known by it on all replicas, in whatever process it was made: later ones mostly have larger ones. */
  protected override nextUid(): number {
    this.lastUid = Math.max(this.lastUid + 1, Date.now() * UIDS_PER_MS + randomInt(UIDS_PER_MS));
    return this.lastUid;
  }

  protected override async make(group: readonly Member[]): Promise<void> {
    const attempts = group.map((member) => this.attempt(member));
    // What is made comes back from the stream, and takes and counts what it needs then. Nothing is planned before that.
    for (const { planned } of group) {
      this.release(planned);
      if (planned.gallery && !planned.gallery.before) void planned.gallery.after?.state.close();
    }
    this.table.reserved.names.clear();
    let last: { attempt: Attempt; done: Promise<unknown> } | undefined;
    const isBehind = attempts.map((attempt) => {
      if (attempt.steps.length > 0 || !last) {
        const done = this.complete(attempt);
        last = { attempt, done };
        return done;
      }
      last.attempt.followers.push(attempt);
      return last.done.then(() => this.complete(attempt));
    });
    const conflicts = await Promise.all(isBehind);
    this.queue.planAgain(group.filter((_member, i) => conflicts[i]));
  }

  /** Reads the stream from its start, and follows it from then on. */
  private async read(onProgress?: JetstreamStoreOptions['onProgress']): Promise<Reading> {
    const { nats, key, onNotice } = this.settings;
    let held: HeldEntries | undefined;
    const log = await EntryLog.open({
      ...nats,
      onEntry: (entry) => this.take(entry, held),
      // Until it is in use, the reading itself fails.
      onLost: (cause) => held === this.held && this.stop(cause),
      onRenumbered: () => held === this.held && this.reread(),
      onProgress,
      onNotice,
    });
    try {
      const table = this.newTable();
      held = new HeldEntries(await untilReady(nats, () => EntrySealer.open(log, key)), {
        table,
        makeState: (gallery) => this.makeState(gallery),
        onOrphan: (version) => log.eraseLater(version),
        onRemoved: () => (this.hasRemoved = true),
      });
      // A gallery whose settings changed comes after its subjects.
      await log.readAhead('g.');
      await log.follow();
      return { log, held, table };
    } catch (error) {
      await log.close();
      throw error;
    }
  }

  private use({ log, held, table }: Reading): void {
    this.log = log;
    this.held = held;
    this.table = table;
  }

  /**
   * The servers gave messages other numbers, by which versions are known here: all are read again, while searches and reads
   * go on with what was read before and changes are refused.
   */
  private reread(): void {
    this.rereading ??= this.replaceReading().finally(() => (this.rereading = undefined));
  }

  private async replaceReading(): Promise<void> {
    const { onNotice } = this.settings;
    onNotice?.({
      level: 'warn',
      message:
        'A new leader of the galleries numbers its messages in another way than the one before. All are read again; ' +
        'changes are refused meanwhile.',
    });
    let reading: Reading | undefined;
    while (!reading && !this.isClosed) {
      await delay(REREAD_MS);
      // Servers that are away, or have just elected another leader.
      reading = await this.read().catch(() => undefined);
    }
    // Changes that were asked for before: each ends soon, refused or uncertain.
    while (this.queue.isWorking) await this.queue.settled();
    if (!reading) return;
    if (this.isClosed) return reading.log.close();
    const { log, table } = this;
    this.use(reading);
    // What went meanwhile is not known.
    this.onRemoved?.();
    await this.searchesEnd();
    await Promise.all([log.close(), table.close()]);
    await this.finishReading().catch((error: unknown) => this.stop(error));
    onNotice?.({
      level: 'warn',
      message: 'All messages of the galleries were read again. Changes are taken again.',
    });
  }

  private take(entry: Entry, held: HeldEntries | undefined): void {
    let isValid = false;
    this.hasRemoved = false;
    try {
      isValid = held?.take(entry) ?? false;
    } catch (error) {
      // It is safe, and not there: a mistake of ours, after which nothing more may be changed.
      this.stop(error);
    }
    if (held !== this.held) return;
    const written = this.written.get(entry.writeId);
    if (this.hasRemoved && !written) this.onRemoved?.();
    written?.(isValid);
  }

  /** Encodes what a change writes. */
  private attempt(member: Member): Attempt {
    const { gallery, draft } = member.planned;
    const attempt: Attempt = { member, steps: [], followers: [] };
    try {
      if (gallery) attempt.steps.push(this.galleryStep(gallery));
      if (draft) this.addSubjectSteps(attempt, draft);
      // Before any is written: a change of several entries is not to stop at the second.
      for (const { value } of attempt.steps) if (value) this.log.checkSize(value);
    } catch (error) {
      attempt.refusal = error;
    }
    return attempt;
  }

  private galleryStep({ before, after }: NonNullable<Member['planned']['gallery']>): Step {
    const { id } = (after ?? before)!;
    const { key, version, gallery } = this.held.findGallery(id);
    if (!after) return { key, value: null, expected: version };
    const { state: _state, record: _record, ...settings } = after;
    const content = {
      gallery: settings,
      key: gallery?.secret ?? randomBytes(32).toString('base64'),
    };
    return { key, value: this.held.sealer.seal(key, encodeGallery(content)), expected: version };
  }

  private addSubjectSteps(attempt: Attempt, { state, subjects, references }: Draft): void {
    const gallery = this.held.findByUid(state.uid);
    if (!gallery) throw galleryErrors.galleryNotFound(state.id);
    const embeddings = new Map(references.map(({ after, embedding }) => [after, embedding]));
    const embeddingOf = (reference: ReferenceEntry) =>
      embeddings.get(reference) ?? state.embeddingOf(reference);
    const step = (id: string, content?: Uint8Array): Step => {
      const key = gallery.keyOf(id);
      const held = gallery.held(id);
      // Its place was taken, and its own entry is still there: that goes first.
      if (held?.leftWriteId !== undefined && content) throw new RevisionConflict();
      // So does the entry whose place it took: without this version, that one would count again.
      if (this.held.isArriving(key)) throw new RevisionConflict();
      return { key, value: content ? gallery.sealer.seal(key, content) : null, expected: held };
    };
    const removed = subjects.find(({ before, after }) => before && before.details.id !== after?.details.id);
    const written = subjects.filter(({ after }) => after !== undefined);
    if (removed && written.length === 1) {
      const source = step(removed.before!.details.id);
      const [{ before, after }] = written;
      const target = before === removed.before ? undefined : before;
      const content = encodeSubject({
        ...toContent(after!, embeddingOf),
        move: { from: gallery.nameOf(removed.before!.details.id), version: source.expected! },
        fallback: target ? toContent(target, embeddingOf) : null,
      });
      attempt.steps.push(step(after!.details.id, content));
      attempt.moved = source;
      return;
    }
    for (const { before, after } of subjects) {
      const { details } = (after ?? before)!;
      const content = after && toContent(after, embeddingOf);
      // Its number is the revision that the entry will have.
      if (content && !before) delete content.details.uid;
      attempt.steps.push(step(details.id, content && encodeSubject(content)));
    }
  }

  /** @returns whether another replica was first, so that the change is to be planned again. */
  private async complete(attempt: Attempt): Promise<boolean> {
    const { member, steps } = attempt;
    const { planned, reject, resolve } = member;
    try {
      if (attempt.refusal !== undefined) throw attempt.refusal;
      if (steps.length > 0) await this.writeAll(attempt);
      else if (!attempt.answer) answer(attempt);
      if (takesAway(planned)) await this.erase(attempt);
      else for (const { expected } of steps) if (expected) this.log.eraseLater(expected);
      const { answer: given } = attempt;
      if (!given) throw changeUncertain(new Error('The change was replaced before it was read.'));
      if ('error' in given) {
        // Another replica may just have removed a reference that an addition found there already; all else is a mistake of ours.
        if (!isAddition(planned) || ++this.attemptsOf(member).failedAnswers > MAX_FAILED_ANSWERS) {
          this.stop(given.error);
          throw galleryErrors.storeStopped(given.error);
        }
        this.noteAdded(attempt, steps);
        throw new RevisionConflict();
      }
      resolve(this.withAdded(member, given.value) as never);
      return false;
    } catch (error) {
      if (error instanceof RevisionConflict) {
        const caughtUp = await this.catchUp(attempt).catch((cause: unknown) =>
          galleryErrors.storeFailed(cause),
        );
        if (!caughtUp) return true;
        reject(caughtUp);
      } else if (error instanceof EntryTooLarge) reject(this.tooLarge(attempt, error));
      else reject(error instanceof FaceError ? error : galleryErrors.storeFailed(error));
      return false;
    }
  }

  /** Writes all entries of a change, in the order of the calls, and waits until they are made here. */
  private async writeAll(attempt: Attempt): Promise<void> {
    const { steps } = attempt;
    let missing = steps.length;
    // In the moment in which the change is made: a later one may take away what the answer tells of.
    const made = () => --missing === 0 && answer(attempt);
    const outcomes = await Promise.allSettled(steps.map((step) => this.writeStep(step, made)));
    if (!attempt.answer) attempt.followers.forEach(answer);
    const failures = outcomes
      .filter((outcome) => outcome.status === 'rejected')
      .map(({ reason }) => reason as unknown);
    if (failures.length === 0) return;
    this.noteAdded(
      attempt,
      steps.filter((_step, i) => outcomes[i].status === 'fulfilled'),
    );
    const [failure] = failures;
    const isRefused = (one: unknown) => one instanceof FaceError && one.code === 'GALLERY_STORE_FAILED';
    if (steps.length === 1) throw failure;
    if (this.isStopped) throw galleryErrors.storeStopped(this.stoppedBy);
    if (failures.length === steps.length && failures.every(isRefused)) throw failure;
    // Some were made, or may be, and some were not: there is no way back.
    throw failures.find((one) => one instanceof RevisionConflict) ?? changeUncertain(failure);
  }

  private async writeStep({ key, value, expected }: Step, made: () => unknown): Promise<EntryVersion> {
    const writeId = newWriteId();
    let isVoid = false;
    this.written.set(writeId, (isValid) => {
      if (isValid) made();
      else isVoid = true;
    });
    try {
      const version = await this.log.write(key, value, expected, writeId);
      if (!(await this.log.waitFor(version.revision)))
        throw changeUncertain(new Error('The change was not read back in time.'));
      if (this.isStopped) throw galleryErrors.storeStopped(this.stoppedBy);
      if (isVoid) {
        await this.undo(key, version);
        throw new RevisionConflict();
      }
      return version;
    } finally {
      this.written.delete(writeId);
    }
  }

  /** Writes over a version that counts for nothing, because what it builds on was gone. */
  private async undo(key: string, version: EntryVersion): Promise<void> {
    const repair = this.held.repairOf(key);
    if (repair) await this.repair(repair);
    // Its gallery is gone.
    else this.log.eraseLater(version);
  }

  private async repair({ key, value, version }: Repair): Promise<void> {
    try {
      await this.rewrite(key, value, version);
    } catch (error) {
      // Another replica did it.
      if (!(error instanceof RevisionConflict)) throw error;
    }
  }

  private async rewrite(key: string, value: Uint8Array | null, version: EntryVersion): Promise<void> {
    const next = await this.log.write(key, value, version);
    await this.log.waitFor(next.revision);
    await this.log.erase(key, next, version);
  }

  /** Removes the entry of a subject whose place another has taken. */
  private async finishMove(key: string, version: EntryVersion): Promise<void> {
    for (let current: Entry | EntryVersion | undefined = version; current;) {
      try {
        return await this.rewrite(key, null, current);
      } catch (error) {
        if (!(error instanceof RevisionConflict)) throw error;
        // Another replica finished it, or has written over what was gone already.
        const last: Entry | undefined = await this.log.read(key);
        const isIts = [last?.writeId, last?.replacedWriteId].includes(version.writeId);
        current = last?.value && isIts ? last : undefined;
      }
    }
  }

  /** Removes what a change has taken away. Where that fails, the next change or start of any replica does it. */
  private async erase({ steps, moved, member }: Attempt): Promise<void> {
    const { gallery } = member.planned;
    const removed = gallery && !gallery.after ? this.held.prefixOf(gallery.before!.uid) : undefined;
    try {
      if (moved) await this.finishMove(moved.key, moved.expected!);
      await Promise.all(
        steps.map(async ({ key, expected }) => {
          const version = this.held.versionOf(key);
          if (version) await this.log.erase(key, version, expected);
        }),
      );
      // The key of its subjects is gone with the entry of the gallery.
      if (removed) await this.log.drop(removed);
    } catch (error) {
      for (const { expected } of steps) if (expected) this.log.eraseLater(expected);
      throw galleryErrors.notWiped(error);
    }
  }

  /** Reads what was in the way of a change. @returns why the change is given up. */
  private async catchUp({ steps, moved, member }: Attempt): Promise<FaceError | undefined> {
    const attempts = this.attemptsOf(member);
    if (++attempts.count > MAX_ATTEMPTS)
      return galleryErrors.storeFailed(new Error('Others were first with every attempt.'));
    for (const { key } of moved ? [...steps, moved] : steps) {
      const last = await this.log.read(key);
      if (!last) this.held.forget(key);
      else if (!(await this.log.waitFor(last.revision)))
        throw new Error('The last version was not read in time.');
    }
    for (const { key, version } of this.held.unfinishedMoves()) await this.finishMove(key, version);
    return undefined;
  }

  /** References that a change has added before it was planned again count as added by it. */
  private noteAdded({ member }: Attempt, steps: readonly Step[]): void {
    const { draft } = member.planned;
    if (!draft) return;
    const written = new Set(steps.map(({ key }) => key));
    const gallery = this.held.findByUid(draft.state.uid);
    for (const { before, after } of draft.subjects) {
      if (!gallery || !after || !written.has(gallery.keyOf(after.details.id))) continue;
      const old = new Set(before?.references.map(({ id }) => id));
      for (const { id } of after.references) if (!old.has(id)) this.attemptsOf(member).addedIds.add(id);
    }
  }

  private withAdded(member: Member, answer: unknown): unknown {
    const addedIds = this.attempts.get(member.plan)?.addedIds;
    if (!addedIds?.size || !Array.isArray(answer)) return answer;
    return (answer as (AddedReference | FaceError)[]).map((one) =>
      !(one instanceof FaceError) && one.status === 'existing' && addedIds.delete(one.reference.id)
        ? { ...one, status: 'added' }
        : one,
    );
  }

  private attemptsOf({ plan }: Member): Retries {
    const attempts = this.attempts.get(plan) ?? { count: 0, failedAnswers: 0, addedIds: new Set() };
    this.attempts.set(plan, attempts);
    return attempts;
  }

  private tooLarge({ member }: Attempt, { maxBytes, message }: EntryTooLarge): FaceError {
    const { draft, gallery } = member.planned;
    const galleryId = draft?.state.id ?? (gallery?.after ?? gallery?.before)?.id;
    return new FaceError(
      draft ? 'SUBJECT_FULL' : 'GALLERY_FULL',
      `The servers take no entry of more than ${maxBytes} bytes: a subject with its references and metadata is one.`,
      { galleryId, maxBytes },
      { cause: message },
    );
  }

  private async finishReading(): Promise<void> {
    if (this.isStopped) throw this.stoppedBy;
    const { damaged } = this.held;
    for (const { key, version } of this.held.unfinishedMoves()) await this.finishMove(key, version);
    for (const repair of this.held.allRepairs()) await this.repair(repair);
    if (damaged > 0)
      this.settings.onNotice?.({
        level: 'warn',
        message: `${damaged} entries of subjects cannot be read. They are not served, and not removed.`,
      });
  }
}

/** Whether it adds references, or changes nothing. */
function isAddition({ draft }: ReservedChange): boolean {
  if (!draft || draft.references.some(({ before }) => before !== undefined)) return false;
  return draft.references.length > 0 || draft.subjects.length === 0;
}

function answer(attempt: Attempt): void {
  try {
    attempt.answer = { value: attempt.member.planned.answer() };
  } catch (error) {
    attempt.answer = { error };
  }
  attempt.followers.forEach(answer);
}

/** An entry has the size of one message of the servers, which pictures would fill soon. */
function refuseCrops({ keepCrops }: Partial<GallerySettings>): void {
  if (keepCrops) throw galleryErrors.cropsNotKept();
}
