import type { KerasNetwork, KerasValue } from '../keras-network';

/**
 * DeepFace's network for seven emotions, 48x48 pixels, grey.
 *
 * @returns their probabilities: angry, disgust, fear, happy, sad, surprise, neutral.
 * @see serengil/deepface@243209f:deepface/models/demography/Emotion.py
 */
export function emotionNetwork(net: KerasNetwork): KerasValue {
  const conv = (x: KerasValue, filters: number, kernel: number) =>
    net.conv(x, filters, kernel, { activation: 'relu' });
  let x = net.maxPool(conv(net.input([48, 48, 1]), 64, 5), 5, { strides: 2 });
  x = net.averagePool(conv(conv(x, 64, 3), 64, 3), 3, { strides: 2 });
  x = net.averagePool(conv(conv(x, 128, 3), 128, 3), 3, { strides: 2 });
  x = net.flatten(x);
  for (let i = 0; i < 2; i++) x = net.dropout(net.dense(x, 1024, { activation: 'relu' }));
  return net.dense(x, 7, { activation: 'softmax' });
}
