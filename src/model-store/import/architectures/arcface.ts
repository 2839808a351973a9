import type { KerasNetwork, KerasValue } from '../keras-network';

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
 * @see serengil/deepface@243209f:deepface/models/facial_recognition/ArcFace.py
 * @see Deng et al. 2019, https://arxiv.org/abs/1801.07698
 */
export function arcFaceResNet34(net: KerasNetwork): KerasValue {
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
