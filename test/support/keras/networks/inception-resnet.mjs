import { chain, lambda, tf } from '../layers.mjs';

/** Convolution without bias, batch normalization without scale, ReLU: what all branches are made of. */
function block(x, name, filters, kernelSize, { strides = 1, padding = 'same' } = {}) {
  return chain(
    x,
    tf.layers.conv2d({
      filters,
      kernelSize,
      strides,
      padding,
      useBias: false,
      name,
      kernelInitializer: 'zeros',
    }),
    tf.layers.batchNormalization({ axis: 3, epsilon: 0.001, scale: false, name: `${name}_BatchNorm` }),
    tf.layers.activation({ activation: 'relu', name: `${name}_Activation` }),
  );
}

/** A residual block: the branches, joined and widened, times `scale` are added to `x`. */
function residual(x, name, scale, branches, { activate = true } = {}) {
  const filters = x.shape[3];
  const mixed = tf.layers.concatenate({ axis: 3, name: `${name}_Concatenate` }).apply(branches);
  const up = chain(
    mixed,
    tf.layers.conv2d({
      filters,
      kernelSize: 1,
      padding: 'same',
      name: `${name}_Conv2d_1x1`,
      kernelInitializer: 'zeros',
    }),
    lambda((value) => value.mul(scale)),
  );
  const sum = tf.layers.add().apply([x, up]);
  return activate ? tf.layers.activation({ activation: 'relu', name: `${name}_Activation` }).apply(sum) : sum;
}

const VALID = { padding: 'valid' };
const HALVE = { padding: 'valid', strides: 2 };

/**
 * Inception-ResNet v1 (Szegedy et al. 2016) as deepface/models/facial_recognition/Facenet.py of serengil/deepface has it,
 * after davidsandberg/facenet; 160x160, the answer is not brought to unit length.
 */
export function inceptionResNetV1(dimensions) {
  const input = tf.input({ shape: [160, 160, 3] });
  let x = block(input, 'Conv2d_1a_3x3', 32, 3, HALVE);
  x = block(x, 'Conv2d_2a_3x3', 32, 3, VALID);
  x = block(x, 'Conv2d_2b_3x3', 64, 3);
  x = tf.layers.maxPooling2d({ poolSize: 3, strides: 2, name: 'MaxPool_3a_3x3' }).apply(x);
  x = block(x, 'Conv2d_3b_1x1', 80, 1, VALID);
  x = block(x, 'Conv2d_4a_3x3', 192, 3, VALID);
  x = block(x, 'Conv2d_4b_3x3', 256, 3, HALVE);
  for (let i = 1; i <= 5; i++) {
    const name = `Block35_${i}`;
    let second = block(x, `${name}_Branch_1_Conv2d_0a_1x1`, 32, 1);
    second = block(second, `${name}_Branch_1_Conv2d_0b_3x3`, 32, 3);
    let third = block(x, `${name}_Branch_2_Conv2d_0a_1x1`, 32, 1);
    third = block(third, `${name}_Branch_2_Conv2d_0b_3x3`, 32, 3);
    third = block(third, `${name}_Branch_2_Conv2d_0c_3x3`, 32, 3);
    x = residual(x, name, 0.17, [block(x, `${name}_Branch_0_Conv2d_1x1`, 32, 1), second, third]);
  }
  x = reduceA(x);
  for (let i = 1; i <= 10; i++) {
    // The number of the block stands where the number of the branch would be expected.
    const side = `Block17_${i}_Branch_${i}_Conv2d`;
    let second = block(x, `${side}_0a_1x1`, 128, 1);
    second = block(second, `${side}_0b_1x7`, 128, [1, 7]);
    second = block(second, `${side}_0c_7x1`, 128, [7, 1]);
    x = residual(x, `Block17_${i}`, 0.1, [block(x, `Block17_${i}_Branch_0_Conv2d_1x1`, 128, 1), second]);
  }
  x = reduceB(x);
  for (let i = 1; i <= 6; i++) {
    const side = `Block8_${i}_Branch_${i === 6 ? 1 : i}_Conv2d`;
    let second = block(x, `${side}_0a_1x1`, 192, 1);
    second = block(second, `${side}_0b_1x3`, 192, [1, 3]);
    second = block(second, `${side}_0c_3x1`, 192, [3, 1]);
    const first = block(x, `Block8_${i}_Branch_0_Conv2d_1x1`, 192, 1);
    x = residual(x, `Block8_${i}`, i === 6 ? 1 : 0.2, [first, second], { activate: i < 6 });
  }
  const embedding = chain(
    x,
    tf.layers.globalAveragePooling2d({ name: 'AvgPool' }),
    tf.layers.dropout({ rate: 0.2, name: 'Dropout' }),
    tf.layers.dense({ units: dimensions, useBias: false, name: 'Bottleneck', kernelInitializer: 'zeros' }),
    tf.layers.batchNormalization({ epsilon: 0.001, scale: false, name: 'Bottleneck_BatchNorm' }),
  );
  return { input, fileOutputs: [embedding], outputs: [embedding] };
}

function reduceA(x) {
  const name = 'Mixed_6a_Branch';
  const first = block(x, `${name}_0_Conv2d_1a_3x3`, 384, 3, HALVE);
  let second = block(x, `${name}_1_Conv2d_0a_1x1`, 192, 1);
  second = block(second, `${name}_1_Conv2d_0b_3x3`, 192, 3);
  second = block(second, `${name}_1_Conv2d_1a_3x3`, 256, 3, HALVE);
  const pool = tf.layers.maxPooling2d({ poolSize: 3, strides: 2, name: `${name}_2_MaxPool_1a_3x3` }).apply(x);
  return tf.layers.concatenate({ axis: 3, name: 'Mixed_6a' }).apply([first, second, pool]);
}

function reduceB(x) {
  const name = 'Mixed_7a_Branch';
  let first = block(x, `${name}_0_Conv2d_0a_1x1`, 256, 1);
  first = block(first, `${name}_0_Conv2d_1a_3x3`, 384, 3, HALVE);
  let second = block(x, `${name}_1_Conv2d_0a_1x1`, 256, 1);
  second = block(second, `${name}_1_Conv2d_1a_3x3`, 256, 3, HALVE);
  let third = block(x, `${name}_2_Conv2d_0a_1x1`, 256, 1);
  third = block(third, `${name}_2_Conv2d_0b_3x3`, 256, 3);
  third = block(third, `${name}_2_Conv2d_1a_3x3`, 256, 3, HALVE);
  const pool = tf.layers.maxPooling2d({ poolSize: 3, strides: 2, name: `${name}_3_MaxPool_1a_3x3` }).apply(x);
  return tf.layers.concatenate({ axis: 3, name: 'Mixed_7a' }).apply([first, second, third, pool]);
}
