import type { OnnxGraph } from '../onnx/onnx-builder';
import { importError } from './import-error';
import { quote } from './hdf5-file';
import type { KerasLayer, KerasTensor } from './keras-weights';

/** Reads a tensor of the file; `place` maps each element to its index in the result. */
export type ReadTensor = (
  layer: string,
  tensor: KerasTensor,
  place?: (index: number) => number,
) => Float32Array;

/** Size of a dimension; `null` if open. */
export type Size = number | null;

/** Result of a layer. */
export interface KerasValue {
  readonly layer: LayerRecord;
  /** Without the batch: rows, columns, channels; or the length of a vector. */
  readonly shape: readonly Size[];
}

/** Declaration of a tensor of a layer, in the order of Keras. */
interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Names of the weights in the graph, by the name of the tensor. */
type Weights = Readonly<Record<string, string>>;

/** Adds the operations of a layer to the graph; images are NCHW there. */
type Emit = (graph: OnnxGraph, inputs: string[], weights: Weights) => string;

interface LayerRecord {
  readonly name: string;
  readonly inputs: readonly KerasValue[];
  readonly tensors: readonly TensorSpec[];
  readonly emit: Emit;
}

export interface LayerOptions {
  /** Name of the layer in Keras. @defaultValue a number, as in generated names of Keras */
  name?: string;
}

export interface WindowOptions extends LayerOptions {
  /** @defaultValue 1 */
  strides?: number;
  /** `'same'`: as TensorFlow, output = ceil(input / stride), the odd row or column at the end. @defaultValue 'valid' */
  padding?: 'valid' | 'same';
}

export interface ConvOptions extends WindowOptions {
  /** @defaultValue true */
  bias?: boolean;
  activation?: Activation;
}

/** Activations by their names in Keras. */
export type Activation = 'relu' | 'sigmoid' | 'tanh' | 'softmax';

/** Default epsilon of a batch norm. @see keras-team/keras@v2.15.0:keras/layers/normalization/batch_normalization.py */
const BATCH_NORM_EPSILON = 1e-3;

/**
 * A network in the notation of Keras: layers on values of shape [rows, columns, channels] (NHWC).
 *
 * Every method except the outputs adds one layer of Keras, even without weights, because layers of a file may be
 * identified by the order of all layers. Nothing is written before {@link write}; layers that no output needs are
 * matched with the file but omitted from the graph.
 *
 * @example
 * const net = new KerasNetwork();
 * const image = net.input([224, 224, 3]);
 * const x = net.flatten(net.conv(image, 8, 3, { activation: 'relu' }));
 * net.output('embedding', net.dense(x, 128), [128]);
 */
export class KerasNetwork {
  private readonly outputs: { name: string; value: KerasValue; dims: readonly Size[]; isNchw: boolean }[] =
    [];
  private modelOutputs: readonly KerasValue[] | null = null;
  private inputs: KerasValue[] = [];
  private layerCount = 0;

  /** The input: float32 [rows, columns, channels], named `image` in the graph, NCHW there. */
  input(shape: readonly Size[]): KerasValue {
    const value = this.custom([], shape, () => 'image');
    this.inputs.push(value);
    return value;
  }

  /**
   * Any other layer, by its operations.
   *
   * @param shape - of the result, without batch.
   * @param emit - adds operations and returns the name of the result. Images are NCHW in the graph.
   */
  custom(
    inputs: readonly KerasValue[],
    shape: readonly Size[],
    emit: Emit,
    { name, tensors = [] }: LayerOptions & { tensors?: readonly TensorSpec[] } = {},
  ): KerasValue {
    const layer = { name: name ?? `layer ${this.layerCount}`, inputs, tensors, emit };
    this.layerCount++;
    return { layer, shape };
  }

  /** Conv2D with a square kernel, or one of [rows, columns]. */
  conv(
    x: KerasValue,
    filters: number,
    size: number | readonly [number, number],
    options: ConvOptions = {},
  ): KerasValue {
    const [rows, columns] = typeof size === 'number' ? [size, size] : size;
    const kernel = { name: 'kernel', shape: [rows, columns, channelsOf(x), filters] };
    return this.convolve(x, filters, kernel, 1, options);
  }

  /** DepthwiseConv2D with a square kernel, one filter for each channel. */
  depthwiseConv(x: KerasValue, size: number, options: ConvOptions = {}): KerasValue {
    const channels = channelsOf(x);
    const kernel = { name: 'depthwise_kernel', shape: [size, size, channels, 1] };
    return this.convolve(x, channels, kernel, channels, options);
  }

