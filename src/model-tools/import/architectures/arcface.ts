import type { KerasNetwork, KerasValue } from '../keras-network';
import { type KerasArchitecture, embedderCard, unstatedLicense } from './architecture';

/** Filters and residual units of the four stages, by the names of DeepFace. */
const STAGES = [
  ['conv2', 64, 3],
  ['conv3', 128, 4],
  ['conv4', 256, 6],
  ['conv5', 512, 3],
] as const;

/** Epsilon of all batch norms. */
const EPSILON = 2e-5;

/**
 * ResNet-34 of improved residual units for 112x112 pixels.
 *
 * @returns the embedding, not of unit length.
 * @see serengil/deepface@1f11c97:deepface/models/facial_recognition/ArcFace.py
 * @see Deng et al. 2019, https://arxiv.org/abs/1801.07698
 */
function arcFaceResNet34(net: KerasNetwork): KerasValue {
  const norm = (x: KerasValue, name?: string) => net.batchNorm(x, { name, epsilon: EPSILON });
  const padded = (x: KerasValue, pad: string, conv: string, filters: number, strides = 1) =>
    net.conv(net.zeroPad(x, 1, { name: pad }), filters, 3, { name: conv, strides, bias: false });

  let x = padded(net.input([112, 112, 3]), 'conv1_pad', 'conv1_conv', 64);
  x = net.prelu(norm(x, 'conv1_bn'), { name: 'conv1_prelu' });
  for (const [stage, filters, units] of STAGES) {
    for (let i = 1; i <= units; i++) {
      const name = `${stage}_block${i}`;
      // The first unit of a stage halves the picture and projects the shortcut.
      const strides = i === 1 ? 2 : 1;
      const shortcut =
        i === 1
          ? norm(net.conv(x, filters, 1, { name: `${name}_0_conv`, strides, bias: false }), `${name}_0_bn`)
          : x;
      let branch = padded(norm(x, `${name}_1_bn`), `${name}_1_pad`, `${name}_1_conv`, filters);
      branch = net.prelu(norm(branch, `${name}_2_bn`), { name: `${name}_1_prelu` });
      branch = norm(padded(branch, `${name}_2_pad`, `${name}_2_conv`, filters, strides), `${name}_3_bn`);
      x = net.add([shortcut, branch], { name: `${name}_add` });
    }
  }
  const features = net.flatten(net.dropout(norm(x)));
  return norm(net.dense(features, 512), 'embedding');
}

export const ARCFACE: KerasArchitecture = {
  build: (net) => net.output('embedding', arcFaceResNet34(net)),
  card: embedderCard({
    title: 'ArcFace',
    width: 112,
    height: 112,
    maxBatch: 16,
    dimensions: 512,
    maxDistances: { cosine: 0.68, euclidean: 4.15, euclidean_l2: 1.13, angular: 0.39 },
    license: unstatedLicense('The code that DeepFace names for it, leondgarse/Keras_insightface, is MIT.'),
    source: 'arcface_weights.h5 of the release v1.0 of serengil/deepface_models',
  }),
};
