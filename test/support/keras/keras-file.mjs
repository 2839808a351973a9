import { File, ready } from 'h5wasm/node';

/** Numbering that Keras gives a class of layers: conv2d, conv2d_1, conv2d_2... */
function autoName(className, count) {
  const base = className
    .replace(/(?<=.)([A-Z][a-z0-9]+)/g, '_$1')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
  return count === 0 ? base : `${base}_${count}`;
}

/**
 * Names of a model's layers as Keras would have written them.
 *
 * @param names - `own`: the names the code of the network gives, Keras' numbering for the rest. `numbered`: Keras'
 *   numbering for all of them, starting late, as in a file of a program that had built other networks before: the
 *   order of the layers is all there is to go by. What follows -- only tells layers of different networks apart.
 */
function layerNames(model, names) {
  const counts = new Map();
  return model.layers.map((layer) => {
    const className = layer.getClassName();
    // TensorFlow.js numbers layers in its own way: class, underscore, class and number.
    const unnamed = new RegExp(`_${className}\\d+$`).test(layer.name);
    if (names === 'own' && !unnamed) return layer.name.split('--')[0];
    const count = counts.get(className) ?? (names === 'numbered' ? 11 : 0);
    counts.set(className, count + 1);
    return autoName(className, count);
  });
}

/**
 * A file of Keras 2 under way (`save_weights` and `save` with h5py): layer after layer, so that one layer's weights are
 * in memory at a time.
 *
 * @example
 * const file = await KerasFile.create('weights.h5', model, { layout: 'weights', names: 'own' });
 * model.layers.forEach((layer, index) => file.writeLayer(index, [{ role: 'kernel', shape, data }]));
 * file.close();
 */
export class KerasFile {
  /**
   * @param layout - `weights`: the root is the list of layers. `model`: a whole model, the layers are under model_weights.
   * @param names - see {@link layerNames}.
   */
  static async create(path, model, { layout = 'weights', names = 'own' } = {}) {
    await ready;
    return new KerasFile(new File(path, 'w'), layerNames(model, names), layout);
  }

  constructor(file, names, layout) {
    this.file = file;
    this.names = names;
    this.root = layout === 'model' ? file.create_group('model_weights') : file;
    for (const target of new Set([file, this.root])) {
      target.create_attribute('backend', 'tensorflow');
      target.create_attribute('keras_version', '2.4.0');
    }
    if (layout === 'model') {
      file.create_attribute('model_config', JSON.stringify({ class_name: 'Functional', config: {} }));
    }
    writeNames(this.root, 'layer_names', names);
  }

  /** Writes the weights of a layer, in the layer's own order: [{ role, shape, data }]. */
  writeLayer(index, weights) {
    const name = this.names[index];
    const group = this.root.create_group(name);
    const names = weights.map(({ role }) => `${name}/${role}:0`);
    writeNames(group, 'weight_names', names);
    if (weights.length === 0) return;
    const inner = group.create_group(name);
    for (const { role, shape, data } of weights) {
      inner.create_dataset({ name: `${role}:0`, data, shape, dtype: '<f' });
    }
  }

  close() {
    this.file.close();
  }
}

/** Names as Keras writes them: strings of one fixed length; for none, h5py writes an empty list of doubles. */
function writeNames(target, attribute, names) {
  if (names.length === 0) {
    target.create_attribute(attribute, new Float64Array(0), [0], '<d');
    return;
  }
  const length = Math.max(...names.map((name) => name.length));
  target.create_attribute(attribute, names, [names.length], `S${length}`);
}
