import type { FaceError } from '../../../errors';
import { galleryErrors } from '../../gallery-errors';

/** Memory that all galleries take. */
export interface Bytes {
  all: number;
  /** Of these, what lies in the heap of JavaScript: all but vectors. */
  heap: number;
}

/** Adds bytes to a sum, or takes them off. */
export function addBytes(sum: Bytes, { all, heap }: Bytes, sign: 1 | -1): void {
  sum.all += sign * all;
  sum.heap += sign * heap;
}

/** What memory is taken, and how much may be. A process that meets the limit of its heap ends, whatever else is free. */
export class Room {
  private readonly taken: Bytes = { all: 0, heap: 0 };

  constructor(private readonly max: Bytes) {}

  /** @param sign - of what is given back -1. */
  take(bytes: Bytes, sign: 1 | -1): void {
    addBytes(this.taken, bytes, sign);
  }

  /** Why there is no room for more; what takes no more than before has room. */
  refusal(galleryId: string, more: Bytes): FaceError | undefined {
    if (more.all > 0 && this.taken.all + more.all > this.max.all)
      return galleryErrors.memoryFull(galleryId, this.max.all);
    if (more.heap > 0 && this.taken.heap + more.heap > this.max.heap)
      return galleryErrors.heapFull(galleryId, this.max.heap);
    return undefined;
  }
}
