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
  /** Key that encrypts the entries; 32 characters or more. */
  key: string | null | undefined;
  /** Called with the progress of the first read, and at its end. */
  onProgress?: (progress: { done: number; total: number }) => void;
  /** Called with messages for the operator. */
  onNotice?: (notice: Notice) => void;
}

/** The stream, and the galleries built from its messages. */
interface Reading {
  log: EntryLog;
  held: HeldEntries;
  table: GalleryTable;
}

/** One entry written by a change. */
interface Step {
  key: string;
  /** `null` removes the entry. */
  value: Uint8Array | null;
  expected: EntryVersion | undefined;
}

/** A change, and the entries that it writes. */
interface Attempt {
  member: Member;
  steps: Step[];
  /** Entry of a renamed or merged subject; removed after the first step is made. */
  moved?: Step;
  /** Reason why the change cannot be written. */
  refusal?: unknown;
  /** Answer of the change, once it is applied here. */
  answer?: { value: unknown } | { error: unknown };
  /** Later changes that write nothing: their answers reflect the state right after this change is applied. */
  followers: Attempt[];
}

/** State of a change across its attempts. */
interface Retries {
  count: number;
  failedAnswers: number;
  /** Ids of references added by earlier attempts. */
  addedIds: Set<string>;
}

/** Attempts after which a change is given up because other changes were always first. */
const MAX_ATTEMPTS = 50;
const MAX_FAILED_ANSWERS = 10;
/** Range of uids per millisecond; each process starts at a random one, so that replicas rarely collide. */
const UIDS_PER_MS = 2048;
/** Delay before the stream is read again from its start, and between two attempts. */
const REREAD_MS = 1000;

/**
 * Galleries in the memory of each replica, fed by a shared stream of NATS JetStream. Each gallery is one entry of the stream, and
 * so is each subject with its references. A change is planned on the state of this replica, written by compare-and-set, and
 * planned again if another replica was first. It is acknowledged when a quorum of the servers has it and this replica has read
 * it back: all replicas build their memory from the stream alone, in the same order.
 *
 * @publicApi
 */
export class JetstreamStore extends MemoryStore {
  private log!: EntryLog;
  private held!: HeldEntries;
  /** Callbacks for when an entry written here is read back, by write id. */
  private readonly written = new Map<number, (isValid: boolean) => void>();
  /** Whether the entry being read has removed a gallery, a subject or references. */
  private hasRemoved = false;
  private readonly attempts = new WeakMap<Member['plan'], Retries>();

  private rereading = Promise.resolve();
  private isClosed = false;

  private constructor(private readonly settings: JetstreamStoreOptions) {
    super(settings);
  }

  /**
   * Connects and reads the whole stream.
   *
   * @throws {FaceError} GALLERY_STORE_INVALID if the servers cannot be used, the key is a different one, or the entry of a
   * gallery is damaged; nothing was changed.
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

  /** Not supported: a migration to another embedder needs crops, and this store keeps none. */
  override async replaceGallery(): Promise<Gallery> {
    throw galleryErrors.cropsNotKept();
  }

  override async close(): Promise<void> {
    this.isClosed = true;
    await super.close();
    await this.log?.close();
    await this.rereading;
  }

  /** Uids identify galleries and references on all replicas, whichever process created them; later uids are mostly larger. */
  protected override nextUid(): number {
    this.lastUid = Math.max(this.lastUid + 1, Date.now() * UIDS_PER_MS + randomInt(UIDS_PER_MS));
    return this.lastUid;
  }

