import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import {
  AckPolicy,
  DeliverPolicy,
  type JetStreamManager,
  ReplayPolicy,
  type SeqMsgRequest,
  type StoredMsg,
  type StreamInfo,
} from '@nats-io/jetstream';
import {
  createInbox,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  nanos,
  type Subscription,
} from '@nats-io/transport-node';
import { CODES, isCode } from './open-stream';

/** A message of the stream. */
export interface StreamMessage {
  subject: string;
  sequence: number;
  /** When the server stored it, milliseconds since 1970, UTC. */
  time: number;
  headers: MsgHdrs | undefined;
  data: Uint8Array;
}

export interface FollowerOptions {
  connection: NatsConnection;
  manager: JetStreamManager;
  stream: string;
  /** Subjects of the messages to read, with a wildcard. */
  filter: string;
  /** Called once for each message, in the order of the stream. Must not throw. */
  onMessage: (message: StreamMessage) => void;
  /** Called if messages already read are gone from the stream, or it is a different stream: the state read is invalid. */
  onLost: (cause: unknown) => void;
  /** Called if the messages already read still exist, but under other numbers. */
  onRenumbered: () => void;
  /** Called periodically with the state of the stream. */
  onInfo?: (info: StreamInfo) => void;
  /** Maximum time without contact: after it, messages may have come and gone unread, which counts as lost. */
  maxGapMs: number;
  /** Called with the number of messages read, during the first read of the stream. */
  onProgress?: (progress: { done: number; total: number }) => void;
}

/** A message without its data. Headers differ with each write. */
type Landmark = Omit<StreamMessage, 'data'>;

/** Interval of the server's heartbeats when it has nothing to send. */
const HEARTBEAT_MS = 250;
/** Silence after which a new consumer is created. */
const SILENCE_MS = 3 * HEARTBEAT_MS;
/** Interval between two requests to the leader of the stream. */
const PROBE_MS = 2000;
/** Timeout of a request about a stream or consumer. */
export const REQUEST_MS = 1500;
const RETRY_MS = 250;
/** A newly elected leader may still be loading its messages: only after this time does a short stream count as truncated. */
const SETTLE_MS = 5000;
/** Delay after a direct read that found nothing. */
const DIRECT_READ_MS = 50;
/** Time after which the server removes a consumer without a subscriber. */
const ABANDONED_MS = 10_000;
const PROGRESS_STEP = 5000;
/** Number of remembered last messages: enough that some of them are not erased yet. */
const LANDMARKS = 16;
/** Code of status messages (ADR-9 of NATS). */
const CONTROL_STATUS = 100;

/**
 * Reads a stream from its beginning and then follows it, through reconnects, restarts and changes of the leader. Each attempt is
 * an ephemeral push consumer that starts after the last message read; a gap in its sequence numbers ends it, and a new one is
 * created. Only the leader of all servers creates consumers, and electing a new leader takes 4 to 9 seconds: until then messages
 * are read one by one, from any server with a copy.
 */
export class LogFollower {
  /** Sequence number up to which every message was passed to `onMessage`. */
  private position = 0;
  private serial = 0;
  private subscription?: Subscription;
  private consumer?: string;
  private delivered = 0;
  /** Position to reach before the follower counts as caught up. */
  private target = 0;
  private isCurrent = false;
  private isCaughtUp = false;
  private isReading = false;
  private isConfirming = false;
  private hasLeader = true;
  private lastContact = Date.now();
  private lastProbe = Date.now();
  private isProbing = false;
  private staleAt: number | null = Date.now();
  /** Last messages of a consumer, newest first: if another message has the number of one, the stream was renumbered. */
  private landmarks: Landmark[] = [];
  /** Time since which the leaders that answer have fewer messages than were read here. */
  private behindSince?: number;
  private closed = false;
  private total = -1;
  private done = 0;
  private timer?: NodeJS.Timeout;
  private waiters: { revision: number; resolve: () => void }[] = [];
  private readonly caughtUp: Promise<void>;
  private resolveCaughtUp!: () => void;
  private rejectCaughtUp!: (error: Error) => void;

