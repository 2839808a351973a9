import { writeFileSync } from 'node:fs';
import torch from './torch-file.cjs';

/** What PyTorch calls the weights of a layer that TensorFlow.js names by the role. */
const NAMES = {
  kernel: 'weight',
  depthwise_kernel: 'weight',
  alpha: 'weight',
  gamma: 'weight',
  beta: 'bias',
  moving_mean: 'running_mean',
  moving_variance: 'running_var',
};

/**
 * A state dict of PyTorch under way, with the interface of KerasFile: layers by their names, which must be those of PyTorch,
 * and everything under `module.`.
 */
export class TorchFile {
  static create(path, model) {
    return Promise.resolve(new TorchFile(path, model));
  }

  constructor(path, model) {
    this.path = path;
    this.names = model.layers.map(({ name }) => name);
    this.tensors = [];
  }

  writeLayer(index, weights) {
    const name = `module.${this.names[index]}`;
    for (const { role, shape, data } of weights) {
      this.tensors.push({ name: `${name}.${NAMES[role]}`, ...toTorch(role, shape, data) });
    }
    if (weights.some(({ role }) => role === 'moving_mean')) {
      this.tensors.push({ name: `${name}.num_batches_tracked`, kind: 'long', dims: [], data: [index] });
    }
  }

  close() {
    writeFileSync(this.path, torch.torchFile(this.tensors));
  }
}

/** [rows, columns, in, out] to [out, in, rows, columns], [in, out] to [out, in]; one slope each. */
function toTorch(role, shape, data) {
  if (role === 'alpha') return { dims: [data.length], data };
  if (shape.length === 1) return { dims: shape, data };
  const order = role === 'depthwise_kernel' ? [2, 3, 0, 1] : shape.length === 4 ? [3, 2, 0, 1] : [1, 0];
  const dims = order.map((axis) => shape[axis]);
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const result = new Float32Array(data.length);
  for (let i = 0; i < result.length; i++) {
    let rest = i;
    let from = 0;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += (rest % dims[axis]) * strides[order[axis]];
      rest = Math.floor(rest / dims[axis]);
    }
    result[i] = data[from];
  }
  return { dims, data: result };
}
