import type { Metadata, NewGallery } from '../../gallery.types';
import type { ReferenceEntry, SubjectDetails } from './entries';
import type { Bytes } from './room';

/*
 * Memory use of entries in bytes, without the index row: estimates, rather too high than too low. Measured
 * (docs/benchmarks.md, `gallery-stores`).
 */
const GALLERY_BYTES = 5120;
/** With what the jetstream store holds of an entry. */
const SUBJECT_BYTES = 640;
const REFERENCE_BYTES = 704;
/** A crop without its encoded image. */
const CROP_BYTES = 192;
/** Header of a string. Its characters count two bytes each, although V8 stores Latin-1 strings with one. */
const TEXT_BYTES = 24;
const METADATA_ENTRY_BYTES = 80;

export function bytesOfGallery({ id, metadata }: Pick<NewGallery, 'id' | 'metadata'>): number {
  return GALLERY_BYTES + bytesOfText(id) + bytesOfMetadata(metadata);
}

export function bytesOfSubject(
  details: Pick<SubjectDetails, 'id' | 'metadata' | 'consentRef' | 'purpose'> | undefined,
): number {
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

/** @param state - of the gallery. The content of a crop counts only if crops are held in memory. */
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
