import { seededRandom } from '../../../test/support/seeded-random';
import { BLOCK_ROWS } from './thread/block-rows';
import { Shard } from './shard';
import { type IndexHit, type IndexSearchOptions, type VectorIndexOptions, VectorIndex } from './vector-index';
import { VectorScanner } from './vector-scanner';

const random = seededRandom(1);
// A lookup on Jest's global object would take most of the time.
const { fround } = Math;

/** Content of an index, by row. */
type Model = Map<number, { embedding: Float32Array; subject: number }>;

/** A small index, indexes in shards from the first row, and one that moves from plain memory to shards. */
const SETTINGS: Pick<VectorIndexOptions, 'precision' | 'smallRows'>[] = [
  { precision: 'float32' },
  { precision: 'float32', smallRows: 0 },
  { precision: 'int8', smallRows: 0 },
  { precision: 'int8', smallRows: 100 },
];

describe.each(SETTINGS)('VectorIndex, %j', (settings) => {
  let scanner: VectorScanner;
  let threads: VectorScanner;
  beforeAll(() => {
    scanner = new VectorScanner({ threadCount: 2 });
    threads = new VectorScanner({ threadCount: 2, callingThreadOperations: 0 });
  });
  afterAll(() => Promise.all([scanner.close(), threads.close()]));

  const create = (dimensions: number) => new VectorIndex({ dimensions, scanner, ...settings });

  it('answers with the best row of each subject, most similar first', async () => {
    const index = create(2);
    index.add(unit([1, 0]), 0);
    const near = index.add(unit([1, 1]), 1);
    index.add(unit([-1, 1]), 1);
    const exact = index.add(unit([0, 1]), 0);
    const [hits] = await index.search([unit([0, 1])], { limit: 5 });
    expect(hits.map(({ row, subject }) => ({ row, subject }))).toEqual([
      { row: exact, subject: 0 },
      { row: near, subject: 1 },
    ]);
    expect(hits[0].similarity).toBe(1);
    expect(hits[1].similarity).toBeCloseTo(Math.SQRT1_2, 6);
  });

  it('answers a search of nothing with nothing', async () => {
    const index = create(8);
    expect(await index.search([randomUnit(8)], { limit: 1 })).toEqual([[]]);
    expect(await index.search([], { limit: 1 })).toEqual([]);
    index.add(randomUnit(8), 0);
    index.remove(0);
    expect(await index.search([randomUnit(8)], { limit: 1 })).toEqual([[]]);
  });

  it('answers with all that are as similar as the last one, by subject', async () => {
    const index = create(4);
    // Enough rows for the selection to sort in between.
    for (let subject = 299; subject >= 0; subject--) index.add(unit([1, 2, 3, 4]), subject);
    const best = index.add(unit([1, 0, 0, 0]), 300);
    const [hits] = await index.search([unit([1, 0, 0, 0])], { limit: 2 });
    expect(hits[0]).toMatchObject({ row: best, subject: 300 });
    expect(hits.slice(1).map((hit) => hit.subject)).toEqual(Array.from({ length: 300 }, (_, i) => i));
  });

  it('answers with the first of the rows of a subject that are as similar', async () => {
    const index = create(4);
    for (let i = 0; i < 3; i++) index.add(unit([1, 2, 3, 4]), 0);
    const [[hit]] = await index.search([unit([1, 2, 3, 4])], { limit: 1 });
    expect(hit.row).toBe(0);
  });

  it('takes minSimilarity as inclusive', async () => {
    const index = create(3);
    index.add(unit([1, 2, 3]), 0);
    const probe = unit([3, 1, 1]);
    const [[{ similarity }]] = await index.search([probe], { limit: 1 });
    const [same] = await index.search([probe], { limit: 1, minSimilarity: similarity });
    const [above] = await index.search([probe], { limit: 1, minSimilarity: similarity + 1e-9 });
    expect([same.length, above.length]).toEqual([1, 0]);
  });

  it('gives a copy of a vector', () => {
    const index = create(3);
    const embedding = unit([1, 2, 3]);
    const row = index.add(embedding, 0);
    index.get(row).fill(9);
    expect(Array.from(index.get(row))).toEqual(Array.from(embedding));
  });

  it('zeroes a removed row at once and gives it to the next vector', () => {
    const index = create(3);
    const row = index.add(unit([1, 2, 3]), 0);
    index.add(unit([1, 2, 3]), 0);
    index.remove(row);
    expect(index.count).toBe(1);
    expect(Array.from(index['placeOf'](row)[0].vector(row, 3))).toEqual([0, 0, 0]);
    expect(() => index.get(row)).toThrow(RangeError);
    expect(() => index.remove(row)).toThrow(RangeError);
    expect(() => index.setSubject(row, 1)).toThrow(RangeError);
    expect(() => index.get(2)).toThrow(RangeError);
    expect(index.add(unit([3, 2, 1]), 4)).toBe(row);
    expect(index.count).toBe(2);
  });

  it('finds a row once it is set, and not while it is only taken', async () => {
    const index = create(2);
    const [first, second] = [index.take(), index.take()];
    expect(index.count).toBe(0);
    expect(await index.search([unit([0, 1])], { limit: 5 })).toEqual([[]]);
    expect(() => index.get(second)).toThrow(RangeError);
    index.set(second, unit([0, 1]), 3);
    expect(index.count).toBe(1);
    expect(await index.search([unit([0, 1])], { limit: 5 })).toEqual([
      [{ row: second, subject: 3, similarity: 1 }],
    ]);
    index.give(first);
    expect([index.count, index.take()]).toEqual([1, first]);
  });

  it('refuses to set or give what is not taken', () => {
    const index = create(2);
    const row = index.take();
    index.set(row, unit([0, 1]), 0);
    const other = index.take();
    index.give(other);
    for (const wrong of [row, other, 2, -1, NaN]) {
      expect(() => index.set(wrong, unit([1, 0]), 1)).toThrow(RangeError);
      expect(() => index.give(wrong)).toThrow(RangeError);
    }
    expect(() => index.get(-1)).toThrow(RangeError);
    expect(index.count).toBe(1);
    expect(Array.from(index.get(row))).toEqual([0, 1]);
  });

  it('changes nothing where there is no room for a row', () => {
    const index = create(2);
    const kept = index.add(unit([0, 1]), 0);
    const grow = jest.spyOn(index, 'reserve').mockImplementation(() => {
      throw new RangeError('no addresses');
    });
    expect(() => index.take()).toThrow('no addresses');
    expect(index.count).toBe(1);
    // Free rows need no room.
    index.remove(kept);
    expect(index.take()).toBe(kept);
    grow.mockRestore();
    index.set(kept, unit([1, 0]), 1);
    expect(index.take()).toBe(1);
  });

  it('refuses a vector of another length, and leaves the row as it is', () => {
    const index = create(4);
    const row = index.take();
    expect(() => index.set(row, unit([1, 2, 3]), 0)).toThrow(RangeError);
    expect(index.count).toBe(0);
    index.set(row, unit([1, 2, 3, 4]), 0);
    expect(index.count).toBe(1);
  });

  it('does what a map does, over random steps', async () => {
    const dimensions = 16;
    const index = create(dimensions);
    const model: Model = new Map();
    const taken = new Set<number>();
    const anyOf = (rows: Iterable<number>): number | undefined => {
      const all = [...rows];
      return all.length === 0 ? undefined : all[Math.floor(random() * all.length)];
    };
    let highest = 0;
    let isRight = true;
    for (let step = 0; step < 3000; step++) {
      // Grows past a block, then shrinks.
      const share = step < 2000 ? 0.75 : 0.2;
      const [kind, setRow, takenRow] = [random(), anyOf(model.keys()), anyOf(taken)];
      if (kind < share / 2) {
        const row = index.take();
        // A new row only if none is free.
        const isNew = row === model.size + taken.size && row === highest;
        isRight &&= isNew || (row < highest && !model.has(row) && !taken.has(row));
        highest = Math.max(highest, row + 1);
        taken.add(row);
      } else if (kind < share && takenRow !== undefined) {
        const [embedding, subject] = [randomUnit(dimensions), Math.floor(random() * 40)];
        index.set(takenRow, embedding, subject);
        taken.delete(takenRow);
        model.set(takenRow, { embedding, subject });
      } else if (kind < share + 0.05 && takenRow !== undefined) {
        index.give(takenRow);
        taken.delete(takenRow);
      } else if (kind < (share + 1) / 2 && setRow !== undefined) {
        index.remove(setRow);
        model.delete(setRow);
      } else if (setRow !== undefined) {
        const entry = model.get(setRow)!;
        entry.subject = Math.floor(random() * 40);
        index.setSubject(setRow, entry.subject);
      }
      if (step % 100 > 0) continue;
      expect(index.count).toBe(model.size);
      for (const row of taken) expect(() => index.get(row)).toThrow(RangeError);
      expect([...model.keys()].map((row) => index.get(row))).toEqual(
        [...model.values()].map(({ embedding }) => embedding),
      );
      const probes = [randomUnit(dimensions), randomUnit(dimensions)];
      const expected = similaritiesOf(model, probes).map((one) => expectedHits(model, one, { limit: 10 }));
      expect(await index.search(probes, { limit: 10 })).toEqual(expected);
    }
    expect(isRight).toBe(true);
    expect(highest).toBeGreaterThan(BLOCK_ROWS);
  });

  // The kernel takes eight rows at once, an eighth of a block apart.
  it.each([1, 7, 8, 9, 63, 250, BLOCK_ROWS, BLOCK_ROWS + 9])('finds each row of %d', async (count) => {
    const dimensions = 32;
    const index = create(dimensions);
    const vectors = Array.from({ length: count }, () => randomUnit(dimensions));
    vectors.forEach((vector, row) => index.add(vector, row));
    const expected = vectors.map((_, row) => [expect.objectContaining({ row, subject: row })]);
    expect(await index.search(vectors, { limit: 1 })).toEqual(expected);
    const each = await Promise.all(vectors.map((vector) => index.search([vector], { limit: 1 })));
    expect(each.flat()).toEqual(expected);
  });

  // Dimensions that are and are not a multiple of the kernel's step; 4096 is where codes of a probe are shortest.
  it.each([1, 5, 100, 512, 4096])('finds what a plain scan finds, %d dimensions', async (dimensions) => {
    const index = create(dimensions);
    const model: Model = new Map();
    const subjectCount = 60;
    fill(index, model, dimensions < 500 ? 700 : 90, dimensions, subjectCount);
    for (const row of [...model.keys()].filter(() => random() < 0.2)) {
      index.remove(row);
      model.delete(row);
    }
    fill(index, model, 30, dimensions, subjectCount);
    for (const [row, entry] of model) {
      if (random() < 0.9) continue;
      entry.subject = Math.floor(random() * subjectCount);
      index.setSubject(row, entry.subject);
    }
    expect(index.count).toBe(model.size);
    const probes = Array.from({ length: 66 }, () => randomUnit(dimensions));
    const similarities = similaritiesOf(model, probes);
    // Too short for the last ones.
    const subjects = Uint32Array.from({ length: (subjectCount - 10) >> 5 }, () => random() * 2 ** 32);
    for (const options of [
      { limit: 1 },
      { limit: 10 },
      { limit: 1000 },
      { limit: 10, minSimilarity: 0.1 },
      { limit: 5, subjects },
    ]) {
      const expected = similarities.map((ofProbe) => expectedHits(model, ofProbe, options));
      // The kernel takes probes by four, the rest one by one; 64 share a pass.
      for (const probeCount of [1, 7, 66]) {
        const hits = await index.search(probes.slice(0, probeCount), options);
        expect(hits).toEqual(expected.slice(0, probeCount));
      }
    }
  });

  it('finds the same on threads, in a memory that grew, over several memories', async () => {
    const dimensions = 64;
    const here = new VectorScanner({ threadCount: 0 });
    const plain = new VectorIndex({ dimensions, precision: 'float32', scanner: here, smallRows: 0 });
    const shardRows = 4 * BLOCK_ROWS;
    const index = new VectorIndex({ dimensions, scanner: threads, shardRows, ...settings });
    const probes = Array.from({ length: 150 }, () => randomUnit(dimensions));
    for (const rowCount of [700, 3000, 5000]) {
      while (plain.count < rowCount) {
        const embedding = randomUnit(dimensions);
        const subject = Math.floor(random() * 1000);
        expect(index.add(embedding, subject)).toBe(plain.add(embedding, subject));
      }
      for (const options of [{ limit: 10 }, { limit: 300, minSimilarity: 0.2 }]) {
        const expected = await plain.search(probes, options);
        expect(await index.search(probes, options)).toEqual(expected);
        const each = await Promise.all(probes.slice(0, 10).map((probe) => index.search([probe], options)));
        expect(each.flat()).toEqual(expected.slice(0, 10));
      }
    }
    expect(index.bytes).toBeGreaterThanOrEqual(5000 * dimensions * 4);
    await here.close();
  });

  describe('beside changes', () => {
    const dimensions = 128;
    const rowCount = 2000;
    let index: VectorIndex;
    let model: Model;
    beforeEach(() => {
      index = new VectorIndex({ dimensions, scanner: threads, ...settings });
      model = new Map();
      fill(index, model, rowCount, dimensions, 1000);
    });
    afterEach(() => index.close());

    it('tells which rows changed since a search began, and finds all others as they are', async () => {
      const probe = model.get(77)!.embedding;
      const since = index.changeCount;
      // The first begins a pass at once, the second waits for it.
      const searches = Promise.all([
        index.search([probe], { limit: 10 }),
        index.search([randomUnit(dimensions), probe], { limit: 10 }),
      ]);
      const expected = expectedHits(model, similaritiesOf(model, [probe])[0], { limit: 10 });
      const [, second] = expected;
      index.remove(77);
      index.setSubject(second.row, 4000);
      expect(index.add(probe, 4001)).toBe(77);
      const others = expected.slice(2);
      const [[first], [, last]] = await searches;
      for (const hits of [first, last]) {
        const unchanged = hits.filter(({ row }) => !index.hasChanged(row, since));
        expect(unchanged.slice(0, others.length)).toEqual(others);
      }
      expect([77, second.row].map((row) => index.hasChanged(row, since))).toEqual([true, true]);
      expect(index.hasChanged(77, index.changeCount)).toBe(false);
    });

    it('closes when the pass that runs has answered', async () => {
      const probe = randomUnit(dimensions);
      const running = index.search([probe], { limit: 1 });
      const waiting = index.search([probe], { limit: 1 });
      const closed = index.close();
      await expect(waiting).rejects.toThrow('closed');
      await expect(running).rejects.toThrow('closed');
      await closed;
      await expect(index.search([probe], { limit: 1 })).rejects.toThrow('closed');
      expect(index.count).toBe(0);
    });
  });
});