  /** @param kernel - rows and columns first. */
  private convolve(
    x: KerasValue,
    filters: number,
    kernel: TensorSpec,
    groups: number,
    { name, strides = 1, padding = 'valid', bias = true, activation }: ConvOptions,
  ): KerasValue {
    const [rows, columns] = kernel.shape;
    return this.custom(
      [x],
      [...windowed(x, [rows, columns], strides, padding), filters],
      (graph, [input], weights) =>
        activate(
          graph,
          graph.conv(input, {
            kernel: weights[kernel.name],
            bias: bias ? weights.bias : undefined,
            strides: [strides, strides],
            padding,
            groups,
          }),
          activation,
        ),
      { name, tensors: bias ? [kernel, { name: 'bias', shape: [filters] }] : [kernel] },
    );
  }

  /** Dense, on a vector. */
  dense(
    x: KerasValue,
    units: number,
    { name, bias = true, activation }: LayerOptions & { bias?: boolean; activation?: Activation } = {},
  ): KerasValue {
    const kernel = { name: 'kernel', shape: [channelsOf(x), units] };
    return this.custom(
      [x],
      [units],
      (graph, [input], weights) =>
        activate(
          graph,
          graph.node('Gemm', bias ? [input, weights.kernel, weights.bias] : [input, weights.kernel]),
          activation,
        ),
      { name, tensors: bias ? [kernel, { name: 'bias', shape: [units] }] : [kernel] },
    );
  }

  /**
   * BatchNormalization over the channels.
   *
   * @param scale - false if the layer has no gamma.
   * @param center - false if it has no beta.
   */
  batchNorm(
    x: KerasValue,
    {
      name,
      epsilon = BATCH_NORM_EPSILON,
      scale = true,
      center = true,
    }: LayerOptions & { epsilon?: number; scale?: boolean; center?: boolean } = {},
  ): KerasValue {
    const channels = channelsOf(x);
    const tensors = [
      ...(scale ? ['gamma'] : []),
      ...(center ? ['beta'] : []),
      'moving_mean',
      'moving_variance',
    ].map((tensor) => ({ name: tensor, shape: [channels] }));
    return this.custom(
      [x],
      x.shape,
      (graph, [input], weights) => {
        const constant = (value: number) => graph.floats(Array<number>(channels).fill(value), [channels]);
        return graph.node(
          'BatchNormalization',
          [
            input,
            scale ? weights.gamma : constant(1),
            center ? weights.beta : constant(0),
            weights.moving_mean,
            weights.moving_variance,
          ],
          { epsilon: { float: epsilon } },
        );
      },
      { name, tensors },
    );
  }

  /** PReLU; one slope for each channel with `sharedAxes`, otherwise one for each element. */
  prelu(
    x: KerasValue,
    { name, sharedAxes = true }: LayerOptions & { sharedAxes?: boolean } = {},
  ): KerasValue {
    const shape = sharedAxes ? x.shape.map((size, axis) => (axis < x.shape.length - 1 ? 1 : size)) : x.shape;
    return this.custom([x], x.shape, (graph, [input], { alpha }) => graph.node('PRelu', [input, alpha]), {
      name,
      tensors: [{ name: 'alpha', shape: shape as number[] }],
    });
  }

  /** Activation, ReLU or Softmax as a separate layer. */
  activation(x: KerasValue, kind: Activation, { name }: LayerOptions = {}): KerasValue {
    return this.custom([x], x.shape, (graph, [input]) => activate(graph, input, kind), { name });
  }

  /** ReLU. */
  relu(x: KerasValue, options?: LayerOptions): KerasValue {
    return this.activation(x, 'relu', options);
  }

  /** Dropout: nothing at inference. */
  dropout(x: KerasValue, { name }: LayerOptions = {}): KerasValue {
    return this.custom([x], x.shape, (_graph, [input]) => input, { name });
  }

  /** ZeroPadding2D: rows and columns of zeros before and after, or [[top, bottom], [left, right]]. */
  zeroPad(
    x: KerasValue,
    padding: number | readonly [readonly [number, number], readonly [number, number]],
    { name }: LayerOptions = {},
  ): KerasValue {
    const [[top, bottom], [left, right]] =
      typeof padding === 'number'
        ? [
            [padding, padding],
            [padding, padding],
          ]
        : padding;
    const [rows, columns, channels] = x.shape;
    return this.custom(
      [x],
      [plus(rows, top + bottom), plus(columns, left + right), channels],
      (graph, [input]) => graph.node('Pad', [input, graph.ints([0, 0, top, left, 0, 0, bottom, right])]),
      { name },
    );
  }

