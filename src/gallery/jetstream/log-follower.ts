import { AckPolicy, DeliverPolicy, type JetStreamManager, ReplayPolicy } from '@nats-io/jetstream';
import {
  createInbox,
  type Msg,
  type NatsConnection,
  nanos,
  type Subscription,
} from '@nats-io/transport-node';

/** A message of the stream. */
export interface StreamMessage {
  subject: string;
  sequence: number;
  /** When the server took it, milliseconds since 1970, UTC. */
  time: number;
  msg: Msg;
}

export interface FollowerOptions {
  connection: NatsConnection;
  manager: JetStreamManager;
  stream: string;
  /** Only messages of these subjects. @defaultValue all */
  filter?: string;
  /** Called for each message, in the order of the stream, once. Must not throw. */
  onMessage: (message: StreamMessage) => void;
  /** The messages that were read are gone from the stream, or it is another stream: what was read is not what is there. */
  onLost: (cause: unknown) => void;
  /** After so long without contact messages may have come and gone: that counts as lost. */
  maxGapMs: number;
  /** Messages, while the stream is read for the first time. */
  onProgress?: (progress: { done: number; total: number }) => void;
}

/** The server says so often that it has nothing to send. */
const HEARTBEAT_MS = 500;
/** Of silence, before the consumer is made again. */
const SILENCE_MS = 3 * HEARTBEAT_MS;
/** Between two questions to the leader of the stream. */
const PROBE_MS = 2000;
/** For the answer of a server to a request about a stream or consumer. */
export const REQUEST_MS = 1500;
const RETRY_MS = 250;
/** A consumer that nobody listens to is removed by the server after this. */
const ABANDONED_MS = 10_000;
const PROGRESS_STEP = 5000;
/** Codes of status messages (ADR-9 of NATS). */
const CONTROL_STATUS = 100;

/**
 * Reads a stream from its beginning and then follows it, through reconnects, restarts and changes of the leader. Each
 * attempt is an ephemeral push consumer that starts after the last message that was read; numbers that are not the next one
 * end it, and another is made.
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
  private hasLeader = true;
  private lastContact = Date.now();
  private lastProbe = Date.now();
  private isProbing = false;
  private staleAt: number | null = Date.now();
  private closed = false;
  private total = -1;
  private done = 0;
  private timer?: NodeJS.Timeout;
  private waiters: { revision: number; resolve: () => void }[] = [];
  private readonly caughtUp: Promise<void>;
  private resolveCaughtUp!: () => void;

  constructor(private readonly options: FollowerOptions) {
    this.caughtUp = new Promise((resolve) => (this.resolveCaughtUp = resolve));
  }

  /** @returns when all that was in the stream at the start has been read. */
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
    // Silence brings the next attempt where this one fails.
    this.create(serial, inbox).catch(() => undefined);
  }

  private async create(serial: number, inbox: string): Promise<void> {
    const { manager, stream, filter, onLost, maxGapMs } = this.options;
    const { state } = await manager.streams.info(stream);
    if (serial !== this.serial) return;
    this.hasLeader = true;
    if (state.last_seq < this.position) return onLost(new Error('The stream ends before what was read.'));
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
      ...(filter != null && { filter_subject: filter }),
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

  private take(msg: Msg): void {
    this.lastContact = Date.now();
    if (msg.headers?.code === CONTROL_STATUS) return this.takeControl(msg);
    const delivery = parseDelivery(msg.reply);
    if (!delivery) return;
    if (delivery.consumerSequence !== this.delivered + 1) return this.restart();
    this.delivered++;
    if (delivery.sequence > this.position) {
      this.options.onMessage({ ...delivery, subject: msg.subject, msg });
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

  private reachEnd(): void {
    // The last messages of a stream may have been removed: none with their numbers will come.
    this.advance(this.target);
    this.isCurrent = true;
    this.update();
    this.resolveCaughtUp();
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

  /** A server that lost the others still sends heartbeats; only a leader of the stream answers. */
  private async probe(): Promise<void> {
    this.isProbing = true;
    const before = this.position;
    try {
      const { state } = await this.options.manager.streams.info(this.options.stream);
      this.hasLeader = true;
      // It did not move, and there is more: the consumer is stuck.
      if (this.isCurrent && state.last_seq > before && this.position === before) {
        if (this.target >= state.last_seq) this.advance(state.last_seq);
        else this.restart();
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
