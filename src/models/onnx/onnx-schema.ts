import * as protobuf from 'protobufjs/light';

/**
 * The supported subset of ONNX messages, as a protobufjs descriptor.
 *
 * Field names are camel case, field numbers and types are those of `onnx/onnx.proto` (proto2).
 *
 * @see onnx/onnx@v1.14.0:onnx/onnx.proto. Differs: enumerations are plain int32 (same bytes), `dim_value` and
 * `dim_param` are not in a oneof (same bytes, and only one of them is ever set).
 */
const MESSAGES: Record<string, Record<string, [id: number, type: string, rule?: 'repeated']>> = {
  ModelProto: {
    irVersion: [1, 'int64'],
    producerName: [2, 'string'],
    producerVersion: [3, 'string'],
    graph: [7, 'GraphProto'],
    opsetImport: [8, 'OperatorSetIdProto', 'repeated'],
  },
  OperatorSetIdProto: { domain: [1, 'string'], version: [2, 'int64'] },
  GraphProto: {
    node: [1, 'NodeProto', 'repeated'],
    name: [2, 'string'],
    initializer: [5, 'TensorProto', 'repeated'],
    input: [11, 'ValueInfoProto', 'repeated'],
    output: [12, 'ValueInfoProto', 'repeated'],
  },
  NodeProto: {
    input: [1, 'string', 'repeated'],
    output: [2, 'string', 'repeated'],
    name: [3, 'string'],
    opType: [4, 'string'],
    attribute: [5, 'AttributeProto', 'repeated'],
  },
  AttributeProto: {
    name: [1, 'string'],
    f: [2, 'float'],
    i: [3, 'int64'],
    s: [4, 'bytes'],
    t: [5, 'TensorProto'],
    floats: [7, 'float', 'repeated'],
    ints: [8, 'int64', 'repeated'],
    type: [20, 'int32'],
  },
  TensorProto: {
    dims: [1, 'int64', 'repeated'],
    dataType: [2, 'int32'],
    name: [8, 'string'],
    rawData: [9, 'bytes'],
  },
  ValueInfoProto: { name: [1, 'string'], type: [2, 'TypeProto'] },
  TypeProto: { tensorType: [1, 'TensorTypeProto'] },
  TensorTypeProto: { elemType: [1, 'int32'], shape: [2, 'TensorShapeProto'] },
  TensorShapeProto: { dim: [1, 'DimensionProto', 'repeated'] },
  DimensionProto: { dimValue: [1, 'int64'], dimParam: [2, 'string'] },
};

/** Supported element types of ONNX tensors, with their number in `TensorProto.DataType`. */
export const ONNX_DATA_TYPE = { float32: 1, uint8: 2, int32: 6, int64: 7 } as const;

/** Name of a tensor element type. */
export type OnnxDataType = keyof typeof ONNX_DATA_TYPE;

/** Supported types of node attributes, with their number in `AttributeProto.AttributeType`. */
export const ONNX_ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, floats: 6, ints: 7 } as const;

/** One dimension of a declared shape: a size, or the name of a size known only at run time. */
interface OnnxDimension {
  dimValue?: number;
  dimParam?: string;
}

/** Name, element type and shape of a graph input or output. */
export interface OnnxValueInfo {
  name: string;
  type: { tensorType: { elemType: number; shape: { dim: OnnxDimension[] } } };
}

/** A constant tensor; `rawData` holds its elements, little-endian, row-major. */
export interface OnnxTensor {
  name: string;
  dims: number[];
  dataType: number;
  rawData: Uint8Array;
}

/** A constant tensor with elements created on writing: `rawBytes` bytes. */
export interface LazyOnnxTensor extends Omit<OnnxTensor, 'rawData'> {
  rawBytes: number;
  rawData: () => Uint8Array;
}

/** One attribute of a node; `type` determines the field with the value. */
export interface OnnxAttribute {
  name: string;
  type: number;
  f?: number;
  i?: number;
  s?: Uint8Array;
  t?: OnnxTensor;
  floats?: number[];
  ints?: number[];
}

/** One operation of a graph. */
export interface OnnxNode {
  name: string;
  opType: string;
  input: string[];
  output: string[];
  attribute: OnnxAttribute[];
}

/** A whole model, as written to and read from an ONNX file. */
export interface OnnxModel {
  irVersion: number;
  producerName: string;
  producerVersion: string;
  opsetImport: { domain: string; version: number }[];
  graph: {
    name: string;
    node: OnnxNode[];
    initializer: OnnxTensor[];
    input: OnnxValueInfo[];
    output: OnnxValueInfo[];
  };
}

