import { createRequire } from 'node:module';
import { join } from 'node:path';
import { rootDir } from './service.mjs';
import { seededRandom } from './statistics.mjs';
import { writeEmbedder } from './write-embedder.mjs';

const require = createRequire(import.meta.url);
const { OnnxGraph } = require(join(rootDir, 'dist', 'model-tools', 'onnx', 'onnx-builder.js'));

/** Name of the model, for `FACE_EMBEDDERS`. */
export const VGG_FACE = 'vgg-face-random';

const SIDE = 224;
const DIMENSIONS = 2622;
/** Channels of the 3x3 convolutions; every row ends in a 2x2 maximum. */
const BLOCKS = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
];

/**
 * Writes a network of VGG-Face's architecture with random weights (580 MB) and its card into a models folder: the size
 * of DeepFace's default embedder, without its weights. Two calls write the same bytes.
 *
 * @see serengil/deepface deepface/models/facial_recognition/VGGFace.py: layers and sizes. Without the dropout, which does
 * nothing outside of training, and without the softmax. Pixels are divided by 255.
 */
export function writeVggFace(modelsDir) {
  writeEmbedder(modelsDir, {
    name: VGG_FACE,
    title: 'VGG-Face architecture, random weights',
    side: SIDE,
    dimensions: DIMENSIONS,
    bytes: build(),
    source: 'bench/vgg-face.mjs',
  });
}

function build() {
  const random = seededRandom(1);
  const graph = new OnnxGraph(VGG_FACE);
  const convolve = (x, inputs, outputs, size, padding) => {
    const fanIn = inputs * size * size;
    return graph.conv(x, {
      kernel: graph.constant(
        'float32',
        [outputs, inputs, size, size],
        uniform(random, outputs * fanIn, Math.sqrt(6 / fanIn)),
      ),
      bias: graph.constant('float32', [outputs], uniform(random, outputs, 0.1)),
      padding,
    });
  };
  const image = graph.input('image', 'uint8', ['N', SIDE, SIDE, 3]);
  const pixels = graph.node('Cast', [image], { to: { int: 1 } });
  let x = graph.transpose(graph.div(pixels, graph.floats([255])), [0, 3, 1, 2]);
  let channels = 3;
  for (const block of BLOCKS) {
    for (const width of block) {
      x = graph.relu(convolve(x, channels, width, 3, 'same'));
      channels = width;
    }
    x = graph.pool('MaxPool', x, [2, 2], { strides: [2, 2] });
  }
  x = graph.relu(convolve(x, channels, 4096, 7, 'valid'));
  x = graph.relu(convolve(x, 4096, 4096, 1, 'valid'));
  x = convolve(x, 4096, DIMENSIONS, 1, 'valid');
  graph.output('embedding', graph.reshape(x, [0, -1]), 'float32', ['N', DIMENSIONS]);
  return graph.toBytes();
}

/** Values in [-bound, bound]; with sqrt(6 / fan-in) for bound, what flows through relus keeps its size (He et al., 2015). */
function uniform(random, count, bound) {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = (2 * random() - 1) * bound;
  return values;
}
