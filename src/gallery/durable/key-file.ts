import { createCipheriv, createDecipheriv } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** Bytes of a key, which is that of AES-256, and of its place in the file. */
export const KEY_BYTES = 32;
const NO_KEY = Buffer.alloc(KEY_BYTES);
/** A system reads no more than 2 GiB at once. */
const MAX_READ_BYTES = 2 ** 30;

/** One key for each bundle of records, at the number of the bundle; zeros where there is none. */
export class KeyFile {
  private constructor(
    private readonly file: FileHandle,
    private readonly wrappingKey: Buffer | undefined,
  ) {}

  /** @param wrappingKey - encrypts the keys in the file. */
  static async open(path: string, wrappingKey: Buffer | undefined): Promise<KeyFile> {
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    return new KeyFile(file, wrappingKey);
  }

  /**
   * All keys, as they can be used, Uint8Array [N * 32], and by number: 1 where there is one. What is cut off is not there.
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
    return { keys: this.unwrap(slots), isSet };
  }

  /**
   * Some of the keys, Uint8Array [N * 32], in the order of `numbers`; anything where there is none.
   *
   * @param numbers - ascending.
   */
  async readSome(numbers: readonly number[]): Promise<Buffer> {
    const slots = Buffer.alloc(numbers.length * KEY_BYTES);
    for (const { at, length, position } of runsOf(numbers)) await this.file.read(slots, at, length, position);
    return this.unwrap(slots);
  }

  /**
   * Safe when it settles.
   *
   * @param numbers - ascending.
   * @param keys - Uint8Array [N * 32], in the order of `numbers`.
   */
  async write(numbers: readonly number[], keys: Buffer): Promise<void> {
    await this.writeSlots(numbers, this.wrap(keys));
  }

  /** The keys are gone from the file when it settles, and what they opened with them. */
  async wipe(numbers: readonly number[]): Promise<void> {
    await this.writeSlots(numbers, Buffer.alloc(numbers.length * KEY_BYTES));
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

  /*
   * Block by block (ECB) is enough, and one call for all: keys are random, so that no block comes twice and there is no
   * pattern to be seen. Whether a key is right shows when its bundle is opened.
   */
  private wrap(keys: Buffer): Buffer {
    if (!this.wrappingKey) return keys;
    return createCipheriv('aes-256-ecb', this.wrappingKey, null).setAutoPadding(false).update(keys);
  }

  private unwrap(slots: Buffer): Buffer {
    if (!this.wrappingKey) return slots;
    return createDecipheriv('aes-256-ecb', this.wrappingKey, null).setAutoPadding(false).update(slots);
  }
}

/** Neighbours, which go in one read or write: where they are in memory and in the file, in bytes. */
function* runsOf(numbers: readonly number[]): Generator<{ at: number; length: number; position: number }> {
  for (let from = 0, to = 1; from < numbers.length; from = to++) {
    while (to < numbers.length && numbers[to] === numbers[to - 1] + 1) to++;
    yield { at: from * KEY_BYTES, length: (to - from) * KEY_BYTES, position: numbers[from] * KEY_BYTES };
  }
}
