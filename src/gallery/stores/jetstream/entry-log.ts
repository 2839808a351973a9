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

/** One version of an entry, as the write of the next one names it. */
export interface EntryVersion {
  /** Sequence number of its message in the stream: later writes, of any key, have larger ones. */
  revision: number;
  /** Random number of the write that made it, [0, 2^48). */
  writeId: number;
}

export interface Entry extends EntryVersion {
  key: string;
  /** Sealed content; `null`: the entry was removed. */
  value: Uint8Array | null;
  /** Of the version that it replaced. */
  replacedWriteId?: number;
}

export interface EntryLogOptions extends NatsSettings {
  /** Called for each version of each entry, in the order of their revisions, each once. Must not throw. */
  onEntry: (entry: Entry) => void;
  /** What was read is no longer what the servers hold: nothing more is read or written. */
  onLost?: (cause: unknown) => void;
  /** As `onLost`, but all is there, with other revisions: it can be read again by another log. */
  onRenumbered?: () => void;
  /** Messages, while the stream is read for the first time. */
  onProgress?: (progress: { done: number; total: number }) => void;
  onNotice?: (notice: Notice) => void;
}

/** Another write was first: the entry does not have the expected version. Nothing was changed. */
export class RevisionConflict extends Error {}

/** The servers take no message of this size. Nothing was changed. */
export class EntryTooLarge extends Error {
  constructor(
    readonly bytes: number,
    readonly maxBytes: number,
  ) {
    super(`An entry of ${bytes} bytes exceeds the limit of ${maxBytes} bytes (max_payload of the servers).`);
  }
}

/** Header of a message: the number of its write, and that of the version that it replaces, in hexadecimal. */
const WRITE_HEADER = 'Likeness-Write';
const WRITE_ID_BYTES = 6;
/** Bytes of the headers of a message, at most. */
const HEADER_BYTES = 256;
/** One attempt of a write: then it is looked up whether it was made. */
const ATTEMPT_MS = 2000;
const RETRY_MS = 100;
/** How long a write waits for the connection to another server before it is refused. */
const RECONNECT_MS = 2000;
const RECONNECT_LOOK_MS = 20;
const DROP_MS = 60_000;
/**
 * How long the marker of a removed entry stays: replicas that were cut off for less learn of the removal from it. Those that
 * were cut off for longer have lost the thread.
 */
const MARKER_MS = 24 * 3600 * 1000;
const SWEEP_MS = 3600 * 1000;
/** Removals at the same time, of what an earlier process left behind. */
const SWEEP_WIDTH = 8;
/** The first nats-server whose copies of a stream do not drift apart by writes that were refused (nats-server#4365). */
const SOUND_VERSION = '2.9.21';

interface Write {
  key: string;
  /** Empty: the entry is removed. */
  value: Uint8Array;
  expected: EntryVersion | undefined;
  writeId: number;
}

/**
 * Entries in a stream of NATS JetStream: the last message with a key is the version that holds. Each write names the version
 * that it replaces and fails where there is another (compare-and-set).
 *
 * The stream keeps every message until it is removed here, as only a removal by number overwrites its bytes: a limit of the
 * stream, such as one message per key, would drop older versions and leave them in the files of the servers.
 */
export class EntryLog {
  private readonly jetstream: JetStreamClient;
  private readonly follower: LogFollower;
  private readonly timeoutMs: number;
  /** The last version of each key, while the stream is read for the first time. */
  private firstRead?: Map<string, EntryVersion> = new Map();
  /** Older versions that a process left behind when it ended. */
  private leftovers: EntryVersion[] = [];
  private markers: (EntryVersion & { time: number })[] = [];
  private sweeper?: NodeJS.Timeout;
  private sweeping?: Promise<void>;
  private isUp = true;
  private cut!: () => void;
  private cutOff = this.nextCutOff();
  /** Since when nothing more is read, milliseconds since 1970, UTC. */
  private lostAt: number | null = null;
  /** Names of servers that have a copy of the stream and do not answer. */
  private away: string[] = [];
  private hasWarned = false;

