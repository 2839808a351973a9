import { type KeyObject, sign, verify } from 'node:crypto';
import { type ReceiptKey, receiptKeyId } from './receipt-key';

/** Version of the format, which defines the meaning of the fields. */
export const RECEIPT_TYPE = 'likeness-erasure-receipt/1';

/** Result of a deletion. */
export interface Erasure {
  erased: 'gallery' | 'subject' | 'reference';
  galleryId: string;
  /** Subject as in the audit stream; `null` for a gallery. */
  subject: string | null;
  /** Format of `subject`: HMAC of gallery and subject id, or the id itself; `null` without a subject. */
  subjectFormat: 'hashed' | 'plain' | null;
  /** Erased reference; `null` for a subject or a gallery. */
  referenceId: string | null;
  /** Number of subjects erased, with all their data. */
  subjectCount: number;
  /** Number of references erased, including those of erased subjects. */
  referenceCount: number;
  /** Time of the erasure in the store: ISO 8601, UTC. */
  erasedAt: string;
  /** Id of the request, as in the audit stream. */
  requestId: string;
}

/** A signed confirmation of an erasure, without biometric data. */
export interface ErasureReceipt extends Erasure {
  type: typeof RECEIPT_TYPE;
  /** See {@link receiptKeyId}. */
  keyId: string;
  /** Ed25519 (RFC 8032) of the other fields in canonical JSON (RFC 8785), UTF-8; base64. */
  signature: string;
}

/** Sorted, as RFC 8785 requires. */
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
 * The problem of a receipt, as a clause; `null` if its signature is valid for the key.
 *
 * @param receipt - any JSON value.
 * @param publicKey - an Ed25519 key.
 */
export function receiptProblem(receipt: unknown, publicKey: KeyObject): string | null {
  if (typeof receipt !== 'object' || receipt == null) return 'it is not a receipt';
  const fields = receipt as Record<string, unknown>;
  if (fields.type !== RECEIPT_TYPE) return `its type is not ${RECEIPT_TYPE}`;
  // An unsigned field could have any content.
  const names = [...SIGNED_FIELDS, 'signature'].sort();
  const isWhole = JSON.stringify(Object.keys(fields).sort()) === JSON.stringify(names);
  const isFlat = Object.values(fields).every((value) => value === null || typeof value !== 'object');
  if (!isWhole || !isFlat) return 'a field is missing or was added';
  if (fields.keyId !== receiptKeyId(publicKey)) return 'it was signed with another key';
  const { signature } = fields;
  const isSigned =
    typeof signature === 'string' &&
    SIGNATURE.test(signature) &&
    verify(null, signedBytes(fields), publicKey, Buffer.from(signature, 'base64'));
  return isSigned ? null : 'it was changed: its signature is invalid';
}

/**
 * Canonical JSON (RFC 8785) of the fields. They are flat, and JSON.stringify formats strings, integers and null
 * canonically.
 */
function signedBytes(fields: object): Buffer {
  return Buffer.from(JSON.stringify(fields, SIGNED_FIELDS as string[]));
}
