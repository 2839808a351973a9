import * as protobuf from 'protobufjs/light';

/** Wire type of strings, bytes, messages and packed numbers: a length and that many bytes. */
export const LENGTH_DELIMITED = 2;
/** Wire type of a single float32. */
export const FIXED_32 = 5;

/** One field of a protobuf message, as views of its bytes. */
export interface ProtobufField {
  id: number;
  wireType: number;
  /** Offset in the message, at the tag. */
  start: number;
  /** Offset after the last byte. */
  end: number;
  /** The bytes after the tag and, if present, the length. */
  content: Uint8Array;
}

/**
 * Iterates over the fields of a message without decoding their content.
 *
 * @throws {Error} if the bytes are not a message or are truncated.
 */
export function* fieldsOf(message: Uint8Array): Generator<ProtobufField> {
  const reader = protobuf.Reader.create(message);
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const tag = reader.uint32();
    const [id, wireType] = [tag >>> 3, tag & 7];
    if (id === 0) throw new Error(`Expected a field at offset ${start} but received number 0.`);
    let contentStart = reader.pos;
    if (wireType === LENGTH_DELIMITED) {
      const length = reader.uint32();
      contentStart = reader.pos;
      reader.skip(length);
    } else {
      reader.skipType(wireType);
    }
    yield { id, wireType, start, end: reader.pos, content: message.subarray(contentStart, reader.pos) };
  }
}

/**
 * Replaces some fields of a message; all others keep their bytes.
 *
 * @param change - returns the replacement of a field in chunks, tag included; `null` keeps the field.
 * @returns the message in chunks, with views of unchanged parts; `null` if no field was replaced.
 * @throws {Error} as {@link fieldsOf}.
 */
export function replaceFields(
  message: Uint8Array,
  change: (field: ProtobufField) => Uint8Array[] | null,
): Uint8Array[] | null {
  const pieces: Uint8Array[] = [];
  let copied = 0;
  for (const field of fieldsOf(message)) {
    const replacement = change(field);
    if (replacement == null) continue;
    pieces.push(message.subarray(copied, field.start), ...replacement);
    copied = field.end;
  }
  return copied === 0 ? null : [...pieces, message.subarray(copied)];
}

/** Prepends tag and length to the content of a length-delimited field. */
export function lengthDelimited(id: number, content: Uint8Array[]): Uint8Array[] {
  const length = content.reduce((total, piece) => total + piece.length, 0);
  const head = protobuf.Writer.create()
    .uint32((id << 3) | LENGTH_DELIMITED)
    .uint32(length);
  return [head.finish(), ...content];
}

/** Reads the content of a varint field: an enumeration, or a small integer that is not negative. */
export function readVarint(content: Uint8Array): number {
  return protobuf.Reader.create(content).uint32();
}

/** Reads the content of a string field. */
export function readString(content: Uint8Array): string {
  return Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('utf8');
}
