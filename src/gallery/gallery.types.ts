import type { FacePose, PixelQuality } from '../pipeline/face.types';

/** What an operator or client notes down beside a gallery, subject or reference. Flat, so that every store can filter by it. */
export type Metadata = Readonly<Record<string, string | number | boolean>>;

/** Every named key must be there and equal the value, or one of the values. */
export type MetadataFilter = Readonly<Record<string, Metadata[string] | readonly Metadata[string][]>>;

/** How strictly images are looked at before they become references. */
export const ENROLLMENT_GATES = ['off', 'standard', 'strict'] as const;
export type EnrollmentGate = (typeof ENROLLMENT_GATES)[number];

/** What of a gallery can be changed after it was made. */
export interface GallerySettings {
  /** Largest cosine distance at which a subject is a candidate, [0, 2], inclusive; `null`: by the target rates. */
  threshold: number | null;
  /** False match rate of a comparison with one subject (1:1), [1e-6, 0.5]; `null`: that of the module. */
  targetFmr: number | null;
  /**
   * Share of searches for strangers that may find somebody (1:N), [1e-6, 0.5]: the threshold follows from it and from the number
   * of subjects. `null`: that of the module.
   */
  targetFpir: number | null;
  /** Most references. */
  capacity: number;
  /** Most subjects, with and without references; `null`: as many as `capacity`. */
  maxSubjects: number | null;
  /** Most references of one subject. */
  maxReferencesPerSubject: number;
  enrollmentGate: EnrollmentGate;
  /**
   * Seconds for which a reference is held after its enrollment, and a subject after it was made as long as it has no other
   * reference, [1, 3,155,760,000] (100 years); then they never match and are purged. `null`: no limit.
   */
  maxAgeSeconds: number | null;
  /**
   * Seconds for which a subject is held after it last matched or was enrolled, [1, 3,155,760,000]; then it never matches and
   * is purged. Only while it is set are times of matches kept. `null`: no limit.
   */
  sinceLastMatchSeconds: number | null;
  /**
   * Since when times of matches are kept: no subject counts as unmatched for longer. Milliseconds since 1970, UTC; `null` where
   * `sinceLastMatchSeconds` is. Set by `GalleryService`.
   */
  matchesSince: number | null;
  /**
   * Whether a picture of the face (its crop) is held with each reference that is made of an image from now on, so that the gallery
   * can be moved to another embedder. Switched off, the crops that are held are erased.
   */
  keepCrops: boolean;
  metadata: Metadata;
}

/** A gallery that is to be made. */
export interface NewGallery extends GallerySettings {
  id: string;
  /** Contract of every embedding in it; never changes. */
  contract: string;
  /** Length of every embedding in it, D. */
  dimensions: number;
  /** Id of the gallery that a migration copies into this one, until it takes its place. @defaultValue `null`: none */
  copyOf?: string | null;
}

/** A set of subjects that is searched together. */
export interface Gallery extends NewGallery {
  subjectCount: number;
  referenceCount: number;
  /** Milliseconds since 1970, UTC. */
  createdAt: number;
  /** Of its settings, milliseconds since 1970, UTC. */
  updatedAt: number;
}

/** Why a subject is held, and how long. */
export interface SubjectRights {
  /** Where the consent, or another legal ground, is recorded; up to 256 characters. `null`: not said. */
  consentRef: string | null;
  /** What the subject is held for, up to 1,024 characters. `null`: not said. */
  purpose: string | null;
  /** From when on it never matches and is purged, milliseconds since 1970, UTC. `null`: never. */
  expiresAt: number | null;
}

/** What is given of a subject where it is a copy, so that limits of time hold for it as for the other. */
export interface SubjectHistory {
  /** Milliseconds since 1970, UTC. Not read where the subject is there. */
  createdAt: number;
  lastMatchedAt: number | null;
}

/** Whoever the client names so. */
export interface Subject extends SubjectRights {
  /** Chosen by the client. */
  id: string;
  metadata: Metadata;
  /**
   * When it last matched or was enrolled, milliseconds since 1970, UTC; up to a day, or a tenth of the gallery's
   * `sinceLastMatchSeconds`, before the true time. `null`: not kept, or not since it was made.
   */
  lastMatchedAt: number | null;
  referenceCount: number;
  /** Milliseconds since 1970, UTC. */
  createdAt: number;
  /** Of its metadata, its rights or its id, milliseconds since 1970, UTC. */
  updatedAt: number;
}

