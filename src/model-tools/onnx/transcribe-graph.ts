import { FaceError } from '../../errors';
import type { AttributeValue, OnnxGraph } from './onnx-builder';
import {
  ONNX_ATTRIBUTE_TYPE,
  ONNX_DATA_TYPE,
  type OnnxAttribute,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
} from '../../models/onnx/onnx-schema';

/**
 * Operations copied unchanged: they mean the same in the operator set of the sources (9) and in that of
 * {@link OnnxGraph} (17). Softmax is not among them: its axis changed.
 */
const COPIED_OPERATIONS: ReadonlySet<string> = new Set([
  'Add',
  'BatchNormalization',
  'Concat',
  'Conv',
  'GlobalAveragePool',
  'MatMul',
  'Mul',
  'Relu',
  'Sigmoid',
  'Transpose',
]);

/**
 * Copies parts of an ONNX file into another graph: a value and its dependencies only. PReLU is split, see
 * {@link OnnxGraph.prelu}.
 */
export class GraphTranscriber {
  private readonly producers = new Map<string, OnnxNode>();
  private readonly constants = new Map<string, OnnxTensor>();
  private readonly names = new Map<string, string>();

  /** @param inputs - values of the target graph in place of values of the source, by their names in the source. */
  constructor(
    private readonly target: OnnxGraph,
    { graph: source }: OnnxModel,
    inputs: Readonly<Record<string, string>>,
  ) {
    for (const tensor of source.initializer) this.constants.set(tensor.name, tensor);
    for (const node of source.node) {
      const value = node.attribute.find(({ name }) => name === 'value')?.t;
      if (node.opType === 'Constant' && value != null) this.constants.set(node.output[0], value);
      else for (const output of node.output) this.producers.set(output, node);
    }
    for (const [name, value] of Object.entries(inputs)) this.names.set(name, value);
  }

  /**
   * Operation of the source that produces a value.
   *
   * @throws {FaceError} MODEL_INVALID if there is none.
   */
  producer(name: string): OnnxNode {
    return this.producers.get(name) ?? this.fail(`no node outputs the value ${name}`);
  }

  /**
   * Writes a value of the source with its dependencies, each once.
   *
   * @returns the value of the target graph.
   * @throws {FaceError} MODEL_INVALID for an unsupported operation.
   */
  copy(name: string): string {
    const copied = this.names.get(name) ?? this.copyConstant(name) ?? this.copyNode(this.producer(name));
    this.names.set(name, copied);
    return copied;
  }

  /** Numbers of a float32 constant of the source. */
  floats(name: string): { dims: number[]; data: Float32Array } {
    const tensor = this.constants.get(name);
    if (tensor?.dataType !== ONNX_DATA_TYPE.float32) return this.fail(`${name} is not a float32 constant`);
    // A copy, because the bytes in the file may be unaligned.
    return { dims: tensor.dims, data: new Float32Array(Uint8Array.from(tensor.rawData).buffer) };
  }

  private copyConstant(name: string): string | undefined {
    if (!this.constants.has(name)) return undefined;
    const { dims, data } = this.floats(name);
    return this.target.constant('float32', dims, data, `weights/${name}`);
  }

  private copyNode({ opType, input, attribute }: OnnxNode): string {
    if (opType === 'PRelu') {
      const { dims, data } = this.floats(input[1]);
      return this.target.prelu(this.copy(input[0]), dims, data);
    }
    if (!COPIED_OPERATIONS.has(opType)) return this.fail(`the operation ${opType} is not supported`);
    const inputs = input.map((name) => this.copy(name));
    return this.target.node(opType, inputs, Object.fromEntries(attribute.map(readAttribute)));
  }

  private fail(problem: string): never {
    throw new FaceError('MODEL_INVALID', `The source of the model is not as expected: ${problem}.`);
  }
}

function readAttribute({ name, type, f, i, s, floats, ints }: OnnxAttribute): [string, AttributeValue] {
  switch (type) {
    case ONNX_ATTRIBUTE_TYPE.float:
      return [name, { float: f ?? 0 }];
    case ONNX_ATTRIBUTE_TYPE.int:
      return [name, { int: i ?? 0 }];
    case ONNX_ATTRIBUTE_TYPE.floats:
      return [name, { floats: floats ?? [] }];
    case ONNX_ATTRIBUTE_TYPE.ints:
      return [name, { ints: ints ?? [] }];
    default:
      return [name, { string: Buffer.from(s ?? []).toString() }];
  }
}