  constructor(private readonly options: FollowerOptions) {
    this.caughtUp = new Promise((resolve, reject) => {
      [this.resolveCaughtUp, this.rejectCaughtUp] = [resolve, reject];
    });
    this.caughtUp.catch(() => undefined);
  }

  /**
   * @returns when all messages present at the start have been read.
   * @throws {Error} if it was closed before that.
   */
  async start(): Promise<void> {
    this.restart();
    this.timer = setInterval(() => this.check(), RETRY_MS);
    await this.caughtUp;
    this.options.onProgress?.({ done: this.done, total: this.done });
  }

  get revision(): number {
    return this.position;
  }

  /** Time since which the state read may be behind the stream, milliseconds since 1970, UTC; `null` if it is current. */
  get staleSince(): number | null {
    return this.staleAt;
  }

  /** @returns whether all messages up to `revision` were read before the timeout. */
  waitFor(revision: number, timeoutMs: number): Promise<boolean> {
    if (revision <= this.position) return Promise.resolve(true);
    return new Promise((resolve) => {
      const waiter = { revision, resolve: () => (clearTimeout(timer), resolve(true)) };
      const timer = setTimeout(() => {
        this.waiters.splice(this.waiters.indexOf(waiter), 1);
        resolve(false);
      }, timeoutMs);
      this.waiters.push(waiter);
    });
  }

  /** Called after a reconnect. */
  resume(): void {
    if (!this.closed) this.restart();
  }

  close(): void {
    this.closed = true;
    this.rejectCaughtUp(new Error('The stream was closed before it was read.'));
    clearInterval(this.timer);
    this.subscription?.unsubscribe();
    this.removeConsumer();
  }

  /** Creates a consumer that continues after the last message read. */
  private restart(): void {
    const { connection } = this.options;
    const serial = ++this.serial;
    this.subscription?.unsubscribe();
    this.removeConsumer();
    this.delivered = 0;
    this.isCurrent = false;
    this.lastContact = Date.now();
    const inbox = createInbox();
    this.subscription = connection.subscribe(inbox, {
      callback: (error, msg) => {
        if (serial !== this.serial || this.closed) return;
        if (!error) this.take(msg);
      },
    });
    // If this attempt fails, the silence triggers the next one. The next leader may have to load its messages first.
    this.create(serial, inbox).catch(() => (this.behindSince = undefined));
    if (this.isCaughtUp) void this.readDirectly();
  }

  private async create(serial: number, inbox: string): Promise<void> {
    const { manager, stream, filter, onLost, maxGapMs } = this.options;
    const { state } = await manager.streams.info(stream);
    if (serial !== this.serial) return;
    this.hasLeader = true;
    if (state.last_seq < this.position) {
      this.behindSince ??= Date.now();
      if (Date.now() - this.behindSince < SETTLE_MS) return;
      if (await this.areAllLeft()) return this.options.onRenumbered();
      return onLost(new Error('The stream ends before the last message read.'));
    }
    this.behindSince = undefined;
    await this.checkNumbers();
    if (serial !== this.serial || this.closed) return;
    if (this.position > 0 && Date.now() - (this.staleAt ?? Date.now()) > maxGapMs)
      return onLost(new Error('The stream was unreachable for too long.'));
    this.target = state.last_seq;
    const {
      name,
      num_pending: pending,
      delivered,
    } = await manager.consumers.add(stream, {
      name: `likeness-${inbox.slice(inbox.lastIndexOf('.') + 1)}`,
      deliver_subject: inbox,
      filter_subject: filter,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: this.position + 1,
      ack_policy: AckPolicy.None,
      replay_policy: ReplayPolicy.Instant,
      max_deliver: 1,
      mem_storage: true,
      num_replicas: 1,
      flow_control: true,
      idle_heartbeat: nanos(HEARTBEAT_MS),
      inactive_threshold: nanos(ABANDONED_MS),
    });
    if (serial !== this.serial) return;
    this.consumer = name;
    this.lastContact = Date.now();
    if (this.total < 0) this.total = pending + delivered.consumer_seq;
    if (pending === 0 && delivered.consumer_seq === this.delivered) this.reachEnd();
  }

