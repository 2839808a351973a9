import type { Metadata, NewGallery } from '../../gallery.types';
import type { ReferenceEntry, SubjectDetails } from './entries';
import type { Bytes } from './room';

/*
 * Bytes that entries take in memory, beside the row of an index: about, and rather more than less. Measured
 * (docs/benchmarks.md, `gallery-stores`).
 */
const GALLERY_BYTES = 5120;
const SUBJECT_BYTES = 704;
const REFERENCE_BYTES = 1216;
/** Beside its content, where that is held. */
const CROP_BYTES = 192;
/** A string of one byte for each character has a head; others have two bytes for each. */
const TEXT_BYTES = 24;
const METADATA_ENTRY_BYTES = 80;

export function bytesOfGallery({ id, metadata }: Pick<NewGallery, 'id' | 'metadata'>): number {
  return GALLERY_BYTES + bytesOfText(id) + bytesOfMetadata(metadata);
}

export function bytesOfSubject(details: SubjectDetails | undefined): number {
  if (!details) return 0;
  const { id, metadata, consentRef, purpose } = details;
  return (
    SUBJECT_BYTES +
    bytesOfText(id) +
    bytesOfText(consentRef) +
    bytesOfText(purpose) +
    bytesOfMetadata(metadata)
  );
}

/** @param state - of the gallery: of a crop that lies in a file the content counts nothing. */
export function bytesOfReference(
  reference: Pick<ReferenceEntry, 'metadata' | 'crop'> | undefined,
  { rowBytes, holdsCrops }: { rowBytes: number; holdsCrops: boolean },
): Bytes {
  if (!reference) return { all: 0, heap: 0 };
  const { metadata, crop } = reference;
  const heap = REFERENCE_BYTES + bytesOfMetadata(metadata) + (crop ? CROP_BYTES : 0);
  const content = holdsCrops ? (crop?.content?.length ?? 0) : 0;
  return { all: heap + rowBytes + content, heap };
}

function bytesOfMetadata(metadata: Metadata): number {
  let bytes = 0;
  for (const key in metadata) {
    const value = metadata[key];
    bytes += METADATA_ENTRY_BYTES + bytesOfText(key) + (typeof value === 'string' ? bytesOfText(value) : 0);
  }
  return bytes;
}

function bytesOfText(text: string | null): number {
  return text === null ? 0 : TEXT_BYTES + 2 * text.length;
}
