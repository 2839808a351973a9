import { FaceError } from '../../errors';
import type { CardEmbedding, ModelCard } from '../../models/model-card';
import { runBatch } from '../run-batch';
import type { TensorSession } from '../tensor-session';

/** An embedding and its original length. */
export interface EmbeddedFace {
  /** `Float32Array [D]`, unit length. */
  embedding: Float32Array;
  /** Length of the raw vector. */
  embeddingNorm: number;
}

/**
 * Embeds aligned faces in one batched run.
 *
 * With `mirrorAverage` on the card, the raw vector is the mean of the vectors of the face and of its mirror image.
 *
 * @param pixels - `Uint8Array [N * H * W * 3]` NHWC RGB.
 * @returns per face the unit vector, `Float32Array [D]`, and the length of the raw vector.
 * @throws {FaceError} INFERENCE_FAILED if the network returns a zero or non-finite vector.
 */
export async function embedFaces(
  pixels: Uint8Array,
  count: number,
  session: TensorSession,
  card: ModelCard,
): Promise<EmbeddedFace[]> {
  const { dimensions, mirrorAverage } = card.embedding as CardEmbedding;
  const batch = mirrorAverage ? withMirrored(pixels, card.input.width) : pixels;
  const [{ data }] = await runBatch(session, card.input, batch, mirrorAverage ? count * 2 : count);
  return Array.from({ length: count }, (_, face) => {
    const embedding = data.slice(face * dimensions, (face + 1) * dimensions);
    if (mirrorAverage) {
      const mirrored = (count + face) * dimensions;
      for (let i = 0; i < dimensions; i++) embedding[i] = (embedding[i] + data[mirrored + i]) / 2;
    }
    const embeddingNorm = Math.hypot(...embedding);
    if (!(embeddingNorm > 0) || !Number.isFinite(embeddingNorm)) {
      throw new FaceError('INFERENCE_FAILED', `Model ${card.name} returned an unusable embedding.`);
    }
    for (let i = 0; i < dimensions; i++) embedding[i] /= embeddingNorm;
    return { embedding, embeddingNorm };
  });
}

/** The crops, followed by their mirror images. */
function withMirrored(pixels: Uint8Array, width: number): Uint8Array {
  const both = new Uint8Array(pixels.length * 2);
  both.set(pixels);
  const row = width * 3;
  for (let start = 0; start < pixels.length; start += row) {
    for (let x = 0; x < row; x += 3) {
      const to = pixels.length + start + row - 3 - x;
      both[to] = pixels[start + x];
      both[to + 1] = pixels[start + x + 1];
      both[to + 2] = pixels[start + x + 2];
    }
  }
  return both;
}