  /** MaxPooling2D. @param strides - default: the size. */
  maxPool(x: KerasValue, size: number, options: WindowOptions = {}): KerasValue {
    return this.pool('MaxPool', x, size, options);
  }

  /** AveragePooling2D; padding does not count, as in TensorFlow. @param strides - default: the size. */
  averagePool(x: KerasValue, size: number, options: WindowOptions = {}): KerasValue {
    return this.pool('AveragePool', x, size, options);
  }

  private pool(
    kind: 'MaxPool' | 'AveragePool',
    x: KerasValue,
    size: number,
    { name, strides = size, padding = 'valid' }: WindowOptions,
  ): KerasValue {
    return this.custom(
      [x],
      [...windowed(x, [size, size], strides, padding), channelsOf(x)],
      (graph, [input]) => graph.pool(kind, input, [size, size], { strides: [strides, strides], padding }),
      { name },
    );
  }

  /** GlobalAveragePooling2D: a vector of the mean of each channel. */
  globalAveragePool(x: KerasValue, { name }: LayerOptions = {}): KerasValue {
    return this.custom(
      [x],
      [channelsOf(x)],
      (graph, [input]) =>
        graph.node('Flatten', [graph.node('GlobalAveragePool', [input])], { axis: { int: 1 } }),
      { name },
    );
  }

  /** UpSampling2D by a whole number, nearest. */
  upsample(x: KerasValue, factor: number, { name }: LayerOptions = {}): KerasValue {
    const [rows, columns, channels] = x.shape;
    return this.custom(
      [x],
      [rows == null ? null : rows * factor, columns == null ? null : columns * factor, channels],
      (graph, [input]) =>
        graph.node('Resize', [input, '', graph.floats([1, 1, factor, factor], [4])], {
          mode: { string: 'nearest' },
          coordinate_transformation_mode: { string: 'asymmetric' },
          nearest_mode: { string: 'floor' },
        }),
      { name },
    );
  }

  /** Add. */
  add(values: readonly KerasValue[], { name }: LayerOptions = {}): KerasValue {
    return this.custom(
      values,
      values[0].shape,
      (graph, inputs) => inputs.reduce((sum, input) => graph.add(sum, input)),
      { name },
    );
  }

  /** Concatenate along the channels. */
  concat(values: readonly KerasValue[], { name }: LayerOptions = {}): KerasValue {
    const channels = values.reduce((sum, value) => sum + channelsOf(value), 0);
    return this.custom(
      values,
      [...values[0].shape.slice(0, -1), channels],
      (graph, inputs) => graph.concat(inputs, 1),
      { name },
    );
  }

  /** Flatten, in the order rows, columns, channels. */
  flatten(x: KerasValue, { name }: LayerOptions = {}): KerasValue {
    const length = x.shape.reduce<number>((product, size) => product * (size as number), 1);
    const isPixel = x.shape.slice(0, -1).every((size) => size === 1);
    return this.custom(
      [x],
      [length],
      (graph, [input]) => {
        const ordered = x.shape.length === 1 || isPixel ? input : graph.transpose(input, [0, 2, 3, 1]);
        return graph.node('Flatten', [ordered], { axis: { int: 1 } });
      },
      { name },
    );
  }

  /**
   * Scales vectors to length 1: x / (|x| + 1e-10), as `l2_normalize` of DeepFace.
   *
   * @see serengil/deepface@243209f:deepface/modules/verification.py
   */
  l2Normalize(x: KerasValue, { name }: LayerOptions = {}): KerasValue {
    return this.custom(
      [x],
      x.shape,
      (graph, [input]) => {
        const norm = graph.node('ReduceL2', [input], { axes: { ints: [1] }, keepdims: { int: 1 } });
        return graph.div(input, graph.add(norm, graph.floats([1e-10])));
      },
      { name },
    );
  }

  /** Outputs of the model in Keras, if they differ from those of the graph. They determine the order of its layers. */
  kerasOutputs(values: readonly KerasValue[]): void {
    this.modelOutputs = values;
  }

