import { type KeyObject, sign, verify } from 'node:crypto';
import { type ReceiptKey, receiptKeyId } from './receipt-key';

/** Version of the format; another one would change what the fields mean. */
export const RECEIPT_TYPE = 'likeness-erasure-receipt/1';

/** What one deletion has erased. */
export interface Erasure {
  erased: 'gallery' | 'subject' | 'reference';
  galleryId: string;
  /** The person as the audit stream names it; `null` where a gallery was erased. */
  subject: string | null;
  /** How `subject` is written: HMAC of gallery and subject id, or the id itself. `null` where there is none. */
  subjectFormat: 'hashed' | 'plain' | null;
  /** `null` where more than one reference was erased. */
  referenceId: string | null;
  /** Subjects that were erased, with all that was held about them. */
  subjectCount: number;
  /** References that were erased, those of the subjects included. */
  referenceCount: number;
  /** When the store had erased it: ISO 8601, UTC. */
  erasedAt: string;
  /** Of the request; the line of the deletion in the audit stream has the same. */
  requestId: string;
}

/** A signed statement that something was erased. Holds no biometric data. */
export interface ErasureReceipt extends Erasure {
  type: typeof RECEIPT_TYPE;
  /** See {@link receiptKeyId}. */
  keyId: string;
  /** Ed25519 (RFC 8032) of the other fields in canonical JSON (RFC 8785), UTF-8; base64. */
  signature: string;
}

/** Sorted: RFC 8785 sorts the names of fields. */
const SIGNED_FIELDS: readonly (keyof ErasureReceipt)[] = [
  'erased',
  'erasedAt',
  'galleryId',
  'keyId',
  'referenceCount',
  'referenceId',
  'requestId',
  'subject',
  'subjectCount',
  'subjectFormat',
  'type',
];
/** Characters of 64 bytes in base64. */
const SIGNATURE = /^[A-Za-z0-9+/]{86}==$/;

export function signReceipt(erasure: Erasure, { id, privateKey }: ReceiptKey): ErasureReceipt {
  const unsigned = { type: RECEIPT_TYPE, ...erasure, keyId: id } as const;
  const signature = sign(null, signedBytes(unsigned), privateKey).toString('base64');
  return { ...unsigned, signature };
}

/**
 * Says what is wrong with a receipt, as a clause; `null` where its signature is that of the key.
 *
 * @param receipt - any JSON value.
 * @param publicKey - an Ed25519 key.
 */
export function receiptProblem(receipt: unknown, publicKey: KeyObject): string | null {
  if (typeof receipt !== 'object' || receipt == null) return 'it is not a receipt';
  const fields = receipt as Record<string, unknown>;
  if (fields.type !== RECEIPT_TYPE) return `its type is not ${RECEIPT_TYPE}`;
  // A field that is not signed could say anything.
  const names = [...SIGNED_FIELDS, 'signature'].sort();
  const isWhole = JSON.stringify(Object.keys(fields).sort()) === JSON.stringify(names);
  const isFlat = Object.values(fields).every((value) => value === null || typeof value !== 'object');
  if (!isWhole || !isFlat) return 'a field is missing, or was added';
  if (fields.keyId !== receiptKeyId(publicKey)) return 'it was signed with another key';
  const { signature } = fields;
  const isSigned =
    typeof signature === 'string' &&
    SIGNATURE.test(signature) &&
    verify(null, signedBytes(fields), publicKey, Buffer.from(signature, 'base64'));
  return isSigned ? null : 'it was changed: its signature does not hold';
}

/** RFC 8785 of the fields; they are flat, and JSON.stringify writes texts, integers and null as it asks for. */
function signedBytes(fields: object): Buffer {
  return Buffer.from(JSON.stringify(fields, SIGNED_FIELDS as string[]));
}
