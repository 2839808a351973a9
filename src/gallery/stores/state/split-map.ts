/** Average entries per part above which another part is split. */
const PART_SIZE = 8192;
/** Characters of a string that the hash reads. */
const HASHED_CHARACTERS = 64;

/**
 * A map split into parts. A `Map` of a million entries takes 70 ms or more to grow, as all entries move at once; here no step
 * moves more than about ten thousand (linear hashing, W. Litwin, 1980). A single entry needs no `Map` at all.
 */
export class SplitMap<K extends string | number | boolean, V> {
  private onlyKey?: K;
  private onlyValue?: V;
  private parts?: Map<K, V>[];
  /** Entries of all parts together; 0 or 1 as long as `parts` is undefined. */
  private count = 0;

  get size(): number {
    return this.count;
  }

  get(key: K): V | undefined {
    if (this.parts) return this.partOf(key).get(key);
    return this.isOnly(key) ? this.onlyValue : undefined;
  }

  set(key: K, value: V): void {
    if (!this.parts && (this.count === 0 || this.isOnly(key))) {
      [this.onlyKey, this.onlyValue, this.count] = [key, value, 1];
      return;
    }
    this.parts ??= [new Map([[this.onlyKey!, this.onlyValue!]])];
    this.onlyKey = this.onlyValue = undefined;
    const part = this.partOf(key);
    const before = part.size;
    part.set(key, value);
    this.count += part.size - before;
    if (this.count > PART_SIZE * this.parts.length) this.split(this.parts);
  }

  delete(key: K): boolean {
    const isDeleted = this.parts ? this.partOf(key).delete(key) : this.isOnly(key);
    if (!isDeleted) return false;
    this.count--;
    if (this.count === 0) this.onlyKey = this.onlyValue = this.parts = undefined;
    return true;
  }

  private isOnly(key: K): boolean {
    return this.count === 1 && this.onlyKey === key;
  }

  private partOf(key: K): Map<K, V> {
    const parts = this.parts!;
    return parts.length === 1 ? parts[0] : parts[placeOf(key, parts.length)];
  }

  private split(parts: Map<K, V>[]): void {
    const made = new Map<K, V>();
    const old = parts[parts.length - highestPower(parts.length)];
    parts.push(made);
    for (const [key, value] of old) {
      if (placeOf(key, parts.length) !== parts.length - 1) continue;
      made.set(key, value);
      old.delete(key);
    }
  }
}

/**
 * Part of a key in linear hashing: parts already split in this round (the first `count - power`) and the new ones at the end
 * use one hash bit more than the others.
 */
function placeOf(key: string | number | boolean, count: number): number {
  const power = highestPower(count);
  const place = hash(String(key)) & (2 * power - 1);
  return place < count ? place : place - power;
}

/** The highest power of two that is at most `count`. */
function highestPower(count: number): number {
  return 1 << (31 - Math.clz32(count));
}

/** FNV-1a of the last characters; the high bits are folded in, as only the low bits are used. */
function hash(key: string): number {
  let bits = 0x811c9dc5 ^ key.length;
  for (let i = Math.max(0, key.length - HASHED_CHARACTERS); i < key.length; i++)
    bits = Math.imul(bits ^ key.charCodeAt(i), 0x01000193);
  return bits ^ (bits >>> 15);
}
