import type { FacePose, PixelQuality } from '../pipeline/face.types';

/** Data of the operator or client on a gallery, subject or reference. Flat, so that every store can filter by it. */
export type Metadata = Readonly<Record<string, string | number | boolean>>;

/** Every key must be present and equal the value, or one of the values. */
export type MetadataFilter = Readonly<Record<string, Metadata[string] | readonly Metadata[string][]>>;

/** How strictly images are checked before they become references. */
export const ENROLLMENT_GATES = ['off', 'standard', 'strict'] as const;
export type EnrollmentGate = (typeof ENROLLMENT_GATES)[number];

/** The changeable properties of a gallery. */
export interface GallerySettings {
  /** Largest cosine distance of a match, [0, 2], inclusive; `null`: follows from the target rates. */
  threshold: number | null;
  /** False match rate of a comparison with one subject (1:1), [1e-6, 0.5]; `null`: the default of the module. */
  targetFmr: number | null;
  /**
   * False positive identification rate (1:N), [1e-6, 0.5]: the share of searches for unknown people that return a candidate. The
   * threshold follows from it and the number of subjects. `null`: the default of the module.
   */
  targetFpir: number | null;
  /** Maximum number of references. */
  capacity: number;
  /** Maximum number of subjects, with and without references; `null`: same as `capacity`. */
  maxSubjects: number | null;
  /** Maximum number of references per subject. */
  maxReferencesPerSubject: number;
  enrollmentGate: EnrollmentGate;
  /**
   * Seconds after which references expire, and subjects without any other reference, [1, 3,155,760,000] (100 years), since their
   * creation. Expired ones never match and are purged. `null`: no limit.
   */
  maxAgeSeconds: number | null;
  /**
   * Seconds after its last match or enrollment at which a subject expires, [1, 3,155,760,000]; then it never matches and is
   * purged. Match times are recorded only while this is set. `null`: no limit.
   */
  sinceLastMatchSeconds: number | null;
  /**
   * When recording of match times began: no subject counts as unmatched for longer. Milliseconds since 1970, UTC; `null` without
   * `sinceLastMatchSeconds`. Set by `GalleryService`.
   */
  matchesSince: number | null;
  /**
   * Whether a crop of the face is stored with each reference enrolled from an image from now on, so that the gallery can be
   * migrated to another embedder. Turning it off erases the stored crops.
   */
  keepCrops: boolean;
  metadata: Metadata;
}

/** A gallery to create. */
export interface NewGallery extends GallerySettings {
  id: string;
  /** Contract of all its embeddings; never changes. */
  contract: string;
  /** Length of all its embeddings, D. */
  dimensions: number;
  /** Id of the gallery that a migration copies into this one, until this one replaces it. @defaultValue `null` */
  copyOf?: string | null;
}

/** A set of subjects that are searched together. */
export interface Gallery extends NewGallery {
  subjectCount: number;
  referenceCount: number;
  /** Milliseconds since 1970, UTC. */
  createdAt: number;
  /** Last change of its settings, milliseconds since 1970, UTC. */
  updatedAt: number;
}

/** Why a subject is stored, and for how long. */
export interface SubjectRights {
  /** Where the consent, or another legal basis, is recorded; up to 256 characters. `null`: not given. */
  consentRef: string | null;
  /** Purpose of storing the subject, up to 1,024 characters. `null`: not given. */
  purpose: string | null;
  /** When it expires: then it never matches and is purged. Milliseconds since 1970, UTC. `null`: never. */
  expiresAt: number | null;
}

/** History of a copied subject, so that time limits apply to it as to the original. */
export interface SubjectHistory {
  /** Milliseconds since 1970, UTC. Ignored if the subject exists. */
  createdAt: number;
  lastMatchedAt: number | null;
}

/** A person or thing under an id of the client. */
export interface Subject extends SubjectRights {
  /** Chosen by the client. */
  id: string;
  metadata: Metadata;
  /**
   * Last match or enrollment, milliseconds since 1970, UTC; up to a day, or a tenth of the gallery's `sinceLastMatchSeconds`,
   * before the true time. `null`: not recorded, or none since its creation.
   */
  lastMatchedAt: number | null;
  referenceCount: number;
  /** Milliseconds since 1970, UTC. */
  createdAt: number;
  /** Last change of its metadata, rights or id, milliseconds since 1970, UTC. */
  updatedAt: number;
}

