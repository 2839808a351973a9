import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  jetstream,
  JetStreamApiError,
  type JetStreamClient,
  jetstreamManager,
  type JetStreamManager,
  type MsgRequest,
  type SeqMsgRequest,
  type StoredMsg,
  type StreamInfo,
} from '@nats-io/jetstream';
import { errors, headers, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import { FaceError } from '../../../errors';
import type { Notice } from '../../../face/face.options';
import { galleryErrors } from '../../gallery-errors';
import { connectNats, jetstreamInvalid, untilReady } from './connect-nats';
import { LogFollower, REQUEST_MS, type StreamMessage } from './log-follower';
import {
  DEFAULT_NATS_NAMESPACE,
  DEFAULT_NATS_REPLICAS,
  DEFAULT_NATS_TIMEOUT_MS,
  type NatsSettings,
} from './nats-settings';
import { CODES, isCode, openStream } from './open-stream';

/** Version of an entry, as named by the write of the next one. */
export interface EntryVersion {
  /** Sequence number of its message in the stream: later writes, of any key, have larger ones. */
  revision: number;
  /** Random number of its write, [0, 2^48). */
  writeId: number;
}

export interface Entry extends EntryVersion {
  key: string;
  /** Sealed content; `null`: the entry was removed. */
  value: Uint8Array | null;
  /** Write id of the replaced version. */
  replacedWriteId?: number;
}

export interface EntryLogOptions extends NatsSettings {
  /** Called once for each version of each entry, in the order of revisions. Must not throw. */
  onEntry: (entry: Entry) => void;
  /** Called if the state read is no longer that of the servers. After it, nothing is read or written. */
  onLost?: (cause: unknown) => void;
  /** Like `onLost`, but all entries still exist under other revisions: a new log can read them again. */
  onRenumbered?: () => void;
  /** Called with the number of messages read, during the first read of the stream. */
  onProgress?: (progress: { done: number; total: number }) => void;
  onNotice?: (notice: Notice) => void;
}

/** Another write was first: the entry no longer has the expected version. Nothing was changed. */
export class RevisionConflict extends Error {}

/** The entry exceeds the maximum message size of the servers. Nothing was changed. */
export class EntryTooLarge extends Error {
  constructor(
    readonly bytes: number,
    readonly maxBytes: number,
  ) {
    super(`An entry of ${bytes} bytes exceeds the limit of ${maxBytes} bytes (max_payload of the servers).`);
  }
}

/** Header of a message: its write id and that of the replaced version, in hexadecimal. */
const WRITE_HEADER = 'Likeness-Write';
const WRITE_ID_BYTES = 6;
/** Maximum bytes of a message's headers. */
const HEADER_BYTES = 256;
/** Timeout of one attempt of a write; then its outcome is looked up. */
const ATTEMPT_MS = 2000;
const RETRY_MS = 100;
/** Time that a write waits for a reconnect before it is refused. */
const RECONNECT_MS = 2000;
const RECONNECT_LOOK_MS = 20;
const DROP_MS = 60_000;
/**
 * Lifetime of the marker of a removed entry: replicas cut off for less time learn of the removal from it. Replicas cut off for
 * longer cannot catch up.
 */
const MARKER_MS = 24 * 3600 * 1000;
const SWEEP_MS = 3600 * 1000;
/** Concurrent removals of versions left behind by an earlier process. */
const SWEEP_WIDTH = 8;
/** First version of nats-server in which refused writes do not make the copies of a stream drift apart (nats-server#4365). */
const SOUND_VERSION = '2.9.21';

interface Write {
  key: string;
  /** Empty removes the entry. */
  value: Uint8Array;
  expected: EntryVersion | undefined;
  writeId: number;
}

/**
 * Entries in a stream of NATS JetStream: the last message of a key is its current version. Each write names the version that it
 * replaces, and fails if the entry has another one (compare-and-set).
 *
 * The stream keeps every message until it is removed here, as only a removal by number overwrites its bytes: a limit of the
 * stream, such as one message per key, would drop older versions but leave their bytes in the files of the servers.
 */
export class EntryLog {
  private readonly jetstream: JetStreamClient;
  private readonly follower: LogFollower;
  private readonly timeoutMs: number;
  /** Last version of each key, during the first read of the stream. */
  private firstRead?: Map<string, EntryVersion> = new Map();
  /** Replaced versions still to be erased. */
  private leftovers: EntryVersion[] = [];
  private markers: (EntryVersion & { time: number })[] = [];
  private sweeper?: NodeJS.Timeout;
  private sweeping?: Promise<void>;
  private isUp = true;
  /** Rejects a write without an answer so far. */
  private readonly unanswered: ((error: Error) => void)[] = [];
  /** When reading ended for good, milliseconds since 1970, UTC; `null` while it goes on. */
  private lostAt: number | null = null;
  /** Names of servers with a copy of the stream that are offline. */
  private away: string[] = [];
  private hasWarned = false;

  private constructor(
    private readonly connection: NatsConnection,
    private readonly manager: JetStreamManager,
    private readonly stream: string,
    /** Prefix of an entry's key in the subject of its messages. */
    private readonly prefix: string,
    private readonly options: EntryLogOptions,
  ) {
    this.timeoutMs = options.timeoutMs ?? DEFAULT_NATS_TIMEOUT_MS;
    this.jetstream = jetstream(connection);
    this.follower = new LogFollower({
      connection,
      manager,
      stream,
      filter: `${prefix}>`,
      onMessage: (message) => this.take(message),
      onLost: (cause) => this.lose(() => options.onLost?.(cause)),
      onRenumbered: () => this.lose(() => options.onRenumbered?.()),
      onProgress: options.onProgress,
      maxGapMs: MARKER_MS / 2,
      onInfo: (info) => this.noteServers(info),
    });
    void this.watchConnection();
  }

  /**
   * Connects, and creates the stream if it does not exist. {@link follow} reads the entries.
   *
   * @throws {FaceError} GALLERY_STORE_INVALID if the servers cannot be used; nothing was changed.
   */
  static async open(options: EntryLogOptions): Promise<EntryLog> {
    const { namespace = DEFAULT_NATS_NAMESPACE, replicas = DEFAULT_NATS_REPLICAS, onNotice } = options;
    if (!/^[A-Za-z0-9_-]{1,32}$/.test(namespace))
      throw jetstreamInvalid('needs a namespace of 1 to 32 letters, digits, `_` and `-`');
    const connection = await connectNats(options);
    try {
      const [name, prefix] = [`LIKENESS_${namespace}`, `likeness.${namespace}.`];
      const manager = await untilReady(options, () => jetstreamManager(connection, { timeout: REQUEST_MS }));
      await untilReady(options, () =>
        openStream(manager, { name, subjects: `${prefix}>`, replicas, onNotice }),
      );
      const version = connection.info?.version ?? '';
      if (replicas > 1 && version.localeCompare(SOUND_VERSION, 'en', { numeric: true }) < 0)
        onNotice?.({ level: 'warn', message: unsoundVersion(version) });
      return new EntryLog(connection, manager, name, prefix, options);
    } catch (error) {
      await connection.close();
      if (error instanceof FaceError) throw error;
      throw jetstreamInvalid('cannot be opened', error);
    }
  }

  /** Passes the current entries with a prefix to `onEntry`, ahead of {@link follow}, which passes them again. */
  async readAhead(prefix: string): Promise<void> {
    const { connection, manager, stream, options } = this;
    const reader = new LogFollower({
      connection,
      manager,
      stream,
      filter: `${this.prefix}${prefix}>`,
      onMessage: (message) => options.onEntry(this.toEntry(message)),
      onLost: () => reader.close(),
      onRenumbered: () => reader.close(),
      maxGapMs: MARKER_MS / 2,
    });
    try {
      await reader.start();
    } finally {
      reader.close();
    }
  }

  /**
   * Removes all entries with a prefix at once, without overwriting them: for entries whose key is already erased.
   *
   * @throws {FaceError} GALLERY_STORE_FAILED
   */
  async drop(prefix: string): Promise<void> {
    try {
      // Takes seconds for 100,000 entries.
      const patient = await jetstreamManager(this.connection, { timeout: DROP_MS, checkAPI: false });
      await patient.streams.purge(this.stream, { filter: `${this.prefix}${prefix}>` });
    } catch (error) {
      throw galleryErrors.storeFailed(error);
    }
  }

  /** Passes all entries to `onEntry`. @returns when the current ones have been passed; later ones follow as they arrive. */
  async follow(): Promise<void> {
    await this.follower.start();
    this.firstRead = undefined;
    void this.sweep();
    this.sweeper = setInterval(() => void this.sweep(), SWEEP_MS);
    this.sweeper.unref();
  }

  /**
   * Reads the current version of an entry from the servers.
   *
   * @throws {Error} if the request fails.
   */
  async read(key: string): Promise<Entry | undefined> {
    const message = await this.lastOf(key);
    if (!message) return undefined;
    const [writeId, replacedWriteId] = writeIdsOf(message.header);
    const value = message.data.length === 0 ? null : message.data;
    return { key, revision: message.seq, writeId, replacedWriteId, value };
  }

  /** Revision up to which every version was passed to `onEntry`. */
  get revision(): number {
    return this.follower.revision;
  }

  /** Time since which the state read may be behind the servers, milliseconds since 1970, UTC; `null` if it is current. */
  get staleSince(): number | null {
    return this.lostAt ?? this.follower.staleSince;
  }

  /** Whether nothing more is read or written: see `onLost` and `onRenumbered`. */
  get isLost(): boolean {
    return this.lostAt !== null;
  }

  /** Maximum bytes of a value. */
  get maxValueBytes(): number {
    return (this.connection.info?.max_payload ?? 1024 ** 2) - HEADER_BYTES;
  }

  /** @throws {EntryTooLarge} for a value above {@link maxValueBytes}. */
  checkSize({ length }: Uint8Array): void {
    if (length > this.maxValueBytes) throw new EntryTooLarge(length, this.maxValueBytes);
  }

  /** @returns whether all versions up to `revision` were passed to `onEntry` before the timeout. */
  waitFor(revision: number, timeoutMs = this.timeoutMs): Promise<boolean> {
    return this.follower.waitFor(revision, timeoutMs);
  }

  /**
   * Writes the next version of an entry, or removes the entry (`null`). The replaced version still exists: {@link erase} it.
   *
   * @param expected - the version to replace; `undefined` if the entry has none. A removed entry has a version: its marker.
   * @param writeId - write id of the new version.
   * @returns the new version, once a quorum of the servers has it.
   * @throws {RevisionConflict} if the entry has another version; nothing was changed.
   * @throws {EntryTooLarge} if the value exceeds {@link maxValueBytes}; nothing was changed.
   * @throws {FaceError} GALLERY_STORE_FAILED if nothing was changed; GALLERY_CHANGE_UNCERTAIN if the outcome is unknown: the
   * servers received the write, did not confirm it in time, and may still make it.
   */
  async write(
    key: string,
    value: Uint8Array | null,
    expected?: EntryVersion,
    writeId = newWriteId(),
  ): Promise<EntryVersion> {
    const write: Write = { key, value: value ?? new Uint8Array(0), expected, writeId };
    this.checkSize(write.value);
    const deadline = Date.now() + this.timeoutMs;
    // The client buffers messages while it reconnects, and would send this one after it was given up here.
    if (!this.isUp) await this.reconnected(Math.min(RECONNECT_MS, this.timeoutMs));
    if (this.isLost || !this.isUp)
      throw galleryErrors.storeFailed(new Error('The servers cannot be reached.'));
    let mayBeMade = false;
    for (let cause: unknown; ; await delay(RETRY_MS)) {
      const timeout = Math.min(ATTEMPT_MS, deadline - Date.now());
      if (timeout <= 0) throw mayBeMade ? changeUncertain(cause) : galleryErrors.storeFailed(cause);
      try {
        const { seq } = await this.orCutOff(this.publish(write, timeout));
        return { revision: seq, writeId: write.writeId };
      } catch (error) {
        cause = error;
        if (isNotTaken(error)) continue;
        if (isRefused(error)) throw galleryErrors.storeFailed(error);
        const isConflict = isCode(error, CODES.wrongLastSequence);
        if (isConflict && !mayBeMade) throw new RevisionConflict();
        // After an attempt without an answer, the conflicting version may be the one written by that attempt.
        if (!isConflict) mayBeMade = true;
      }
      if (!this.isUp) await this.reconnected(deadline - Date.now());
      const outcome = await this.lookUp(write);
      if (outcome === 'conflict') throw new RevisionConflict();
      if (outcome === 'unknown') throw changeUncertain(cause);
      if (typeof outcome === 'object') return outcome;
    }
  }

  /**
   * Overwrites the bytes of all versions of an entry before `version`, on every server that is up.
   *
   * @param replaced - the version before it, usually the only one.
   * @throws {FaceError} GALLERY_STORE_FAILED if not all of them are erased.
   */
  async erase(key: string, version: EntryVersion, replaced?: EntryVersion): Promise<void> {
    const deadline = Date.now() + this.timeoutMs;
    let next = replaced?.revision;
    for (let end: number | undefined = version.revision; ;) {
      try {
        // After a failure, a new leader may have renumbered the messages.
        end ??= (await this.lastOf(key))?.seq ?? 0;
        if (next != null) await this.eraseMessage(next);
        // Other replicas may have left older versions.
        next = await this.oldestOf(key);
        if (next == null || next >= end) return;
      } catch (error) {
        if (Date.now() > deadline || this.connection.isClosed()) throw galleryErrors.storeFailed(error);
        [next, end] = [undefined, undefined];
        await delay(RETRY_MS);
      }
    }
  }

  /** Like {@link erase}, but in the background: for versions whose data the next version keeps. */
  eraseLater(replaced: EntryVersion): void {
    this.leftovers.push(replaced);
    void this.sweep();
  }

  /** Waits for running removals, then closes the connection. */
  async close(): Promise<void> {
    clearInterval(this.sweeper);
    await this.sweeping;
    this.follower.close();
    await this.connection.close();
  }

  private publish({ key, value, expected, writeId }: Write, timeout: number): Promise<{ seq: number }> {
    const given = headers();
    const ids = [writeId, ...(expected ? [expected.writeId] : [])];
    given.set(WRITE_HEADER, ids.map((id) => id.toString(16)).join(','));
    return this.jetstream.publish(this.prefix + key, value, {
      timeout,
      headers: given,
      expect: { streamName: this.stream, lastSubjectSequence: expected?.revision ?? 0 },
    });
  }

  /**
   * Looks up the outcome of a write without an answer. `pending`: not made so far.
   *
   * A successful write may have been replaced meanwhile: the next version names it, the one after that does not.
   */
  private async lookUp(write: Write): Promise<EntryVersion | 'pending' | 'conflict' | 'unknown'> {
    const { key, expected, writeId } = write;
    const expectedRevision = expected?.revision ?? 0;
    const last = await this.lastOf(key).catch(() => undefined);
    if (!last || last.seq <= expectedRevision) return 'pending';
    const revision = last.seq;
    const [ownId, replacedId] = writeIdsOf(last.header);
    if (ownId === writeId || replacedId === writeId) return { revision, writeId: ownId };
    return replacedId === expected?.writeId ? 'conflict' : 'unknown';
  }

  private take(message: StreamMessage): void {
    const entry = this.toEntry(message);
    const { key, revision, writeId, value } = entry;
    const version = { revision, writeId };
    if (value === null) this.markers.push({ revision, writeId, time: message.time });
    const older = this.firstRead?.get(key);
    if (older) this.leftovers.push(older);
    this.firstRead?.set(key, version);
    this.options.onEntry(entry);
  }

  private toEntry({ subject, sequence, headers, data }: StreamMessage): Entry {
    const [writeId, replacedWriteId] = writeIdsOf(headers);
    const value = data.length === 0 ? null : data;
    return { key: subject.slice(this.prefix.length), revision: sequence, writeId, replacedWriteId, value };
  }

  /** Erases replaced versions, which is safe at any time, and expired markers. */
  private sweep(): Promise<void> {
    const before = Date.now() - MARKER_MS;
    while (this.markers.length > 0 && this.markers[0].time < before)
      this.leftovers.push(this.markers.shift()!);
    this.sweeping ??= Promise.all(Array.from({ length: SWEEP_WIDTH }, () => this.eraseLeftovers())).then(
      () => (this.sweeping = undefined),
    );
    return this.sweeping;
  }

  private async eraseLeftovers(): Promise<void> {
    for (let version = this.leftovers.pop(); version; version = this.leftovers.pop()) {
      try {
        // After a change of the leader, another message may have this number.
        const found = await this.getMessage({ seq: version.revision });
        if (found && writeIdsOf(found.header)[0] === version.writeId)
          await this.eraseMessage(version.revision);
      } catch {
        // The next sweep, or the next start of any replica, tries again.
        this.leftovers.push(version);
        return;
      }
    }
  }

  private lastOf(key: string): Promise<StoredMsg | undefined> {
    return this.getMessage({ last_by_subj: this.prefix + key });
  }

  private async oldestOf(key: string): Promise<number | undefined> {
    const request = { seq: 1, next_by_subj: this.prefix + key } as SeqMsgRequest;
    return (await this.getMessage(request))?.seq;
  }

  private async getMessage(request: MsgRequest): Promise<StoredMsg | undefined> {
    try {
      return (await this.manager.streams.getMessage(this.stream, request)) ?? undefined;
    } catch (error) {
      if (isCode(error, CODES.noMessageFound) || isCode(error, CODES.sequenceNotFound)) return undefined;
      throw error;
    }
  }

  /** Overwrites one message; does nothing if it is already gone. */
  private async eraseMessage(sequence: number): Promise<void> {
    try {
      await this.manager.streams.deleteMessage(this.stream, sequence, true);
      this.warnOfServers();
    } catch (error) {
      // The codes for a missing message also stand for other failures, so check whether it still exists.
      if (!(error instanceof JetStreamApiError) || (await this.getMessage({ seq: sequence }))) throw error;
    }
  }

  private async watchConnection(): Promise<void> {
    for await (const { type } of this.connection.status()) {
      if (type === 'disconnect' || type === 'close') {
        this.isUp = false;
        for (const reject of this.unanswered) reject(new Error('The connection was lost.'));
      }
      if (type !== 'reconnect') continue;
      this.isUp = true;
      this.follower.resume();
    }
  }

  /**
   * Rejects when the connection is lost, as the answer will not arrive. Not a race with one promise of the connection, which would
   * keep every write in memory until then.
   */
  private orCutOff<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.unanswered.push(reject);
      const forget = () => this.unanswered.splice(this.unanswered.indexOf(reject), 1);
      answer.then(resolve, reject).finally(forget);
    });
  }

  /** Settles after a reconnect or the timeout. */
  private async reconnected(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!this.isUp && Date.now() < deadline && !this.connection.isClosed()) await delay(RECONNECT_LOOK_MS);
  }

  private noteServers({ cluster }: StreamInfo): void {
    this.away = (cluster?.replicas ?? []).filter(({ offline }) => offline).map(({ name }) => name);
    if (this.away.length === 0) this.hasWarned = false;
  }

  /** Warns about offline servers: when they catch up, they drop removed messages without overwriting them. */
  private warnOfServers(): void {
    if (this.away.length === 0 || this.hasWarned) return;
    this.hasWarned = true;
    const message =
      `Server ${this.away.join(', ')} cannot be reached. Data deleted now stays readable in its files with ` +
      'FACE_GALLERY_KEY: remove its JetStream folder before it starts again.';
    this.options.onNotice?.({ level: 'warn', message });
  }

  private lose(report: () => void): void {
    if (this.isLost) return;
    this.lostAt = Date.now();
    this.follower.close();
    report();
  }
}

