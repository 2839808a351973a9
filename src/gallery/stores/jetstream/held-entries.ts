import { Draft } from '../state/draft';
import {
  makeDetails,
  makeReference,
  type ReferenceEntry,
  type Replacement,
  type SubjectEntry,
} from '../state/entries';
import type { GalleryEntry } from '../state/gallery-entry';
import type { GalleryState } from '../state/gallery-state';
import type { GalleryTable } from '../state/gallery-table';
import { jetstreamInvalid } from './connect-nats';
import {
  type ContentReference,
  decodeGallery,
  decodeSubject,
  encodeSubject,
  type Move,
  type SubjectContent,
  type SubjectEntryContent,
} from './entry-content';
import type { Entry, EntryVersion } from './entry-log';
import type { EntrySealer } from './entry-sealer';

/** Target of the entries read from the stream. */
export interface EntryTarget {
  table: GalleryTable;
  makeState: (gallery: { uid: number; id: string; dimensions: number }) => GalleryState;
  /** Called with an entry whose gallery was deleted. */
  onOrphan: (version: EntryVersion) => void;
  /** Called after the removal of a gallery, of references, or of a subject that was not renamed or merged. */
  onRemoved: () => void;
}

/** Last version read of a subject's entry. */
export interface HeldSubject extends EntryVersion {
  /** Id of the subject; `null` if the entry holds none. */
  id: string | null;
  /** Write id of the version after which it was renamed or merged: later versions that build on it are void. */
  leftWriteId?: number;
  /** Key of the entry to which it was renamed or merged. */
  leftTo?: string;
}

/** A gallery, and the versions of its entries. */
export class HeldGallery {
  readonly subjects = new Map<string, HeldSubject>();

  constructor(
    readonly uid: number,
    readonly id: string,
    /** Key that seals its subjects, base64. */
    readonly secret: string,
    /** Prefix of the stream keys of its subjects. */
    readonly prefix: string,
    readonly sealer: EntrySealer,
  ) {}

  nameOf(subjectId: string): string {
    return this.sealer.nameOf(subjectId);
  }

  keyOf(subjectId: string): string {
    return this.prefix + this.nameOf(subjectId);
  }

  held(subjectId: string): HeldSubject | undefined {
    return this.subjects.get(this.nameOf(subjectId));
  }
}

interface HeldGalleryEntry {
  key: string;
  version?: EntryVersion;
  /** Absent if the gallery was removed. */
  gallery?: HeldGallery;
}

/** A void version, and the value to write over it; `null` writes a removal marker. */
export interface Repair {
  key: string;
  version: EntryVersion;
  value: Uint8Array | null;
}

/** State read from the stream: turns entries into galleries and subjects, in the order of arrival. */
export class HeldEntries {
  /** Number of subject entries that cannot be decrypted. */
  damaged = 0;
  private readonly byKey = new Map<string, HeldGalleryEntry>();
  private readonly byPrefix = new Map<string, HeldGallery>();
  private readonly byUid = new Map<number, HeldGallery>();
  /** Old entries of renamed or merged subjects that still exist, by key; `to`: key of the new entry. */
  private readonly left = new Map<string, { version: EntryVersion; to: string }>();
  private readonly repairs = new Map<string, Repair>();

  constructor(
    readonly sealer: EntrySealer,
    private readonly target: EntryTarget,
  ) {}

  /** @returns false if the version is void, because it builds on one that was already gone. */
  take(entry: Entry): boolean {
    const [kind, prefix, name] = entry.key.split('.');
    if (kind === 'g') return this.takeGallery(entry);
    if (kind !== 's') return true;
    const gallery = this.byPrefix.get(`s.${prefix}.`);
    if (gallery) return this.takeSubject(gallery, name, entry);
    if (entry.value) this.target.onOrphan(entry);
    return false;
  }

  findGallery(id: string): HeldGalleryEntry {
    const key = `g.${this.sealer.nameOf(id)}`;
    return this.byKey.get(key) ?? { key };
  }

  findByUid(uid: number): HeldGallery | undefined {
    return this.byUid.get(uid);
  }

  /** Last version read of an entry. */
  versionOf(key: string): EntryVersion | undefined {
    const [kind, prefix, name] = key.split('.');
    if (kind === 'g') return this.byKey.get(key)?.version;
    return this.byPrefix.get(`s.${prefix}.`)?.subjects.get(name);
  }

  /** Forgets an entry of which the servers have no version left. */
  forget(key: string): void {
    const [kind, prefix, name] = key.split('.');
    if (kind === 'g') this.byKey.delete(key);
    else this.byPrefix.get(`s.${prefix}.`)?.subjects.delete(name);
  }