type Nullable<T> = { [Key in keyof T]: T[Key] | null };

/**
 * Quality of a face at its enrollment; `null`: not measured. Lengths in pixels of the upright image (EXIF applied).
 */
export interface FaceQuality extends Nullable<PixelQuality> {
  /** Score of the detector, [0, 1]. */
  detectionScore: number;
  /** Shorter side of the face box. */
  faceSizePx: number;
  /** From the five landmarks, after the image was rotated. */
  pose: FacePose | null;
}

/** An embedding to add. */
export interface NewReference {
  /** Unique in the gallery. */
  id: string;
  subjectId: string;
  /** Float32Array [D], unit length. Copied. */
  embedding: Float32Array;
  metadata: Metadata;
  /** `null` for an enrolled embedding. */
  quality: FaceQuality | null;
  /** sha256 of the encoded image, hexadecimal; `null` for an enrolled embedding. */
  imageHash: string | null;
  /** When it expires, milliseconds since 1970, UTC. @defaultValue `null`: never */
  expiresAt?: number | null;
  /**
   * The face with its surroundings, an encoded image. Copied. Stored only with {@link GallerySettings.keepCrops}.
   * @defaultValue `null`
   */
  crop?: Uint8Array | null;
  /** Creation of the original, for a copy, milliseconds since 1970, UTC. @defaultValue now */
  createdAt?: number;
}

/** How long a reference is stored. */
export interface ReferenceRights {
  /** When it expires: then it never matches and is purged. Milliseconds since 1970, UTC. `null`: never. */
  expiresAt: number | null;
}

/** The description of an embedding of a subject, without the embedding itself. */
export interface Reference
  extends Omit<NewReference, 'embedding' | 'expiresAt' | 'crop' | 'createdAt'>, ReferenceRights {
  /** Whether a crop of the face is stored with it, see `GalleryStore.getCrop`. */
  hasCrop: boolean;
  /** Milliseconds since 1970, UTC. */
  createdAt: number;
}

/** A reference with its embedding. */
export interface StoredReference extends Reference {
  /** Float32Array [D], unit length. A copy: safe to keep. */
  embedding: Float32Array;
}

/** Identifies a reference. */
export interface ReferenceKey {
  subjectId: string;
  referenceId: string;
}

/**
 * Key in the metadata of a reference: length of its embedding before normalization. An absent length counts as 1.
 */
export const EMBEDDING_NORM_KEY = 'embeddingNorm';

/** Outcome of adding one reference. */
export interface AddedReference {
  /**
   * `added`; `existing`: a reference has this id already, nothing changed; `duplicate`: the subject already has a reference of
   * this image, nothing changed.
   */
  status: 'added' | 'existing' | 'duplicate';
  /** The reference in the gallery now. */
  reference: Reference;
  /** Up to ten other references of the same image, of any subject. */
  sameImage: ReferenceKey[];
}

/** Number of deleted subjects and references. */
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
  /** Maximum number of subjects in the result, [1, {@link MAX_SEARCH_LIMIT}]. */
  limit: number;
  /** Smallest cosine similarity of a hit. @defaultValue no limit */
  minSimilarity?: number;
  /** Only subjects whose metadata matches. */
  filter?: MetadataFilter;
}

export const MAX_SEARCH_LIMIT = 1000;

export interface PageRequest {
  /** Maximum number of items, 1 or more. A page also ends before its items exceed {@link MAX_PAGE_BYTES} as JSON. */
  limit: number;
  /** `next` of the previous page. */
  after?: string;
}

/** Items in a fixed order of the store: paging to the end returns every item that is not deleted meanwhile exactly once. */
export interface Page<T> {
  items: T[];
  /** `null` on the last page. */
  next: string | null;
}

/** One line of an export: a subject comes before its references. */
export type GalleryRecord =
  { kind: 'subject'; subject: Subject } | { kind: 'reference'; reference: StoredReference };

/** Whether metadata matches a filter. */
export function passesFilter(metadata: Metadata, filter: MetadataFilter): boolean {
  return Object.entries(filter).every(([key, wanted]) => {
    if (!Object.hasOwn(metadata, key)) return false;
    const value = metadata[key];
    return Array.isArray(wanted) ? wanted.includes(value) : wanted === value;
  });
}