  private constructor(
    private readonly connection: NatsConnection,
    private readonly manager: JetStreamManager,
    private readonly stream: string,
    /** Before the key of an entry in the subject of its messages. */
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
   * Connects, and makes the stream where it is not there. Entries come with {@link follow}.
   *
   * @throws {FaceError} GALLERY_STORE_INVALID where the servers cannot be used; nothing was changed.
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

  /** Gives the entries with a prefix that are there now to `onEntry`, ahead of {@link follow}, which gives them again. */
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
   * Removes all entries with a prefix at once, without overwriting them: for what nobody can read any more.
   *
   * @throws {FaceError} GALLERY_STORE_FAILED
   */
  async drop(prefix: string): Promise<void> {
    try {
      // Of 100,000 entries it takes seconds.
      const patient = await jetstreamManager(this.connection, { timeout: DROP_MS, checkAPI: false });
      await patient.streams.purge(this.stream, { filter: `${this.prefix}${prefix}>` });
    } catch (error) {
      throw galleryErrors.storeFailed(error);
    }
  }

  /** @returns when all entries that are there now have been given to `onEntry`; those that come later follow. */
  async follow(): Promise<void> {
    await this.follower.start();
    this.firstRead = undefined;
    void this.sweep();
    this.sweeper = setInterval(() => void this.sweep(), SWEEP_MS);
    this.sweeper.unref();
  }

  /**
   * The version of an entry that holds now, asked of the servers.
   *
   * @throws {Error} of the connection.
   */
  async read(key: string): Promise<Entry | undefined> {
    const message = await this.lastOf(key);
    if (!message) return undefined;
    const [writeId, replacedWriteId] = writeIdsOf(message.header);
    const value = message.data.length === 0 ? null : message.data;
    return { key, revision: message.seq, writeId, replacedWriteId, value };
  }

  /** Every version up to here was given to `onEntry`. */
  get revision(): number {
    return this.follower.revision;
  }

  /** Since when what was read may be behind the servers, milliseconds since 1970, UTC; `null` where it is not. */
  get staleSince(): number | null {
    return this.lostAt ?? this.follower.staleSince;
  }

  /** Bytes that a value may have. */
  get maxValueBytes(): number {
    return (this.connection.info?.max_payload ?? 1024 ** 2) - HEADER_BYTES;
  }

  /** @throws {EntryTooLarge} */
  checkSize({ length }: Uint8Array): void {
    if (length > this.maxValueBytes) throw new EntryTooLarge(length, this.maxValueBytes);
  }

  /** @returns whether all versions up to `revision` were given to `onEntry` in time. */
  waitFor(revision: number, timeoutMs = this.timeoutMs): Promise<boolean> {
    return this.follower.waitFor(revision, timeoutMs);
  }

  /**
   * Writes the next version of an entry, or removes the entry (`null`). What was replaced is still there: {@link erase}.
   *
   * @param expected - the version that it replaces; `undefined`: there is none. A removed entry has a version: its marker.
   * @param writeId - as it comes back with the version.
   * @returns the new version, when a quorum of the servers has it.
   * @throws {RevisionConflict} where the entry has another version; nothing was changed.
   * @throws {EntryTooLarge} where the servers take no message of this size; nothing was changed.
   * @throws {FaceError} GALLERY_STORE_FAILED where nothing was changed; GALLERY_CHANGE_UNCERTAIN where nobody can tell: the
   * servers got it and did not confirm it in time, and may still make it.
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
    // What is sent while the client reconnects would be kept by it, and sent after it was given up here.
    if (!this.isUp) await this.reconnected(Math.min(RECONNECT_MS, this.timeoutMs));
    if (this.lostAt !== null || !this.isUp)
      throw galleryErrors.storeFailed(new Error('The servers are away.'));
    let mayBeMade = false;
    for (let cause: unknown; ; await delay(RETRY_MS)) {
      const timeout = Math.min(ATTEMPT_MS, deadline - Date.now());
      if (timeout <= 0) throw mayBeMade ? changeUncertain(cause) : galleryErrors.storeFailed(cause);
      try {
        const { seq } = await Promise.race([this.publish(write, timeout), this.cutOff]);
        return { revision: seq, writeId: write.writeId };
      } catch (error) {
        cause = error;
        if (isNotTaken(error)) continue;
        if (isRefused(error)) throw galleryErrors.storeFailed(error);
        const isConflict = isCode(error, CODES.wrongLastSequence);
        if (isConflict && !mayBeMade) throw new RevisionConflict();
        // A conflict after an attempt without an answer: that one may be the version that is in the way.
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
   * Overwrites the bytes of all versions of an entry before one, on every server that is up.
   *
   * @param replaced - the version before it, which is usually the only one.
   * @throws {FaceError} GALLERY_STORE_FAILED where not all are gone.
   */
  async erase(key: string, version: EntryVersion, replaced?: EntryVersion): Promise<void> {
    const deadline = Date.now() + this.timeoutMs;
    let next = replaced?.revision;
    for (let end: number | undefined = version.revision; ;) {
      try {
        // After a failure: a new leader may have given the messages other numbers.
        end ??= (await this.lastOf(key))?.seq ?? 0;
        if (next != null) await this.eraseMessage(next);
        // Other replicas may have left more.
        next = await this.oldestOf(key);
        if (next == null || next >= end) return;
      } catch (error) {
        if (Date.now() > deadline || this.connection.isClosed()) throw galleryErrors.storeFailed(error);
        [next, end] = [undefined, undefined];
        await delay(RETRY_MS);
      }
    }
  }

  /** As {@link erase}, soon and without an answer: for versions that hold nothing that the next one lacks. */
  eraseLater(replaced: EntryVersion): void {
    this.leftovers.push(replaced);
    void this.sweep();
  }

  /** Lets removals finish. */
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
   * What became of a write of which no answer came. `pending`: it was not made up to now.
   *
   * A write that was made may have been replaced meanwhile: the next version names it, the one after that does not.
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
    if (value === null) this.markers.push({ ...version, time: message.time });
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

  /** Erases versions that have been replaced, which is safe at any time, and markers that have served. */
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
        // A new leader may have given the number to another message.
        const found = await this.getMessage({ seq: version.revision });
        if (found && writeIdsOf(found.header)[0] === version.writeId)
          await this.eraseMessage(version.revision);
      } catch {
        // The next sweep, or the next start of any replica, finds it again.
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

  /** Overwrites one message; one that is gone already is fine. */
  private async eraseMessage(sequence: number): Promise<void> {
    try {
      await this.manager.streams.deleteMessage(this.stream, sequence, true);
      this.warnOfServers();
    } catch (error) {
      // Codes for a message that is gone stand for other failures too: only the message itself tells.
      if (!(error instanceof JetStreamApiError) || (await this.getMessage({ seq: sequence }))) throw error;
    }
  }

  private async watchConnection(): Promise<void> {
    for await (const { type } of this.connection.status()) {
      if (type === 'disconnect' || type === 'close') {
        this.isUp = false;
        this.cut();
        this.cutOff = this.nextCutOff();
      }
      if (type !== 'reconnect') continue;
      this.isUp = true;
      this.follower.resume();
    }
  }

  /** Rejects when the connection is lost: answers that were on their way will not come. */
  private nextCutOff(): Promise<never> {
    const cutOff = new Promise<never>((_resolve, reject) => {
      this.cut = () => reject(new Error('The connection was lost.'));
    });
    cutOff.catch(() => undefined);
    return cutOff;
  }

  /** Settles when the connection is there again, or the time is over. */
  private async reconnected(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!this.isUp && Date.now() < deadline && !this.connection.isClosed()) await delay(RECONNECT_LOOK_MS);
  }

