import { FaceError } from '../errors';
import { requireCalibration, TARGET_RANGE, type ThresholdSource } from '../face/thresholds';
import {
  ENROLLMENT_GATES,
  type GallerySettings,
  type Metadata,
  type Subject,
  type SubjectRights,
} from './gallery.types';

/** Ids of galleries: they appear in URLs and, in durable stores, in names of files. */
export const GALLERY_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
export const MAX_GALLERY_ID_LENGTH = 64;
/** Longest id of a subject, in characters (UTF-16 code units). */
export const MAX_SUBJECT_ID_LENGTH = 256;
/** Most references that an answer names beside one of the same image. */
export const MAX_SAME_IMAGE = 10;
export const MAX_METADATA_KEYS = 32;
/** In characters. */
export const MAX_METADATA_KEY_LENGTH = 64;
/** Of string values, in characters. */
export const MAX_METADATA_VALUE_LENGTH = 1024;

// Control characters, and halves of surrogate pairs, which UTF-8 cannot hold: ids go into URLs, files and logs.
const UNFIT = /[\p{Cc}\p{Cs}]/u;

/** What is wrong with the id of a gallery, as the end of a sentence; `null` where nothing is. */
export function galleryIdProblem(id: unknown): string | null {
  if (typeof id === 'string' && GALLERY_ID.test(id)) return null;
  return 'must be 1 to 64 letters, digits, dots, underscores and hyphens, the first a letter or digit';
}

/** What is wrong with the id of a subject, as the end of a sentence; `null` where nothing is. */
export function subjectIdProblem(id: unknown): string | null {
  const isValid =
    typeof id === 'string' &&
    id.length >= 1 &&
    // As it is given, and as it is kept.
    Math.max(id.length, id.normalize().length) <= MAX_SUBJECT_ID_LENGTH &&
    !UNFIT.test(id) &&
    // As segments of a URL these would change its path.
    id !== '.' &&
    id !== '..';
  if (isValid) return null;
  return `must be 1 to ${MAX_SUBJECT_ID_LENGTH} characters without control characters, and neither "." nor ".."`;
}

/** Whether two ids are of the same subject: the same name is typed in several forms of Unicode. */
export function isSameSubject(a: string, b: string): boolean {
  return a === b || a.normalize() === b.normalize();
}

/** What is wrong with metadata, as the end of a sentence; `null` where nothing is. */
export function metadataProblem(metadata: unknown): string | null {
  if (typeof metadata !== 'object' || metadata == null || Array.isArray(metadata)) {
    return 'must be a flat object';
  }
  const entries = Object.entries(metadata as Metadata);
  if (entries.length > MAX_METADATA_KEYS) return `must have at most ${MAX_METADATA_KEYS} keys`;
  for (const [key, value] of entries) {
    if (key.length < 1 || key.length > MAX_METADATA_KEY_LENGTH) {
      return `must have keys of 1 to ${MAX_METADATA_KEY_LENGTH} characters`;
    }
    const isValid =
      typeof value === 'boolean' ||
      (typeof value === 'number' && Number.isFinite(value)) ||
      (typeof value === 'string' && value.length <= MAX_METADATA_VALUE_LENGTH);
    if (!isValid) {
      return `must have values that are true, false, finite numbers, or strings of up to ${MAX_METADATA_VALUE_LENGTH} characters`;
    }
  }
  return null;
}

/** Inclusive ranges of the settings of a gallery. */
export const GALLERY_RANGES = {
  threshold: [0, 2],
  targetFmr: TARGET_RANGE,
  targetFpir: TARGET_RANGE,
  capacity: [1, 100_000_000],
  maxSubjects: [1, 100_000_000],
  maxReferencesPerSubject: [1, 1000],
  /** A hundred years. */
  maxAgeSeconds: [1, 3_155_760_000],
  sinceLastMatchSeconds: [1, 3_155_760_000],
} as const;

