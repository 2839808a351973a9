import type { FaceError } from '../../../errors';
import { galleryErrors } from '../../gallery-errors';
import { mergedRights, subjectLimit } from '../../gallery-rules';
import type {
  DeletionCounts,
  GallerySettings,
  Metadata,
  NewReference,
  ReferenceRights,
  SubjectHistory,
  SubjectRights,
} from '../../gallery.types';
import type { Draft } from './draft';
import {
  makeDetails,
  makeReference,
  NO_METADATA,
  NO_RIGHTS,
  type PlannedAddition,
  type ReferenceEntry,
  type Replacement,
  type SubjectDetails,
  type SubjectEntry,
} from './entries';
import { bytesOfReference, bytesOfSubject } from './weigh';

/*
 * Planning of each change: which entries replace which. Every function throws before anything is applied, and changes nothing
 * but its draft.
 */

type Limits = Pick<GallerySettings, 'capacity' | 'maxSubjects' | 'maxReferencesPerSubject' | 'keepCrops'>;

export function planSubject(
  draft: Draft,
  subjectId: string,
  metadata: Metadata,
  rights: Partial<SubjectRights & SubjectHistory>,
  limits: Limits,
): { isNew: boolean } {
  const before = draft.subject(subjectId);
  if (!before) {
    const changes = { ...rights, metadata };
    const maxSubjects = subjectLimit(limits);
    if (draft.state.planned.subjects >= maxSubjects)
      throw galleryErrors.subjectsFull(draft.state.id, maxSubjects);
    const details = newDetails(draft, subjectId, changes);
    draft.replaceSubject(undefined, { details, number: draft.takeNumber(), references: [] });
  } else {
    const { createdAt } = before.details;
    draft.replaceSubject(
      before,
      withDetails(before, { ...rights, metadata, createdAt, updatedAt: Date.now() }),
    );
  }
  return { isNew: !before };
}

export function planMatches(draft: Draft, subjectIds: readonly string[], matchedAt: number): void {
  for (const id of new Set(subjectIds)) {
    const before = draft.subject(id);
    if (before == null || (before.details.lastMatchedAt ?? 0) >= matchedAt) continue;
    draft.replaceSubject(before, withDetails(before, { lastMatchedAt: matchedAt }));
  }
}

export function planRename(
  draft: Draft,
  subjectId: string,
  newSubjectId: string,
  { merge, maxReferencesPerSubject }: { merge: boolean } & Pick<Limits, 'maxReferencesPerSubject'>,
): void {
  const source = draft.requireSubject(subjectId);
  const target = draft.subject(newSubjectId);
  if (target === source) return;
  if (target && !merge) throw galleryErrors.subjectExists(draft.state.id, target.details.id);
  const updatedAt = Date.now();
  if (target) return planMerge(draft, source, target, maxReferencesPerSubject, updatedAt);
  draft.replaceSubject(source, withDetails(source, { id: newSubjectId.normalize(), updatedAt }));
}

function planMerge(
  draft: Draft,
  source: SubjectEntry,
  target: SubjectEntry,
  maxReferences: number,
  updatedAt: number,
): void {
  const images = new Set(target.references.map(({ imageHash }) => imageHash));
  const isThere = ({ imageHash }: ReferenceEntry) => imageHash !== null && images.has(imageHash);
  const moved = source.references
    .filter((one) => !isThere(one))
    .map((before) => ({ before, after: { ...before, uid: draft.nextUid(), subject: target.number } }));
  const references = [...target.references, ...moved.map(({ after }) => after)];
  if (moved.length > 0 && references.length > maxReferences)
    throw galleryErrors.subjectFull(draft.state.id, target.details.id, maxReferences);
  for (const dropped of source.references.filter(isThere)) draft.replaceReference(dropped, undefined);
  for (const { before, after } of moved) draft.replaceReference(before, after);
  draft.replaceSubject(source, undefined);
  const metadata = { ...source.details.metadata, ...target.details.metadata };
  const changes = { metadata, ...mergedRights(source.details, target.details), updatedAt };
  draft.replaceSubject(target, { ...withDetails(target, changes), references });
}

export function planSubjectDeletion(draft: Draft, subjectId: string): DeletionCounts {
  const subject = draft.requireSubject(subjectId);
  for (const reference of subject.references) draft.replaceReference(reference, undefined);
  draft.replaceSubject(subject, undefined);
  return { subjectCount: 1, referenceCount: subject.references.length };
}

