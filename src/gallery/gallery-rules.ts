import { FaceError } from '../errors';
import { requireCalibration, TARGET_RANGE, type ThresholdSource } from '../face/thresholds';
import {
  ENROLLMENT_GATES,
  type GallerySettings,
  type Metadata,
  type Subject,
  type SubjectRights,
} from './gallery.types';

/** Ids of galleries, which appear in URLs. */
export const GALLERY_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
export const MAX_GALLERY_ID_LENGTH = 64;
/** Maximum length of a subject id, in UTF-16 code units. */
export const MAX_SUBJECT_ID_LENGTH = 256;
/** Maximum number of other references of the same image in a result. */
export const MAX_SAME_IMAGE = 10;
export const MAX_METADATA_KEYS = 32;
/** In characters. */
export const MAX_METADATA_KEY_LENGTH = 64;
/** Of string values, in characters. */
export const MAX_METADATA_VALUE_LENGTH = 1024;

// Control characters and lone surrogates, which UTF-8 cannot encode: ids go into URLs, files and logs.
const UNFIT = /[\p{Cc}\p{Cs}]/u;

/** The problem with a gallery id, as the end of a sentence; `null` if it is valid. */
export function galleryIdProblem(id: unknown): string | null {
  if (typeof id === 'string' && GALLERY_ID.test(id)) return null;
  return 'must be 1 to 64 letters, digits, dots, underscores and hyphens, the first a letter or digit';
}

/** The problem with a subject id, as the end of a sentence; `null` if it is valid. */
export function subjectIdProblem(id: unknown): string | null {
  const isValid =
    typeof id === 'string' &&
    id.length >= 1 &&
    // As given, and as stored.
    Math.max(id.length, id.normalize().length) <= MAX_SUBJECT_ID_LENGTH &&
    !UNFIT.test(id) &&
    // As a URL segment, a dot segment changes the path.
    id !== '.' &&
    id !== '..';
  if (isValid) return null;
  return `must be 1 to ${MAX_SUBJECT_ID_LENGTH} characters without control characters, and neither "." nor ".."`;
}

/** Whether two ids name the same subject, whatever their Unicode normalization form. */
export function isSameSubject(a: string, b: string): boolean {
  return a === b || a.normalize() === b.normalize();
}

/** The problem with metadata, as the end of a sentence; `null` if it is valid. */
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
  /** 100 years. */
  maxAgeSeconds: [1, 3_155_760_000],
  sinceLastMatchSeconds: [1, 3_155_760_000],
} as const;

/** Problems by the name of the setting; `null` if it is valid or absent. */
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

/** @throws {FaceError} PARAMETER_INVALID for a target rate if the embedder has no calibration. */
export function assertTargets(settings: Partial<GallerySettings>, embedder: ThresholdSource): void {
  for (const field of ['targetFmr', 'targetFpir'] as const) {
    if (settings[field] != null) requireCalibration(embedder, field);
  }
}

/** Maximum number of subjects of a gallery. */
export function subjectLimit({
  maxSubjects,
  capacity,
}: Pick<GallerySettings, 'maxSubjects' | 'capacity'>): number {
  return maxSubjects ?? capacity;
}

/** The problem with a number, as the end of a sentence; `null` if it is in the range. */
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

/** @throws {FaceError} PARAMETER_INVALID if any field has a problem; `details.fields` lists the problems. */
export function assertValid(problems: Record<string, string | null>): void {
  const found = Object.entries(problems).filter(([, problem]) => problem != null);
  if (found.length === 0) return;
  const list = found.map(([field, problem]) => `${field} ${problem}`).join('; ');
  throw new FaceError('PARAMETER_INVALID', `Invalid: ${list}.`, { fields: Object.fromEntries(found) });
}

/** Maximum lengths of `consentRef` and `purpose`, in characters. */
export const MAX_CONSENT_REF_LENGTH = 256;
export const MAX_PURPOSE_LENGTH = 1024;
/** Latest time of a JavaScript Date, milliseconds since 1970. */
const MAX_TIME_MS = 8.64e15;

/** Problems by the name of the right of a subject; `null` if it is valid or absent. */
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

/** The problem with a note, as the end of a sentence; `null` if it is valid. */
export function noteProblem(value: unknown, maxLength: number): string | null {
  if (value == null) return null;
  const isNote =
    typeof value === 'string' && value.length >= 1 && value.length <= maxLength && !UNFIT.test(value);
  return isNote ? null : `must be null or 1 to ${maxLength} characters without control characters`;
}

/** The merged fields of two subjects, except their metadata. */
type Merged = SubjectRights & Pick<Subject, 'lastMatchedAt'>;

/** The target's rights, completed by the source's, with the earlier expiry and the later match. */
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
