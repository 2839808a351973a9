import { tf } from '../layers.mjs';

const EPSILON = 1e-5;

/** Channels of the blocks of each stage, and of the block in front of it, as MiniFASNet.py lists them. */
const WIDTHS = {
  'minifasnet-v2': {
    first: [103, 231, 308],
    stages: [
      [13, 13, 13, 13],
      [231, 52, 26, 77, 26, 26],
      [26, 26],
    ],
  },
  'minifasnet-v1-se': {
    first: [103, 231, 308],
    stages: [
      [13, 26, 13, 52],
      [154, 52, 26, 52, 26, 26],
      [26, 26],
    ],
  },
};

const norm = (x, name) => tf.layers.batchNormalization({ axis: -1, epsilon: EPSILON, name }).apply(x);
const prelu = (x, name) => tf.layers.prelu({ sharedAxes: x.shape.length === 4 ? [1, 2] : [], name }).apply(x);

function conv(x, name, filters, kernelSize = 1, strides = 1) {
  const padded = kernelSize === 3 ? tf.layers.zeroPadding2d({ padding: 1 }).apply(x) : x;
  const options = { filters, kernelSize, strides, useBias: false, name, kernelInitializer: 'zeros' };
  return tf.layers.conv2d(options).apply(padded);
}

function depthwise(x, name, kernelSize, strides = 1) {
  const padded = kernelSize === 3 ? tf.layers.zeroPadding2d({ padding: 1 }).apply(x) : x;
  const options = { kernelSize, strides, useBias: false, name, depthwiseInitializer: 'zeros' };
  return tf.layers.depthwiseConv2d(options).apply(padded);
}

const unit = (x, name, convolve) => prelu(norm(convolve(x, `${name}.conv`), `${name}.bn`), `${name}.prelu`);

/** Depth_Wise of MiniFASNet.py. */
function block(x, name, inner, out, strides) {
  const wide = unit(x, `${name}.conv`, (y, conv1) => conv(y, conv1, inner));
  const seen = unit(wide, `${name}.conv_dw`, (y, conv2) => depthwise(y, conv2, 3, strides));
  return norm(conv(seen, `${name}.project.conv`, out), `${name}.project.bn`);
}

/** SEModule of MiniFASNet.py. */
function excite(x, name, channels) {
  const means = tf.layers
    .reshape({ targetShape: [1, 1, channels] })
    .apply(tf.layers.globalAveragePooling2d({}).apply(x));
  const narrow = norm(conv(means, `${name}.fc1`, channels / 4), `${name}.bn1`);
  const relu = tf.layers.activation({ activation: 'relu' }).apply(narrow);
  const wide = norm(conv(relu, `${name}.fc2`, channels), `${name}.bn2`);
  const weights = tf.layers.activation({ activation: 'sigmoid' }).apply(wide);
  const [, rows, columns] = x.shape;
  const spread = tf.layers.upSampling2d({ size: [rows, columns] }).apply(weights);
  return tf.layers.multiply().apply([x, spread]);
}

/** MiniFASNet (Silent-Face-Anti-Spoofing, src/model_lib/MiniFASNet.py) for 80x80 pixels, softmax of three classes. */
export function miniFasNet(network) {
  const { first, stages } = WIDTHS[network];
  const input = tf.input({ shape: [80, 80, 3] });
  let x = unit(input, 'conv1', (y, name) => conv(y, name, 32, 3, 2));
  x = unit(x, 'conv2_dw', (y, name) => depthwise(y, name, 3));
  const names = [
    ['conv_23', 'conv_3', 64],
    ['conv_34', 'conv_4', 128],
    ['conv_45', 'conv_5', 128],
  ];
  for (const [i, [reduction, stage, channels]] of names.entries()) {
    x = block(x, reduction, first[i], channels, 2);
    for (const [index, inner] of stages[i].entries()) {
      const name = `${stage}.model.${index}`;
      let branch = block(x, name, inner, channels, 1);
      const isLast = index === stages[i].length - 1;
      if (network === 'minifasnet-v1-se' && isLast) branch = excite(branch, `${name}.se_module`, channels);
      x = tf.layers.add().apply([x, branch]);
    }
  }
  x = unit(x, 'conv_6_sep', (y, name) => conv(y, name, 512));
  x = norm(depthwise(x, 'conv_6_dw.conv', 5), 'conv_6_dw.bn');
  x = tf.layers.flatten().apply(x);
  x = norm(
    tf.layers.dense({ units: 128, useBias: false, name: 'linear', kernelInitializer: 'zeros' }).apply(x),
    'bn',
  );
  x = tf.layers.dense({ units: 3, useBias: false, name: 'prob', kernelInitializer: 'zeros' }).apply(x);
  const output = tf.layers.softmax({}).apply(x);
  return { input, fileOutputs: output, outputs: [output] };
}