  /**
   * Declares an output of the graph; images are returned NHWC.
   *
   * @param name - in the graph, and on the card.
   */
  output(name: string, value: KerasValue): void {
    this.outputs.push({ name, value, dims: value.shape, isNchw: value.shape.length === 3 });
  }

  /** Layers with weights, in their order in a file of Keras. */
  weightedLayers(): LayerRecord[] {
    const ends = this.modelOutputs ?? this.outputs.map(({ value }) => value);
    return kerasOrder(ends.map(({ layer }) => layer)).filter(({ tensors }) => tensors.length > 0);
  }

  /**
   * Writes the graph.
   *
   * @param file - layers of the file, matched by {@link matchLayers}.
   * @param read - reads a tensor when it is written.
   * @returns total bytes to read.
   */
  write(graph: OnnxGraph, file: ReadonlyMap<LayerRecord, KerasLayer>, read: ReadTensor): number {
    let bytes = 0;
    for (const { shape } of this.inputs) {
      const [rows, columns, channels] = shape;
      graph.input('image', 'float32', ['N', channels as number, rows ?? 'H', columns ?? 'W']);
    }
    const results = new Map<LayerRecord, string>();
    for (const layer of inOrder(this.outputs.map(({ value }) => value.layer))) {
      const inputs = layer.inputs.map((input) => results.get(input.layer) as string);
      const saved = file.get(layer);
      const weights = layer.tensors.map(({ name, shape }, i): [string, string] => {
        const { layout, dims, place } = toOnnxLayout(name, shape);
        bytes += dims.reduce((product, size) => product * size, Float32Array.BYTES_PER_ELEMENT);
        const { name: layerName, tensors } = saved as KerasLayer;
        const lazy = () => read(layerName, tensors[i], layout === 'same' ? undefined : place);
        return [name, graph.constant('float32', dims, lazy, `${layer.name}/${name}`)];
      });
      results.set(layer, layer.emit(graph, inputs, Object.fromEntries(weights)));
    }
    for (const { name, value, dims, isNchw } of this.outputs) {
      const result = results.get(value.layer) as string;
      const open = (size: Size, axis: number) => size ?? `${name}_${axis}`;
      graph.output(name, isNchw ? graph.transpose(result, [0, 2, 3, 1]) : result, 'float32', [
        'N',
        ...dims.map(open),
      ]);
    }
    return bytes;
  }
}

/**
 * Finds the layer of the file for each layer of the network: by name if both have the same names, otherwise by order,
 * as Keras does.
 *
 * @throws {FaceError} MODEL_IMPORT_FAILED if layers are missing, too many or of other shapes.
 */
export function matchLayers(
  network: readonly LayerRecord[],
  file: readonly KerasLayer[],
): Map<LayerRecord, KerasLayer> {
  const byName = new Map(file.map((layer) => [layer.name, layer]));
  const missing = network.filter(({ name }) => !byName.has(name));
  if (network.length !== file.length) {
    const wanted = new Set(network.map(({ name }) => name));
    const extra = file.filter(({ name }) => !wanted.has(name));
    // If hardly any name matches, Keras generated the names, and a list of them is useless.
    const isNamed = missing.length < network.length / 2;
    const misfits = isNamed ? [...missing, ...extra] : [firstMisfit(network, file)];
    const names = misfits.slice(0, 5).map(({ name }) => quote(name));
    throw importError(
      `Expected ${network.length} layers with weights but the file has ${file.length}. ` +
        `${isNamed ? 'Missing or not in this architecture' : 'First mismatches'}: ${names.join(', ')}.`,
      { layer: misfits[0].name },
    );
  }
  const matched = new Map<LayerRecord, KerasLayer>();
  network.forEach((layer, i) => {
    const found = missing.length === 0 ? (byName.get(layer.name) as KerasLayer) : file[i];
    assertShapes(layer, found);
    matched.set(layer, found);
  });
  return matched;
}

/** The first layer, in order, without a counterpart; the numbers of layers differ. */
function firstMisfit(network: readonly LayerRecord[], file: readonly KerasLayer[]): { name: string } {
  const at = file.findIndex((layer, i) => i >= network.length || shapesOf(network[i]) !== shapesOf(layer));
  return at < 0 ? network[file.length] : file[at];
}

function assertShapes(wanted: LayerRecord, found: KerasLayer): void {
  if (shapesOf(wanted) === shapesOf(found)) return;
  const { name, tensors } = found;
  const received = tensors.length > 8 ? `${tensors.length} tensors` : shapesOf(found);
  throw importError(`Expected weights ${shapesOf(wanted)} for layer ${quote(name)} but it has ${received}.`, {
    layer: name,
  });
}

