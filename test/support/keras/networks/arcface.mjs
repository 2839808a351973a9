import { chain, tf } from '../layers.mjs';

const bn = (name) => tf.layers.batchNormalization({ axis: -1, epsilon: 2e-5, name });
const prelu = (name) => tf.layers.prelu({ sharedAxes: [1, 2], name });
const pad = (name) => tf.layers.zeroPadding2d({ padding: 1, name });
const conv = (name, filters, kernelSize, strides = 1) =>
  tf.layers.conv2d({ filters, kernelSize, strides, useBias: false, name, kernelInitializer: 'zeros' });

/** Improved residual unit of ArcFace (Deng et al. 2019, "IR"): BN, conv, BN, PReLU, conv, BN. */
function unit(x, name, filters, stride, projects) {
  const shortcut = projects ? chain(x, conv(`${name}_0_conv`, filters, 1, stride), bn(`${name}_0_bn`)) : x;
  const branch = chain(
    x,
    bn(`${name}_1_bn`),
    pad(`${name}_1_pad`),
    conv(`${name}_1_conv`, filters, 3),
    bn(`${name}_2_bn`),
    prelu(`${name}_1_prelu`),
    pad(`${name}_2_pad`),
    conv(`${name}_2_conv`, filters, 3, stride),
    bn(`${name}_3_bn`),
  );
  return tf.layers.add({ name: `${name}_add` }).apply([shortcut, branch]);
}

/** ArcFace on ResNet-34, 112x112 to 512, as deepface/models/facial_recognition/ArcFace.py of serengil/deepface has it. */
export function arcFace() {
  const input = tf.input({ shape: [112, 112, 3] });
  let x = chain(input, pad('conv1_pad'), conv('conv1_conv', 64, 3), bn('conv1_bn'), prelu('conv1_prelu'));
  for (const [stage, [filters, units]] of Object.entries({
    2: [64, 3],
    3: [128, 4],
    4: [256, 6],
    5: [512, 3],
  })) {
    for (let index = 1; index <= units; index++) {
      x = unit(x, `conv${stage}_block${index}`, filters, index === 1 ? 2 : 1, index === 1);
    }
  }
  const embedding = chain(
    x,
    tf.layers.batchNormalization({ epsilon: 2e-5 }),
    tf.layers.dropout({ rate: 0.4 }),
    tf.layers.flatten(),
    tf.layers.dense({ units: 512, kernelInitializer: 'zeros' }),
    tf.layers.batchNormalization({ epsilon: 2e-5, name: 'embedding' }),
  );
  return { input, fileOutputs: [embedding], outputs: [embedding] };
}
