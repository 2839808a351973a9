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
  /** When the server took it, milliseconds since 1970, UTC. */
  time: number;
  headers: MsgHdrs | undefined;
  data: Uint8Array;
}

export interface FollowerOptions {
  connection: NatsConnection;
  manager: JetStreamManager;
  stream: string;
  /** Only messages of these subjects, with a wildcard. */
  filter: string;
  /** Called for each message, in the order of the stream, once. Must not throw. */
  onMessage: (message: StreamMessage) => void;
  /** The messages that were read are gone from the stream, or it is another stream: what was read is not what is there. */
  onLost: (cause: unknown) => void;
  /** The messages that were read are there, with other numbers. */
  onRenumbered: () => void;
  /** Called with the state of the stream now and then. */
  onInfo?: (info: StreamInfo) => void;
  /** After so long without contact messages may have come and gone: that counts as lost. */
  maxGapMs: number;
  /** Messages, while the stream is read for the first time. */
  onProgress?: (progress: { done: number; total: number }) => void;
}

/** A message without its data. Headers differ with each write. */
type Landmark = Omit<StreamMessage, 'data'>;

/** The server says so often that it has nothing to send. */
const HEARTBEAT_MS = 250;
/** Of silence, before the consumer is made again. */
const SILENCE_MS = 3 * HEARTBEAT_MS;
/** Between two questions to the leader of the stream. */
const PROBE_MS = 2000;
/** For the answer of a server to a request about a stream or consumer. */
export const REQUEST_MS = 1500;
const RETRY_MS = 250;
/** A leader that was just elected may still be taking in what it has: only after so long the stream counts as cut. */
const SETTLE_MS = 5000;
/** Between two direct reads that found nothing. */
const DIRECT_READ_MS = 50;
/** A consumer that nobody listens to is removed by the server after this. */
const ABANDONED_MS = 10_000;
const PROGRESS_STEP = 5000;
/** Last messages that are remembered: of these, most have not been erased. */
const LANDMARKS = 16;
/** Codes of status messages (ADR-9 of NATS). */
const CONTROL_STATUS = 100;

/**
 * Reads a stream from its beginning and then follows it, through reconnects, restarts and changes of the leader. Each
 * attempt is an ephemeral push consumer that starts after the last message that was read; numbers that are not the next one
 * end it, and another is made. Only the leader of all servers makes consumers, and a new one is elected in 4 to 9 seconds: until
 * then messages are read one by one, which any server with a copy answers.
 */
export class LogFollower {
  /** Every message up to here was given to `onMessage`. */
  private position = 0;
  private serial = 0;
  private subscription?: Subscription;
  private consumer?: string;
  private delivered = 0;
  /** The position that counts as reached once nothing more is pending. */
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
  /** The last messages that a consumer gave, the newest first: with another one under its number the numbers are others. */
  private landmarks: Landmark[] = [];
  /** Leaders that answered have less than was read here, since then. */
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
   * @returns when all that was in the stream at the start has been read.
   * @throws {Error} where it was closed before.
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

  /** Since when what was read may be behind the stream, milliseconds since 1970, UTC; `null` where it is not. */
  get staleSince(): number | null {
    return this.staleAt;
  }

  /** @returns whether all messages up to `revision` were read in time. */
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

  /** The connection is there again. */
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

  /** Makes a consumer that goes on after the last message that was read. */
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
    // Silence brings the next attempt where this one fails. The next leader may have to take in what it has again.
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
      return onLost(new Error('The stream ends before what was read.'));
    }
    this.behindSince = undefined;
    await this.checkNumbers();
    if (serial !== this.serial || this.closed) return;
    if (this.position > 0 && Date.now() - (this.staleAt ?? Date.now()) > maxGapMs)
      return onLost(new Error('The stream was away for too long.'));
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
   * Whether what was read has the numbers under which it was read. It has not where the stream was cut and has grown again, and
   * where a new leader counts in another way: before 2.9.21 of nats-server the numbers of its copies drift apart by writes that
   * were refused (nats-server#4365).
   */
  private async checkNumbers(): Promise<void> {
    const { manager, stream, onLost, onRenumbered } = this.options;
    for (const { sequence, subject, headers } of [...this.landmarks]) {
      const found = await manager.streams.getMessage(stream, { seq: sequence }).catch(nullOfMissing);
      if (!found) continue;
      if (found.subject === subject && isSame(found.header, headers)) return;
      if (await this.areAllLeft()) return onRenumbered();
      return onLost(new Error('Another message has the number of one that was read.'));
    }
  }

  /** Whether the last messages are there under whatever numbers, or were replaced since. */
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

  /** Heartbeats and requests of flow control, which are answered when all before them was taken. */
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

  /** The consumer has nothing more to send. */
  private reachEnd(): void {
    if (this.position < this.target) return void this.confirmEnd();
    this.isCurrent = true;
    this.isCaughtUp = true;
    this.update();
    this.resolveCaughtUp();
  }

  /**
   * Asks the leader whether there is more. The last messages of a stream may have been removed, and none with their numbers
   * will come. A consumer may be on a server that lags behind, or has missed a message that came while a leader was elected
   * (seen with nats-server 2.9): it gives that with the next one, which may never come, so the message is read here.
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

  /** Goes on without a consumer, until there is one again. */
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

  /** A server that lost the others still sends heartbeats; only a leader of the stream answers. */
  private async probe(): Promise<void> {
    this.isProbing = true;
    const before = this.position;
    try {
      const info = await this.options.manager.streams.info(this.options.stream);
      const { state } = info;
      this.hasLeader = true;
      this.options.onInfo?.(info);
      // A consumer may be on a server that has not noticed that its numbers are others.
      if (this.isCurrent) await this.checkNumbers();
      if (this.isCurrent && state.last_seq > before && this.position === before) {
        // It did not move, and there may be more: the consumer is stuck, or what was last is gone.
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
    // The server removes it in any case, later.
    if (name != null && !connection.isClosed()) manager.consumers.delete(stream, name).catch(() => undefined);
  }
}

/** Headers of the servers tell of the write, and not of the message. */
function isSame(a: MsgHdrs | undefined, b: MsgHdrs | undefined): boolean {
  const values = (given: MsgHdrs | undefined) =>
    (given?.keys() ?? [])
      .filter((key) => !key.startsWith('Nats-'))
      .map((key) => [key, given!.get(key)])
      .sort();
  return isDeepStrictEqual(values(a), values(b));
}

/** A question for the message with a number, which is not there. */
function nullOfMissing(error: unknown): null {
  return isCode(error, CODES.sequenceNotFound) ? null : nullOfNone(error);
}

/** A question for a message that is not there. */
function nullOfNone(error: unknown): null {
  if (isCode(error, CODES.noMessageFound)) return null;
  throw error;
}

/** Numbers in the reply subject of a delivered message, in the form of servers with domains and without (ADR-15 of NATS). */
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
