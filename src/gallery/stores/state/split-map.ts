/** Entries of a part, on average, from which on another part is split. */
const PART_SIZE = 8192;
/** Characters of a string that its hash reads. */
const HASHED_CHARACTERS = 64;

/**
 * A map of many parts. A `Map` of a million entries takes 70 ms and more when it grows, as all entries move at once; here no
 * step moves more than some ten thousand (linear hashing, W. Litwin, 1980). One entry takes no `Map` at all.
 */
export class SplitMap<K extends string | number | boolean, V> {
  private onlyKey?: K;
  private onlyValue?: V;
  private parts?: Map<K, V>[];
  /** Of all parts together. Where there are none yet: 0 or 1. */
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

/** Of `count` parts, those below `count` less a power of two, and the last ones, use one bit more. */
function placeOf(key: string | number | boolean, count: number): number {
  const power = highestPower(count);
  const place = hash(String(key)) & (2 * power - 1);
  return place < count ? place : place - power;
}

/** The highest power of two up to a number. */
function highestPower(count: number): number {
  return 1 << (31 - Math.clz32(count));
}

/** FNV-1a of the last characters, with its bits mixed, as the low ones are used. */
function hash(key: string): number {
  let bits = 0x811c9dc5 ^ key.length;
  for (let i = Math.max(0, key.length - HASHED_CHARACTERS); i < key.length; i++)
    bits = Math.imul(bits ^ key.charCodeAt(i), 0x01000193);
  return bits ^ (bits >>> 15);
}
