import { seededRandom } from '../../../../test/support/seeded-random';
import { type UidSet, WINDOW, WINDOW_WORDS, bitOf, markUids, withUid, withoutUid } from './uid-set';

const random = seededRandom(5);

describe('UidSet', () => {
  // A few uids, lists, bitmaps, and uids far above 32 bits.
  it.each([
    [30, 1000],
    [3000, 3 * WINDOW],
    [40_000, 2 * WINDOW],
    [20_000, 40 * WINDOW],
    [4500, 2 ** 40],
  ])('does what a Set does: %d uids below %d', (count, bound) => {
    let set: UidSet | undefined;
    const model = new Set<number>();
    const check = () => expect(set === undefined ? [] : uidsOf(set, model)).toEqual(inOrder(model));
    while (model.size < count) {
      // Uids are mostly added in ascending order.
      const uid = Math.floor(random() < 0.5 ? (bound * model.size) / count : random() * bound);
      set = withUid(set, uid);
      model.add(uid);
      if (random() < 0.2) {
        const gone = random() < 0.5 ? uid : Math.floor(random() * bound);
        set = withoutUid(set, gone);
        model.delete(gone);
      }
    }
    check();
    for (const keep of [0.5, 0.2, 0.02, 0]) {
      for (const uid of model) {
        if (random() < keep) continue;
        set = withoutUid(set!, uid);
        model.delete(uid);
      }
      check();
      if (set === undefined) break;
      for (const uid of [...model].slice(0, 50)) set = withUid(set, uid);
      check();
    }
    expect(set).toBeUndefined();
  });

  it('is the uid itself where there is one', () => {
    expect(withUid(undefined, 7)).toBe(7);
    expect(withUid(7, 7)).toBe(7);
    expect(withoutUid(withUid(7, 3), 7)).toBe(3);
    expect(withoutUid(7, 3)).toBe(7);
    expect(withoutUid(7, 7)).toBeUndefined();
  });

  it('adds to the bits that are set, and says whether there are any', () => {
    const bits = new Uint32Array(WINDOW_WORDS);
    expect(markUids(WINDOW + 1, 0, bits)).toBe(false);
    expect(markUids([1, WINDOW + 5], 0, bits)).toBe(true);
    expect(markUids(31, 0, bits)).toBe(true);
    expect(bits[0]).toBe(2 ** 31 + 2);
  });
});

function inOrder(uids: Iterable<number>): number[] {
  return [...uids].sort((a, b) => a - b);
}

/** @param expected - uids whose windows, and the windows next to them, are read. */
function uidsOf(set: UidSet, expected: Iterable<number>): number[] {
  const uids: number[] = [];
  const windows = new Set<number>();
  for (const uid of expected) windows.add(Math.floor(uid / WINDOW)).add(Math.floor(uid / WINDOW) + 1);
  for (const window of inOrder(windows)) {
    const bits = new Uint32Array(WINDOW_WORDS);
    const isAny = markUids(set, window, bits);
    if (isAny !== bits.some((word) => word !== 0)) throw new Error(`Window ${window} is not as it says.`);
    for (let low = 0; isAny && low < WINDOW; low++) {
      if (bits[low >>> 5] === 0) low += 31;
      else if (bitOf(low, bits) === 1) uids.push(window * WINDOW + low);
    }
  }
  return uids;
}
