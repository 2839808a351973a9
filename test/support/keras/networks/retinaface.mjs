import { chain, lambda, tf } from '../layers.mjs';

/** Epsilon of all batch normalizations, as retinaface/model/retinaface_model.py of serengil/retinaface has it. */
const EPSILON = 1.9999999494757503e-5;

const bn = (name) => tf.layers.batchNormalization({ epsilon: EPSILON, name });
const relu = (name) => tf.layers.reLU({ name });
const pad = (padding) => tf.layers.zeroPadding2d({ padding });
const conv = (name, filters, kernelSize, { strides = 1, useBias = false } = {}) =>
  tf.layers.conv2d({ filters, kernelSize, strides, useBias, name, kernelInitializer: 'zeros' });
const biased = (name, filters, kernelSize) => conv(name, filters, kernelSize, { useBias: true });

/** [units, filters of the narrow convolutions, stride of the first unit]; the last convolution has four times as many. */
const STAGES = [
  [3, 64, 1],
  [4, 128, 2],
  [6, 256, 2],
  [3, 512, 2],
];

/** Unit of a pre-activation ResNet-50. Answers its sum and the activation before the last 1x1, where the pyramid taps. */
function unit(x, name, filters, stride, projects) {
  const start = chain(x, bn(`${name}_bn1`), relu(`${name}_relu1`));
  const tap = chain(start, conv(`${name}_conv1`, filters, 1), bn(`${name}_bn2`), relu(`${name}_relu2`));
  const branch = chain(
    tap,
    pad(1),
    conv(`${name}_conv2`, filters, 3, { strides: stride }),
    bn(`${name}_bn3`),
    relu(`${name}_relu3`),
    conv(`${name}_conv3`, 4 * filters, 1),
  );
  const shortcut = projects ? conv(`${name}_sc`, 4 * filters, 1, { strides: stride }).apply(start) : x;
  return { sum: tf.layers.add().apply([branch, shortcut]), tap };
}

/** Cuts the middle of `x` to the rows and columns of `like`. */
function cropTo(x, like) {
  const [, height, width] = like.shape;
  const rows = Math.floor((x.shape[1] - height) / 2);
  const columns = Math.floor((x.shape[2] - width) / 2);
  const layer = lambda((value) => value.slice([0, rows, columns, 0], [-1, height, width, -1]), {
    outputShape: ([batch, , , channels]) => [batch, height, width, channels],
  });
  return layer.apply(x);
}

/** Context module of one level (SSH, Najibi et al. 2017): 3x3, 5x5 and 7x7 as chains of 3x3. */
function contextModule(x, name) {
  const wide = chain(x, pad(1), biased(`${name}_det_conv1`, 256, 3), bn(`${name}_det_conv1_bn`));
  const context = `${name}_det_context_conv`;
  const shared = chain(
    x,
    pad(1),
    biased(`${context}1`, 128, 3),
    bn(`${context}1_bn`),
    relu(`${context}1_relu`),
  );
  const middle = chain(shared, pad(1), biased(`${context}2`, 128, 3), bn(`${context}2_bn`));
  const far = chain(
    shared,
    pad(1),
    biased(`${context}3_1`, 128, 3),
    bn(`${context}3_1_bn`),
    relu(`${context}3_1_relu`),
    pad(1),
    biased(`${context}3_2`, 128, 3),
    bn(`${context}3_2_bn`),
  );
  const joined = tf.layers.concatenate({ axis: 3, name: `${name}_det_concat` }).apply([wide, middle, far]);
  return relu(`${name}_det_concat_relu`).apply(joined);
}

/** Outputs of one level: probabilities [background 0, background 1, face 0, face 1] of two anchors, boxes, landmarks. */
function heads(x, stride) {
  const scores = biased(`face_rpn_cls_score_stride${stride}`, 4, 1).apply(x);
  // Channel k is the background of anchor k, channel 2 + k its face: the softmax is over these pairs.
  const probabilities = lambda((value) => {
    const [background, face] = value.split(2, 3);
    const pairs = tf.stack([background, face], 4).softmax(4);
    return tf.concat(
      pairs.split(2, 4).map((part) => part.squeeze([4])),
      3,
    );
  }).apply(scores);
  return [
    probabilities,
    biased(`face_rpn_bbox_pred_stride${stride}`, 8, 1).apply(x),
    biased(`face_rpn_landmark_pred_stride${stride}`, 20, 1).apply(x),
  ];
}

/** RetinaFace on ResNet-50 (Deng et al. 2019) as serengil/retinaface has it; outputs of strides 32, 16, 8. */
export function retinaFace({ height = 96, width = 64 } = {}) {
  const input = tf.input({ shape: [height, width, 3], name: 'data' });
  let x = chain(
    input,
    bn('bn_data'),
    pad(3),
    conv('conv0', 64, 7, { strides: 2 }),
    bn('bn0'),
    relu('relu0'),
    pad(1),
    tf.layers.maxPooling2d({ poolSize: 3, strides: 2, name: 'pooling0' }),
  );
  const taps = [];
  for (const [stage, [units, filters, stride]] of STAGES.entries()) {
    for (let index = 1; index <= units; index++) {
      const name = `stage${stage + 1}_unit${index}`;
      const { sum, tap } = unit(x, name, filters, index === 1 ? stride : 1, index === 1);
      if (index === 1) taps.push(tap);
      x = sum;
    }
  }
  const lateral = (value, name) => chain(value, biased(name, 256, 1), bn(`${name}_bn`), relu(`${name}_relu`));
  const top = lateral(chain(x, bn('bn1'), relu('relu1')), 'ssh_c3_lateral');
  const join = (upper, upName, lower, name) => {
    const up = tf.layers.upSampling2d({ size: [2, 2], interpolation: 'nearest', name: upName }).apply(upper);
    const sum = tf.layers.add().apply([lower, cropTo(up, lower)]);
    return chain(sum, pad(1), biased(name, 256, 3), bn(`${name}_bn`), relu(`${name}_relu`));
  };
  const middle = join(top, 'ssh_c3_up', lateral(taps[3], 'ssh_c2_lateral'), 'ssh_c2_aggr');
  const bottom = join(middle, 'ssh_m2_red_up', lateral(taps[2], 'ssh_m1_red_conv'), 'ssh_c1_aggr');
  const outputs = [
    ...heads(contextModule(top, 'ssh_m3'), 32),
    ...heads(contextModule(middle, 'ssh_m2'), 16),
    ...heads(contextModule(bottom, 'ssh_m1'), 8),
  ];
  return { input, fileOutputs: outputs, outputs };
}