/** @returns for each given reference its planned outcome, or the reason for a refusal. */
export function planAdditions(
  draft: Draft,
  given: readonly NewReference[],
  limits: Limits,
): (PlannedAddition | FaceError)[] {
  const added = new Map<string, ReferenceEntry>();
  const subjects = new Map<string, Replacement<SubjectEntry>>();
  const { state } = draft;
  const { capacity, maxReferencesPerSubject, keepCrops } = limits;
  const maxSubjects = subjectLimit(limits);

  const add = (reference: NewReference): PlannedAddition | FaceError => {
    const { id, embedding, metadata, quality, imageHash, expiresAt = null, createdAt } = reference;
    const crop =
      keepCrops && reference.crop ? { uid: draft.nextUid(), content: reference.crop.slice() } : undefined;
    if (embedding.length !== state.dimensions)
      return galleryErrors.wrongLength(state.dimensions, embedding.length);
    const existing = added.get(id) ?? draft.reference(id);
    if (existing) return { status: 'existing', entry: existing };
    const before = draft.subject(reference.subjectId);
    const key = before?.details.id ?? reference.subjectId.normalize();
    const known = subjects.get(key)?.after ?? before;
    // A subject has few references: a linear search costs less than another map.
    const duplicate =
      imageHash === null ? undefined : known?.references.find((one) => one.imageHash === imageHash);
    if (duplicate) return { status: 'duplicate', entry: duplicate };
    if (state.planned.references + added.size >= capacity)
      return galleryErrors.galleryFull(state.id, capacity);
    if (!known && state.planned.subjects + draft.subjectCount >= maxSubjects)
      return galleryErrors.subjectsFull(state.id, maxSubjects);
    if ((known?.references.length ?? 0) >= maxReferencesPerSubject)
      return galleryErrors.subjectFull(state.id, reference.subjectId, maxReferencesPerSubject);
    const details = known?.details ?? newDetails(draft, reference.subjectId, {});
    const { all, heap } = bytesOfReference({ metadata, crop }, state);
    const newBytes = known ? 0 : bytesOfSubject(details);
    const refusal = draft.refusal({ all: all + newBytes, heap: heap + newBytes });
    if (refusal) return refusal;
    const owner = known ?? { details, number: draft.takeNumber(), references: [] };
    const entry = makeReference({
      uid: draft.nextUid(),
      subject: owner.number,
      row: draft.takeRow(),
      id,
      metadata,
      quality,
      imageHash,
      expiresAt,
      crop,
      createdAt: createdAt ?? Date.now(),
    });
    added.set(id, entry);
    const replacement = subjects.get(key) ?? draft.replaceSubject(before, owner);
    // Not by a spread, after which the array would hold room for sixteen more.
    replacement.after = { ...owner, references: owner.references.concat(entry) };
    subjects.set(key, replacement);
    draft.replaceReference(undefined, entry, embedding.slice());
    return { status: 'added', entry };
  };
  return given.map(add);
}

export function planReference(
  draft: Draft,
  subjectId: string,
  referenceId: string,
  changes: { metadata: Metadata } & Partial<ReferenceRights>,
): void {
  const { subject, reference } = draft.requireReference(subjectId, referenceId);
  const after = makeReference({ ...reference, ...changes });
  draft.replaceReference(reference, after);
  const references = subject.references.map((one) => (one === reference ? after : one));
  draft.replaceSubject(subject, { ...subject, references });
}

export function planReferenceDeletion(draft: Draft, subjectId: string, referenceId: string): void {
  const { subject, reference } = draft.requireReference(subjectId, referenceId);
  draft.replaceReference(reference, undefined);
  const references = subject.references.filter((one) => one !== reference);
  draft.replaceSubject(subject, { ...subject, references });
}

/** @returns the number of crops to delete. */
export function planCropDeletion(draft: Draft, subjectIds: readonly string[]): number {
  let count = 0;
  for (const subject of new Set(subjectIds.map((id) => draft.subject(id)))) {
    if (!subject?.references.some(({ crop }) => crop)) continue;
    const references = subject.references.map((before) => {
      if (!before.crop) return before;
      const after = { ...before, crop: undefined };
      draft.replaceReference(before, after);
      count++;
      return after;
    });
    draft.replaceSubject(subject, { ...subject, references });
  }
  return count;
}

function newDetails(draft: Draft, id: string, changes: Partial<SubjectDetails>): SubjectDetails {
  const now = Date.now();
  const identity = { uid: draft.nextUid(), id: id.normalize(), metadata: NO_METADATA };
  const history = { lastMatchedAt: null, createdAt: now };
  return makeDetails({ ...identity, ...NO_RIGHTS, ...history, ...changes, updatedAt: now });
}

function withDetails(subject: SubjectEntry, changes: Partial<SubjectDetails>): SubjectEntry {
  return { ...subject, details: makeDetails({ ...subject.details, ...changes }) };
}
