import { chain, lambda, tf } from '../layers.mjs';

/** Convolution with bias, batch normalization, ReLU. */
function block(x, convName, bnName, filters, kernelSize, { strides = 1, padding = 0 } = {}) {
  const padded = padding === 0 ? x : tf.layers.zeroPadding2d({ padding }).apply(x);
  return chain(
    padded,
    tf.layers.conv2d({ filters, kernelSize, strides, name: convName, kernelInitializer: 'zeros' }),
    tf.layers.batchNormalization({ axis: 3, epsilon: 1e-5, name: bnName }),
    tf.layers.activation({ activation: 'relu' }),
  );
}

/** Local response normalization of TensorFlow: radius 5, bias 1. The WebAssembly backend has none, the plain one does. */
const lrn = (name) =>
  lambda(
    (x) => {
      tf.setBackend('cpu');
      const result = x.localResponseNormalization(5, 1, 1e-4, 0.75);
      tf.setBackend('wasm');
      return result;
    },
    { name },
  );

/** Branch of a 1x1 and a larger convolution. */
function tower(x, name, [narrow, wide], kernelSize, strides = 1) {
  const reduced = block(x, `${name}_conv1`, `${name}_bn1`, narrow, 1);
  const padding = (kernelSize - 1) / 2;
  return block(reduced, `${name}_conv2`, `${name}_bn2`, wide, kernelSize, { strides, padding });
}

const single = (x, name, filters) => block(x, `${name}_conv`, `${name}_bn`, filters, 1);
const maxPool = () => tf.layers.maxPooling2d({ poolSize: 3, strides: 2 });
const pad = (padding) => tf.layers.zeroPadding2d({ padding });

/** Root of the sum of squares over windows of 3x3. */
function l2Pool(x, name) {
  return chain(
    x,
    lambda((value) => value.square(), { name: `power2_${name}` }),
    tf.layers.averagePooling2d({ poolSize: 3, strides: 3 }),
    lambda((value) => value.mul(9), { name: `mult9_${name}` }),
    lambda((value) => value.sqrt(), { name: `sqrt_${name}` }),
  );
}

const join = (branches) => tf.layers.concatenate({ axis: 3 }).apply(branches);

/**
 * OpenFace nn4.small2 (Amos et al. 2016), 96x96 to 128 at unit length, as deepface/models/facial_recognition/OpenFace.py
 * of serengil/deepface has it.
 */
export function openFace() {
  const input = tf.input({ shape: [96, 96, 3] });
  let x = block(input, 'conv1', 'bn1', 64, 7, { strides: 2, padding: 3 });
  x = chain(x, pad(1), maxPool(), lrn('lrn_1'));
  x = block(x, 'conv2', 'bn2', 64, 1);
  x = block(x, 'conv3', 'bn3', 192, 3, { padding: 1 });
  x = chain(x, lrn('lrn_2'), pad(1), maxPool());

  let name = 'inception_3a';
  x = join([
    tower(x, `${name}_3x3`, [96, 128], 3),
    tower(x, `${name}_5x5`, [16, 32], 5),
    pad([
      [3, 4],
      [3, 4],
    ]).apply(single(maxPool().apply(x), `${name}_pool`, 32)),
    single(x, `${name}_1x1`, 64),
  ]);
  name = 'inception_3b';
  x = join([
    tower(x, `${name}_3x3`, [96, 128], 3),
    tower(x, `${name}_5x5`, [32, 64], 5),
    pad(4).apply(single(l2Pool(x, '3b'), `${name}_pool`, 64)),
    single(x, `${name}_1x1`, 64),
  ]);
  x = reduce(x, 'inception_3c', [128, 256], [32, 64]);
  name = 'inception_4a';
  x = join([
    tower(x, `${name}_3x3`, [96, 192], 3),
    tower(x, `${name}_5x5`, [32, 64], 5),
    pad(2).apply(single(l2Pool(x, '4a'), `${name}_pool`, 128)),
    single(x, `${name}_1x1`, 256),
  ]);
  x = reduce(x, 'inception_4e', [160, 256], [64, 128]);
  name = 'inception_5a';
  x = join([
    tower(x, `${name}_3x3`, [96, 384], 3),
    pad(1).apply(single(l2Pool(x, '5a'), `${name}_pool`, 96)),
    single(x, `${name}_1x1`, 256),
  ]);
  name = 'inception_5b';
  x = join([
    tower(x, `${name}_3x3`, [96, 384], 3),
    pad(1).apply(single(maxPool().apply(x), `${name}_pool`, 96)),
    single(x, `${name}_1x1`, 256),
  ]);
  const embedding = chain(
    x,
    tf.layers.averagePooling2d({ poolSize: 3, strides: 1 }),
    tf.layers.flatten(),
    tf.layers.dense({ units: 128, name: 'dense_layer', kernelInitializer: 'zeros' }),
    // K.l2_normalize: the square of the norm is at least 1e-12.
    lambda((value) => value.mul(value.square().sum(1, true).maximum(1e-12).rsqrt()), { name: 'norm_layer' }),
  );
  return { input, fileOutputs: [embedding], outputs: [embedding] };
}

/** Halves height and width: two towers with stride 2 and a pooling, with a row and a column of zeros at the end. */
function reduce(x, name, small, large) {
  return join([
    tower(x, `${name}_3x3`, small, 3, 2),
    tower(x, `${name}_5x5`, large, 5, 2),
    chain(
      x,
      maxPool(),
      pad([
        [0, 1],
        [0, 1],
      ]),
    ),
  ]);
}
