import { FaceError } from '../errors';

/** The problem with `keepCrops` in a store without crops, as the end of a sentence. */
export const CROPS_PROBLEM = 'must be false: the store does not keep face crops';

/** The errors that all stores share. Ids are the caller's own, so errors may repeat them. */
export const galleryErrors = {
  galleryNotFound: (galleryId: string) =>
    new FaceError('GALLERY_NOT_FOUND', 'The gallery does not exist.', { galleryId }),
  galleryExists: (galleryId: string) =>
    new FaceError('GALLERY_EXISTS', 'A gallery with this id already exists.', { galleryId }),
  subjectNotFound: (galleryId: string, subjectId: string) =>
    new FaceError('SUBJECT_NOT_FOUND', 'The subject does not exist in the gallery.', {
      galleryId,
      subjectId,
    }),
  subjectExists: (galleryId: string, subjectId: string) =>
    new FaceError('SUBJECT_EXISTS', 'The gallery already has a subject with the new id.', {
      galleryId,
      subjectId,
    }),
  referenceNotFound: (galleryId: string, subjectId: string, referenceId: string) =>
    new FaceError('REFERENCE_NOT_FOUND', 'The reference does not exist for the subject.', {
      galleryId,
      subjectId,
      referenceId,
    }),
  galleryFull: (galleryId: string, capacity: number) =>
    new FaceError('GALLERY_FULL', `The gallery already holds ${capacity} references, its capacity.`, {
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
      `Gallery ${galleryId} is the migration copy of gallery ${copyOf}: change ${copyOf} instead.`,
      { galleryId, copyOf },
    ),
  notMigrated: (galleryId: string, state: string) =>
    new FaceError(
      'GALLERY_MIGRATING',
      `The migration is ${state}: only a migration that finished since the service started can be switched over.`,
      { galleryId, state },
    ),
  referencesMissing: (galleryId: string, missing: { subjectCount: number; referenceCount: number }) =>
    new FaceError(
      'GALLERY_MIGRATING',
      `The copy lacks ${missing.referenceCount} references of ${missing.subjectCount} subjects: enroll them again, or switch over with dropMissing.`,
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
      'The JavaScript heap limit for galleries is reached: start Node with a larger --max-old-space-size.',
      { galleryId, maxHeapBytes },
    ),
  /** @param cause - logged, never sent. */
  processFull: (galleryId: string, cause: unknown) =>
    new FaceError(
      'GALLERY_FULL',
      'The process has no memory for another reference.',
      { galleryId },
      { cause },
    ),
  subjectFull: (galleryId: string, subjectId: string, maxReferencesPerSubject: number) =>
    new FaceError(
      'SUBJECT_FULL',
      `The subject already has the maximum of ${maxReferencesPerSubject} references.`,
      {
        galleryId,
        subjectId,
        maxReferencesPerSubject,
      },
    ),
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
    new FaceError('GALLERY_STORE_FAILED', 'The gallery store failed; nothing was changed.', {}, { cause }),
  /** @param cause - logged, never sent. */
  notWiped: (cause: unknown) =>
    new FaceError(
      'GALLERY_STORE_FAILED',
      'The change was made, but the deleted data could not be wiped from the disk yet; every later change tries again.',
      {},
      { cause },
    ),
  /** @param cause - logged, never sent. */
  storeStopped: (cause: unknown) =>
    new FaceError(
      'GALLERY_STORE_STOPPED',
      'The gallery store accepts no more changes after an internal fault. Reads and searches still work; restart the service to recover.',
      {},
      { cause },
    ),
};