  protected override async make(group: readonly Member[]): Promise<void> {
    const attempts = group.map((member) => this.attempt(member));
    // Changes are applied, and reserve what they need, when they come back from the stream. Nothing is planned before that.
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

  /** Reads the stream from its start, then follows it. */
  private async read(onProgress?: JetstreamStoreOptions['onProgress']): Promise<Reading> {
    const { nats, key, onNotice } = this.settings;
    let held: HeldEntries | undefined;
    const log = await EntryLog.open({
      ...nats,
      onEntry: (entry) => this.take(entry, held),
      // While it is not in use yet, the read itself fails instead.
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
      // A gallery whose settings changed comes after its subjects in the stream.
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
   * Reads the stream again after the servers have renumbered its messages, as versions are identified by these numbers.
   * Meanwhile searches and reads use the old state, and changes are refused.
   */
  private reread(): void {
    // A log reports this once: it can be the next one, while the end of this reading is still under way.
    this.rereading = this.rereading.then(() => this.replaceReading());
  }

  private async replaceReading(): Promise<void> {
    const { onNotice } = this.settings;
    onNotice?.({
      level: 'warn',
      message:
        'The new leader of the stream numbers its messages differently. All are read again; ' +
        'changes are refused meanwhile.',
    });
    let reading: Reading | undefined;
    // A log can be lost again before it is in use.
    while ((!reading || reading.log.isLost) && !this.isClosed) {
      await reading?.log.close();
      await delay(REREAD_MS);
      // Fails if servers cannot be reached or have just elected another leader; the loop tries again.
      reading = await this.read().catch(() => undefined);
      // Changes requested before: each ends soon, refused or uncertain.
      while (this.queue.isWorking) await this.queue.settled();
    }
    if (!reading) return;
    if (this.isClosed) return reading.log.close();
    const { log, table } = this;
    this.use(reading);
    // Deletions in between are unknown, so listeners must check.
    this.onRemoved?.();
    await this.searchesEnd();
    await Promise.all([log.close(), table.close()]);
    await this.finishReading().catch((error: unknown) => this.stop(error));
    onNotice?.({
      level: 'warn',
      message: 'All messages of the stream were read again. Changes are accepted again.',
    });
  }

  private take(entry: Entry, held: HeldEntries | undefined): void {
    let isValid = false;
    this.hasRemoved = false;
    try {
      isValid = held?.take(entry) ?? false;
    } catch (error) {
      // Written, but not applied: a bug. Further changes could damage the data.
      this.stop(error);
    }
    if (held !== this.held) return;
    const written = this.written.get(entry.writeId);
    if (this.hasRemoved && !written) this.onRemoved?.();
    written?.(isValid);
  }

  /** Encodes the entries of a change. */
  private attempt(member: Member): Attempt {
    const { gallery, draft } = member.planned;
    const attempt: Attempt = { member, steps: [], followers: [] };
    try {
      if (gallery) attempt.steps.push(this.galleryStep(gallery));
      if (draft) this.addSubjectSteps(attempt, draft);
      // Checked before the first write: a change of several entries must not fail at the second.
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
      // The subject was renamed or merged, and its old entry still exists: that must be removed first.
      if (held?.leftWriteId !== undefined && content) throw new RevisionConflict();
      // The same holds for the entry that it came from: without the version written by the move, that one would count again.
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
      // Its uid will be the revision of the entry.
      if (content && !before) delete content.details.uid;
      attempt.steps.push(step(details.id, content && encodeSubject(content)));
    }
  }

  /** @returns whether another replica was first and the change must be planned again. */
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
        // Another replica may just have removed a reference that an addition found as existing. Any other failure is a bug.
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

  /** Writes all entries of a change, in the order of the calls, and waits until they are applied here. */
  private async writeAll(attempt: Attempt): Promise<void> {
    const { steps } = attempt;
    let missing = steps.length;
    // Answers at the very moment of the last entry: a later change may remove what the answer describes.
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
    // Some entries were written, or may have been, and some were not: the change cannot be rolled back.
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

  /** Overwrites a void version: the version it builds on was already gone. */
  private async undo(key: string, version: EntryVersion): Promise<void> {
    const repair = this.held.repairOf(key);
    if (repair) await this.repair(repair);
    // Its gallery was deleted.
    else this.log.eraseLater(version);
  }

  private async repair({ key, value, version }: Repair): Promise<void> {
    try {
      await this.rewrite(key, value, version);
    } catch (error) {
      // Another replica has already repaired it.
      if (!(error instanceof RevisionConflict)) throw error;
    }
  }

  private async rewrite(key: string, value: Uint8Array | null, version: EntryVersion): Promise<void> {
    const next = await this.log.write(key, value, version);
    await this.log.waitFor(next.revision);
    await this.log.erase(key, next, version);
  }

  /** Removes the old entry of a renamed or merged subject. */
  private async finishMove(key: string, version: EntryVersion): Promise<void> {
    for (let current: Entry | EntryVersion | undefined = version; current;) {
      try {
        return await this.rewrite(key, null, current);
      } catch (error) {
        if (!(error instanceof RevisionConflict)) throw error;
        // Another replica finished the move, or has overwritten the old entry after it.
        const last: Entry | undefined = await this.log.read(key);
        const isIts = [last?.writeId, last?.replacedWriteId].includes(version.writeId);
        current = last?.value && isIts ? last : undefined;
      }
    }
  }

  /** Erases the data removed by a change. If that fails, the next change or start of any replica does it. */
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
      // The entries need no overwriting: their key was erased with the entry of the gallery.
      if (removed) await this.log.drop(removed);
    } catch (error) {
      for (const { expected } of steps) if (expected) this.log.eraseLater(expected);
      throw galleryErrors.notWiped(error);
    }
  }

  /** Waits for the versions that conflicted with a change. @returns the error with which the change is given up, if any. */
  private async catchUp({ steps, moved, member }: Attempt): Promise<FaceError | undefined> {
    const attempts = this.attemptsOf(member);
    if (++attempts.count > MAX_ATTEMPTS)
      return galleryErrors.storeFailed(new Error('Other changes were first in every attempt.'));
    for (const { key } of moved ? [...steps, moved] : steps) {
      const last = await this.log.read(key);
      if (!last) this.held.forget(key);
      else if (!(await this.log.waitFor(last.revision)))
        throw new Error('The last version was not read in time.');
    }
    for (const { key, version } of this.held.unfinishedMoves()) await this.finishMove(key, version);
    return undefined;
  }

  /** Notes references added by an attempt that is planned again: the answer must report them as added. */
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
      `The servers accept entries of at most ${maxBytes} bytes; a subject with its references and metadata is one entry.`,
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

/** Whether the change only adds references, or changes nothing. */
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

/** An entry is one message, whose maximum size crops would soon exceed. */
function refuseCrops({ keepCrops }: Partial<GallerySettings>): void {
  if (keepCrops) throw galleryErrors.cropsNotKept();
}
