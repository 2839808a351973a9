import { FaceError } from '../../errors';
import { galleryErrors } from '../gallery-errors';
import { type Draft, WAITS } from './state/draft';
import type { Replacement } from './state/entries';
import type { GalleryEntry } from './state/gallery-entry';

/** A change with everything it needs reserved. */
export interface ReservedChange {
  gallery?: Replacement<GalleryEntry>;
  /** Deleted with all its content, as another gallery takes over its id. */
  replaced?: GalleryEntry;
  /** Change of the content of a gallery. */
  draft?: Draft;
}

export interface Planned<T> extends ReservedChange {
  /** Called right after the change was made. */
  answer: () => T;
}

interface Waiting {
  plan: () => Planned<unknown>;
  resolve: (answer: never) => void;
  reject: (error: FaceError) => void;
}

/** A change of a group. */
export interface Member extends Waiting {
  planned: Planned<unknown>;
}

/** Replaced entries after which a group is full: a group is planned in one turn of the event loop, and applied in one. */
const MAX_GROUP = 1000;

/** Whether the change removes something, which is wiped before the change is acknowledged. */
export function takesAway({ gallery, draft }: ReservedChange): boolean {
  if (gallery) return gallery.before !== undefined;
  return draft?.takesAway === true;
}

/** How a store makes the changes of its queue. */
interface ChangeSteps {
  /** Waits for changes that can join the first one. */
  gather: () => Promise<void>;
  /** Plans a change and reserves what it needs. Throws {@link WAITS}, or the reason for a refusal, and then has reserved nothing. */
  reserve: (plan: Waiting['plan']) => Planned<unknown>;
  /** Writes and applies a group, and settles its promises. Never rejects. */
  make: (group: readonly Member[]) => Promise<void>;
}

/**
 * Makes changes in groups, in the order of the calls. A change that looks at what another one of its group replaces waits for
 * the next group, so that plans see plain maps only.
 */
export class ChangeQueue {
  private readonly waiting: Waiting[] = [];
  /** Settles when all changes are made that were asked for. */
  private working?: Promise<void>;

  constructor(private readonly steps: ChangeSteps) {}

  /**
   * Makes one change, all of it or nothing, when it is its turn.
   *
   * @param plan - reserves what it needs, or throws and has changed nothing.
   */
  change<T>(plan: () => Planned<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.waiting.push({ plan, resolve, reject });
      this.working ??= this.work();
    });
  }

  /** Plans these changes again, before all waiting ones. */
  planAgain(members: readonly Member[]): void {
    this.waiting.unshift(...members);
  }

  /** Whether a change is being made. */
  get isWorking(): boolean {
    return this.working !== undefined;
  }

  /** Settles when all changes are made that were asked for. */
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