describe('small indexes', () => {
  const dimensions = 128;
  let scanner: VectorScanner;
  let threads: VectorScanner;
  beforeEach(() => {
    scanner = new VectorScanner({ threadCount: 0 });
    threads = new VectorScanner({ threadCount: 2, callingThreadOperations: 0 });
  });
  afterEach(() => Promise.all([scanner.close(), threads.close()]));

  // With a shared memory each, the process would run out of address space at about 13,000.
  it('are 15,000 at once', async () => {
    const indexes: VectorIndex[] = [];
    for (let i = 0; i < 15_000; i++) {
      const index = new VectorIndex({ dimensions: 4, precision: 'float32', scanner });
      index.add(unit([1, i, 0, 0]), i);
      indexes.push(index);
    }
    const answers = await Promise.all(indexes.map((index) => index.search([index.get(0)], { limit: 2 })));
    const found = answers.map(([hits]) => hits.map(({ subject }) => subject));
    expect(found).toEqual(indexes.map((_, i) => [i]));
    await Promise.all(indexes.map((index) => index.close()));
  });

  it('do not mix, on the calling thread and on threads', async () => {
    const indexes = [];
    for (let i = 0; i < 60; i++) {
      const index = new VectorIndex({ dimensions, precision: 'int8', scanner: i % 2 ? scanner : threads });
      const model: Model = new Map();
      fill(index, model, Math.floor(2 ** (9 * random())), dimensions, 50);
      indexes.push({ index, model });
    }
    for (let round = 0; round < 3; round++) {
      const probes = [randomUnit(dimensions), randomUnit(dimensions)];
      const answers = await Promise.all(indexes.map(({ index }) => index.search(probes, { limit: 20 })));
      for (const [i, { model }] of indexes.entries()) {
        const expected = similaritiesOf(model, probes).map((one) => expectedHits(model, one, { limit: 20 }));
        expect(answers[i]).toEqual(expected);
      }
      for (const { index, model } of indexes) fill(index, model, 1, dimensions, 50);
    }
  });

  it('leave nothing of a removed row or a closed index in the memory of scans', async () => {
    for (const own of [scanner, threads]) {
      const [large, index] = [300, 5].map((rowCount) => {
        const filled = new VectorIndex({ dimensions, precision: 'float32', scanner: own });
        fill(filled, new Map(), rowCount, dimensions, 10);
        return filled;
      });
      const probe = randomUnit(dimensions);
      const [first, last] = [large.get(0), large.get(299)];
      await large.search([probe], { limit: 1 });
      expect([first, last].map((vector) => traces(large, vector))).toEqual([1, 1]);
      large.remove(299);
      expect([first, last].map((vector) => traces(large, vector))).toEqual([1, 0]);
      const [other, removed] = [index.get(0), index.get(4)];
      await index.search([probe], { limit: 1 });
      expect([first, large.get(200)].map((vector) => traces(large, vector))).toEqual([0, 0]);
      expect([other, removed].map((vector) => traces(index, vector))).toEqual([1, 1]);
      index.remove(4);
      expect([other, removed].map((vector) => traces(index, vector))).toEqual([1, 0]);
      await index.close();
      expect(traces(large, other)).toBe(0);
    }
  });

  it('move into a shard once they are large, also while a pass runs', async () => {
    const index = new VectorIndex({ dimensions, precision: 'int8', scanner: threads, smallRows: 64 });
    const model: Model = new Map();
    fill(index, model, 64, dimensions, 50);
    expect(index.bytes).toBe(64 * (dimensions * 4 + 8));
    const probe = model.get(20)!.embedding;
    const search = index.search([probe], { limit: 10 });
    index.remove(20);
    model.delete(20);
    // The running pass may not see them: they must not be among the first ten.
    const opposite = probe.map((value) => -value);
    for (let i = 0; i < 2; i++) model.set(index.add(opposite, 50), { embedding: opposite, subject: 50 });
    expect(index.bytes).toBeGreaterThan(65 * dimensions * 5);
    const expected = expectedHits(model, similaritiesOf(model, [probe])[0], { limit: 10 });
    expect(await search).toEqual([expected]);
    expect(await index.search([probe], { limit: 10 })).toEqual([expected]);
  });

  it('change nothing where there is no room for a shard', async () => {
    const index = new VectorIndex({ dimensions, precision: 'int8', scanner, smallRows: 64 });
    const model: Model = new Map();
    fill(index, model, 64, dimensions, 50);
    const reserve = jest.spyOn(Shard.prototype, 'reserve').mockImplementation(() => {
      throw new RangeError('no addresses');
    });
    for (let i = 0; i < 2; i++) expect(() => index.take()).toThrow('no addresses');
    reserve.mockRestore();
    const probe = randomUnit(dimensions);
    const search = async () => {
      const expected = expectedHits(model, similaritiesOf(model, [probe])[0], { limit: 10 });
      expect(await index.search([probe], { limit: 10 })).toEqual([expected]);
    };
    expect(index.count).toBe(64);
    await search();
    fill(index, model, 1, dimensions, 50);
    await search();
  });

  /** Counts a vector in the memory where small indexes are scanned. */
  function traces(index: VectorIndex, vector: Float32Array): number {
    const { here, onThreads } = index['small']['copies']!;
    return [here['shard'], onThreads['shard']].filter(({ memory, layout }) =>
      Buffer.from(memory.buffer.slice(layout.blocksAt)).includes(Buffer.from(vector.buffer)),
    ).length;
  }
});

