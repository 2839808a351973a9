import { FaceError } from '../../../errors';

/** Part of the account that a caller may hold with several bodies at once. */
const CALLER_SHARE = 0.5;
const RETRY_AFTER_SECONDS = 2;

/** What one body holds of an {@link UploadAccount}. */
export interface Upload {
  /** @throws {FaceError} as {@link UploadAccount.open}, where the bytes that have now come are too many. */
  grow(bytes: number): void;
  /** Gives all of it back; may be called twice. */
  close(): void;
}

interface Caller {
  bytes: number;
  uploads: number;
}

/**
 * The bytes of all bodies that are received or worked on. What has arrived counts, not what was announced: a client that
 * announces much and sends nothing holds nothing. A caller with several bodies at once may hold half of it; a single body
 * may be as large as its route allows.
 */
export class UploadAccount {
  private bytes = 0;
  private readonly callers = new Map<string, Caller>();

  constructor(readonly maxBytes: number) {}

  /** Bytes that are held now. */
  get heldBytes(): number {
    return this.bytes;
  }

  /**
   * @param announced - Content-Length; 0 where it is not known.
   * @throws {FaceError} QUEUE_FULL where the account has no room, CALLER_QUEUE_FULL where the caller's share has none.
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
        // A body that goes on arriving after its answer is thrown away.
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
      throw new FaceError('CALLER_QUEUE_FULL', 'Your requests hold as many bytes as they may.', details);
    }
    if (this.bytes + more > this.maxBytes) {
      throw new FaceError('QUEUE_FULL', 'The service holds as many bytes of requests as it may.', details);
    }
  }
}
