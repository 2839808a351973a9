import { LRUCache } from 'lru-cache';

/** Failures without a delay: enough for a group of clients behind one address with an expired key. */
export const FREE_FAILURES = 60;
const MAX_DELAY_SECONDS = 300;
/** Time without a failure after which those of an address are forgotten. */
const FORGET_MS = 900_000;
/** Limits the memory; the address with the oldest failure is dropped first. */
const MAX_ADDRESSES = 10_000;

interface Failures {
  count: number;
  /** Milliseconds of `performance.now()`. */
  blockedUntil: number;
}

/**
 * Delays addresses that send invalid keys: after {@link FREE_FAILURES}, the next key is checked one second after the
 * last failure, then after two, four and so on.
 */
export class FailedKeys {
  private readonly failures = new LRUCache<string, Failures>({ max: MAX_ADDRESSES, ttl: FORGET_MS });

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Returns the seconds until the next key of the address is checked, rounded up; 0: now. */
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