const messages = protobuf.Root.fromJSON({
  nested: Object.fromEntries(
    Object.entries(MESSAGES).map(([name, fields]) => [
      name,
      {
        // Without it, protobufjs reads descriptors as proto3 and drops attributes with the value 0.
        edition: 'proto2',
        fields: Object.fromEntries(
          Object.entries(fields).map(([field, [id, type, rule]]) => [field, { id, type, rule }]),
        ),
      },
    ]),
  ),
});
const modelType = messages.lookupType('ModelProto');
const graphType = messages.lookupType('GraphProto');
const tensorType = messages.lookupType('TensorProto');
const nodeType = messages.lookupType('NodeProto');

/** Writes a model as ONNX bytes. */
export function encodeModel(model: OnnxModel): Buffer {
  const { node, initializer } = model.graph;
  const dataBytes = initializer.reduce((sum, tensor) => sum + tensor.rawData.length, 0);
  const headerBytes = 1024 + 256 * (initializer.length + node.length);
  const written = modelType.encode(model, createWriter(dataBytes + headerBytes)).finish(true);
  return Buffer.from(written.buffer, written.byteOffset, written.byteLength);
}

/** Writes one operation: the content of a `GraphProto.node` field. */
export function encodeNode(node: OnnxNode): Uint8Array {
  return nodeType.encode(node).finish();
}

/** Writes one constant: the content of a `GraphProto.initializer` field. */
export function encodeTensor(tensor: OnnxTensor): Uint8Array {
  return tensorType.encode(tensor).finish();
}

/** Tag of a length-delimited protobuf field. */
const lengthDelimited = (field: number) => (field << 3) | 2;
const GRAPH_FIELD = lengthDelimited(MESSAGES.ModelProto.graph[0]);
const INITIALIZER_FIELD = lengthDelimited(MESSAGES.GraphProto.initializer[0]);
const RAW_DATA_FIELD = lengthDelimited(MESSAGES.TensorProto.rawData[0]);

/**
 * Writes a model as ONNX bytes, in chunks.
 *
 * @param model - the model without its constants.
 * @param initializers - the constants; `rawData` is called when the constant is written, and returns `rawBytes` bytes.
 */
export function* encodeModelInPieces(
  model: OnnxModel,
  initializers: readonly LazyOnnxTensor[],
): Generator<Uint8Array> {
  const { graph, ...rest } = model;
  const graphStart = graphType.encode({ ...graph, initializer: [] }).finish();
  const heads = initializers.map(({ name, dims, dataType, rawBytes }) => {
    const start = tensorType.encode({ name, dims, dataType }).finish();
    const rawStart = protobuf.Writer.create().uint32(RAW_DATA_FIELD).uint32(rawBytes).finish();
    const tensorBytes = start.length + rawStart.length + rawBytes;
    const head = protobuf.Writer.create().uint32(INITIALIZER_FIELD).uint32(tensorBytes).finish();
    return Buffer.concat([head, start, rawStart]);
  });
  const graphBytes = initializers.reduce(
    (sum, { rawBytes }, i) => sum + heads[i].length + rawBytes,
    graphStart.length,
  );
  yield modelType.encode(rest).finish();
  yield protobuf.Writer.create().uint32(GRAPH_FIELD).uint32(graphBytes).finish();
  yield graphStart;
  for (const [i, { rawData }] of initializers.entries()) {
    yield heads[i];
    yield rawData();
  }
}

/**
 * Creates a writer with an initial buffer of the given size.
 *
 * Writers double a full buffer, which would hold a model of half a gigabyte in memory three times; the initial size can
 * only be set for all writers.
 */
function createWriter(bufferSize: number): protobuf.Writer {
  const usualSize = protobuf.Writer.initialBufferSize;
  try {
    protobuf.Writer.initialBufferSize = bufferSize;
    return protobuf.Writer.create();
  } finally {
    protobuf.Writer.initialBufferSize = usualSize;
  }
}

/**
 * Reads ONNX bytes; fields outside the subset are ignored.
 *
 * @throws {Error} if `bytes` are not a protobuf message.
 */
export function decodeModel(bytes: Uint8Array): OnnxModel {
  const message = modelType.decode(bytes);
  return modelType.toObject(message, { longs: Number, arrays: true }) as OnnxModel;
}
