import type { Metadata } from '../gallery.types';

/** Fields that came after the first format of the stores; those that are `null` are left out. */
export type LaterFields = Readonly<Record<string, string | number | null>>;

/**
 * Metadata with later fields, as one JSON value: metadata alone where there are none, so that records of older versions and
 * of this one are read alike. Metadata is never a list.
 */
export function packMetadata<T>(metadata: T, later: LaterFields): T | [T, LaterFields] {
  const given = Object.entries(later).filter(([, value]) => value != null);
  return given.length === 0 ? metadata : [metadata, Object.fromEntries(given)];
}

/** What {@link packMetadata} was given. */
export function unpackMetadata(packed: unknown): { metadata: unknown; later: LaterFields } {
  if (!Array.isArray(packed)) return { metadata: packed, later: {} };
  const [metadata, later] = packed as [Metadata, LaterFields];
  return { metadata, later };
}