/** What is wrong with settings, by their names; `null` where nothing is. Absent settings are right. */
export function settingsProblems(settings: Partial<GallerySettings>): Record<string, string | null> {
  const { threshold, targetFmr, targetFpir } = settings;
  const { capacity, maxSubjects, maxReferencesPerSubject, enrollmentGate, metadata } = settings;
  const { maxAgeSeconds, sinceLastMatchSeconds, keepCrops } = settings;
  const { threshold: distances, capacity: capacities, maxReferencesPerSubject: counts } = GALLERY_RANGES;
  return {
    threshold: threshold == null ? null : rangeProblem(threshold, distances),
    targetFmr: targetFmr == null ? null : rangeProblem(targetFmr, TARGET_RANGE),
    targetFpir: targetFpir == null ? null : rangeProblem(targetFpir, TARGET_RANGE),
    capacity: capacity === undefined ? null : integerProblem(capacity, capacities),
    maxSubjects: maxSubjects == null ? null : integerProblem(maxSubjects, GALLERY_RANGES.maxSubjects),
    maxReferencesPerSubject:
      maxReferencesPerSubject === undefined ? null : integerProblem(maxReferencesPerSubject, counts),
    enrollmentGate:
      enrollmentGate === undefined || ENROLLMENT_GATES.includes(enrollmentGate)
        ? null
        : `must be one of ${ENROLLMENT_GATES.join(', ')}`,
    maxAgeSeconds: maxAgeSeconds == null ? null : integerProblem(maxAgeSeconds, GALLERY_RANGES.maxAgeSeconds),
    sinceLastMatchSeconds:
      sinceLastMatchSeconds == null
        ? null
        : integerProblem(sinceLastMatchSeconds, GALLERY_RANGES.sinceLastMatchSeconds),
    keepCrops: keepCrops === undefined || typeof keepCrops === 'boolean' ? null : 'must be true or false',
    metadata: metadata === undefined ? null : metadataProblem(metadata),
  };
}

/** @throws {FaceError} PARAMETER_INVALID for a rate where the embedder has no calibration. */
export function assertTargets(settings: Partial<GallerySettings>, embedder: ThresholdSource): void {
  for (const field of ['targetFmr', 'targetFpir'] as const) {
    if (settings[field] != null) requireCalibration(embedder, field);
  }
}

/** Most subjects that a gallery may have. */
export function subjectLimit({
  maxSubjects,
  capacity,
}: Pick<GallerySettings, 'maxSubjects' | 'capacity'>): number {
  return maxSubjects ?? capacity;
}

/** What is wrong with a number, as the end of a sentence; `null` where nothing is. */
export function rangeProblem(value: unknown, [min, max]: readonly [number, number]): string | null {
  return typeof value === 'number' && value >= min && value <= max
    ? null
    : `must be a number in [${min}, ${max}]`;
}

export function integerProblem(value: unknown, [min, max]: readonly [number, number]): string | null {
  return Number.isInteger(value) && rangeProblem(value, [min, max]) == null
    ? null
    : `must be an integer in [${min}, ${max}]`;
}

/** @throws {FaceError} PARAMETER_INVALID where a field has a problem; `details.fields` has the problems. */
export function assertValid(problems: Record<string, string | null>): void {
  const found = Object.entries(problems).filter(([, problem]) => problem != null);
  if (found.length === 0) return;
  const list = found.map(([field, problem]) => `${field} ${problem}`).join('; ');
  throw new FaceError('PARAMETER_INVALID', `Invalid: ${list}.`, { fields: Object.fromEntries(found) });
}

/** Longest `consentRef` and `purpose`, in characters. */
export const MAX_CONSENT_REF_LENGTH = 256;
export const MAX_PURPOSE_LENGTH = 1024;
/** Latest time that a date can hold, milliseconds since 1970. */
const MAX_TIME_MS = 8.64e15;

/** What is wrong with the rights of a subject, by their names; `null` where nothing is. Absent ones are right. */
export function rightsProblems({
  consentRef,
  purpose,
  expiresAt,
}: Partial<SubjectRights>): Record<string, string | null> {
  return {
    consentRef: noteProblem(consentRef, MAX_CONSENT_REF_LENGTH),
    purpose: noteProblem(purpose, MAX_PURPOSE_LENGTH),
    expiresAt: expiresAt == null ? null : integerProblem(expiresAt, [0, MAX_TIME_MS]),
  };
}

/** What is wrong with a note, as the end of a sentence; `null` where nothing is. */
export function noteProblem(value: unknown, maxLength: number): string | null {
  if (value == null) return null;
  const isNote =
    typeof value === 'string' && value.length >= 1 && value.length <= maxLength && !UNFIT.test(value);
  return isNote ? null : `must be null or 1 to ${maxLength} characters without control characters`;
}

/** What of two subjects that become one is not their metadata. */
type Merged = SubjectRights & Pick<Subject, 'lastMatchedAt'>;

/** Rights of the target, what it lacks from the source, the earlier end, and the later match. */
export function mergedRights(source: Merged, target: Merged): Merged {
  const ends = [source.expiresAt, target.expiresAt].filter((end) => end != null);
  const matches = [source.lastMatchedAt, target.lastMatchedAt].filter((match) => match != null);
  return {
    consentRef: target.consentRef ?? source.consentRef,
    purpose: target.purpose ?? source.purpose,
    expiresAt: ends.length === 0 ? null : Math.min(...ends),
    lastMatchedAt: matches.length === 0 ? null : Math.max(...matches),
  };
}
