import { cardInput } from '../../../test/support/card-input';
import type { ModelCard } from '../../models/model-card';
import { embedFaces } from './embed-faces';
import type { TensorSession } from '../tensor-session';

const cardOf = (mirrorAverage: boolean) =>
  ({
    name: 'fake',
    input: cardInput(2, 1, { maxBatch: 8 }),
    embedding: { dimensions: 2, mirrorAverage },
  }) as unknown as ModelCard;

/** Its embedding is the red of the left and of the right pixel. */
const reds: TensorSession = {
  async run(data, [batch]) {
    const values = Array.from({ length: batch }, (_, i) => [data[i * 6], data[i * 6 + 3]]).flat();
    return [{ data: Float32Array.from(values), dims: [batch, 2] }];
  },
  release: async () => undefined,
};

describe(embedFaces.name, () => {
  const crops = Uint8Array.from([3, 9, 9, 4, 9, 9, 0, 9, 9, 5, 9, 9]);

  it('gives unit vectors and the length they had', async () => {
    const faces = await embedFaces(crops, 2, reds, cardOf(false));
    expect(faces.map(({ embeddingNorm }) => embeddingNorm)).toEqual([5, 5]);
    expect(Array.from(faces[0].embedding)).toEqual([Math.fround(0.6), Math.fround(0.8)]);
    expect(Array.from(faces[1].embedding)).toEqual([0, 1]);
  });

  it('averages each face with its mirror image where the card says so', async () => {
    const faces = await embedFaces(crops, 2, reds, cardOf(true));
    // (3, 4) and (4, 3) give (3.5, 3.5); (0, 5) and (5, 0) give (2.5, 2.5).
    expect(faces.map(({ embeddingNorm }) => embeddingNorm)).toEqual([3.5 * Math.SQRT2, 2.5 * Math.SQRT2]);
    for (const { embedding } of faces) expect(embedding[0]).toBeCloseTo(Math.SQRT1_2, 6);
  });

  it('keeps the faces in order over several runs, with their mirror images', async () => {
    const card = cardOf(true);
    const many = Uint8Array.from({ length: 5 }, (_, i) => i + 1).reduce<number[]>(
      (all, i) => [...all, i, 0, 0, 0, 0, 0],
      [],
    );
    for (const maxBatch of [1, 3, 4, 16]) {
      const batches: number[] = [];
      const session: TensorSession = {
        run: (data, dims) => {
          batches.push(dims[0]);
          return reds.run(data, dims);
        },
        release: async () => undefined,
      };
      const faces = await embedFaces(Uint8Array.from(many), 5, session, {
        ...card,
        input: { ...card.input, maxBatch },
      });
      // (i, 0) and (0, i) give (i / 2, i / 2).
      faces.forEach(({ embeddingNorm }, i) => expect(embeddingNorm).toBeCloseTo((i + 1) * Math.SQRT1_2, 6));
      expect(batches).toHaveLength(Math.ceil(10 / maxBatch));
      expect(Math.max(...batches)).toBeLessThanOrEqual(maxBatch);
    }
  });

  it('exchanges left and right within each row, not rows or colors', async () => {
    const seen: number[][] = [];
    const session: TensorSession = {
      async run(data, [batch]) {
        seen.push(Array.from(data));
        return [{ data: new Float32Array(batch * 2).fill(1), dims: [batch, 2] }];
      },
      release: async () => undefined,
    };
    const card = cardOf(true);
    const crop = Uint8Array.from({ length: 12 }, (_, i) => i);
    await embedFaces(crop, 1, session, { ...card, input: { ...card.input, height: 2 } });
    expect(seen).toEqual([[...crop, 3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]]);
    expect(Array.from(crop)).toEqual(Array.from({ length: 12 }, (_, i) => i));
  });

  it('runs without mirror images where the card has none', async () => {
    const batches: number[] = [];
    const session: TensorSession = {
      run: (data, dims) => {
        batches.push(dims[0]);
        return reds.run(data, dims);
      },
      release: async () => undefined,
    };
    await embedFaces(crops, 2, session, cardOf(false));
    expect(batches).toEqual([2]);
  });

  it.each([NaN, Infinity, -Infinity])('refuses a vector with %d', async (value) => {
    const session: TensorSession = {
      run: async () => [{ data: Float32Array.from([1, value]), dims: [1, 2] }],
      release: async () => undefined,
    };
    await expect(embedFaces(new Uint8Array(6), 1, session, cardOf(false))).rejects.toMatchObject({
      code: 'INFERENCE_FAILED',
      message: expect.stringContaining('fake'),
    });
  });

  it('refuses a vector that its mirror image cancels', async () => {
    const session: TensorSession = {
      run: async () => [{ data: Float32Array.from([1, 2, -1, -2]), dims: [2, 2] }],
      release: async () => undefined,
    };
    await expect(embedFaces(new Uint8Array(6), 1, session, cardOf(true))).rejects.toMatchObject({
      code: 'INFERENCE_FAILED',
    });
  });

  it('refuses a vector without direction', async () => {
    await expect(embedFaces(new Uint8Array(6), 1, reds, cardOf(false))).rejects.toMatchObject({
      code: 'INFERENCE_FAILED',
    });
  });
});
