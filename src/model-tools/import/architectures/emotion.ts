import type { KerasNetwork, KerasValue } from '../keras-network';
import { type KerasArchitecture, unstatedLicense } from './architecture';

/**
 * DeepFace's network for seven emotions, 48x48 pixels, gray.
 *
 * @returns their probabilities: angry, disgust, fear, happy, sad, surprise, neutral.
 * @see serengil/deepface@0417732:deepface/models/demography/Emotion.py
 */
function emotionNetwork(net: KerasNetwork): KerasValue {
  const conv = (x: KerasValue, filters: number, kernel: number) =>
    net.conv(x, filters, kernel, { activation: 'relu' });
  let x = net.maxPool(conv(net.input([48, 48, 1]), 64, 5), 5, { strides: 2 });
  x = net.averagePool(conv(conv(x, 64, 3), 64, 3), 3, { strides: 2 });
  x = net.averagePool(conv(conv(x, 128, 3), 128, 3), 3, { strides: 2 });
  x = net.flatten(x);
  for (let i = 0; i < 2; i++) x = net.dropout(net.dense(x, 1024, { activation: 'relu' }));
  return net.dense(x, 7, { activation: 'softmax' });
}

export const EMOTION: KerasArchitecture = {
  build: (net) => net.output('scores', emotionNetwork(net)),
  card: {
    title: 'Emotion (DeepFace)',
    task: 'expression',
    family: 'upright-crop',
    input: {
      width: 48,
      height: 48,
      layout: 'NCHW',
      dtype: 'float32',
      colorOrder: 'BGR',
      channels: 1,
      mean: [0],
      std: [255],
      maxBatch: 16,
    },
    outputs: [{ name: 'scores', dims: [-1, 7] }],
    labels: ['angry', 'disgusted', 'fearful', 'happy', 'sad', 'surprised', 'neutral'],
    license: unstatedLicense('The code that publishes them, serengil/deepface, is MIT.'),
    source: 'facial_expression_model_weights.h5 of the release v1.0 of serengil/deepface_models',
  },
};
