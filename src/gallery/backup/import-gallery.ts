import { crc32 } from 'node:zlib';
import { FaceError } from '../../errors';
import {
  BINARY_MAGIC,
  EXPORT_NAME,
  EXPORT_VERSION,
  type ExportEnd,
  type ExportHeader,
  FRAME,
  FRAME_HEAD_BYTES,
  MAX_FRAME_BYTES,
} from './gallery-file';
import { metadataProblem, rightsProblems, subjectIdProblem } from '../gallery-rules';
import { assertNoCopy } from '../migration/gallery-migrations';
import type { GalleryStore } from '../stores/gallery-store';
import type { FaceQuality, Metadata, NewReference, SubjectRights } from '../gallery.types';

/** Records added together: enough to share a flush, few enough to hold in memory. */
const BATCH_SIZE = 500;
/** Tolerance for the length of an embedding, which must be 1 up to float32 rounding. */
const MAX_NORM_ERROR = 1e-3;
const IMAGE_HASH = /^[0-9a-f]{64}$/;

export interface ImportSummary {
  /** Subjects in the file, created or updated with its metadata. */
  subjectCount: number;
  /** New references. */
  addedCount: number;
  /** References that existed already, by id or image. */
  existingCount: number;
}

/** One parsed record of an export; the embedding of a reference is still undecoded. */
interface Item {
  /** Number of the line or frame, from 1. */
  position: number;
  header?: unknown;
  subject?: unknown;
  reference?: unknown;
  end?: unknown;
}

interface NewSubject extends Partial<SubjectRights> {
  id: string;
  metadata: Metadata;
}

/**
 * Imports the output of `exportGallery`, in either format, into an existing gallery. Subjects get the metadata of the file;
 * existing references stay unchanged. Times are those of the import. Memory holds one batch at a time.
 *
 * A failed import keeps the records it has added: `details.imported` counts them, `details.record` tells where it stopped. It
 * can be repeated.
 *
 * @param chunks - bytes of the file, in chunks of any size.
 * @throws {FaceError} EMBEDDING_CONTRACT_MISMATCH for a different contract or length, before anything is imported;
 * REQUEST_MALFORMED for a truncated or damaged file; PARAMETER_INVALID for an invalid record; errors of the store, such as
 * GALLERY_FULL.
 */
export async function importGallery(
  store: GalleryStore,
  galleryId: string,
  chunks: AsyncIterable<Uint8Array>,
): Promise<ImportSummary> {
  const gallery = await store.getGallery(galleryId);
  assertNoCopy(gallery);
  const { contract, dimensions } = gallery;
  const imported: ImportSummary = { subjectCount: 0, addedCount: 0, existingCount: 0 };
  let subjects: NewSubject[] = [];
  let references: { position: number; reference: NewReference }[] = [];
  let recordCount = 0;
  let position = 0;
  let hasHeader = false;
  let end: ExportEnd | undefined;

  async function flush(): Promise<void> {
    const [newSubjects, newReferences] = [subjects, references];
    [subjects, references] = [[], []];
    await Promise.all(
      newSubjects.map(({ id, metadata, ...rights }) => store.putSubject(galleryId, id, metadata, rights)),
    );
    imported.subjectCount += newSubjects.length;
    const outcomes = await store.addReferences(
      galleryId,
      newReferences.map(({ reference }) => reference),
    );
    let refused: FaceError | undefined;
    outcomes.forEach((outcome, i) => {
      if ('reference' in outcome) imported[outcome.status === 'added' ? 'addedCount' : 'existingCount']++;
      else refused ??= outcome.withDetails({ record: newReferences[i].position });
    });
    if (refused) throw refused;
  }

  try {
    for await (const item of readItems(chunks)) {
      position = item.position;
      if (end) throw malformed('continues after its end');
      if (!hasHeader) {
        checkHeader(item.header, contract, dimensions);
        hasHeader = true;
        continue;
      }
      if (item.end !== undefined) {
        end = item.end as ExportEnd;
        continue;
      }
      if (item.subject !== undefined) subjects.push(parseSubject(item.subject));
      else if (item.reference !== undefined)
        references.push({ position, reference: parseReference(item.reference, dimensions) });
      else throw malformed('has a record of an unknown kind');
      recordCount++;
      if (subjects.length + references.length >= BATCH_SIZE) await flush();
    }
    if (end?.recordCount !== recordCount) {
      position++;
      throw malformed('is truncated');
    }
    await flush();
    return imported;
  } catch (error) {
    if (!(error instanceof FaceError)) throw error;
    throw error.withDetails({ record: position, ...error.details, imported });
  }
}

