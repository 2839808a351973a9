import { InProgress } from './in-progress';

/** A readers-writer lock by key: work runs together with other work, or alone. In this process only. */
export class SharedLock {
  private readonly sharing = new Map<string, InProgress>();
  private readonly alone = new Map<string, Promise<unknown>>();

  /** Runs together with others that share the key, once nobody has it alone or waits for that. */
  async share<T>(key: string, work: () => Promise<T>): Promise<T> {
    // Nothing may run between the last check and the next lines.
    for (let alone = this.alone.get(key); alone != null; alone = this.alone.get(key)) await alone;
    let sharing = this.sharing.get(key);
    if (sharing == null) this.sharing.set(key, (sharing = new InProgress()));
    const end = sharing.start();
    try {
      return await work();
    } finally {
      end();
      if (sharing.isEmpty) this.sharing.delete(key);
    }
  }

  /** Runs after all that share the key are done; nobody else starts before it ends. */
  async runAlone<T>(key: string, work: () => Promise<T>): Promise<T> {
    // Nothing may run between the last check and the next lines.
    for (let alone = this.alone.get(key); alone != null; alone = this.alone.get(key)) await alone;
    const result = (this.sharing.get(key)?.ended() ?? Promise.resolve()).then(work);
    const settled = result.catch(() => undefined);
    this.alone.set(key, settled);
    try {
      return await result;
    } finally {
      if (this.alone.get(key) === settled) this.alone.delete(key);
    }
  }
}
