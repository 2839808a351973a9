import { createCipheriv, createDecipheriv } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { keepOwner } from './keep-owner';

/** Bytes of a key, for AES-256, and of its slot in the file. */
export const KEY_BYTES = 32;
const NO_KEY = Buffer.alloc(KEY_BYTES);
/** Chunk size of reads: systems read at most 2 GiB at once. */
const MAX_READ_BYTES = 2 ** 30;
/** Chunk size of overwrites. */
const WIPE_BYTES = 2 ** 20;

/** One key per bundle of records, in the slot with the number of the bundle; zeros in slots without a key. */
export class KeyFile {
  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    private readonly wrappingKey: Buffer | undefined,
  ) {}

  /** @param wrappingKey - encrypts the keys in the file. */
  static async open(path: string, wrappingKey: Buffer | undefined): Promise<KeyFile> {
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    return new KeyFile(path, file, wrappingKey);
  }

  /**
   * Reads all keys, unwrapped: Uint8Array [N * 32]. `isSet` is 1 for each slot with a key. A truncated last slot is ignored.
   */
  async read(): Promise<{ keys: Buffer; isSet: Uint8Array }> {
    const { size } = await this.file.stat();
    const slots = Buffer.alloc(size - (size % KEY_BYTES));
    for (let at = 0; at < slots.length;) {
      const { bytesRead } = await this.file.read(slots, at, Math.min(slots.length - at, MAX_READ_BYTES), at);
      if (bytesRead === 0) throw new Error('The keys ended early.');
      at += bytesRead;
    }
    const isSet = new Uint8Array(slots.length / KEY_BYTES);
    for (let i = 0; i < isSet.length; i++)
      isSet[i] = Number(NO_KEY.compare(slots, i * KEY_BYTES, (i + 1) * KEY_BYTES) !== 0);
    return { keys: unwrap(slots, this.wrappingKey), isSet };
  }

  /**
   * Reads some keys, unwrapped: Uint8Array [N * 32], in the order of `numbers`. Slots without a key return arbitrary bytes.
   *
   * @param numbers - ascending.
   */
  async readSome(numbers: readonly number[]): Promise<Buffer> {
    const slots = Buffer.alloc(numbers.length * KEY_BYTES);
    for (const { at, length, position } of runsOf(numbers)) await this.file.read(slots, at, length, position);
    return unwrap(slots, this.wrappingKey);
  }

  /**
   * Writes keys. They are on the disk when the promise settles.
   *
   * @param numbers - ascending.
   * @param keys - Uint8Array [N * 32], in the order of `numbers`.
   */
  async write(numbers: readonly number[], keys: Buffer): Promise<void> {
    await this.writeSlots(numbers, wrap(keys, this.wrappingKey));
  }

  /** Overwrites keys with zeros, on the disk when the promise settles: the bundles that they opened are then unreadable. */
  async wipe(numbers: readonly number[]): Promise<void> {
    await this.writeSlots(numbers, Buffer.alloc(numbers.length * KEY_BYTES));
  }

  /**
   * Writes all keys to a new file, whose content is on the disk when the promise settles.
   *
   * @param path - of a file that does not exist yet.
   * @param wrappingKey - encrypts the keys in the new file.
   */
  async copyTo(path: string, wrappingKey: Buffer | undefined): Promise<void> {
    const { keys, isSet } = await this.read();
    const slots = wrap(keys, wrappingKey);
    for (const [number, set] of isSet.entries())
      if (!set) slots.fill(0, number * KEY_BYTES, (number + 1) * KEY_BYTES);
    const file = await open(path, 'wx', 0o600);
    try {
      await keepOwner(file, this.path);
      await file.writeFile(slots);
      await file.sync();
    } finally {
      await file.close();
      keys.fill(0);
    }
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private async writeSlots(numbers: readonly number[], slots: Buffer): Promise<void> {
    for (const { at, length, position } of runsOf(numbers)) {
      const { bytesWritten } = await this.file.write(slots, at, length, position);
      if (bytesWritten !== length) throw new Error('The keys were written in part.');
    }
    if (numbers.length > 0) await this.file.datasync();
  }
}

/*
 * ECB mode is sufficient, in one call for all keys: keys are random, so no block repeats and no pattern shows. Opening the bundle
 * verifies the key.
 */
function wrap(keys: Buffer, wrappingKey: Buffer | undefined): Buffer {
  if (!wrappingKey) return keys;
  return createCipheriv('aes-256-ecb', wrappingKey, null).setAutoPadding(false).update(keys);
}

function unwrap(slots: Buffer, wrappingKey: Buffer | undefined): Buffer {
  if (!wrappingKey) return slots;
  return createDecipheriv('aes-256-ecb', wrappingKey, null).setAutoPadding(false).update(slots);
}

/** Overwrites and removes a key file; does nothing if it does not exist. */
export async function wipeKeyFile(path: string): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const zeros = Buffer.alloc(WIPE_BYTES);
    const { size } = await file.stat();
    for (let at = 0; at < size;) {
      const { bytesWritten } = await file.write(zeros, 0, Math.min(WIPE_BYTES, size - at), at);
      at += bytesWritten;
    }
    await file.datasync();
  } finally {
    await file.close();
  }
  await rm(path);
}

/** Runs of consecutive numbers, each read or written at once: offsets in memory (`at`) and in the file (`position`), in bytes. */
function* runsOf(numbers: readonly number[]): Generator<{ at: number; length: number; position: number }> {
  for (let from = 0, to = 1; from < numbers.length; from = to++) {
    while (to < numbers.length && numbers[to] === numbers[to - 1] + 1) to++;
    yield { at: from * KEY_BYTES, length: (to - from) * KEY_BYTES, position: numbers[from] * KEY_BYTES };
  }
}
