import {
  encodeModel,
  encodeModelInPieces,
  ONNX_ATTRIBUTE_TYPE,
  ONNX_DATA_TYPE,
  type LazyOnnxTensor,
  type OnnxAttribute,
  type OnnxDataType,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
} from '../../models/onnx/onnx-schema';
import { flushTinyWeights } from '../../models/onnx/tiny-weights';

/** File format version of the written models: the one released with opset 17. */
const IR_VERSION = 8;

/** Version of the standard operators in the graphs. */
const OPSET_VERSION = 17;

/** Size of a dimension, or a name such as `'N'` for a size known only at run time. */
export type Dimension = number | string;

/**
 * Value of a node attribute, tagged with its ONNX type, because a JavaScript number does not distinguish int from
 * float.
 */
export type AttributeValue =
  { int: number } | { float: number } | { string: string } | { ints: number[] } | { floats: number[] };

/** Elements of a constant tensor; the view must match the declared data type. */
export type TensorData = Float32Array | Uint8Array | Int32Array | BigInt64Array;

/** A constant with elements created on writing: half a gigabyte of weights is never in memory at once. */
export type LazyTensorData = () => TensorData;

/** Window of a convolution or a pooling, height before width. */
export interface WindowOptions {
  strides?: [number, number];
  /** `'valid'`: no padding. `'same'`: as TensorFlow, output = ceil(input / stride), the odd row or column at the end. */
  padding?: 'valid' | 'same';
}

/** Weights and window of a convolution. */
export interface ConvOptions extends WindowOptions {
  /** Name of a float32 [C out, C in / groups, H, W] tensor. */
  kernel: string;
  /** Name of a float32 [C out] tensor. */
  bias?: string;
  groups?: number;
}

const BYTES_PER_ELEMENT: Record<OnnxDataType, number> = { float32: 4, uint8: 1, int32: 4, int64: 8 };

/**
 * Builds an ONNX graph, one operation at a time, and writes it as bytes.
 *
 * Every method that adds an operation returns the name of its result, the input of other methods. The same calls
 * produce the same bytes. Tensors are float32 NCHW unless a method says otherwise.
 *
 * @example
 * const graph = new OnnxGraph('double');
 * const x = graph.input('x', 'float32', ['N', 4]);
 * graph.output('y', graph.add(x, x), 'float32', ['N', 4]);
 * const bytes = graph.toBytes();
 */
export class OnnxGraph {
  private readonly nodes: OnnxNode[] = [];
  private readonly initializers: LazyOnnxTensor[] = [];
  private readonly inputs: OnnxValueInfo[] = [];
  private readonly outputs: OnnxValueInfo[] = [];
  private readonly names = new Set<string>();

  /**
   * @param name - name of the graph, shown by model viewers.
   * @param producerVersion - version of the tool that created the model, to distinguish files.
   */
  constructor(
    private readonly name: string,
    private readonly producerVersion = '0',
  ) {}

  /** Declares an input of the graph and returns its name. */
  input(name: string, dataType: OnnxDataType, shape: Dimension[]): string {
    this.inputs.push(valueInfo(this.claim(name), dataType, shape));
    return name;
  }

  /** Declares `value` as output `name` of the graph. */
  output(name: string, value: string, dataType: OnnxDataType, shape: Dimension[]): void {
    this.outputs.push(valueInfo(this.claim(name), dataType, shape));
    // The runtime removes it; without it, a value could not be an output and keep its own name.
    this.nodes.push({
      name: `output_${name}`,
      opType: 'Identity',
      input: [value],
      output: [name],
      attribute: [],
    });
  }

  /**
   * Adds a constant tensor and returns its name. Float32 values below 1e-20 are written as 0 (tiny-weights.ts says why).
   *
   * @param data - row-major elements, kept by reference: do not change them before the graph is written. Or a function
   * that creates them, called once per write.
   * @throws {Error} if the length of `data` does not match `dims` and `dataType`, or the name is taken.
   */
  constant(
    dataType: OnnxDataType,
    dims: number[],
    data: TensorData | LazyTensorData,
    name = this.nextName('constant'),
  ): string {
    const rawBytes = dims.reduce((product, size) => product * size, BYTES_PER_ELEMENT[dataType]);
    const toRaw = (elements: TensorData) => {
      if (elements.byteLength !== rawBytes) {
        throw new Error(
          `Expected ${rawBytes} bytes for ${dataType} [${dims.join(', ')}] but received ${elements.byteLength}`,
        );
      }
      const bytes = new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
      return dataType === 'float32' ? flushTinyWeights(bytes) : bytes;
    };
    const raw = typeof data === 'function' ? null : toRaw(data);
    const rawData = () => raw ?? toRaw((data as LazyTensorData)());
    this.initializers.push({
      name: this.claim(name),
      dims,
      dataType: ONNX_DATA_TYPE[dataType],
      rawBytes,
      rawData,
    });
    return name;
  }

  /** Adds a float32 constant of any shape (a scalar for empty `dims`). */
  floats(values: number[], dims: number[] = []): string {
    return this.constant('float32', dims, Float32Array.from(values));
  }

  /** Adds a one-dimensional int64 constant: axes, sizes, paddings. */
  ints(values: number[]): string {
    return this.constant('int64', [values.length], BigInt64Array.from(values, BigInt));
  }

  /** Adds any standard operation with one result and returns the name of the result. */
  node(opType: string, inputs: string[], attributes: Record<string, AttributeValue> = {}): string {
    const result = this.claim(this.nextName(opType.toLowerCase()));
    const attribute = Object.entries(attributes).map(([name, value]) => encodeAttribute(name, value));
    this.nodes.push({ name: result, opType, input: inputs, output: [result], attribute });
    return result;
  }

