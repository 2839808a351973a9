import type { KerasNetwork, KerasValue } from '../keras-network';
import { type KerasArchitecture, embedderCard, unstatedLicense } from './architecture';

/** Epsilon of all batch norms. */
const EPSILON = 1e-5;

/**
 * Local response normalization with the defaults of TensorFlow: radius 5, so 11 channels, bias 1. ONNX divides alpha by
 * the number of channels, TensorFlow does not.
 */
const LRN = { size: 11, alpha: 1e-4, beta: 0.75, bias: 1 };

/** OpenFace's pooling branches; `pad` brings them back to the size of the others. */
type Pool = 'max' | 'l2';

/**
 * OpenFace's nn4.small2 for 96x96 pixels.
 *
 * @returns the embedding of unit length.
 * @see serengil/deepface@0bb94a1:deepface/models/facial_recognition/OpenFace.py
 * @see Amos et al. 2016, OpenFace, CMU-CS-16-118
 */
function openFaceNn4(net: KerasNetwork): KerasValue {
  const step = (
    x: KerasValue,
    [conv, norm]: readonly [conv: string, norm: string],
    filters: number,
    kernel: number,
    { strides = 1, pad = 0 } = {},
  ) => {
    const padded = pad > 0 ? net.zeroPad(x, pad) : x;
    const result = net.conv(padded, filters, kernel, { name: conv, strides });
    return net.relu(net.batchNorm(result, { name: norm, epsilon: EPSILON }));
  };
  const lrn = (x: KerasValue, name: string) =>
    net.custom(
      [x],
      x.shape,
      (graph, inputs) =>
        graph.node('LRN', inputs, {
          size: { int: LRN.size },
          alpha: { float: LRN.alpha * LRN.size },
          beta: { float: LRN.beta },
          bias: { float: LRN.bias },
        }),
      { name },
    );
  /** 1x1 to `narrow` channels, then `kernel` to `wide`. */
  const tower = (x: KerasValue, name: string, narrow: number, wide: number, kernel: number, strides = 1) =>
    step(
      step(x, [`${name}_conv1`, `${name}_bn1`], narrow, 1),
      [`${name}_conv2`, `${name}_bn2`],
      wide,
      kernel,
      { strides, pad: (kernel - 1) / 2 },
    );
  const single = (x: KerasValue, name: string, filters: number) =>
    step(x, [`${name}_conv`, `${name}_bn`], filters, 1);
  /** Root of the sum of squares of 3x3 pixels: nine times their mean. Four layers in Keras. */
  const l2Pool = (x: KerasValue, name: string) => {
    const squares = net.custom([x], x.shape, (graph, [input]) => graph.mul(input, input), {
      name: `power2_${name}`,
    });
    const means = net.averagePool(squares, 3);
    const sums = net.custom([means], means.shape, (graph, [input]) => graph.mul(input, graph.floats([9])), {
      name: `mult9_${name}`,
    });
    return net.custom([sums], sums.shape, (graph, inputs) => graph.node('Sqrt', inputs), {
      name: `sqrt_${name}`,
    });
  };
  const pooled = (
    x: KerasValue,
    name: string,
    kind: Pool,
    filters: number,
    [before, after]: [number, number],
  ) => {
    const pool = kind === 'max' ? net.maxPool(x, 3, { strides: 2 }) : l2Pool(x, name);
    return net.zeroPad(single(pool, `inception_${name}_pool`, filters), [
      [before, after],
      [before, after],
    ]);
  };
  /** Halves the picture: two towers and a pooling. */
  const reduction = (x: KerasValue, name: string, small: [number, number], large: [number, number]) =>
    net.concat([
      tower(x, `inception_${name}_3x3`, ...small, 3, 2),
      tower(x, `inception_${name}_5x5`, ...large, 5, 2),
      net.zeroPad(net.maxPool(x, 3, { strides: 2 }), [
        [0, 1],
        [0, 1],
      ]),
    ]);

  let x = step(net.input([96, 96, 3]), ['conv1', 'bn1'], 64, 7, { strides: 2, pad: 3 });
  x = lrn(net.maxPool(net.zeroPad(x, 1), 3, { strides: 2 }), 'lrn_1');
  x = step(x, ['conv2', 'bn2'], 64, 1);
  x = step(x, ['conv3', 'bn3'], 192, 3, { pad: 1 });
  x = net.maxPool(net.zeroPad(lrn(x, 'lrn_2'), 1), 3, { strides: 2 });
  x = net.concat([
    tower(x, 'inception_3a_3x3', 96, 128, 3),
    tower(x, 'inception_3a_5x5', 16, 32, 5),
    pooled(x, '3a', 'max', 32, [3, 4]),
    single(x, 'inception_3a_1x1', 64),
  ]);
  x = net.concat([
    tower(x, 'inception_3b_3x3', 96, 128, 3),
    tower(x, 'inception_3b_5x5', 32, 64, 5),
    pooled(x, '3b', 'l2', 64, [4, 4]),
    single(x, 'inception_3b_1x1', 64),
  ]);
  x = reduction(x, '3c', [128, 256], [32, 64]);
  x = net.concat([
    tower(x, 'inception_4a_3x3', 96, 192, 3),
    tower(x, 'inception_4a_5x5', 32, 64, 5),
    pooled(x, '4a', 'l2', 128, [2, 2]),
    single(x, 'inception_4a_1x1', 256),
  ]);
  x = reduction(x, '4e', [160, 256], [64, 128]);
  x = net.concat([
    tower(x, 'inception_5a_3x3', 96, 384, 3),
    pooled(x, '5a', 'l2', 96, [1, 1]),
    single(x, 'inception_5a_1x1', 256),
  ]);
  x = net.concat([
    tower(x, 'inception_5b_3x3', 96, 384, 3),
    pooled(x, '5b', 'max', 96, [1, 1]),
    single(x, 'inception_5b_1x1', 256),
  ]);
  const features = net.flatten(net.averagePool(x, 3, { strides: 1 }));
  const embedding = net.dense(features, 128, { name: 'dense_layer' });
  // Keras divides by the root of the larger of the squared norm and 1e-12; the pipeline refuses a vector that short.
  return net.l2Normalize(embedding, { name: 'norm_layer' });
}

export const OPENFACE: KerasArchitecture = {
  build: (net) => net.output('embedding', openFaceNn4(net)),
  card: embedderCard({
    title: 'OpenFace',
    width: 96,
    height: 96,
    maxBatch: 16,
    dimensions: 128,
    maxDistances: { cosine: 0.1, euclidean: 0.55, euclidean_l2: 0.55, angular: 0.11 },
    license: unstatedLicense(
      'DeepFace names iwantooxxoox/Keras-OpenFace for it, whose license was not read.',
    ),
    source: 'openface_weights.h5 of the release v1.0 of serengil/deepface_models',
  }),
};
