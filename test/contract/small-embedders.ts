import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OnnxGraph } from '../../src/model-tools/onnx/onnx-builder';
import { cardInput } from '../support/card-input';

/** DeepFace's recognition models that a card stands for here, and the card. `Dlib` is compiled. */
export const CARD_OF: Readonly<Record<string, string>> = {
  'VGG-Face': 'vgg-face',
  Facenet: 'facenet',
  Facenet512: 'facenet512',
  OpenFace: 'openface',
  DeepID: 'deepid',
  ArcFace: 'arcface',
  GhostFaceNet: 'ghostfacenet',
  SFace: 'sface',
  Buffalo_L: 'arcface-w600k-r50',
};

const SIDE = 112;
const CELLS = 4;
/** Length of their embeddings. */
export const SMALL_DIMENSIONS = CELLS * CELLS * 3;

/**
 * Writes an embedder per name: the mean colors of a grid over the aligned face, less their mean. Weak, quick, and of a
 * true graph: what it says of a photo follows from the photo. The card's own threshold is one that DeepFace has nowhere.
 *
 * @returns folder, for FACE_MODEL_DIRS.
 */
export function writeSmallEmbedders(folder: string, names: readonly string[]): string {
  mkdirSync(join(folder, 'cards'), { recursive: true });
  names.forEach((name, index) => {
    const file = `small-${name}.onnx`;
    const bytes = smallEmbedder(2 + index);
    writeFileSync(join(folder, file), bytes);
    const card = {
      name,
      title: `Small stand-in for ${name}`,
      task: 'embed',
      family: 'arcface-112',
      file,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      bytes: bytes.length,
      input: cardInput(SIDE, SIDE, { maxBatch: 8 }),
      outputs: [{ name: 'embedding', dims: [-1, SMALL_DIMENSIONS] }],
      embedding: {
        dimensions: SMALL_DIMENSIONS,
        mirrorAverage: false,
        thresholds: { cosine: { maxDistance: 0.123, source: 'a suite' } },
      },
      license: { name: 'MIT', commercialUse: true },
      source: 'written by a suite',
    };
    writeFileSync(join(folder, 'cards', `${name}.json`), JSON.stringify(card));
  });
  return folder;
}

/** `length` tells the graphs apart: embeddings are that much longer. */
function smallEmbedder(length: number): Buffer {
  const graph = new OnnxGraph('small-embedder');
  const pixels = graph.input('pixels', 'uint8', ['N', SIDE, SIDE, 3]);
  const floats = graph.node('Cast', [pixels], { to: { int: 1 } });
  const cells = graph.node('AveragePool', [graph.transpose(floats, [0, 3, 1, 2])], {
    kernel_shape: { ints: [SIDE / CELLS, SIDE / CELLS] },
    strides: { ints: [SIDE / CELLS, SIDE / CELLS] },
  });
  const flat = graph.reshape(cells, [-1, SMALL_DIMENSIONS]);
  const mean = graph.node('ReduceMean', [flat], { axes: { ints: [1] }, keepdims: { int: 1 } });
  const embedding = graph.mul(graph.sub(flat, mean), graph.floats([length]));
  graph.output('embedding', embedding, 'float32', ['N', SMALL_DIMENSIONS]);
  return graph.toBytes();
}
