import type { KerasNetwork, KerasValue } from '../keras-network';

/**
 * DeepID for pictures 55 high and 47 wide.
 *
 * @returns the embedding, not of unit length; no element is below 0.
 * @see serengil/deepface@243209f:deepface/models/facial_recognition/DeepID.py
 * @see Sun et al. 2014, Deep Learning Face Representation from Predicting 10,000 Classes
 */
export function deepId(net: KerasNetwork): KerasValue {
  const stages = [
    [20, 4],
    [40, 3],
    [60, 3],
  ] as const;
  const third = stages.reduce((x, [filters, kernel], i) => {
    const conv = net.conv(x, filters, kernel, { name: `Conv${i + 1}`, activation: 'relu' });
    return net.dropout(net.maxPool(conv, 2, { name: `Pool${i + 1}` }), { name: `D${i + 1}` });
  }, net.input([55, 47, 3]));
  const fourth = net.conv(third, 80, 2, { name: 'Conv4', activation: 'relu' });
  const sum = net.add([
    net.dense(net.flatten(third), 160, { name: 'fc11' }),
    net.dense(net.flatten(fourth), 160, { name: 'fc12' }),
  ]);
  return net.relu(sum, { name: 'deepid' });
}