function shapesOf({ tensors }: { tensors: readonly { shape: readonly number[] }[] }): string {
  return tensors.map(({ shape }) => `[${shape.join(', ')}]`).join(', ');
}

/** Converts the layout of a tensor from Keras to ONNX. */
function toOnnxLayout(
  name: string,
  shape: readonly number[],
): { layout: 'same' | 'moved'; dims: number[]; place: (index: number) => number } {
  const same = { layout: 'same' as const, dims: [...shape], place: (index: number) => index };
  if (name === 'alpha' && shape.length === 3) {
    // [H, W, C] -> [C, H, W].
    const [rows, columns, channels] = shape;
    const area = rows * columns;
    const place = (i: number) => (i % channels) * area + Math.floor(i / channels);
    return { layout: area === 1 ? 'same' : 'moved', dims: [channels, rows, columns], place };
  }
  if (shape.length !== 4) return same;
  // A depthwise kernel [H, W, C, 1] has one input channel and C outputs: the same memory as [H, W, 1, C].
  const [rows, columns, inputs, outputs] =
    name === 'depthwise_kernel' ? [shape[0], shape[1], 1, shape[2] * shape[3]] : shape;
  const area = rows * columns;
  const perPixel = inputs * outputs;
  const place = (i: number) => {
    const pixel = Math.floor(i / perPixel);
    const rest = i - pixel * perPixel;
    const input = Math.floor(rest / outputs);
    return ((rest - input * outputs) * inputs + input) * area + pixel;
  };
  return { layout: 'moved', dims: [outputs, inputs, rows, columns], place };
}

/** Channels of an image, or the length of a vector. */
function channelsOf({ shape }: KerasValue): number {
  return shape.at(-1) as number;
}

function plus(size: Size, more: number): Size {
  return size == null ? null : size + more;
}

/** Rows and columns of the output of a window over an image. */
function windowed(
  { shape }: KerasValue,
  window: readonly [number, number],
  strides: number,
  padding: 'valid' | 'same',
): Size[] {
  return window.map((length, axis) => {
    const size = shape[axis];
    if (size == null) return null;
    return Math.ceil((padding === 'same' ? size : size - length + 1) / strides);
  });
}

/** Channels of images and elements of vectors are both axis 1 in the graph. */
function activate(graph: OnnxGraph, x: string, kind: Activation | undefined): string {
  if (kind == null) return x;
  if (kind === 'softmax') return graph.node('Softmax', [x], { axis: { int: 1 } });
  return graph.node({ relu: 'Relu', sigmoid: 'Sigmoid', tanh: 'Tanh' }[kind], [x]);
}

/** Dependencies of `ends`, each after its own dependencies. */
function inOrder(ends: readonly LayerRecord[]): LayerRecord[] {
  const ordered = new Set<LayerRecord>();
  const visit = (layer: LayerRecord) => {
    if (ordered.has(layer)) return;
    layer.inputs.forEach((input) => visit(input.layer));
    ordered.add(layer);
  };
  ends.forEach(visit);
  return [...ordered];
}

/**
 * Orders layers as in files of Keras: by descending depth, the longest path to an output; layers of one depth by their
 * first visit on a walk from the outputs back to the input.
 *
 * @see keras-team/keras@v2.15.0:keras/engine/functional.py, `_map_graph_network`
 */
function kerasOrder(ends: readonly LayerRecord[]): LayerRecord[] {
  const met = new Map<LayerRecord, number>();
  const meet = (layer: LayerRecord) => {
    if (met.has(layer)) return;
    met.set(layer, met.size);
    layer.inputs.forEach((input) => meet(input.layer));
  };
  ends.forEach(meet);
  const depths = new Map<LayerRecord, number>();
  for (const layer of inOrder(ends).reverse()) {
    const depth = depths.get(layer) ?? 0;
    depths.set(layer, depth);
    for (const { layer: input } of layer.inputs) {
      depths.set(input, Math.max(depth + 1, depths.get(input) ?? 0));
    }
  }
  const rank = (map: Map<LayerRecord, number>, layer: LayerRecord) => map.get(layer) as number;
  return [...met.keys()].sort((a, b) => rank(depths, b) - rank(depths, a) || rank(met, a) - rank(met, b));
}
