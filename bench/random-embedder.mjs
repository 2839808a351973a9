import { createRequire } from 'node:module';
import { join } from 'node:path';
import { rootDir } from './service.mjs';
import { seededRandom } from './statistics.mjs';
import { writeEmbedder } from './write-embedder.mjs';

const require = createRequire(import.meta.url);
const { OnnxGraph } = require(join(rootDir, 'dist', 'model-tools', 'onnx', 'onnx-builder.js'));

/** Name of the model, for `FACE_EMBEDDERS`. */
export const RANDOM_EMBEDDER = 'random-512';
export const DIMENSIONS = 512;

const SIDE = 112;
/** Side of the squares whose colors are all that the network looks at. */
const STRIDE = 28;

/** Writes a network with 512 random outputs and its card into a models folder: a contract for galleries of that length. */
export function writeRandomEmbedder(modelsDir) {
  const random = seededRandom(1);
  const graph = new OnnxGraph(RANDOM_EMBEDDER);
  const image = graph.input('image', 'uint8', ['N', SIDE, SIDE, 3]);
  const pixels = graph.div(graph.node('Cast', [image], { to: { int: 1 } }), graph.floats([255]));
  const colors = graph.pool('AveragePool', graph.transpose(pixels, [0, 3, 1, 2]), [STRIDE, STRIDE], {
    strides: [STRIDE, STRIDE],
  });
  const squares = (SIDE / STRIDE) ** 2;
  const weights = Float32Array.from({ length: DIMENSIONS * 3 * squares }, () => random() - 0.5);
  const output = graph.conv(colors, {
    kernel: graph.constant('float32', [DIMENSIONS, 3, SIDE / STRIDE, SIDE / STRIDE], weights),
    bias: graph.constant('float32', [DIMENSIONS], new Float32Array(DIMENSIONS)),
    padding: 'valid',
  });
  graph.output('embedding', graph.reshape(output, [0, -1]), 'float32', ['N', DIMENSIONS]);
  writeEmbedder(modelsDir, {
    name: RANDOM_EMBEDDER,
    title: '512 random sums of colors',
    side: SIDE,
    dimensions: DIMENSIONS,
    bytes: graph.toBytes(),
    source: 'bench/random-embedder.mjs',
  });
}
