import { createHash } from 'node:crypto';

/** Workers that an image may end before it is refused. */
const MAX_DEATHS = 2;
/** How long it is refused after that, in milliseconds; also how long a first death is held against it. */
export const QUARANTINE_MS = 10 * 60_000;
/** Images remembered; the oldest go first. */
const MAX_SUSPECTS = 1000;

/**
 * Remembers, by content hash, images that ended the worker they ran on, so that one poison image cannot take the
 * pool down by being sent again and again.
 */
export class Quarantine {
  private readonly suspects = new Map<string, { deaths: number; until: number }>();

  /** Whether the image is refused now. Costs nothing as long as no image is under suspicion. */
  refuses(image: Uint8Array): boolean {
    if (this.suspects.size === 0) return false;
    const key = hash(image);
    const suspect = this.suspects.get(key);
    if (suspect == null) return false;
    if (suspect.until > Date.now()) return suspect.deaths >= MAX_DEATHS;
    this.suspects.delete(key);
    return false;
  }

  /** A worker ended while it ran this image. */
  blame(image: Uint8Array): void {
    const key = hash(image);
    const deaths = (this.suspects.get(key)?.deaths ?? 0) + 1;
    this.suspects.delete(key);
    this.suspects.set(key, { deaths, until: Date.now() + QUARANTINE_MS });
    if (this.suspects.size > MAX_SUSPECTS) this.suspects.delete(this.suspects.keys().next().value as string);
  }

  /** The image came through after all: another had ended the worker, or chance. */
  acquit(image: Uint8Array): void {
    if (this.suspects.size > 0) this.suspects.delete(hash(image));
  }
}

function hash(image: Uint8Array): string {
  return createHash('sha256').update(image).digest('base64');
}
