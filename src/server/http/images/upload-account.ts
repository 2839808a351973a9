import { FaceError } from '../../../errors';

/** Share of the account for one caller with several bodies at once. */
const CALLER_SHARE = 0.5;
const RETRY_AFTER_SECONDS = 2;

/** Bytes of one body in an {@link UploadAccount}. */
export interface Upload {
  /** @throws {FaceError} as {@link UploadAccount.open}, if the received bytes exceed a limit. */
  grow(bytes: number): void;
  /** Releases all bytes. Can be called twice. */
  close(): void;
}

interface Caller {
  bytes: number;
  uploads: number;
}

/**
 * Counts the bytes of all bodies being received or processed. Received bytes count, not announced ones, so that a
 * client that sends nothing occupies nothing. A caller with several bodies at once can occupy half of the account; a
 * single body can be as large as its route allows.
 */
export class UploadAccount {
  private bytes = 0;
  private readonly callers = new Map<string, Caller>();

  constructor(readonly maxBytes: number) {}

  /** Bytes in the account. */
  get heldBytes(): number {
    return this.bytes;
  }

  /**
   * @param announced - Content-Length; 0 if unknown.
   * @throws {FaceError} QUEUE_FULL if the account is full, CALLER_QUEUE_FULL if the caller's share is.
   */
  open(name: string, announced: number): Upload {
    this.check(this.callers.get(name) ?? { bytes: 0, uploads: 0 }, announced, 1);
    const caller = this.callers.get(name) ?? { bytes: 0, uploads: 0 };
    this.callers.set(name, caller);
    caller.uploads++;
    let held = 0;
    let isOpen = true;
    return {
      grow: (bytes) => {
        // A body still arriving after its response is discarded.
        if (!isOpen) return;
        this.check(caller, bytes, 0);
        this.bytes += bytes;
        caller.bytes += bytes;
        held += bytes;
      },
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        this.bytes -= held;
        caller.bytes -= held;
        if (--caller.uploads === 0) this.callers.delete(name);
      },
    };
  }

  private check({ bytes, uploads }: Caller, more: number, newUploads: number): void {
    const details = { retryAfterSeconds: RETRY_AFTER_SECONDS };
    const isOverShare = uploads + newUploads > 1 && bytes + more > this.maxBytes * CALLER_SHARE;
    if (isOverShare) {
      throw new FaceError(
        'CALLER_QUEUE_FULL',
        'The byte limit for your concurrent requests is reached.',
        details,
      );
    }
    if (this.bytes + more > this.maxBytes) {
      throw new FaceError(
        'QUEUE_FULL',
        'The byte limit for concurrent requests of the service is reached.',
        details,
      );
    }
  }
}
