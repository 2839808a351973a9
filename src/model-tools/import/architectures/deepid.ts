import type { KerasNetwork, KerasValue } from '../keras-network';
import { type KerasArchitecture, embedderCard, unstatedLicense } from './architecture';

/**
 * DeepID for pictures 55 high and 47 wide.
 *
 * @returns the embedding, not of unit length; no element is below 0.
 * @see serengil/deepface@234d0db:deepface/models/facial_recognition/DeepID.py
 * @see Sun et al. 2014, Deep Learning Face Representation from Predicting 10,000 Classes
 */
function deepId(net: KerasNetwork): KerasValue {
  const stages = [
    [20, 4],
    [40, 3],
    [60, 3],
  ] as const;
  const third = stages.reduce(
    (x, [filters, kernel], i) => {
      const conv = net.conv(x, filters, kernel, { name: `Conv${i + 1}`, activation: 'relu' });
      return net.dropout(net.maxPool(conv, 2, { name: `Pool${i + 1}` }), { name: `D${i + 1}` });
    },
    net.input([55, 47, 3]),
  );
  const fourth = net.conv(third, 80, 2, { name: 'Conv4', activation: 'relu' });
  const sum = net.add([
    net.dense(net.flatten(third), 160, { name: 'fc11' }),
    net.dense(net.flatten(fourth), 160, { name: 'fc12' }),
  ]);
  return net.relu(sum, { name: 'deepid' });
}

export const DEEPID: KerasArchitecture = {
  build: (net) => net.output('embedding', deepId(net)),
  card: embedderCard({
    title: 'DeepID',
    width: 47,
    height: 55,
    maxBatch: 16,
    dimensions: 160,
    maxDistances: { cosine: 0.015, euclidean: 45, euclidean_l2: 0.17, angular: 0.04 },
    license: unstatedLicense('DeepFace names Ruoyiran/DeepID for it, whose license was not read.'),
    source: 'deepid_keras_weights.h5 of the release v1.0 of serengil/deepface_models',
  }),
};
