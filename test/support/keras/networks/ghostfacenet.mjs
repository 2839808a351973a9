import { chain, tf } from '../layers.mjs';

const bn = (name) => tf.layers.batchNormalization({ epsilon: 0.001, name });
/** Every ReLU of the published network is replaced by a PReLU with one slope per channel. */
const activation = () => tf.layers.prelu({ sharedAxes: [1, 2] });
const pointwise = (filters, { useBias = false, name } = {}) =>
  tf.layers.conv2d({ filters, kernelSize: 1, useBias, name, kernelInitializer: 'zeros' });
const depthwise = (kernelSize, strides = 1) =>
  tf.layers.depthwiseConv2d({
    kernelSize,
    strides,
    padding: 'same',
    useBias: false,
    depthwiseInitializer: 'zeros',
  });

/** [kernel, stride, expanded channels, channels out, channels of squeeze-and-excite or 0], GhostNet's table at width 1.3. */
const BOTTLENECKS = [
  [3, 1, 20, 20, 0],
  [3, 2, 64, 32, 0],
  [3, 1, 92, 32, 0],
  [5, 2, 92, 52, 24],
  [5, 1, 156, 52, 40],
  [3, 2, 312, 104, 0],
  [3, 1, 260, 104, 0],
  [3, 1, 240, 104, 0],
  [3, 1, 240, 104, 0],
  [3, 1, 624, 144, 156],
  [3, 1, 872, 144, 220],
  [5, 2, 872, 208, 220],
  [5, 1, 1248, 208, 0],
  [5, 1, 1248, 208, 312],
  [5, 1, 1248, 208, 0],
  [5, 1, 664, 208, 168],
];

/** Ghost module (Han et al. 2020): half of the channels by a 1x1 convolution, the other half from them, depthwise. */
function ghost(x, channels, activates) {
  const end = (value) => (activates ? activation().apply(value) : value);
  const primary = end(chain(x, pointwise(channels / 2), bn()));
  const cheap = end(chain(primary, depthwise(3), bn()));
  return tf.layers.concatenate().apply([primary, cheap]);
}

function squeezeAndExcite(x, reduced) {
  const channels = x.shape[3];
  const scale = chain(
    x,
    tf.layers.globalAveragePooling2d({}),
    tf.layers.reshape({ targetShape: [1, 1, channels] }),
    pointwise(reduced, { useBias: true }),
    activation(),
    pointwise(channels, { useBias: true }),
    tf.layers.activation({ activation: 'hardSigmoid' }),
  );
  return tf.layers.multiply().apply([x, scale]);
}

function bottleneck(input, [kernel, stride, expanded, channels, reduced]) {
  let x = ghost(input, expanded, true);
  if (stride > 1) x = chain(x, depthwise(kernel, stride), bn());
  if (reduced > 0) x = squeezeAndExcite(x, reduced);
  x = ghost(x, channels, false);
  const keeps = stride === 1 && input.shape[3] === channels;
  const shortcut = keeps ? input : chain(input, depthwise(kernel, stride), bn(), pointwise(channels), bn());
  return tf.layers.add().apply([shortcut, x]);
}

/**
 * GhostFaceNet v1 at width 1.3, stride 1 (Alansari et al. 2023), 112x112 to 512, as
 * deepface/models/facial_recognition/GhostFaceNet.py of serengil/deepface has it.
 */
export function ghostFaceNet() {
  const input = tf.input({ shape: [112, 112, 3] });
  const stem = tf.layers.conv2d({
    filters: 20,
    kernelSize: 3,
    padding: 'same',
    useBias: false,
    kernelInitializer: 'zeros',
  });
  let x = chain(input, stem, bn(), activation());
  for (const row of BOTTLENECKS) x = bottleneck(x, row);
  x = chain(x, pointwise(664), bn(), activation());
  const embedding = chain(
    x,
    tf.layers.depthwiseConv2d({
      kernelSize: x.shape[1],
      useBias: false,
      name: 'GDC_dw',
      depthwiseInitializer: 'zeros',
    }),
    bn('GDC_batchnorm'),
    pointwise(512, { useBias: true, name: 'GDC_conv' }),
    tf.layers.flatten({ name: 'GDC_flatten' }),
    tf.layers.batchNormalization({ epsilon: 0.001, name: 'pre_embedding' }),
    tf.layers.activation({ activation: 'linear', name: 'embedding' }),
  );
  return { input, fileOutputs: [embedding], outputs: [embedding] };
}