  private noteServers({ cluster }: StreamInfo): void {
    this.away = (cluster?.replicas ?? []).filter(({ offline }) => offline).map(({ name }) => name);
    if (this.away.length === 0) this.hasWarned = false;
  }

  /** A server that catches up drops what was removed, and does not overwrite it. */
  private warnOfServers(): void {
    if (this.away.length === 0 || this.hasWarned) return;
    this.hasWarned = true;
    const message =
      `Server ${this.away.join(', ')} is away. What is deleted now stays readable in its files for those who have ` +
      'FACE_GALLERY_KEY: remove its JetStream folder before it starts again.';
    this.options.onNotice?.({ level: 'warn', message });
  }

  private lose(report: () => void): void {
    if (this.lostAt !== null) return;
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

/** Of a write, unique among all. */
export function newWriteId(): number {
  return randomBytes(WRITE_ID_BYTES).readUIntBE(0, WRITE_ID_BYTES);
}

/** Of the version, and of the one that it replaced. */
function writeIdsOf(given: MsgHdrs | undefined): [number, number | undefined] {
  const [own = NaN, replaced] = (given?.get(WRITE_HEADER) ?? '').split(',').map((id) => parseInt(id, 16));
  return [own, replaced];
}

/** The request found nobody who would take it. */
function isNotTaken(error: unknown): boolean {
  const { cause } = error as Error;
  if (cause instanceof errors.RequestError && cause.isNoResponders()) return true;
  return isCode(error, CODES.unavailable);
}

/** A limit of the stream or the account is checked before anything is written. */
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
