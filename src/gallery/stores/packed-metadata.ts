import type { Metadata } from '../gallery.types';

/** Fields added after the first format of the stores; fields that are `null` are not written. */
export type LaterFields = Readonly<Record<string, string | number | null>>;

/**
 * Packs metadata and later fields into one JSON value: the metadata alone if all later fields are `null`, so that records of
 * older versions need no special case. An array is unambiguous, as metadata is never one.
 */
export function packMetadata<T>(metadata: T, later: LaterFields): T | [T, LaterFields] {
  const given = Object.entries(later).filter(([, value]) => value != null);
  return given.length === 0 ? metadata : [metadata, Object.fromEntries(given)];
}

/** Inverse of {@link packMetadata}; absent later fields are not restored. */
export function unpackMetadata(packed: unknown): { metadata: unknown; later: LaterFields } {
  if (!Array.isArray(packed)) return { metadata: packed, later: {} };
  const [metadata, later] = packed as [Metadata, LaterFields];
  return { metadata, later };
}