  /**
   * Checks that the messages read still have the same numbers. They have not if the stream was truncated and has grown again, or
   * if a new leader counts differently: before nats-server 2.9.21, refused writes make the numbers of the copies drift apart
   * (nats-server#4365).
   */
  private async checkNumbers(): Promise<void> {
    const { manager, stream, onLost, onRenumbered } = this.options;
    for (const { sequence, subject, headers } of [...this.landmarks]) {
      const found = await manager.streams.getMessage(stream, { seq: sequence }).catch(nullOfMissing);
      if (!found) continue;
      if (found.subject === subject && isSame(found.header, headers)) return;
      if (await this.areAllLeft()) return onRenumbered();
      return onLost(new Error('The number of a message already read belongs to another message.'));
    }
  }

  /** Whether each of the last messages still exists under any number, or was replaced since. */
  private async areAllLeft(): Promise<boolean> {
    const { manager, stream } = this.options;
    for (const { subject, time, headers } of [...this.landmarks]) {
      const last = await manager.streams.getMessage(stream, { last_by_subj: subject }).catch(nullOfMissing);
      if (!last || (last.time.getTime() < Math.floor(time) && !isSame(last.header, headers))) return false;
    }
    return this.landmarks.length > 0;
  }

  private take(msg: Msg): void {
    this.lastContact = Date.now();
    if (msg.headers?.code === CONTROL_STATUS) return this.takeControl(msg);
    const delivery = parseDelivery(msg.reply);
    if (!delivery) return;
    if (delivery.consumerSequence !== this.delivered + 1) return this.restart();
    this.delivered++;
    if (delivery.sequence > this.position) {
      const { subject, headers, data } = msg;
      const { sequence, time } = delivery;
      this.options.onMessage({ subject, sequence, time, headers, data });
      this.landmarks = [{ subject, sequence, time, headers }, ...this.landmarks.slice(0, LANDMARKS - 1)];
      this.advance(delivery.sequence);
      this.countProgress();
    }
    if (delivery.pending === 0) this.reachEnd();
  }

  /** Handles heartbeats and flow control requests; the latter are answered once all messages before them are processed. */
  private takeControl(msg: Msg): void {
    if (msg.reply) {
      msg.respond();
      return;
    }
    const stalled = msg.headers?.get('Nats-Consumer-Stalled');
    if (stalled) return this.options.connection.publish(stalled);
    const lastDelivered = Number(msg.headers?.get('Nats-Last-Consumer') || 0);
    if (lastDelivered !== this.delivered) this.restart();
    else this.reachEnd();
  }

  /** Called when the consumer has nothing more to send. */
  private reachEnd(): void {
    if (this.position < this.target) return void this.confirmEnd();
    this.isCurrent = true;
    this.isCaughtUp = true;
    this.update();
    this.resolveCaughtUp();
  }

  /**
   * Asks the leader for further messages. The last messages of a stream may have been removed, so that their numbers never
   * arrive. Or the consumer's server lags behind, or has missed a message written during an election (seen with nats-server
   * 2.9): it delivers that only with the next message, which may never come, so it is read here.
   */
  private async confirmEnd(): Promise<void> {
    if (this.isConfirming) return;
    this.isConfirming = true;
    const { manager, stream, filter } = this.options;
    try {
      const { serial, position } = this;
      const { state } = await manager.streams.info(stream);
      const next = { seq: position + 1, next_by_subj: filter } as SeqMsgRequest;
      const found =
        state.last_seq > position && (await manager.streams.getMessage(stream, next).catch(nullOfNone));
      if (serial !== this.serial || this.closed || this.position !== position) return;
      if (found) this.give(found);
      else this.advance(state.last_seq);
      if (this.position >= this.target) this.reachEnd();
    } catch {
      // The next heartbeat asks again.
    } finally {
      this.isConfirming = false;
    }
  }

  private advance(position: number): void {
    if (position <= this.position) return;
    this.position = position;
    if (this.waiters.length === 0) return;
    const reached = this.waiters.filter(({ revision }) => revision <= position);
    if (reached.length === 0) return;
    this.waiters = this.waiters.filter(({ revision }) => revision > position);
    for (const { resolve } of reached) resolve();
  }

