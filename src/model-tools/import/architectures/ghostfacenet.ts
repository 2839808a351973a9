import type { KerasNetwork, KerasValue } from '../keras-network';
import { type KerasArchitecture, embedderCard, unstatedLicense } from './architecture';

/** A bottleneck: kernel and stride of its depthwise convolutions, channels inside and out, and of squeeze-and-excite. */
interface Bottleneck {
  kernel: 3 | 5;
  strides: 1 | 2;
  expanded: number;
  channels: number;
  /** 0: no squeeze-and-excite. */
  squeezed: number;
}

/** GhostNet's bottlenecks at width 1.3, one row each, with the strides of GhostFaceNets' "S1". */
const BOTTLENECKS: readonly Bottleneck[] = (
  [
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
  ] as const
).map(([kernel, strides, expanded, channels, squeezed]) => ({
  kernel,
  strides,
  expanded,
  channels,
  squeezed,
}));

/**
 * GhostFaceNet v1 for 112x112 pixels. The published weights have PReLU in place of the ReLU in the code of GhostNet.
 *
 * @returns the embedding, not of unit length.
 * @see serengil/deepface@0bb94a1:deepface/models/facial_recognition/GhostFaceNet.py
 * @see Han et al. 2020, https://arxiv.org/abs/1911.11907
 */
function ghostFaceNetV1(net: KerasNetwork): KerasValue {
  const pointwise = (x: KerasValue, filters: number) =>
    net.batchNorm(net.conv(x, filters, 1, { bias: false }));
  const depthwise = (x: KerasValue, kernel: number, strides = 1) =>
    net.batchNorm(net.depthwiseConv(x, kernel, { strides, padding: 'same', bias: false }));
  /** Half of the channels by a 1x1 convolution, the other half from these by a cheap depthwise one. */
  const ghost = (x: KerasValue, channels: number, isActive: boolean) => {
    const active = (value: KerasValue) => (isActive ? net.prelu(value) : value);
    const half = active(pointwise(x, channels / 2));
    return net.concat([half, active(depthwise(half, 3))]);
  };
  const squeezeAndExcite = (x: KerasValue, squeezed: number) => {
    const channels = x.shape[2] as number;
    const means = net.globalAveragePool(x);
    const pixel = net.custom([means], [1, 1, channels], (graph, [input]) =>
      graph.reshape(input, [0, channels, 1, 1]),
    );
    const weights = net.conv(net.prelu(net.conv(pixel, squeezed, 1)), channels, 1);
    // Keras 2: min(max(0.2 x + 0.5, 0), 1), the default of ONNX as well.
    const scale = net.custom([weights], weights.shape, (graph, inputs) => graph.node('HardSigmoid', inputs));
    return net.custom([x, scale], x.shape, (graph, [left, right]) => graph.mul(left, right));
  };

  const stem = net.conv(net.input([112, 112, 3]), 20, 3, { padding: 'same', bias: false });
  let x = net.prelu(net.batchNorm(stem));
  for (const { kernel, strides, expanded, channels, squeezed } of BOTTLENECKS) {
    const isSameSize = strides === 1 && x.shape[2] === channels;
    const shortcut = isSameSize ? x : pointwise(depthwise(x, kernel, strides), channels);
    let branch = ghost(x, expanded, true);
    if (strides > 1) branch = depthwise(branch, kernel, strides);
    if (squeezed > 0) branch = squeezeAndExcite(branch, squeezed);
    x = net.add([shortcut, ghost(branch, channels, false)]);
  }
  x = net.prelu(pointwise(x, 664));
  // One weight per position and channel, instead of a mean over positions.
  x = net.depthwiseConv(x, x.shape[0] as number, { name: 'GDC_dw', bias: false });
  x = net.conv(net.batchNorm(x, { name: 'GDC_batchnorm' }), 512, 1, { name: 'GDC_conv' });
  return net.batchNorm(net.flatten(x, { name: 'GDC_flatten' }), { name: 'pre_embedding' });
}

export const GHOSTFACENET: KerasArchitecture = {
  build: (net) => net.output('embedding', ghostFaceNetV1(net)),
  card: embedderCard({
    title: 'GhostFaceNet',
    width: 112,
    height: 112,
    maxBatch: 16,
    dimensions: 512,
    maxDistances: { cosine: 0.65, euclidean: 35.71, euclidean_l2: 1.1, angular: 0.38 },
    license: unstatedLicense('The repository that publishes them, HamadYA/GhostFaceNets, is MIT.'),
    source: 'GhostFaceNet_W1.3_S1_ArcFace.h5 of the release v1.2 of HamadYA/GhostFaceNets',
  }),
};
