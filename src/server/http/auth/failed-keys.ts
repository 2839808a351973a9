import { LRUCache } from 'lru-cache';

/** Failures that an address has free: a group of clients behind one address with one expired key. */
export const FREE_FAILURES = 60;
const MAX_DELAY_SECONDS = 300;
/** Failures of an address are forgotten when none has come for so long. */
const FORGET_MS = 900_000;
/** Bounds the memory; the address that failed longest ago is forgotten first. */
const MAX_ADDRESSES = 10_000;

interface Failures {
  count: number;
  /** Milliseconds of `performance.now()`. */
  blockedUntil: number;
}

/**
 * Slows addresses down that bring invalid keys: after {@link FREE_FAILURES}, the next key of the address is looked at a second
 * after the last failure, then after two, four and so on.
 */
export class FailedKeys {
  private readonly failures = new LRUCache<string, Failures>({ max: MAX_ADDRESSES, ttl: FORGET_MS });

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Returns the seconds until the address may try a key again, rounded up; 0 where it may now. */
  secondsToWait(address: string): number {
    const { blockedUntil = 0 } = this.failures.get(address) ?? {};
    return Math.max(0, Math.ceil((blockedUntil - this.now()) / 1000));
  }

  add(address: string): void {
    const count = (this.failures.get(address)?.count ?? 0) + 1;
    const delay = count < FREE_FAILURES ? 0 : Math.min(2 ** (count - FREE_FAILURES), MAX_DELAY_SECONDS);
    this.failures.set(address, { count, blockedUntil: this.now() + delay * 1000 });
  }
}
