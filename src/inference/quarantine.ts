/** Workers that an image may end or stall before it is refused. */
const MAX_STRIKES = 2;
/** Suspected images of one caller at which all of its images are refused, until the oldest suspicion ends. */
const MAX_SUSPECTS_PER_CALLER = 3;
/** How long a strike is held against an image and its caller, in milliseconds. */
export const QUARANTINE_MS = 10 * 60_000;
/** Limit of the remembered images, and of the remembered callers; the oldest are dropped first. */
const MAX_REMEMBERED = 1000;

/** The caller of an image, and its content. */
export interface Origin {
  /** Empty where it is unknown: then the image alone is blamed. */
  caller: string;
  /** Content hash of the image; computed only where something is under suspicion. */
  imageHash: () => string;
}

/** The refused subject, and the milliseconds until the refusal ends. */
export interface Refusal {
  subject: 'image' | 'caller';
  leftMs: number;
}

/**
 * Remembers images that ended or stalled their worker, so that sending one again and again cannot take the pool down. It
 * remembers their callers too, since one more byte makes another image.
 *
 * A caller is blamed only for images of its own requests. An image that is answered in the end is forgotten, with the blame of
 * its caller: something else ended the worker.
 */
export class Quarantine {
  /** By image: the number of workers that it ended or stalled, and the end of the suspicion. */
  private readonly images = new Map<string, { strikes: number; until: number }>();
  /** By caller: its suspected images, each with the end of the suspicion. */
  private readonly callers = new Map<string, Map<string, number>>();

  /** Why work is refused now; `null` where it is not. Hashes no image while none is suspected. */
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

  /** The image was answered. */
  acquit({ imageHash }: Origin): void {
    this.forgetExpired(Date.now());
    if (this.images.size === 0) return;
    const hash = imageHash();
    if (!this.images.delete(hash)) return;
    for (const [caller, suspects] of this.callers) {
      if (suspects.delete(hash) && suspects.size === 0) this.callers.delete(caller);
    }
  }

  /** Entries are in the order of their end: each is added at the end of the map. */
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

/** Puts an entry at the end, and drops the oldest one over the limit. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value, most = MAX_REMEMBERED): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value as string);
}