function malformed(what: string): FaceError {
  return new FaceError('REQUEST_MALFORMED', `The exported gallery ${what}.`);
}

/** Detects the format by the first bytes. */
async function* readItems(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Item> {
  let read: ((bytes: Buffer) => Generator<Item | number>) | undefined;
  let rest = Buffer.alloc(0);
  let position = 0;
  for await (const chunk of chunks) {
    rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : Buffer.from(chunk);
    if (rest.length < BINARY_MAGIC.length) continue;
    if (!read) {
      const isBinary = rest.subarray(0, BINARY_MAGIC.length).equals(BINARY_MAGIC);
      if (isBinary) rest = rest.subarray(BINARY_MAGIC.length);
      read = isBinary ? readFrames : readLines;
    }
    try {
      for (const found of read(rest)) {
        if (typeof found === 'number') rest = rest.subarray(found);
        else yield { ...found, position: ++position };
      }
      if (rest.length > MAX_FRAME_BYTES + FRAME_HEAD_BYTES) throw malformed('has a record that is too long');
    } catch (error) {
      throw error instanceof FaceError ? error.withDetails({ record: position + 1 }) : error;
    }
  }
  if (rest.length > 0) throw malformed('is truncated').withDetails({ record: position + 1 });
}

/** Yields every complete line, and finally the number of consumed bytes. */
function* readLines(bytes: Buffer): Generator<Item | number> {
  let from = 0;
  for (let to; (to = bytes.indexOf(10, from)) >= 0; from = to + 1) {
    const value = parseRecord(bytes.toString('utf8', from, to)) as Record<string, unknown>;
    if (typeof value !== 'object' || value === null) throw malformed('has a line that is not an object');
    const { format, subject, reference, end } = value;
    yield format === undefined ? { position: 0, subject, reference, end } : { position: 0, header: value };
  }
  yield from;
}

/** Yields every complete frame, and finally the number of consumed bytes. */
function* readFrames(bytes: Buffer): Generator<Item | number> {
  let from = 0;
  while (bytes.length - from >= FRAME_HEAD_BYTES) {
    const length = bytes.readUInt32LE(from);
    if (length > MAX_FRAME_BYTES) throw malformed('has a record that is too long');
    const begin = from + FRAME_HEAD_BYTES;
    if (bytes.length < begin + length) break;
    const body = bytes.subarray(begin, begin + length);
    if (crc32(body) !== bytes.readUInt32LE(from + 4)) throw malformed('is damaged');
    yield parseFrame(body);
    from = begin + length;
  }
  yield from;
}

function parseFrame(body: Buffer): Item {
  const text = (begin: number, end?: number) => parseRecord(body.toString('utf8', begin, end));
  switch (body[0]) {
    case FRAME.header:
      return { position: 0, header: text(1) };
    case FRAME.subject:
      return { position: 0, subject: text(1) };
    case FRAME.reference: {
      const begin = 5;
      const end = body.length < begin ? Infinity : begin + body.readUInt32LE(1);
      if (end > body.length) throw malformed('is damaged');
      const embedding = body.subarray(end);
      return { position: 0, reference: { ...(text(begin, end) as object), embedding } };
    }
    case FRAME.end:
      return { position: 0, end: text(1) };
    default:
      return { position: 0 };
  }
}

function parseRecord(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw malformed('is damaged');
  }
}

