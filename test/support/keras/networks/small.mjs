import { chain, tf } from '../layers.mjs';

const conv = (filters, kernelSize, name) =>
  tf.layers.conv2d({ filters, kernelSize, activation: 'relu', name, kernelInitializer: 'zeros' });
const dense = (units, { activation, name } = {}) =>
  tf.layers.dense({ units, activation, name, kernelInitializer: 'zeros' });

/** DeepID (Sun et al. 2014), 55 high and 47 wide, as deepface/models/facial_recognition/DeepID.py of serengil/deepface. */
export function deepId() {
  const input = tf.input({ shape: [55, 47, 3] });
  let x = input;
  for (const [index, [filters, size]] of [
    [20, 4],
    [40, 3],
    [60, 3],
  ].entries()) {
    x = chain(
      x,
      conv(filters, size, `Conv${index + 1}`),
      tf.layers.maxPooling2d({ poolSize: 2, strides: 2, name: `Pool${index + 1}` }),
      tf.layers.dropout({ rate: 0.99, name: `D${index + 1}` }),
    );
  }
  const coarse = chain(x, tf.layers.flatten(), dense(160, { name: 'fc11' }));
  const fine = chain(x, conv(80, 2, 'Conv4'), tf.layers.flatten(), dense(160, { name: 'fc12' }));
  const sum = tf.layers.add().apply([coarse, fine]);
  const outputs = [tf.layers.activation({ activation: 'relu', name: 'deepid' }).apply(sum)];
  return { input, fileOutputs: outputs, outputs };
}

/** DeepFace's network for seven emotions, 48x48 gray, as deepface/models/demography/Emotion.py of serengil/deepface. */
export function emotion() {
  const input = tf.input({ shape: [48, 48, 1] });
  const average = () => tf.layers.averagePooling2d({ poolSize: 3, strides: 2 });
  const outputs = [
    chain(
      input,
      conv(64, 5),
      tf.layers.maxPooling2d({ poolSize: 5, strides: 2 }),
      conv(64, 3),
      conv(64, 3),
      average(),
      conv(128, 3),
      conv(128, 3),
      average(),
      tf.layers.flatten(),
      dense(1024, { activation: 'relu' }),
      tf.layers.dropout({ rate: 0.2 }),
      dense(1024, { activation: 'relu' }),
      tf.layers.dropout({ rate: 0.2 }),
      dense(7, { activation: 'softmax' }),
    ),
  ];
  return { input, fileOutputs: outputs, outputs };
}