  /** Old entries of renamed or merged subjects, still to be removed. */
  unfinishedMoves(): { key: string; version: EntryVersion }[] {
    return Array.from(this.left, ([key, { version }]) => ({ key, version }));
  }

  /** Whether the entry is the target of a rename or merge whose old entry still exists. */
  isArriving(key: string): boolean {
    return Array.from(this.left.values()).some(({ to }) => to === key);
  }

  /** Repair of an entry whose last version is void. */
  repairOf(key: string): Repair | undefined {
    return this.repairs.get(key);
  }

  allRepairs(): Repair[] {
    return [...this.repairs.values()];
  }

  /** Prefix of the stream keys of a gallery's subjects. */
  prefixOf(uid: number): string {
    return `s.${this.sealer.nameOf('subjects', String(uid))}.`;
  }

  private takeGallery({ key, value, revision, writeId }: Entry): boolean {
    const old = this.byKey.get(key);
    // Already read ahead.
    if (old?.version && revision <= old.version.revision) return true;
    const version = { revision, writeId };
    const opened = value && this.sealer.unseal(key, value);
    // Skipping it would drop the whole gallery, which is the operator's decision.
    if (value && !opened) throw jetstreamInvalid('has a damaged entry of a gallery: restore an export');
    if (!opened) {
      if (old?.gallery) this.removeGallery(old.gallery);
      this.byKey.set(key, { key, version });
      return true;
    }
    const { gallery: content, key: secret } = decodeGallery(opened);
    // Before 2026-11-29 the first version had no uid. Now its writer chooses one, as servers may renumber messages.
    const { uid = revision, ...settings } = content;
    if (old?.gallery && old.gallery.uid !== uid) this.removeGallery(old.gallery);
    const known = this.byUid.get(uid);
    const before = known && this.target.table.byId.get(settings.id);
    const state = before?.state ?? this.target.makeState({ ...settings, uid });
    const held = known ?? this.addGallery(uid, settings.id, secret);
    this.byKey.set(key, { key, version, gallery: held });
    this.replaceGallery({ before, after: { ...settings, uid, state } });
    return true;
  }

  private replaceGallery(replacement: Replacement<GalleryEntry>): void {
    this.target.table.reserve(replacement, 1);
    this.target.table.replace(replacement);
  }

  private addGallery(uid: number, id: string, secret: string): HeldGallery {
    const prefix = this.prefixOf(uid);
    const gallery = new HeldGallery(
      uid,
      id,
      secret,
      prefix,
      this.sealer.under(Buffer.from(secret, 'base64')),
    );
    this.byUid.set(uid, gallery);
    this.byPrefix.set(prefix, gallery);
    return gallery;
  }

  private removeGallery({ uid, id, prefix, subjects }: HeldGallery): void {
    const before = this.target.table.byId.get(id);
    if (before) {
      this.replaceGallery({ before });
      this.target.onRemoved();
      void before.state.close();
    }
    this.byUid.delete(uid);
    this.byPrefix.delete(prefix);
    for (const name of subjects.keys()) {
      this.left.delete(prefix + name);
      this.repairs.delete(prefix + name);
    }
  }

  private takeSubject(gallery: HeldGallery, name: string, entry: Entry): boolean {
    const { key, revision, writeId, value, replacedWriteId } = entry;
    const { state } = this.target.table.byId.get(gallery.id)!;
    const version = { revision, writeId };
    const old = gallery.subjects.get(name);
    this.repairs.delete(key);
    if (value && old?.leftWriteId !== undefined && replacedWriteId === old.leftWriteId) {
      // Its writer did not know yet that the subject was renamed or merged.
      gallery.subjects.set(name, { ...old, ...version });
      this.left.set(key, { version, to: old.leftTo! });
      this.repairs.set(key, { key, version, value: null });
      return false;
    }
    this.left.delete(key);
    const content = value ? this.open(gallery, entry) : undefined;
    if (value && !content) this.damaged++;
    const isTimely = !content?.move || this.isTimely(gallery, content.move);
    const before = old?.id == null ? undefined : state.findSubject(old.id);
    const source = isTimely && content?.move ? this.leave(gallery, state, content.move, key) : undefined;
    const holds = isTimely ? content : content?.fallback;
    const taken = this.replace(state, { before, holds: holds ?? undefined, source, revision });
    gallery.subjects.set(name, { revision, writeId, id: holds?.details.id ?? null });
    if (isTimely && taken === content?.references.length) return true;
    if (!content) return true;
    const kept = before === undefined && !holds ? undefined : state.findSubject(holds?.details.id ?? '');
    const repaired = kept && toContent(kept, ({ row }) => state.embeddingOf({ row } as ReferenceEntry));
    const sealed = repaired ? gallery.sealer.seal(key, encodeSubject(repaired)) : null;
    this.repairs.set(key, { key, version, value: sealed });
    return false;
  }