function unsoundVersion(version: string): string {
  return (
    `nats-server ${version} can lose acknowledged changes when the leader of a cluster is killed ` +
    `(nats-server#4365): ${SOUND_VERSION} or a later version is needed.`
  );
}

/** Random write id; a collision is practically impossible. */
export function newWriteId(): number {
  return randomBytes(WRITE_ID_BYTES).readUIntBE(0, WRITE_ID_BYTES);
}

/** Write ids of a version and of the one that it replaced. */
function writeIdsOf(given: MsgHdrs | undefined): [number, number | undefined] {
  const [own = NaN, replaced] = (given?.get(WRITE_HEADER) ?? '').split(',').map((id) => parseInt(id, 16));
  return [own, replaced];
}

/** Whether the request reached no server that could handle it, so that nothing was written. */
function isNotTaken(error: unknown): boolean {
  const { cause } = error as Error;
  if (cause instanceof errors.RequestError && cause.isNoResponders()) return true;
  return isCode(error, CODES.unavailable);
}

/** Whether a limit of the stream or account refused the write; limits are checked before anything is written. */
function isRefused(error: unknown): boolean {
  return error instanceof JetStreamApiError && /maximum|insufficient|exceed/i.test(error.message);
}

export function changeUncertain(cause: unknown): FaceError {
  return new FaceError(
    'GALLERY_CHANGE_UNCERTAIN',
    'The servers of the galleries did not confirm the change in time; it may still be made. Read before you repeat it.',
    {},
    { cause },
  );
}
