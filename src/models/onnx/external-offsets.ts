import { fieldsOf, LENGTH_DELIMITED, readString } from './protobuf-fields';

/** Field numbers of onnx.proto: ModelProto, GraphProto, TensorProto and StringStringEntryProto. */
const GRAPH = 7;
const INITIALIZER = 5;
const EXTERNAL_DATA = 13;
const ENTRY = { key: 1, value: 2 } as const;

/**
 * Reads where the weights of a graph begin in the file that holds them.
 *
 * @param bytes - an ONNX file.
 * @returns byte offset of each initializer in a separate file.
 * @throws {Error} if the bytes are not a protobuf message or are truncated.
 */
export function externalOffsets(bytes: Uint8Array): number[] {
  const entries = childrenOf(bytes, GRAPH)
    .flatMap((graph) => childrenOf(graph, INITIALIZER))
    .flatMap((tensor) => childrenOf(tensor, EXTERNAL_DATA));
  return entries
    .map((entry) => [ENTRY.key, ENTRY.value].map((id) => childrenOf(entry, id).map(readString).join('')))
    .filter(([key]) => key === 'offset')
    .map(([, value]) => Number(value));
}

function childrenOf(message: Uint8Array, field: number): Uint8Array[] {
  return [...fieldsOf(message)]
    .filter(({ id, wireType }) => id === field && wireType === LENGTH_DELIMITED)
    .map(({ content }) => content);
}
