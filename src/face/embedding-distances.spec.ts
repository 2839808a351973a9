import { assertEmbedding } from '../pipeline/embed/compare-embeddings';
import { embeddingDistances } from './embedding-distances';

const vector = (...values: number[]) => {
  const { unit, norm } = assertEmbedding(values, values.length);
  return { embedding: unit, norm };
};

describe(embeddingDistances.name, () => {
  it('has a row for each probe and a column for each reference', async () => {
    const probes = [vector(1, 0), vector(0, 2)];
    const references = [vector(3, 0), vector(0, 1), vector(-1, 0)];
    expect(await embeddingDistances(probes, references, 'cosine')).toEqual({
      distances: [
        [0, 1, 2],
        [1, 0, 1],
      ],
      similarities: [
        [1, 0, -1],
        [0, 1, 0],
      ],
    });
    const { distances } = await embeddingDistances(probes, references, 'euclidean');
    expect(distances[0][0]).toBeCloseTo(2);
    expect(distances[1][1]).toBeCloseTo(1);
  });

  it('lets others have their turn in between', async () => {
    const one = vector(...Array.from({ length: 512 }, (_, i) => i + 1));
    let turns = 0;
    let isDone = false;
    const count = () => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    await embeddingDistances(Array(100).fill(one), Array(100).fill(one), 'cosine');
    isDone = true;
    // 15 million multiplications, a million in a turn.
    expect(turns).toBeGreaterThan(10);
  });
});
