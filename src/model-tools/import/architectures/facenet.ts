import type { KerasNetwork, KerasValue } from '../keras-network';
import { type KerasArchitecture, embedderCard, unstatedLicense } from './architecture';

/** A convolution with its normalization and ReLU: [name, filters, kernel, stride, padding]. */
type Step = readonly [
  name: string,
  filters: number,
  kernel: number | readonly [number, number],
  strides?: number,
  padding?: 'same' | 'valid',
];

/**
 * Inception-ResNet v1 for 160x160 pixels, as in DeepFace, after davidsandberg/facenet.
 *
 * @returns the embedding, not of unit length.
 * @see serengil/deepface@0037527:deepface/models/facial_recognition/Facenet.py
 * @see Szegedy et al. 2016, https://arxiv.org/abs/1602.07261
 */
function inceptionResNetV1(net: KerasNetwork, dimensions: number): KerasValue {
  const run = (from: KerasValue, steps: readonly Step[]) =>
    steps.reduce((x, [name, filters, kernel, strides = 1, padding = 'same']) => {
      const conv = net.conv(x, filters, kernel, { name, strides, padding, bias: false });
      const norm = net.batchNorm(conv, { name: `${name}_BatchNorm`, scale: false });
      return net.relu(norm, { name: `${name}_Activation` });
    }, from);

  /** Adds `scale` times a linear mix of the branches. */
  const residual = (x: KerasValue, name: string, scale: number, branches: readonly (readonly Step[])[]) => {
    const mixed = net.concat(
      branches.map((steps) => run(x, steps)),
      { name: `${name}_Concatenate` },
    );
    const up = net.conv(mixed, x.shape[2] as number, 1, { name: `${name}_Conv2d_1x1` });
    const scaled = net.custom([up], up.shape, (graph, [input]) => graph.mul(input, graph.floats([scale])));
    return net.add([x, scaled]);
  };

  /** Parallel branches, with a pooling of the input. */
  const reduction = (x: KerasValue, name: string, branches: readonly (readonly Step[])[]) => {
    const pool = net.maxPool(x, 3, { name: `${name}_Branch_${branches.length}_MaxPool_1a_3x3`, strides: 2 });
    return net.concat([...branches.map((steps) => run(x, steps)), pool], { name });
  };

  let x = run(net.input([160, 160, 3]), [
    ['Conv2d_1a_3x3', 32, 3, 2, 'valid'],
    ['Conv2d_2a_3x3', 32, 3, 1, 'valid'],
    ['Conv2d_2b_3x3', 64, 3],
  ]);
  x = run(net.maxPool(x, 3, { name: 'MaxPool_3a_3x3', strides: 2 }), [
    ['Conv2d_3b_1x1', 80, 1, 1, 'valid'],
    ['Conv2d_4a_3x3', 192, 3, 1, 'valid'],
    ['Conv2d_4b_3x3', 256, 3, 2, 'valid'],
  ]);
  for (let i = 1; i <= 5; i++) {
    const name = `Block35_${i}`;
    x = residual(x, name, 0.17, [
      [[`${name}_Branch_0_Conv2d_1x1`, 32, 1]],
      [
        [`${name}_Branch_1_Conv2d_0a_1x1`, 32, 1],
        [`${name}_Branch_1_Conv2d_0b_3x3`, 32, 3],
      ],
      [
        [`${name}_Branch_2_Conv2d_0a_1x1`, 32, 1],
        [`${name}_Branch_2_Conv2d_0b_3x3`, 32, 3],
        [`${name}_Branch_2_Conv2d_0c_3x3`, 32, 3],
      ],
    ]);
    x = net.relu(x, { name: `${name}_Activation` });
  }
  x = reduction(x, 'Mixed_6a', [
    [['Mixed_6a_Branch_0_Conv2d_1a_3x3', 384, 3, 2, 'valid']],
    [
      ['Mixed_6a_Branch_1_Conv2d_0a_1x1', 192, 1],
      ['Mixed_6a_Branch_1_Conv2d_0b_3x3', 192, 3],
      ['Mixed_6a_Branch_1_Conv2d_1a_3x3', 256, 3, 2, 'valid'],
    ],
  ]);
  for (let i = 1; i <= 10; i++) {
    const name = `Block17_${i}`;
    // DeepFace names the second branch after the block.
    const second = `${name}_Branch_${i}_Conv2d`;
    x = residual(x, name, 0.1, [
      [[`${name}_Branch_0_Conv2d_1x1`, 128, 1]],
      [
        [`${second}_0a_1x1`, 128, 1],
        [`${second}_0b_1x7`, 128, [1, 7]],
        [`${second}_0c_7x1`, 128, [7, 1]],
      ],
    ]);
    x = net.relu(x, { name: `${name}_Activation` });
  }
  x = reduction(x, 'Mixed_7a', [
    [
      ['Mixed_7a_Branch_0_Conv2d_0a_1x1', 256, 1],
      ['Mixed_7a_Branch_0_Conv2d_1a_3x3', 384, 3, 2, 'valid'],
    ],
    [
      ['Mixed_7a_Branch_1_Conv2d_0a_1x1', 256, 1],
      ['Mixed_7a_Branch_1_Conv2d_1a_3x3', 256, 3, 2, 'valid'],
    ],
    [
      ['Mixed_7a_Branch_2_Conv2d_0a_1x1', 256, 1],
      ['Mixed_7a_Branch_2_Conv2d_0b_3x3', 256, 3],
      ['Mixed_7a_Branch_2_Conv2d_1a_3x3', 256, 3, 2, 'valid'],
    ],
  ]);
  for (let i = 1; i <= 6; i++) {
    const name = `Block8_${i}`;
    const isLast = i === 6;
    const second = `${name}_Branch_${isLast ? 1 : i}_Conv2d`;
    x = residual(x, name, isLast ? 1 : 0.2, [
      [[`${name}_Branch_0_Conv2d_1x1`, 192, 1]],
      [
        [`${second}_0a_1x1`, 192, 1],
        [`${second}_0b_1x3`, 192, [1, 3]],
        [`${second}_0c_3x1`, 192, [3, 1]],
      ],
    ]);
    if (!isLast) x = net.relu(x, { name: `${name}_Activation` });
  }
  const pooled = net.dropout(net.globalAveragePool(x, { name: 'AvgPool' }), { name: 'Dropout' });
  const bottleneck = net.dense(pooled, dimensions, { name: 'Bottleneck', bias: false });
  return net.batchNorm(bottleneck, { name: 'Bottleneck_BatchNorm', scale: false });
}

function facenet(
  title: string,
  dimensions: number,
  card: Pick<Parameters<typeof embedderCard>[0], 'maxDistances' | 'source'>,
): KerasArchitecture {
  return {
    build: (net) => net.output('embedding', inceptionResNetV1(net, dimensions)),
    card: embedderCard({
      title,
      width: 160,
      height: 160,
      maxBatch: 16,
      dimensions,
      license: unstatedLicense('The code that DeepFace names for it, davidsandberg/facenet, is MIT.'),
      ...card,
    }),
  };
}

export const FACENET = facenet('Facenet', 128, {
  maxDistances: { cosine: 0.4, euclidean: 10, euclidean_l2: 0.8, angular: 0.33 },
  source: 'facenet_weights.h5 of the release v1.0 of serengil/deepface_models',
});

export const FACENET512 = facenet('Facenet512', 512, {
  maxDistances: { cosine: 0.3, euclidean: 23.56, euclidean_l2: 1.04, angular: 0.35 },
  source: 'facenet512_weights.h5 of the release v1.0 of serengil/deepface_models',
});
