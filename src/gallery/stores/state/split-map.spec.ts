import { seededRandom } from '../../../../test/support/seeded-random';
import { SplitMap } from './split-map';

const random = seededRandom(3);

describe(SplitMap, () => {
  it('tells values of different types apart', () => {
    const map = new SplitMap<string | number | boolean, string>();
    const keys = ['1', 1, 'true', true, '', 0, false, 'false', -1.5, '-1.5'];
    expect(map.get('1')).toBeUndefined();
    keys.forEach((key, i) => {
      map.set(key, `value ${i}`);
      expect(map.size).toBe(i + 1);
    });
    keys.forEach((key, i) => expect(map.get(key)).toBe(`value ${i}`));
    // As `===` does.
    expect(map.get(-0)).toBe(map.get(0));
    keys.forEach((key, i) => {
      expect(map.delete(key)).toBe(true);
      expect(map.delete(key)).toBe(false);
      expect(map.get(key)).toBeUndefined();
      expect(map.size).toBe(keys.length - i - 1);
    });
    map.set('again', 'x');
    expect([map.size, map.get('again'), map.get('1')]).toEqual([1, 'x', undefined]);
  });

  it('does what a Map does while it grows to 40,000 entries and shrinks', () => {
    const map = new SplitMap<string | number, number>();
    const model = new Map<string | number, number>();
    const differences: unknown[] = [];
    const check = (key: string | number) => {
      if (map.get(key) !== model.get(key)) differences.push(key);
    };
    for (let step = 0; step < 160_000; step++) {
      const number = Math.floor(random() * 40_000);
      const key = number % 2 ? number : `employee ${number}`;
      if (random() < (step < 110_000 ? 0.1 : 0.9)) {
        if (map.delete(key) !== model.delete(key)) differences.push(key);
      } else {
        map.set(key, step);
        model.set(key, step);
      }
      check(key);
      if (map.size !== model.size) differences.push(step);
    }
    for (let number = 0; number < 40_000; number++) check(number % 2 ? number : `employee ${number}`);
    expect(differences).toEqual([]);
  });

  it('has parts of a fair size', () => {
    const map = new SplitMap<string, number>();
    for (let i = 0; i < 100_000; i++) map.set(`E${i}`, i);
    const sizes = map['parts']!.map((part) => part.size);
    expect(sizes.length).toBe(Math.ceil(100_000 / 8192));
    // Parts not split yet have twice as many entries as the others.
    expect(Math.max(...sizes)).toBeLessThan(1.2 * (100_000 / 8));
    expect(Math.min(...sizes)).toBeGreaterThan(0.8 * (100_000 / 16));
  });
});
