import { importError } from './import-error';
import { Hdf5File, quote } from './hdf5-file';

/** One tensor of a layer in a file of Keras. */
export interface KerasTensor {
  /** Path inside the file. */
  path: string;
  shape: readonly number[];
}

/** A layer with weights. */
export interface KerasLayer {
  name: string;
  /** In the order of Keras: for a convolution kernel, bias; for a batch norm gamma, beta, mean, variance. */
  tensors: readonly KerasTensor[];
}

/** Group of the weights in a file of a whole model. */
const MODEL_GROUP = 'model_weights';

/**
 * Weights saved by Keras 2: the whole model (`model.save`), or only the weights (`save_weights`).
 *
 * Both have an attribute `layer_names`; each layer is a group with an attribute `weight_names`. Lists over 64 KiB are
 * split into `layer_names0`, `layer_names1` and so on.
 *
 * @see keras-team/keras@v2.15.0:keras/saving/legacy/hdf5_format.py
 */
export class KerasWeights {
  private constructor(
    private readonly file: Hdf5File,
    /** Layers with weights, in the order of the file. */
    readonly layers: readonly KerasLayer[],
  ) {}

  /**
   * Opens a file and reads its layers and the shapes of their weights.
   *
   * @throws {FaceError} MODEL_IMPORT_FAILED naming the invalid layer.
   */
  static async open(path: string): Promise<KerasWeights> {
    const file = await Hdf5File.open(path);
    try {
      return new KerasWeights(file, readLayers(file));
    } catch (error) {
      file.close();
      throw error;
    }
  }

  close(): void {
    this.file.close();
  }

  /**
   * Reads one tensor: float32, row-major.
   *
   * @param place - maps each element to its index in the result, for another order.
   * @throws {FaceError} MODEL_IMPORT_FAILED if the file is damaged or an element is not finite.
   */
  read(layer: string, { path, shape }: KerasTensor, place?: (index: number) => number): Float32Array {
    const result = new Float32Array(shape.reduce((product, size) => product * size, 1));
    this.file.read(path, shape, layer, (block, start) => {
      for (let i = 0; i < block.length; i++) {
        if (!Number.isFinite(block[i])) {
          throw importError(`The tensor ${quote(path)} has values that are not finite.`, { layer });
        }
      }
      if (place == null) result.set(block, start);
      else for (let i = 0; i < block.length; i++) result[place(start + i)] = block[i];
    });
    return result;
  }
}

function readLayers(file: Hdf5File): KerasLayer[] {
  const root = file.hasGroup(MODEL_GROUP) ? `/${MODEL_GROUP}` : '/';
  const names = texts(file, root, 'layer_names');
  if (names == null) {
    throw importError(
      'The file has no list of layers (layer_names): it does not contain weights saved by Keras 2.',
    );
  }
  assertDistinct(names, 'layer', {});
  const layers = names.map((name) => {
    const group = join(root, name);
    const weightNames = texts(file, group, 'weight_names', name) ?? [];
    assertDistinct(weightNames, 'tensor', { layer: name });
    const tensors = weightNames.map((weight) => {
      const path = join(group, weight);
      return { path, shape: file.shape(path, name) };
    });
    return { name, tensors };
  });
  return layers.filter(({ tensors }) => tensors.length > 0);
}

/** An attribute, or its parts if it is split. */
function texts(file: Hdf5File, group: string, attribute: string, layer?: string): string[] | null {
  const whole = file.texts(group, attribute, layer);
  if (whole != null) return whole;
  const parts: string[] = [];
  for (let i = 0; ; i++) {
    const part = file.texts(group, `${attribute}${i}`, layer);
    if (part == null) return i === 0 ? null : parts;
    parts.push(...part);
  }
}

const join = (group: string, name: string) => (group === '/' ? `/${name}` : `${group}/${name}`);

function assertDistinct(names: string[], what: string, details: { layer?: string }): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) throw importError(`The file names the ${what} ${quote(name)} twice.`, details);
    seen.add(name);
  }
}
