import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);

/** TensorFlow.js: the other implementation of Keras that imported networks are held against. */
export const tf = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');

/** Makes the WebAssembly backend the one that computes; in plain JavaScript VGG-Face alone takes minutes. */
export async function startBackend() {
  wasm.setWasmPaths(
    join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'wasm-out/'),
  );
  await tf.setBackend('wasm');
}

/** Applies layers one after the other. */
export function chain(x, ...layers) {
  return layers.reduce((value, layer) => layer.apply(value), x);
}

/** Keras' Lambda: a function of tensors as a layer without weights. */
class Lambda extends tf.layers.Layer {
  static className = 'Lambda';

  constructor(compute, outputShape, name) {
    super(name === undefined ? {} : { name });
    this.compute = compute;
    this.outputShapeOf = outputShape;
  }

  computeOutputShape(inputShape) {
    return this.outputShapeOf(inputShape);
  }

  call(inputs) {
    return tf.tidy(() => this.compute(...[inputs].flat()));
  }
}

/** A layer that computes `compute(...inputs)`; `outputShape` answers its shape, by default that of the input. */
export function lambda(compute, { outputShape = (shape) => shape, name } = {}) {
  return new Lambda(compute, outputShape, name);
}
