import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { FaceError } from '../errors';
import type { ModelCard } from './model-card';

/** Bytes per hashing step: a millisecond of work, so that the server still responds while it hashes half a gigabyte. */
const CHUNK_BYTES = 1024 ** 2;

/**
 * sha256 of a file, hexadecimal. The file is read in chunks.
 *
 * @param onBytes - called with the length of each chunk in bytes.
 */
export async function sha256OfFile(path: string, onBytes?: (count: number) => void): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES })) {
    hash.update(chunk);
    onBytes?.((chunk as Buffer).length);
  }
  return hash.digest('hex');
}

/** Whether a file exists and matches the hash of the card. */
export async function isModelFile(path: string, { bytes, sha256 }: ModelCard): Promise<boolean> {
  try {
    const found = await stat(path);
    return found.isFile() && found.size === (bytes ?? found.size) && (await sha256OfFile(path)) === sha256;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Checks a model file against its card, without loading it into memory.
 *
 * @throws {FaceError} MODEL_NOT_FOUND if it cannot be read, MODEL_CHECKSUM_MISMATCH if it is another file.
 */
export async function checkModelFile(path: string, card: ModelCard): Promise<void> {
  let received: string;
  try {
    received = await sha256OfFile(path);
  } catch (error) {
    throw unreadable(path, card, error);
  }
  assertSha256(received, path, card);
}

/**
 * Reads a model file. The returned bytes are the checked ones.
 *
 * @throws {FaceError} as {@link checkModelFile}.
 */
export async function readModelFile(path: string, card: ModelCard): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw unreadable(path, card, error);
  }
  assertSha256(createHash('sha256').update(bytes).digest('hex'), path, card);
  return bytes;
}

function unreadable(path: string, card: ModelCard, cause: unknown): FaceError {
  return new FaceError(
    'MODEL_NOT_FOUND',
    `The file ${basename(path)} of model ${card.name} cannot be read.`,
    {},
    { cause },
  );
}

function assertSha256(received: string, path: string, card: ModelCard): void {
  if (received !== card.sha256) throw checksumMismatch(card, basename(path), { sha256: received });
}

/**
 * Error for a file that does not match the hash of the card.
 *
 * @param received - its sha256, or its size if that already differs.
 */
export function checksumMismatch(
  card: ModelCard,
  file: string,
  received: { sha256: string } | { bytes: number | 'more' },
): FaceError {
  const isHash = 'sha256' in received;
  const [unit, expected, actual] = isHash
    ? ['sha256', card.sha256, received.sha256]
    : ['size in bytes', card.bytes, received.bytes];
  return new FaceError(
    'MODEL_CHECKSUM_MISMATCH',
    `Expected ${unit} ${expected} for the file ${file} of model ${card.name} but it is ${actual}.`,
    { file, model: card.name, expected, received: actual },
  );
}
