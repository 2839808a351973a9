import { seededRange } from '../../../test/support/seeded-random';
import { VECTOR_PRECISIONS, VectorIndex } from './vector-index';
import { VectorScanner } from './vector-scanner';

describe.each(VECTOR_PRECISIONS)('VectorIndex, %s', (precision) => {
  const scanner = new VectorScanner({ threadCount: 2 });
  afterAll(() => scanner.close());

  it('answers with the best row of each subject, most similar first', async () => {
    const index = new VectorIndex({ dimensions: 2, precision, scanner });
    index.add(unit([1, 0]), 0);
    const near = index.add(unit([1, 1]), 1);
    index.add(unit([-1, 1]), 1);
    const exact = index.add(unit([0, 1]), 0);
    const [hits] = await index.search([unit([0, 1])], { limit: 5 });
    expect(hits.map(({ row, subject }) => ({ row, subject }))).toEqual([
      { row: exact, subject: 0 },
      { row: near, subject: 1 },
    ]);
    expect(hits[0].similarity).toBeCloseTo(1, 6);
    await index.close();
  });

  it('gives a copy of a vector', async () => {
    const index = new VectorIndex({ dimensions: 3, precision, scanner });
    const embedding = unit([1, 2, 3]);
    const row = index.add(embedding, 0);
    index.get(row).fill(9);
    expect(Array.from(index.get(row))).toEqual(Array.from(embedding));
    await index.close();
  });

  it('answers with all that are as similar as the last', async () => {
    const index = new VectorIndex({ dimensions: 4, precision, scanner });
    for (let subject = 0; subject < 6; subject++) index.add(unit([1, 2, 3, 4]), subject);
    const [hits] = await index.search([unit([1, 0, 0, 0])], { limit: 2 });
    expect(hits.map((hit) => hit.subject)).toEqual([0, 1, 2, 3, 4, 5]);
    await index.close();
  });
});

const range = seededRange(1);
export function randomUnit(dimensions: number): Float32Array {
  return unit(Array.from({ length: dimensions }, () => range(-1, 1)));
}

function unit(values: readonly number[]): Float32Array {
  const norm = Math.hypot(...values);
  return Float32Array.from(values, (value) => value / norm);
}
