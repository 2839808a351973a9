import { grouped, ofCount, percent, Table } from './report';

/** What a gate looks at. */
export interface Figure {
  value: number;
  text: string;
}

/** A share of a count. */
export function share(count: number, total: number): Figure {
  return { value: count / total, text: ofCount(count, total) };
}

/** A fraction. */
export function rate(value: number): Figure {
  return { value, text: percent(value) };
}

/** A number of things. */
export function count(value: number, total?: number): Figure {
  return { value, text: total == null ? grouped(value) : `${grouped(value)} of ${grouped(total)}` };
}

/** How many percentage points one share lies over another. */
export function pointsOver(value: number, base: number): Figure {
  const points = (value - base) * 100;
  return { value: points, text: `${points.toFixed(3)} points (${percent(value)} against ${percent(base)})` };
}

export type Bound = { atMost: number } | { atLeast: number };

/** Each gate is a test of its own; the table says what was measured. */
export class Gates {
  private readonly table: Table;

  constructor(name: string) {
    this.table = new Table(name, ['gate', 'limit', 'measured', '']);
  }

  /**
   * Defines the test.
   *
   * @param bound - fraction for {@link share} and {@link rate}, number of things for {@link count}, percentage points for
   * {@link pointsOver}. Inclusive.
   */
  define(
    name: string,
    unit: 'share' | 'count' | 'points',
    bound: Bound,
    measure: () => Promise<Figure>,
  ): void {
    const [words, limit] = 'atMost' in bound ? ['at most', bound.atMost] : ['at least', bound.atLeast];
    const limitText = `${words} ${{ share: `${+(limit * 100).toFixed(4)} %`, count: `${limit}`, points: `${limit} points` }[unit]}`;
    it(`${name}: ${limitText}`, async () => {
      const { value, text } = await measure();
      const isHeld = 'atMost' in bound ? value <= limit : value >= limit;
      this.table.add(name, limitText, text, isHeld ? 'holds' : '**falls short**');
      if ('atMost' in bound) expect(value).toBeLessThanOrEqual(limit);
      else expect(value).toBeGreaterThanOrEqual(limit);
    });
  }

  write(): void {
    this.table.write();
  }
}