type Nullable<T> = { [Key in keyof T]: T[Key] | null };

/**
 * What was seen of the face when it was enrolled; `null`: not measured. Lengths in pixels of the image as the file shows it.
 */
export interface FaceQuality extends Nullable<PixelQuality> {
  /** Of the detector, [0, 1]. */
  detectionScore: number;
  /** Shorter side of the face box. */
  faceSizePx: number;
  /** By the five landmarks, in the image once it is turned. */
  pose: FacePose | null;
}

/** An embedding that is to be kept. */
export interface NewReference {
  /** Unique in the gallery. */
  id: string;
  subjectId: string;
  /** Float32Array [D], unit length. Copied. */
  embedding: Float32Array;
  metadata: Metadata;
  /** `null` where an embedding was enrolled. */
  quality: FaceQuality | null;
  /** sha256 of the encoded image, hex; `null` where an embedding was enrolled. */
  imageHash: string | null;
  /** From when on it never matches and is purged, milliseconds since 1970, UTC. @defaultValue `null`: never */
  expiresAt?: number | null;
  /**
   * The face with its surroundings, an encoded image. Copied. Kept only where {@link GallerySettings.keepCrops} is on.
   * @defaultValue `null`: none
   */
  crop?: Uint8Array | null;
  /** Where it is a copy: of the other one, milliseconds since 1970, UTC. @defaultValue now */
  createdAt?: number;
}

/** How long a reference is held. */
export interface ReferenceRights {
  /** From when on it never matches and is purged, milliseconds since 1970, UTC. `null`: never. */
  expiresAt: number | null;
}

/** An embedding of a subject, without the embedding. */
export interface Reference
  extends Omit<NewReference, 'embedding' | 'expiresAt' | 'crop' | 'createdAt'>, ReferenceRights {
  /** Whether a picture of the face is held with it, see `GalleryStore.getCrop`. */
  hasCrop: boolean;
  /** Milliseconds since 1970, UTC. */
  createdAt: number;
}

/** An embedding of a subject. */
export interface StoredReference extends Reference {
  /** Float32Array [D], unit length. A copy: safe to keep. */
  embedding: Float32Array;
}

/** Where a reference is. */
export interface ReferenceKey {
  subjectId: string;
  referenceId: string;
}

/**
 * Key in the metadata of a reference: length that its embedding had before it was brought to unit length. Where it is absent
 * the length counts as 1.
 */
export const EMBEDDING_NORM_KEY = 'embeddingNorm';

/** What became of one reference that was to be added. */
export interface AddedReference {
  /**
   * `added`; `existing`: its id was there already and nothing changed; `duplicate`: the subject has a reference of the same
   * image already and nothing changed.
   */
  status: 'added' | 'existing' | 'duplicate';
  /** The one that is in the gallery now. */
  reference: Reference;
  /** Other references of the same image, of any subject: ten at most. */
  sameImage: ReferenceKey[];
}

/** How much a deletion has removed. */
export interface DeletionCounts {
  subjectCount: number;
  referenceCount: number;
}

/** The most similar reference of a subject. */
export interface Hit extends ReferenceKey {
  /** Cosine, [-1, 1], to single precision. */
  similarity: number;
}

export interface SearchOptions {
  /** Most subjects in the answer, [1, {@link MAX_SEARCH_LIMIT}]. */
  limit: number;
  /** Only subjects at least so similar. @defaultValue all */
  minSimilarity?: number;
  /** Only subjects whose metadata passes. */
  filter?: MetadataFilter;
}

export const MAX_SEARCH_LIMIT = 1000;

export interface PageRequest {
  /** Most items, 1 or more. A page ends earlier where its items take more than {@link MAX_PAGE_BYTES} as JSON. */
  limit: number;
  /** `next` of the previous page. */
  after?: string;
}

/** Items in an order of the store's own that does not change: paging to the end meets each that stays exactly once. */
export interface Page<T> {
  items: T[];
  /** `null` on the last page. */
  next: string | null;
}

/** One line of an export: a subject comes before its references. */
export type GalleryRecord =
  { kind: 'subject'; subject: Subject } | { kind: 'reference'; reference: StoredReference };

/** Whether metadata passes a filter. */
export function passesFilter(metadata: Metadata, filter: MetadataFilter): boolean {
  return Object.entries(filter).every(([key, wanted]) => {
    if (!Object.hasOwn(metadata, key)) return false;
    const value = metadata[key];
    return Array.isArray(wanted) ? wanted.includes(value) : wanted === value;
  });
}
