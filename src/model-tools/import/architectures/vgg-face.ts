import type { KerasNetwork, KerasValue } from '../keras-network';
import { type KerasArchitecture, embedderCard } from './architecture';

/** Filters of the convolutions of each block; a block ends in a pooling that halves rows and columns. */
const BLOCKS = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
];

/** Of VGG-Face and the networks fine-tuned from it. */
export const VGG_LICENSE = {
  name: 'terms of the Visual Geometry Group, Oxford',
  commercialUse: false,
  note: 'Treated as non-commercial: ask the publisher of the weights.',
};

/**
 * VGG-Face: VGG16 with convolutions as fully connected layers (Parkhi et al. 2015). The embedding is the input of the
 * classifier of 2,622 people, as a unit vector.
 *
 * @see serengil/deepface@243209f:deepface/models/facial_recognition/VGGFace.py
 */
function build(net: KerasNetwork): void {
  const descriptor = net.dropout(buildDescriptor(net));
  const classes = net.flatten(net.conv(descriptor, 2622, 1));
  net.kerasOutputs([net.activation(classes, 'softmax')]);
  net.output('embedding', net.l2Normalize(net.flatten(descriptor)));
}

/** The network up to its descriptor of 4,096 numbers [1, 1, 4096], the basis of the attribute networks of DeepFace. */
export function buildDescriptor(net: KerasNetwork): KerasValue {
  let x = net.input([224, 224, 3]);
  for (const block of BLOCKS) {
    for (const filters of block) x = net.conv(net.zeroPad(x, 1), filters, 3, { activation: 'relu' });
    x = net.maxPool(x, 2);
  }
  x = net.dropout(net.conv(x, 4096, 7, { activation: 'relu' }));
  return net.conv(x, 4096, 1, { activation: 'relu' });
}

export const VGG_FACE: KerasArchitecture = {
  build,
  card: embedderCard({
    title: 'VGG-Face',
    width: 224,
    height: 224,
    maxBatch: 8,
    dimensions: 4096,
    maxDistances: { cosine: 0.68, euclidean: 1.17, euclidean_l2: 1.17, angular: 0.39 },
    license: VGG_LICENSE,
    trainingData: 'VGG Face: 2.6 million pictures of 2,622 people (Parkhi et al. 2015).',
    source: 'vgg_face_weights.h5 of the release v1.0 of serengil/deepface_models',
  }),
};
