/** Lets work on a key run beside other work on it, or alone. In this process only. */
export class SharedLock {
  private readonly sharing = new Map<string, Set<Promise<unknown>>>();
  private readonly alone = new Map<string, Promise<unknown>>();

  /** Runs beside others that share the key, when nobody has it alone or waits to have it. */
  async share<T>(key: string, work: () => Promise<T>): Promise<T> {
    // Without a turn between the last look and what follows.
    for (let alone = this.alone.get(key); alone != null; alone = this.alone.get(key)) await alone;
    const others = this.sharing.get(key) ?? new Set();
    this.sharing.set(key, others);
    const result = work();
    const settled = settledOf(result);
    others.add(settled);
    try {
      return await result;
    } finally {
      others.delete(settled);
      if (others.size === 0) this.sharing.delete(key);
    }
  }

  /** Runs when all that share the key are done; nobody else begins before it is. */
  async runAlone<T>(key: string, work: () => Promise<T>): Promise<T> {
    // Without a turn between the last look and what follows.
    for (let alone = this.alone.get(key); alone != null; alone = this.alone.get(key)) await alone;
    const result = Promise.all(this.sharing.get(key) ?? []).then(work);
    const settled = settledOf(result);
    this.alone.set(key, settled);
    try {
      return await result;
    } finally {
      if (this.alone.get(key) === settled) this.alone.delete(key);
    }
  }
}

/** Settles with the work, and never rejects. */
function settledOf(work: Promise<unknown>): Promise<unknown> {
  return work.catch(() => undefined);
}
