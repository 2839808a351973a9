import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Writes an embedder with random weights and its card into a models folder.
 *
 * @param bytes - ONNX file: input uint8 [N, side, side, 3], output `embedding` [N, dimensions].
 */
export function writeEmbedder(modelsDir, { name, title, side, dimensions, bytes, source }) {
  const file = `${name}.onnx`;
  mkdirSync(join(modelsDir, 'cards'), { recursive: true });
  writeFileSync(join(modelsDir, file), bytes);
  const card = {
    name,
    title,
    task: 'embed',
    family: 'arcface-112',
    file,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    bytes: bytes.length,
    input: {
      width: side,
      height: side,
      layout: 'NHWC',
      dtype: 'uint8',
      colorOrder: 'RGB',
      mean: [0, 0, 0],
      std: [1, 1, 1],
      maxBatch: 8,
    },
    outputs: [{ name: 'embedding', dims: [-1, dimensions] }],
    embedding: {
      dimensions,
      mirrorAverage: false,
      thresholds: { cosine: { maxDistance: 0.5, source: 'none: the weights are random' } },
    },
    license: { name: 'MIT', commercialUse: true, note: `Made by ${source}.` },
    source,
  };
  writeFileSync(join(modelsDir, 'cards', `${name}.json`), JSON.stringify(card));
}
