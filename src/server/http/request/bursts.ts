/** Time window of a burst. */
const WINDOW_MS = 10_000;
/** Maximum number of concurrent bursts; further ones share one. */
const MAX_BURSTS = 1000;
const SHARED = 'shared';

/**
 * Summarizes floods of equal events: the first event of a burst is written at once, later ones as one line with their
 * count every ten seconds, until ten seconds pass without one.
 */
export class Bursts<Event> {
  private readonly bursts = new Map<string, { latest: Event; count: number; timer: NodeJS.Timeout }>();

  /**
   * @param write - receives an event and the number of events that it stands for.
   * @param generalize - converts an event to one that represents its kind, for too many different events.
   */
  constructor(
    private readonly write: (event: Event, count: number) => void,
    private readonly generalize: (event: Event) => Event,
  ) {}

  /** @param key - equal for events of the same burst. */
  add(key: string, event: Event): void {
    const isShared = !this.bursts.has(key) && this.bursts.size >= MAX_BURSTS;
    const [ownKey, latest] = isShared ? [SHARED, this.generalize(event)] : [key, event];
    const burst = this.bursts.get(ownKey);
    if (burst != null) {
      burst.latest = latest;
      burst.count++;
      return;
    }
    const timer = setInterval(() => this.endWindow(ownKey), WINDOW_MS).unref();
    this.bursts.set(ownKey, { latest, count: 0, timer });
    this.write(latest, 1);
  }

  /** Writes the pending counts, and forgets all bursts. */
  close(): void {
    for (const { latest, count, timer } of this.bursts.values()) {
      clearInterval(timer);
      if (count > 0) this.write(latest, count);
    }
    this.bursts.clear();
  }

  private endWindow(key: string): void {
    const burst = this.bursts.get(key);
    if (burst == null) return;
    if (burst.count === 0) {
      clearInterval(burst.timer);
      this.bursts.delete(key);
      return;
    }
    this.write(burst.latest, burst.count);
    burst.count = 0;
  }
}