  private countProgress(): void {
    this.done++;
    if (this.total >= 0 && this.done <= this.total && this.done % PROGRESS_STEP === 0)
      this.options.onProgress?.({ done: this.done, total: this.total });
  }

  private check(): void {
    const now = Date.now();
    if (now - this.lastContact > SILENCE_MS) this.restart();
    if (now - this.lastProbe > PROBE_MS && !this.isProbing) void this.probe();
    this.update();
  }

  /** Reads messages one by one until a consumer is available again. */
  private async readDirectly(): Promise<void> {
    if (this.isReading) return;
    this.isReading = true;
    const { manager, stream, filter } = this.options;
    while (!this.closed && !this.isCurrent) {
      const next = { seq: this.position + 1, next_by_subj: filter };
      const found = await manager.direct.getMessage(stream, next).catch(() => null);
      if (!found || this.closed) await delay(DIRECT_READ_MS);
      // A consumer may have been faster.
      else if (found.seq > this.position) this.give(found);
    }
    this.isReading = false;
  }

  private give({ subject, seq, time, header, data }: StoredMsg): void {
    this.options.onMessage({ subject, sequence: seq, time: time.getTime(), headers: header, data });
    this.advance(seq);
  }

  /** Asks the leader for the stream's state: a server cut off from the others still sends heartbeats, but cannot answer this. */
  private async probe(): Promise<void> {
    this.isProbing = true;
    const before = this.position;
    try {
      const info = await this.options.manager.streams.info(this.options.stream);
      const { state } = info;
      this.hasLeader = true;
      this.options.onInfo?.(info);
      // The consumer's server may not have noticed the renumbering.
      if (this.isCurrent) await this.checkNumbers();
      if (this.isCurrent && state.last_seq > before && this.position === before) {
        // No progress although the stream is longer: the consumer is stuck, or the last messages were removed.
        this.target = state.last_seq;
        await this.confirmEnd();
        if (this.position === before) this.restart();
      }
    } catch {
      this.hasLeader = false;
    } finally {
      this.isProbing = false;
      this.lastProbe = Date.now();
      this.update();
    }
  }

  private update(): void {
    const isFresh = this.isCurrent && this.hasLeader && Date.now() - this.lastContact <= SILENCE_MS;
    if (isFresh) this.staleAt = null;
    else this.staleAt ??= this.lastContact;
  }

  private removeConsumer(): void {
    const { manager, stream, connection } = this.options;
    const name = this.consumer;
    this.consumer = undefined;
    // If this fails, the server removes it later by itself.
    if (name != null && !connection.isClosed()) manager.consumers.delete(stream, name).catch(() => undefined);
  }
}

/** Compares headers, except those of the servers: they describe the request, not the message. */
function isSame(a: MsgHdrs | undefined, b: MsgHdrs | undefined): boolean {
  const values = (given: MsgHdrs | undefined) =>
    (given?.keys() ?? [])
      .filter((key) => !key.startsWith('Nats-'))
      .map((key) => [key, given!.get(key)])
      .sort();
  return isDeepStrictEqual(values(a), values(b));
}

/** @returns null if no message has the requested number. */
function nullOfMissing(error: unknown): null {
  return isCode(error, CODES.sequenceNotFound) ? null : nullOfNone(error);
}

/** @returns null if the requested message does not exist. */
function nullOfNone(error: unknown): null {
  if (isCode(error, CODES.noMessageFound)) return null;
  throw error;
}

/** Parses the reply subject of a delivered message, in both forms: with and without a domain (ADR-15 of NATS). */
function parseDelivery(
  reply: string | undefined,
): { sequence: number; consumerSequence: number; time: number; pending: number } | undefined {
  const tokens = reply?.split('.') ?? [];
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK' || tokens.length < 9) return undefined;
  // $JS.ACK.stream.consumer.N.sequence.consumerSequence.time.pending, or with domain and account before the stream.
  const at = tokens.length === 9 ? 5 : 7;
  const [sequence, consumerSequence, time, pending] = tokens.slice(at, at + 4).map(Number);
  return { sequence, consumerSequence, time: time / 1e6, pending };
}
