/** Workers that an image may end or stall before it is refused. */
const MAX_STRIKES = 2;
/** Images of one caller under suspicion at once, at which all of its images are refused, until the oldest is forgotten. */
const MAX_SUSPECTS_PER_CALLER = 3;
/** How long a strike is held against an image and its caller, in milliseconds. */
export const QUARANTINE_MS = 10 * 60_000;
/** Images and callers remembered, each; the oldest go first. */
const MAX_REMEMBERED = 1000;

/** Whose image it is, and which. */
export interface Origin {
  /** Empty where it is not known: then the image alone is blamed. */
  caller: string;
  /** Content hash of the image; computed only where something is under suspicion. */
  imageHash: () => string;
}

/** What is refused, and for how many milliseconds still. */
export interface Refusal {
  subject: 'image' | 'caller';
  leftMs: number;
}

/**
 * Remembers images that ended or stalled the worker they ran on, so that they cannot take the pool down by being sent again
 * and again; and whose they were, since one more byte makes another image of it.
 *
 * A caller is blamed only for images that ran on its own account. An image that comes through after all is forgotten, and
 * so is what it did to its caller: the worker was ended by something else.
 */
export class Quarantine {
  /** By image: workers it ended or stalled, and until when that counts. */
  private readonly images = new Map<string, { strikes: number; until: number }>();
  /** By caller: its images under suspicion, and until when each is. */
  private readonly callers = new Map<string, Map<string, number>>();

  /** Why work is refused now; `null` where it is not. Costs nothing as long as nothing is under suspicion. */
  refusalOf({ caller, imageHash }: Origin): Refusal | null {
    const refusal = this.refusalOfCaller(caller);
    if (refusal != null) return refusal;
    const now = Date.now();
    this.forgetExpired(now);
    if (this.images.size === 0) return null;
    const image = this.images.get(imageHash());
    return image != null && image.strikes >= MAX_STRIKES
      ? { subject: 'image', leftMs: image.until - now }
      : null;
  }

  /** Why all images of a caller are refused now; `null` where they are not. */
  refusalOfCaller(caller: string): Refusal | null {
    const now = Date.now();
    const suspects = this.suspectsOf(caller, now);
    return suspects.length < MAX_SUSPECTS_PER_CALLER
      ? null
      : { subject: 'caller', leftMs: suspects[0] - now };
  }

  /** A worker ended, or was stalled, while it ran this image for this caller. */
  blame({ caller, imageHash }: Origin): void {
    const now = Date.now();
    const until = now + QUARANTINE_MS;
    this.forgetExpired(now);
    const hash = imageHash();
    remember(this.images, hash, { strikes: (this.images.get(hash)?.strikes ?? 0) + 1, until });
    if (caller === '') return;
    const suspects = this.callers.get(caller) ?? new Map<string, number>();
    remember(suspects, hash, until, MAX_SUSPECTS_PER_CALLER);
    remember(this.callers, caller, suspects);
  }

  /** The image came through after all. */
  acquit({ imageHash }: Origin): void {
    this.forgetExpired(Date.now());
    if (this.images.size === 0) return;
    const hash = imageHash();
    if (!this.images.delete(hash)) return;
    for (const [caller, suspects] of this.callers) {
      if (suspects.delete(hash) && suspects.size === 0) this.callers.delete(caller);
    }
  }

  /** The oldest come first: each was put at the end when its time began. */
  private forgetExpired(now: number): void {
    for (const [hash, { until }] of this.images) {
      if (until > now) return;
      this.images.delete(hash);
    }
  }

  /** Ends of the suspicions against a caller, the oldest first. */
  private suspectsOf(caller: string, now: number): number[] {
    const suspects = this.callers.get(caller);
    if (suspects == null) return [];
    for (const [hash, until] of suspects) if (until <= now) suspects.delete(hash);
    if (suspects.size === 0) this.callers.delete(caller);
    return [...suspects.values()];
  }
}

/** Puts an entry at the end, and drops the oldest where there are too many. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value, most = MAX_REMEMBERED): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value as string);
}