function checkHeader(value: unknown, contract: string, dimensions: number): void {
  const header = value as Partial<ExportHeader> | null | undefined;
  if (header?.format !== EXPORT_NAME || typeof header.gallery !== 'object' || header.gallery === null)
    throw malformed('has no header');
  if (header.version !== EXPORT_VERSION)
    throw malformed(`has version ${String(header.version)}, which is not supported`);
  const { gallery } = header;
  if (gallery.contract !== contract || gallery.dimensions !== dimensions)
    throw new FaceError(
      'EMBEDDING_CONTRACT_MISMATCH',
      'The embeddings of the exported gallery have a different contract than the target gallery.',
      {
        expected: { contract, dimensions },
        received: { contract: gallery.contract, dimensions: gallery.dimensions },
      },
    );
}

function parseSubject(value: unknown): NewSubject {
  // Exports of older versions contain no rights.
  const { id, metadata, consentRef = null, purpose = null, expiresAt = null } = (value ?? {}) as NewSubject;
  const rights = { consentRef, purpose, expiresAt };
  check({ id: subjectIdProblem(id), metadata: metadataProblem(metadata), ...rightsProblems(rights) });
  return { id, metadata, ...rights };
}

function parseReference(value: unknown, dimensions: number): NewReference {
  const fields = (value ?? {}) as Omit<NewReference, 'embedding'> & { embedding: string | Uint8Array };
  const { id, subjectId, metadata, quality, imageHash, expiresAt = null } = fields;
  check({
    id: subjectIdProblem(id),
    subjectId: subjectIdProblem(subjectId),
    metadata: metadataProblem(metadata),
    ...rightsProblems({ expiresAt }),
    quality:
      quality === null || isQuality(quality) ? null : 'must be null or an object with the measured values',
    imageHash:
      imageHash === null || (typeof imageHash === 'string' && IMAGE_HASH.test(imageHash))
        ? null
        : 'must be null or a sha256 in hexadecimal',
  });
  return {
    id,
    subjectId,
    metadata,
    quality,
    imageHash,
    expiresAt,
    embedding: parseEmbedding(fields.embedding, dimensions),
  };
}

/** @param given - float32 little-endian, or base64 of that. */
function parseEmbedding(given: string | Uint8Array, dimensions: number): Float32Array {
  const bytes = typeof given === 'string' ? Buffer.from(given, 'base64') : given;
  const embedding = new Float32Array(dimensions);
  if (bytes?.length !== embedding.byteLength)
    throw invalid({ embedding: `must be ${dimensions} float32 numbers` });
  new Uint8Array(embedding.buffer).set(bytes);
  const norm = Math.hypot(...embedding);
  // Negated, as every comparison with NaN is false.
  if (!(Math.abs(norm - 1) <= MAX_NORM_ERROR)) throw invalid({ embedding: 'must have unit length' });
  return embedding;
}

function isQuality(value: unknown): value is FaceQuality {
  const { detectionScore, faceSizePx, sharpness, brightness, pose } = (value ?? {}) as FaceQuality;
  const isNumber = (one: unknown) => typeof one === 'number';
  return (
    [detectionScore, faceSizePx].every(isNumber) &&
    [sharpness, brightness].every((one) => one === null || isNumber(one)) &&
    (pose === null || [pose?.yaw, pose?.pitch, pose?.roll].every(isNumber))
  );
}

function check(problems: Record<string, string | null>): void {
  const found = Object.entries(problems).filter(([, problem]) => problem !== null);
  if (found.length > 0) throw invalid(Object.fromEntries(found) as Record<string, string>);
}

function invalid(fields: Record<string, string>): FaceError {
  const list = Object.entries(fields).map(([field, problem]) => `${field} ${problem}`);
  return new FaceError('PARAMETER_INVALID', `A record is invalid: ${list.join('; ')}.`, { fields });
}
