import { FaceError } from '../../errors';
import { galleryErrors } from '../gallery-errors';
import { type Draft, WAITS } from './state/draft';
import type { Replacement } from './state/entries';
import type { GalleryEntry } from './state/gallery-entry';

/** A change that has reserved everything it needs. */
export interface ReservedChange {
  gallery?: Replacement<GalleryEntry>;
  /** Gallery that is deleted with all its content, as another one takes over its id. */
  replaced?: GalleryEntry;
  /** Change of a gallery's content. */
  draft?: Draft;
}

export interface Planned<T> extends ReservedChange {
  /** Called right after the change is applied. */
  answer: () => T;
}

interface Waiting {
  plan: () => Planned<unknown>;
  resolve: (answer: never) => void;
  reject: (error: FaceError) => void;
}

/** A planned change of a group. */
export interface Member extends Waiting {
  planned: Planned<unknown>;
}

/** Replaced entries at which a group is full: planning takes one turn of the event loop, and so does applying. */
const MAX_GROUP = 1000;

/** Whether the change removes data, which must be wiped before the change is acknowledged. */
export function takesAway({ gallery, draft }: ReservedChange): boolean {
  if (gallery) return gallery.before !== undefined;
  return draft?.takesAway === true;
}

/** How a store makes the changes of its queue. */
interface ChangeSteps {
  /** Waits for changes that can join the first one. */
  gather: () => Promise<void>;
  /** Plans a change and reserves what it needs. Throws {@link WAITS} or the reason for a refusal, without reserving anything. */
  reserve: (plan: Waiting['plan']) => Planned<unknown>;
  /** Writes and applies a group, and settles its promises. Never rejects. */
  make: (group: readonly Member[]) => Promise<void>;
}

/**
 * Makes changes in groups, in the order of the calls. A change that reads entries replaced by another change of its group waits
 * for the next group, so that plans read only the applied state, without pending changes.
 */
export class ChangeQueue {
  private readonly waiting: Waiting[] = [];
  /** Settles when all requested changes are made. */
  private working?: Promise<void>;

  constructor(private readonly steps: ChangeSteps) {}

  /**
   * Makes one change when its turn comes, as a whole or not at all.
   *
   * @param plan - reserves what the change needs, or throws without changing anything.
   */
  change<T>(plan: () => Planned<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.waiting.push({ plan, resolve, reject });
      this.working ??= this.work();
    });
  }

  /** Puts these changes back at the front of the queue, to be planned again. */
  planAgain(members: readonly Member[]): void {
    this.waiting.unshift(...members);
  }

  /** Whether a change is being made. */
  get isWorking(): boolean {
    return this.working !== undefined;
  }

  /** Settles when all requested changes are made. */
  async settled(): Promise<void> {
    await this.working;
  }

  private async work(): Promise<void> {
    await this.steps.gather();
    while (this.waiting.length > 0) {
      const group = this.reserveGroup();
      if (group.length > 0) await this.steps.make(group);
    }
    this.working = undefined;
  }

  private reserveGroup(): Member[] {
    const group: Member[] = [];
    for (let size = 0; this.waiting.length > 0 && size < MAX_GROUP;) {
      const [next] = this.waiting;
      try {
        const planned = this.steps.reserve(next.plan);
        size += 1 + (planned.draft?.size ?? 0);
        group.push({ ...next, planned });
      } catch (error) {
        if (error === WAITS) break;
        next.reject(error instanceof FaceError ? error : galleryErrors.storeFailed(error));
      }
      this.waiting.shift();
    }
    return group;
  }
}