describe(VectorScanner, () => {
  const dimensions = 128;
  let scanner: VectorScanner;
  let index: VectorIndex;
  let model: Model;
  beforeEach(() => {
    scanner = new VectorScanner({ threadCount: 2, callingThreadOperations: 0 });
    index = new VectorIndex({ dimensions, precision: 'float32', scanner });
    model = new Map();
    fill(index, model, 2000, dimensions, 2000);
  });
  afterEach(() => scanner.close());

  it('rejects the pass under way when a thread ends, and starts another thread', async () => {
    const probe = model.get(5)!.embedding;
    const running = index.search([probe], { limit: 1 });
    const waiting = index.search([probe], { limit: 1 });
    void scanner['threads'][0]!.terminate();
    await expect(running).rejects.toThrow('A scan thread ended.');
    expect((await waiting)[0][0].row).toBe(5);
    expect((await index.search([probe], { limit: 1 }))[0][0].row).toBe(5);
  });

  it('serves indexes in turn', async () => {
    const other = new VectorIndex({ dimensions, precision: 'float32', scanner });
    fill(other, new Map(), 2000, dimensions, 2000);
    const order: string[] = [];
    const search = (name: string, searched: VectorIndex, probeCount: number) =>
      searched
        .search(Array<Float32Array>(probeCount).fill(model.get(5)!.embedding), { limit: 1 })
        .then(() => order.push(name));
    await Promise.all([
      search('running', index, 1),
      search('many', index, 200),
      search('other', other, 1),
      search('last', index, 1),
    ]);
    expect(order).toEqual(['running', 'other', 'many', 'last']);
  });

  it('rejects what runs and what waits when it is closed', async () => {
    const searches = [1, 2].map(() => index.search([randomUnit(dimensions)], { limit: 1 }));
    const settled = Promise.allSettled(searches);
    await scanner.close();
    expect((await settled).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect(index.search([randomUnit(dimensions)], { limit: 1 })).rejects.toThrow('closed');
  });
});

function fill(index: VectorIndex, model: Model, rowCount: number, dimensions: number, subjectCount: number) {
  for (let i = 0; i < rowCount; i++) {
    const embedding = randomUnit(dimensions);
    const subject = Math.floor(random() * subjectCount);
    model.set(index.add(embedding, subject), { embedding, subject });
  }
}

/** Half of the vectors have most of their length in a few elements, the worst case for codes with one scale. */
function randomUnit(dimensions: number): Float32Array {
  const isPeaked = random() < 0.5;
  const values = new Float32Array(dimensions);
  for (let i = 0; i < dimensions; i++) {
    const value = 2 * random() - 1;
    values[i] = isPeaked ? value * value * value : value;
    if (isPeaked) values[i] *= values[i] * values[i];
  }
  return unit(values);
}

function unit(values: ArrayLike<number>): Float32Array {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += values[i] * values[i];
  const length = Math.sqrt(squares);
  const normalized = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) normalized[i] = values[i] / length;
  return normalized;
}