  /** Adds `a + b`, broadcast. */
  add(a: string, b: string): string {
    return this.node('Add', [a, b]);
  }

  /** Adds `a - b`, broadcast. */
  sub(a: string, b: string): string {
    return this.node('Sub', [a, b]);
  }

  /** Adds `a * b`, broadcast. */
  mul(a: string, b: string): string {
    return this.node('Mul', [a, b]);
  }

  /** Adds `a / b`, broadcast. */
  div(a: string, b: string): string {
    return this.node('Div', [a, b]);
  }

  /** Adds `max(x, 0)`. */
  relu(x: string): string {
    return this.node('Relu', [x]);
  }

  /**
   * Adds PReLU as `(1 - s) * relu(x) + s * x`, which the runtime computes several times faster than its own PReLU.
   *
   * @param dims - of the slopes, broadcast against `x`.
   */
  prelu(x: string, dims: number[], slopes: Float32Array): string {
    const scaled = this.mul(x, this.constant('float32', dims, slopes));
    const rest = slopes.map((slope) => 1 - slope);
    const restConstant = this.constant('float32', dims, rest);
    return this.add(this.mul(this.relu(x), restConstant), scaled);
  }

  /** Adds a two-dimensional convolution. */
  conv(x: string, { kernel, bias, groups = 1, ...window }: ConvOptions): string {
    const inputs = bias === undefined ? [x, kernel] : [x, kernel, bias];
    return this.node('Conv', inputs, { ...windowAttributes(window), group: { int: groups } });
  }

  /** Adds a maximum ("MaxPool") or a mean ("AveragePool") over a window of `size` rows and columns. */
  pool(
    kind: 'MaxPool' | 'AveragePool',
    x: string,
    size: [number, number],
    window: WindowOptions = {},
  ): string {
    return this.node(kind, [x], { kernel_shape: { ints: size }, ...windowAttributes(window) });
  }

  /** Adds a reordering of the dimensions: result dimension i is dimension `order[i]` of `x`. */
  transpose(x: string, order: number[]): string {
    return this.node('Transpose', [x], { perm: { ints: order } });
  }

  /** Adds a change of shape; in `shape`, 0 keeps a dimension and -1 takes the rest. */
  reshape(x: string, shape: number[]): string {
    return this.node('Reshape', [x, this.ints(shape)]);
  }

  /** Joins tensors along one dimension. */
  concat(values: string[], axis: number): string {
    return this.node('Concat', values, { axis: { int: axis } });
  }

  /** Takes elements `from` (inclusive) to `to` (exclusive) along one dimension. */
  slice(x: string, axis: number, from: number, to: number): string {
    return this.node('Slice', [x, this.ints([from]), this.ints([to]), this.ints([axis])]);
  }

  /** Appends zeros at the end of each dimension, as many as `after` says. */
  padEnd(x: string, after: number[]): string {
    return this.node('Pad', [x, this.ints([...after.map(() => 0), ...after])]);
  }

  /** Writes the graph as an ONNX model. The result is a view; its memory is not shared with the constants. */
  toBytes(): Buffer {
    const initializer = this.initializers.map(({ name, dims, dataType, rawData }) => ({
      name,
      dims,
      dataType,
      rawData: rawData(),
    }));
    return encodeModel(this.toModel(initializer));
  }

  /**
   * Writes the graph as an ONNX model, one constant at a time, with at most one in memory. The same model as
   * {@link toBytes} in other bytes: constants come last.
   */
  toPieces(): Generator<Uint8Array> {
    return encodeModelInPieces(this.toModel([]), this.initializers);
  }

  private toModel(initializer: OnnxTensor[]): OnnxModel {
    return {
      irVersion: IR_VERSION,
      producerName: 'likeness',
      producerVersion: this.producerVersion,
      opsetImport: [{ domain: '', version: OPSET_VERSION }],
      graph: {
        name: this.name,
        node: this.nodes,
        initializer,
        input: this.inputs,
        output: this.outputs,
      },
    };
  }

  private nextName(prefix: string): string {
    return `${prefix}_${this.nodes.length + this.initializers.length}`;
  }

  private claim(name: string): string {
    if (this.names.has(name)) throw new Error(`Expected a new name but "${name}" is already in the graph`);
    this.names.add(name);
    return name;
  }
}

function windowAttributes({
  strides = [1, 1],
  padding = 'valid',
}: WindowOptions): Record<string, AttributeValue> {
  return {
    strides: { ints: strides },
    auto_pad: { string: padding === 'same' ? 'SAME_UPPER' : 'VALID' },
  };
}

function encodeAttribute(name: string, value: AttributeValue): OnnxAttribute {
  if ('int' in value) return { name, type: ONNX_ATTRIBUTE_TYPE.int, i: value.int };
  if ('float' in value) return { name, type: ONNX_ATTRIBUTE_TYPE.float, f: value.float };
  if ('ints' in value) return { name, type: ONNX_ATTRIBUTE_TYPE.ints, ints: value.ints };
  if ('floats' in value) return { name, type: ONNX_ATTRIBUTE_TYPE.floats, floats: value.floats };
  return { name, type: ONNX_ATTRIBUTE_TYPE.string, s: Buffer.from(value.string) };
}

function valueInfo(name: string, dataType: OnnxDataType, shape: Dimension[]): OnnxValueInfo {
  const dim = shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: ONNX_DATA_TYPE[dataType], shape: { dim } } } };
}
