import { arcFace } from './networks/arcface.mjs';
import { ghostFaceNet } from './networks/ghostfacenet.mjs';
import { inceptionResNetV1 } from './networks/inception-resnet.mjs';
import { miniFasNet } from './networks/minifasnet.mjs';
import { openFace } from './networks/openface.mjs';
import { retinaFace } from './networks/retinaface.mjs';
import { deepId, emotion } from './networks/small.mjs';
import { vggAttribute, vggFace } from './networks/vgg-face.mjs';

/**
 * The networks of the importer, built a second time in TensorFlow.js layers, after the same public sources but apart
 * from the code under test.
 *
 * `build(options)`: { input, fileOutputs, outputs }: the symbolic input, the outputs of the network whose weights are
 * the file, and the outputs the service reads. `pixels`: range of the values fed. `gain(layer name)`: variance of a
 * kernel's output, where 2 would let the activations grow with depth. `weight(layer name, role)`: a range for a weight
 * whose usual range does not fit the input.
 */
export const NETWORKS = {
  'vgg-face': { build: vggFace, pixels: [0, 1] },
  age: { build: () => vggAttribute('age', 101), pixels: [0, 1] },
  gender: { build: () => vggAttribute('gender', 2), pixels: [0, 1] },
  race: { build: () => vggAttribute('race', 6), pixels: [0, 1] },
  retinaface: {
    build: retinaFace,
    pixels: [0, 255],
    gain: (name) => (/_conv3$/.test(name) ? 0.3 : /^face/.test(name) ? 0.05 : /^ssh/.test(name) ? 1 : 2),
    // The first normalization takes pixels as they come.
    weight: (name, role) =>
      name === 'bn_data'
        ? { gamma: [0.6, 1.4], moving_mean: [100, 150], moving_variance: [4000, 6000] }[role]
        : undefined,
  },
  facenet: {
    build: () => inceptionResNetV1(128),
    pixels: [0, 1],
    gain: (name) => (name === 'Bottleneck' ? 0.1 : 2),
  },
  facenet512: {
    build: () => inceptionResNetV1(512),
    pixels: [0, 1],
    gain: (name) => (name === 'Bottleneck' ? 0.1 : 2),
  },
  arcface: {
    build: arcFace,
    pixels: [0, 1],
    gain: (name) => (/_2_conv$/.test(name) ? 0.3 : /^dense/.test(name) ? 0.1 : 1),
  },
  openface: {
    build: openFace,
    pixels: [0, 1],
    // The local response normalizations do next to nothing to values near one: they get some near thirty, and the
    // normalizations after them bring these back.
    weight: (name, role) => {
      if (/^bn[13]$/.test(name)) return { gamma: [3, 6] }[role];
      return /^bn2$|^inception_3a_(.*_bn1|(pool|1x1)_bn)$/.test(name)
        ? { moving_variance: [8, 20] }[role]
        : undefined;
    },
  },
  deepid: { build: deepId, pixels: [0, 1], gain: (name) => (/^fc/.test(name) ? 0.1 : 2) },
  ghostfacenet: { build: ghostFaceNet, pixels: [0, 1], gain: () => 0.7 },
  emotion: { build: emotion, pixels: [0, 1] },
  'minifasnet-v2': miniFasNetOf('minifasnet-v2'),
  'minifasnet-v1-se': miniFasNetOf('minifasnet-v1-se'),
};

function miniFasNetOf(network) {
  return {
    build: () => miniFasNet(network),
    pixels: [0, 255],
    gain: (name) => (name === 'prob' ? 0.3 : 1),
    // The first normalization takes sums of pixels as they come.
    weight: (name, role) =>
      name === 'conv1.bn' ? { gamma: [0.6, 1.4], moving_variance: [10_000, 20_000] }[role] : undefined,
  };
}