/** Similarities of each probe to each row, in the order of the model. */
function similaritiesOf(model: Model, probes: readonly Float32Array[]): number[][] {
  return probes.map((probe) => [...model.values()].map(({ embedding }) => similarity(probe, embedding)));
}

/** In single precision, summed in the order that kernel.as.ts states. */
function similarity(probe: Float32Array, embedding: Float32Array): number {
  const lanes = new Float32Array(4);
  let exact = 0;
  for (let i = 0; i < probe.length; i++) {
    lanes[i & 3] += fround(probe[i] * embedding[i]);
    exact += probe[i] * embedding[i];
  }
  const sum = fround(fround(lanes[0] + lanes[2]) + fround(lanes[1] + lanes[3]));
  if (Math.abs(sum - exact) > 1e-5) throw new Error('The order of summation loses precision.');
  return Math.max(-1, Math.min(1, sum));
}

function includes(subjects: Uint32Array, subject: number): boolean {
  return (subjects[subject >>> 5] & (1 << subject)) !== 0;
}

function expectedHits(model: Model, similarities: number[], options: IndexSearchOptions): IndexHit[] {
  const { limit, minSimilarity = -1, subjects } = options;
  const best = new Map<number, IndexHit>();
  [...model].forEach(([row, { subject }], i) => {
    const hit = { row, subject, similarity: similarities[i] };
    if (hit.similarity < minSimilarity || (subjects != null && !includes(subjects, subject))) return;
    const other = best.get(subject);
    const isBetter =
      other == null ||
      hit.similarity > other.similarity ||
      (hit.similarity === other.similarity && row < other.row);
    if (isBetter) best.set(subject, hit);
  });
  const hits = [...best.values()].sort((a, b) => b.similarity - a.similarity || a.subject - b.subject);
  return hits.filter((hit, i) => i < limit || hit.similarity === hits[limit - 1].similarity);
}