  private open(gallery: HeldGallery, { key, value }: Entry): SubjectEntryContent | undefined {
    const opened = gallery.sealer.unseal(key, value!);
    return opened && decodeSubject(opened, this.target.table.byId.get(gallery.id)!.dimensions);
  }

  /**
   * Whether the source of a move had no later version at that time. The version named by the move may have been erased before it
   * was read here, while an earlier one still exists.
   */
  private isTimely({ subjects }: HeldGallery, { from, version }: Move): boolean {
    const source = subjects.get(from);
    return !source || source.writeId === version.writeId || source.revision <= version.revision;
  }

  /** Marks the source of a move as left. @returns the source subject, if it still exists. */
  private leave(
    gallery: HeldGallery,
    state: GalleryState,
    { from, version }: Move,
    to: string,
  ): SubjectEntry | undefined {
    const source = gallery.subjects.get(from);
    // The servers may have renumbered it since the move was written.
    const revision = source?.writeId === version.writeId ? source.revision : version.revision;
    const left = { revision, writeId: version.writeId };
    if (source) this.left.set(gallery.prefix + from, { version: left, to });
    gallery.subjects.set(from, { ...left, id: null, leftWriteId: left.writeId, leftTo: to });
    return source?.id == null ? undefined : state.findSubject(source.id);
  }

  /**
   * Replaces the previous state of an entry with a subject. A reference is left out if another subject has its id, which two
   * replicas may have assigned at the same time.
   *
   * @returns the number of references that the subject has now.
   */
  private replace(
    state: GalleryState,
    {
      before,
      holds,
      source,
      revision,
    }: { before?: SubjectEntry; holds?: SubjectContent; source?: SubjectEntry; revision: number },
  ): number {
    const draft = new Draft(state, this.target.table.reserved, () => revision);
    const old = new Map(before?.references.map((one) => [one.id, one]));
    const isKept = ({ id, uid }: ContentReference) => old.get(id)?.uid === uid;
    const kept = new Set(holds?.references.filter(isKept).map(({ id }) => id));
    // Removals first: they free the ids that added references may use.
    for (const reference of source?.references ?? []) draft.replaceReference(reference, undefined);
    if (source) draft.replaceSubject(source, undefined);
    for (const reference of old.values())
      if (!kept.has(reference.id)) draft.replaceReference(reference, undefined);
    if (!holds) {
      if (before) draft.replaceSubject(before, undefined);
    } else {
      const number = before?.number ?? draft.takeNumber();
      const isElsewhere = ({ id }: ContentReference) => {
        const owner = state.findReference(id)?.subject;
        return owner !== undefined && owner !== before?.number && owner !== source?.number;
      };
      const references = holds.references
        .filter((reference) => kept.has(reference.id) || !isElsewhere(reference))
        .map(({ embedding, ...reference }) => {
          const known = kept.has(reference.id) ? old.get(reference.id) : undefined;
          const row = known?.row ?? draft.takeRow();
          const after = makeReference({ ...reference, subject: number, row });
          draft.replaceReference(known, after, known ? undefined : embedding);
          return after;
        });
      const { uid: given = revision, ...details } = holds.details;
      const uid = before?.details.uid ?? freeUid(state, given, source);
      draft.replaceSubject(before, { details: makeDetails({ ...details, uid }), number, references });
    }
    draft.count(1);
    state.apply(draft);
    const after = new Set(holds?.references.map(({ id }) => id));
    const isGone = ({ id }: ReferenceEntry) => !after.has(id);
    if ((before && !holds) || [...old.values(), ...(source?.references ?? [])].some(isGone))
      this.target.onRemoved();
    return draft.subjects.at(-1)?.after?.references.length ?? 0;
  }
}

/** After the servers renumbered messages, the revision of a new subject may equal the uid of an existing one. */
function freeUid(state: GalleryState, given: number, source: SubjectEntry | undefined): number {
  let uid = given;
  while (uid !== source?.details.uid && state.hasUid(uid)) uid++;
  return uid;
}

/** Content of a subject as written to the stream. */
export function toContent(
  { details: { record: _record, ...details }, references }: SubjectEntry,
  embeddingOf: (reference: ReferenceEntry) => Float32Array,
): SubjectContent {
  return {
    details,
    references: references.map((entry) => {
      const { record: _record, subject: _subject, row: _row, ...reference } = entry;
      return { ...reference, embedding: embeddingOf(entry) };
    }),
  };
}
