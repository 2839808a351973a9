import { chain, lambda, tf } from '../layers.mjs';

/** Filters of the 3x3 convolutions; a pooling after each row. */
const STAGES = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
];

let built;

/**
 * Body of VGG-Face up to its second layer of 4096 (Parkhi et al. 2015), as deepface/models/facial_recognition/VGGFace.py
 * of serengil/deepface lays it out: zero padding of one and "valid" convolutions with ReLU. One body for all networks of
 * a process.
 */
function vggBody() {
  built ??= buildBody();
  return built;
}

function buildBody() {
  const input = tf.input({ shape: [224, 224, 3] });
  let x = input;
  for (const filters of STAGES.flatMap((stage) => [...stage, null])) {
    x =
      filters === null
        ? tf.layers.maxPooling2d({ poolSize: 2, strides: 2 }).apply(x)
        : chain(x, tf.layers.zeroPadding2d({ padding: 1 }), conv(filters, 3));
  }
  x = chain(x, conv(4096, 7), tf.layers.dropout({ rate: 0.5 }));
  const descriptor = conv(4096, 1).apply(x);
  return { input, descriptor, body: tf.layers.dropout({ rate: 0.5 }).apply(descriptor) };
}

function conv(filters, kernelSize) {
  return tf.layers.conv2d({ filters, kernelSize, activation: 'relu', kernelInitializer: 'zeros' });
}

/** A layer of `classes` over the body, and the softmax of it. */
function classifier(body, classes, name) {
  return chain(
    body,
    tf.layers.conv2d({ filters: classes, kernelSize: 1, kernelInitializer: 'zeros', name }),
    tf.layers.flatten(),
    tf.layers.activation({ activation: 'softmax' }),
  );
}

/** VGG-Face: the file has the classifier of 2622 people, the answer is the descriptor before it at unit length. */
export function vggFace() {
  const { input, descriptor, body } = vggBody();
  const embedding = chain(
    descriptor,
    tf.layers.flatten(),
    // DeepFace divides by the norm plus 1e-10.
    lambda((x) => x.div(x.square().sum(1, true).sqrt().add(1e-10))),
  );
  return { input, fileOutputs: [classifier(body, 2622)], outputs: [embedding] };
}

/** DeepFace's attribute networks: VGG-Face with another last layer (deepface/models/demography). */
export function vggAttribute(name, classes) {
  const { input, body } = vggBody();
  const outputs = [classifier(body, classes, `predictions--${name}`)];
  return { input, fileOutputs: outputs, outputs };
}
