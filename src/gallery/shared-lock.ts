/** A readers-writer lock by key: work runs together with other work, or alone. In this process only. */
export class SharedLock {
  private readonly sharing = new Map<string, Set<Promise<unknown>>>();
  private readonly alone = new Map<string, Promise<unknown>>();

  /** Runs together with others that share the key, once nobody has it alone or waits for that. */
  async share<T>(key: string, work: () => Promise<T>): Promise<T> {
    // Nothing may run between the last check and the next lines.
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

  /** Runs after all that share the key are done; nobody else starts before it ends. */
  async runAlone<T>(key: string, work: () => Promise<T>): Promise<T> {
    // Nothing may run between the last check and the next lines.
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
