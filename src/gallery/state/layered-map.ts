/**
 * A map and, on top of it, the changes that are on their way to the medium: reads see what is safe, plans see what will be.
 *
 * Changes settle in the order in which they were planned, or all that have not settled are forgotten together.
 */
export class LayeredMap<T> {
  private readonly settled = new Map<string, T>();
  /** The newest plan for a key, and how many have not settled. */
  private readonly planned = new Map<string, { value: T | undefined; count: number }>();
  private sizeOfPlan = 0;

  get size(): number {
    return this.settled.size;
  }

  /** As many as there will be. */
  get plannedSize(): number {
    return this.sizeOfPlan;
  }

  get(key: string): T | undefined {
    return this.settled.get(key);
  }

  /** What will be there when all that is planned has settled. */
  getPlanned(key: string): T | undefined {
    const plan = this.planned.get(key);
    return plan ? plan.value : this.settled.get(key);
  }

  /** All that will be there. */
  *plannedValues(): Generator<T> {
    for (const [key, value] of this.settled) if (!this.planned.has(key)) yield value;
    for (const { value } of this.planned.values()) if (value !== undefined) yield value;
  }

  /** @param value - `undefined` takes the key away. */
  plan(key: string, value: T | undefined): void {
    this.sizeOfPlan += Number(value !== undefined) - Number(this.getPlanned(key) !== undefined);
    const plan = this.planned.get(key);
    if (plan) {
      plan.value = value;
      plan.count++;
    } else {
      this.planned.set(key, { value, count: 1 });
    }
  }

  /** Carries out the oldest plan for the key. */
  settle(key: string, value: T | undefined): void {
    if (value === undefined) this.settled.delete(key);
    else this.settled.set(key, value);
    const plan = this.planned.get(key);
    if (plan && --plan.count === 0) this.planned.delete(key);
  }

  forgetPlans(): void {
    this.planned.clear();
    this.sizeOfPlan = this.settled.size;
  }

  /** Sets what needs no plan: it comes from the medium. `undefined` takes the key away. */
  restore(key: string, value: T | undefined): void {
    if (value === undefined) this.settled.delete(key);
    else this.settled.set(key, value);
    this.sizeOfPlan = this.settled.size;
  }
}
