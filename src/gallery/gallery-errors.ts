import { FaceError } from '../errors';

/** What is wrong with `keepCrops` of a gallery in a store that keeps none, as the end of a sentence. */
export const CROPS_PROBLEM = 'must be false: the store keeps no pictures of faces';

/** The errors that every store throws in the same words. Ids are the caller's own and may be told. */
export const galleryErrors = {
  galleryNotFound: (galleryId: string) =>
    new FaceError('GALLERY_NOT_FOUND', 'There is no such gallery.', { galleryId }),
  galleryExists: (galleryId: string) =>
    new FaceError('GALLERY_EXISTS', 'There is a gallery of this id already.', { galleryId }),
  subjectNotFound: (galleryId: string, subjectId: string) =>
    new FaceError('SUBJECT_NOT_FOUND', 'The gallery has no such subject.', { galleryId, subjectId }),
  subjectExists: (galleryId: string, subjectId: string) =>
    new FaceError('SUBJECT_EXISTS', 'The gallery has a subject of the new id already.', {
      galleryId,
      subjectId,
    }),
  referenceNotFound: (galleryId: string, subjectId: string, referenceId: string) =>
    new FaceError('REFERENCE_NOT_FOUND', 'The subject has no such reference.', {
      galleryId,
      subjectId,
      referenceId,
    }),
  galleryFull: (galleryId: string, capacity: number) =>
    new FaceError('GALLERY_FULL', `The gallery holds ${capacity} references, which is its capacity.`, {
      galleryId,
      capacity,
    }),
  subjectsFull: (galleryId: string, maxSubjects: number) =>
    new FaceError(
      'GALLERY_FULL',
      `The gallery already has its maximum number of subjects (${maxSubjects}).`,
      {
        galleryId,
        maxSubjects,
      },
    ),
  galleriesFull: (galleryId: string, maxGalleries: number) =>
    new FaceError(
      'GALLERY_FULL',
      `The store already has its maximum number of galleries (${maxGalleries}).`,
      {
        galleryId,
        maxGalleries,
      },
    ),
  isCopy: (galleryId: string, copyOf: string) =>
    new FaceError(
      'GALLERY_MIGRATING',
      `Gallery ${galleryId} is a copy that a migration of gallery ${copyOf} fills: change that one.`,
      { galleryId, copyOf },
    ),
  notMigrated: (galleryId: string, state: string) =>
    new FaceError(
      'GALLERY_MIGRATING',
      `The migration is ${state}: it can be switched over when it is done since the start of the service.`,
      { galleryId, state },
    ),
  referencesMissing: (galleryId: string, missing: { subjectCount: number; referenceCount: number }) =>
    new FaceError(
      'GALLERY_MIGRATING',
      `The copy lacks ${missing.referenceCount} references of ${missing.subjectCount} subjects: enroll them again, or switch with dropMissing.`,
      { galleryId, ...missing },
    ),
  cropsNotKept: () =>
    new FaceError('PARAMETER_INVALID', `Invalid: keepCrops ${CROPS_PROBLEM}.`, {
      fields: { keepCrops: CROPS_PROBLEM },
    }),
  memoryFull: (galleryId: string, maxBytes: number) =>
    new FaceError('GALLERY_FULL', 'The memory limit for galleries is reached.', {
      galleryId,
      maxBytes,
    }),
  heapFull: (galleryId: string, maxHeapBytes: number) =>
    new FaceError(
      'GALLERY_FULL',
      'The galleries take as much of the heap of JavaScript as they may: start Node with a larger --max-old-space-size.',
      { galleryId, maxHeapBytes },
    ),
  /** @param cause - logged, never sent. */
  processFull: (galleryId: string, cause: unknown) =>
    new FaceError(
      'GALLERY_FULL',
      'The process has no memory left for another reference.',
      { galleryId },
      { cause },
    ),
  subjectFull: (galleryId: string, subjectId: string, maxReferencesPerSubject: number) =>
    new FaceError('SUBJECT_FULL', `A subject may have ${maxReferencesPerSubject} references.`, {
      galleryId,
      subjectId,
      maxReferencesPerSubject,
    }),
  wrongLength: (expectedLength: number, receivedLength: number) =>
    new FaceError(
      'EMBEDDING_INVALID',
      `Expected ${expectedLength} numbers for embedding but received ${receivedLength}.`,
      { expectedLength, receivedLength },
    ),
  cursorInvalid: () =>
    new FaceError('PARAMETER_INVALID', '`cursor` must be the `nextCursor` of the previous page.', {
      fields: { cursor: 'must be the `nextCursor` of the previous page' },
    }),
  /** @param cause - logged, never sent. */
  storeFailed: (cause: unknown) =>
    new FaceError(
      'GALLERY_STORE_FAILED',
      'The store of the galleries failed; nothing was changed.',
      {},
      { cause },
    ),
  /** @param cause - logged, never sent. */
  notWiped: (cause: unknown) =>
    new FaceError(
      'GALLERY_STORE_FAILED',
      'The change was made, but what it took away could not be wiped from the disk yet; it is tried again with every change.',
      {},
      { cause },
    ),
  /** @param cause - logged, never sent. */
  storeStopped: (cause: unknown) =>
    new FaceError(
      'GALLERY_STORE_STOPPED',
      'The store of the galleries takes no more changes after a fault of its own. Reads and searches go on; a restart brings it back.',
      {},
      { cause },
    ),
};
