import type { FaceError } from '../../../errors';
import { galleryErrors } from '../../gallery-errors';

/** Memory use in bytes. */
export interface Bytes {
  all: number;
  /** Share of `all` in the JavaScript heap: everything except vectors and encoded crops. */
  heap: number;
}

/** Adds bytes to a sum, or subtracts them (-1). */
export function addBytes(sum: Bytes, { all, heap }: Bytes, sign: 1 | -1): void {
  sum.all += sign * all;
  sum.heap += sign * heap;
}

/** Memory budget of all galleries. The heap has its own limit, as reaching it ends the process however much memory is free. */
export class Room {
  private readonly taken: Bytes = { all: 0, heap: 0 };

  constructor(private readonly max: Bytes) {}

  /** @param sign - -1 gives the bytes back. */
  take(bytes: Bytes, sign: 1 | -1): void {
    addBytes(this.taken, bytes, sign);
  }

  /** Reason why `more` exceeds the budget; `undefined` if it fits. A change that needs no more memory always fits. */
  refusal(galleryId: string, more: Bytes): FaceError | undefined {
    if (more.all > 0 && this.taken.all + more.all > this.max.all)
      return galleryErrors.memoryFull(galleryId, this.max.all);
    if (more.heap > 0 && this.taken.heap + more.heap > this.max.heap)
      return galleryErrors.heapFull(galleryId, this.max.heap);
    return undefined;
  }
}
