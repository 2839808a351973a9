import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Entity, File as H5File, Group, Metadata } from 'h5wasm';
import { FaceError } from '../../errors';
import { importError } from './import-error';

/** Elements read at a time: 8 MiB of float32. */
const BLOCK_ELEMENTS = 2 ** 21;
/** Most strings in one attribute; the largest network here has under 1,000 layers. */
const MAX_TEXTS = 100_000;

type H5 = typeof import('h5wasm');

/** The used part of the file system inside the library. */
interface SandboxFs {
  mkdirTree(path: string): void;
  createFile(
    parent: string,
    name: string,
    properties: object,
    canRead: boolean,
    canWrite: boolean,
  ): SandboxNode;
  unlink(path: string): void;
  streams: { stream_ops: object }[];
}

interface SandboxNode {
  stream_ops: object;
}

let library: Promise<H5> | undefined;
let opened = 0;

/**
 * The HDF5 library, compiled to WebAssembly. The build for browsers is deliberate: it has a virtual file system with
 * only the file to read, so links and storage in other files lead nowhere, and a malformed file causes an exception at
 * worst.
 */
async function loadLibrary(): Promise<H5> {
  const h5 = await import('h5wasm');
  const { FS } = await h5.ready;
  // The library prints each failure on stderr, over many lines; the result is enough.
  const stderr = (FS as unknown as SandboxFs).streams[2];
  stderr.stream_ops = {
    ...stderr.stream_ops,
    write: (_stream: unknown, _buffer: unknown, _offset: number, length: number) => length,
  };
  return h5;
}

/**
 * An HDF5 file, open for reading. It is read in blocks, never as a whole.
 *
 * All methods throw a {@link FaceError} MODEL_IMPORT_FAILED if the file is damaged.
 */
export class Hdf5File {
  private constructor(
    private readonly h5: H5,
    private readonly file: H5File,
    private readonly fd: number,
    private readonly sandboxPath: string,
  ) {}

  /** @throws {FaceError} MODEL_IMPORT_FAILED if it is no HDF5 file; errors of `open` of the system. */
  static async open(path: string): Promise<Hdf5File> {
    const fd = openSync(path, 'r');
    try {
      library ??= loadLibrary();
      const h5 = await library;
      const fs = h5.FS as unknown as SandboxFs;
      const folder = `/import-${opened++}`;
      fs.mkdirTree(folder);
      const node = fs.createFile(folder, 'weights.h5', {}, true, false);
      const size = fstatSync(fd).size;
      // Instead of bytes in memory: the size, and reads from the file.
      Object.defineProperty(node, 'usedBytes', { get: () => size });
      node.stream_ops = {
        ...node.stream_ops,
        read: (_stream: unknown, buffer: Int8Array, offset: number, length: number, position: number) =>
          readSync(fd, buffer, offset, length, position),
      };
      const sandboxPath = `${folder}/weights.h5`;
      const failure = 'The file is not HDF5 or is incomplete.';
      const file = guarded(failure, () => new h5.File(sandboxPath, 'r'));
      if (file.file_id < 0n) throw importError(failure);
      return new Hdf5File(h5, file, fd, sandboxPath);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  close(): void {
    try {
      this.file.close();
      (this.h5.FS as unknown as SandboxFs).unlink(this.sandboxPath);
    } catch {
      // A damaged file may be impossible to close; the process ends after an import anyway.
    } finally {
      closeSync(this.fd);
    }
  }

  /** Whether the root has a group of that name. */
  hasGroup(name: string): boolean {
    return guarded('The list of groups of the file is damaged.', () => {
      return this.file.keys().includes(name) && isGroup(this.file.get(name));
    });
  }

  /**
   * Attribute of a group, a list of strings; `null` if absent.
   *
   * @param path - of the group, from the root.
   * @param layer - that errors name.
   */
  texts(path: string, attribute: string, layer?: string): string[] | null {
    const details = layer == null ? {} : { layer };
    const what = `The attribute ${attribute} of the group ${quote(path)}`;
    const read = () => {
      const group = path === '/' ? this.file : this.file.get(path);
      if (!isGroup(group))
        throw importError(`The group ${quote(path)} is missing or is not a group.`, details);
      const found = group.attrs[attribute];
      if (found == null) return null;
      const count = (found.shape ?? []).reduce((product, size) => product * size, 1);
      if (count === 0) return [];
      if (count > MAX_TEXTS) throw importError(`${what} has ${count} values.`, details);
      const value = found.value;
      const texts = Array.isArray(value) ? value : [value];
      if (texts.some((text) => typeof text !== 'string')) throw importError(`${what} is not text.`, details);
      return texts as string[];
    };
    return guarded(`${what} is damaged.`, read, layer);
  }

  /**
   * Shape of a tensor of floats.
   *
   * @throws {FaceError} MODEL_IMPORT_FAILED if it is missing, not float32, or in another file.
   */
  shape(path: string, layer: string): number[] {
    const metadata = this.metadata(path, layer);
    const { type, size, littleEndian, shape, virtual_sources: sources } = metadata;
    const fail = (what: string) => importError(`The tensor ${quote(path)} ${what}.`, { layer });
    if (sources != null) throw fail('refers to other files, which is not supported');
    if (type !== this.h5.Module.H5T_class_t.H5T_FLOAT.value || size !== 4 || !littleEndian) {
      const kind =
        type === this.h5.Module.H5T_class_t.H5T_FLOAT.value ? `float${size * 8}` : 'not a float type';
      throw fail(`must be float32, little-endian, but is ${kind}${littleEndian ? '' : ', big-endian'}`);
    }
    if (shape == null) throw fail('has no shape');
    return shape;
  }

  private metadata(path: string, layer: string): Metadata {
    const isThere = guarded(`Layer ${quote(layer)} is damaged.`, () => {
      const entity = this.file.get(path);
      return entity != null && 'type' in entity && entity.type === ('Dataset' as typeof entity.type);
    });
    if (!isThere) throw importError(`The tensor ${quote(path)} is missing.`, { layer });
    return guarded(
      `The tensor ${quote(path)} is damaged.`,
      () => this.h5.Module.get_dataset_metadata(this.file.file_id, path),
      layer,
    );
  }

  /**
   * Reads a tensor of {@link shape}, block by block, in row-major order.
   *
   * @param take - receives the elements, in memory of the library and valid only during the call, and the index of the
   * first.
   */
  read(
    path: string,
    shape: readonly number[],
    layer: string,
    take: (block: Float32Array, start: number) => void,
  ): void {
    const { Module } = this.h5;
    const failure = `The tensor ${quote(path)} cannot be read: the file is damaged.`;
    const size = shape.reduce((product, length) => product * length, 1);
    const pointer = guarded(
      failure,
      () => Module._malloc(Math.min(size, BLOCK_ELEMENTS) * Float32Array.BYTES_PER_ELEMENT),
      layer,
    );
    if (pointer === 0) throw importError(failure, { layer });
    try {
      let start = 0;
      for (const { offset, count, elements } of blocks(shape)) {
        const strides = shape.map(() => 1n);
        const status = guarded(
          failure,
          () => Module.get_dataset_data(this.file.file_id, path, count, offset, strides, BigInt(pointer)),
          layer,
        );
        // Checked, unlike in the methods of the library, which ignore the failure and return old memory.
        if (status < 0) throw importError(failure, { layer });
        take(new Float32Array(Module.HEAPU8.buffer, pointer, elements), start);
        start += elements;
      }
    } finally {
      Module._free(pointer);
    }
  }
}

/** Divides a tensor into contiguous blocks of at most {@link BLOCK_ELEMENTS}. */
export function* blocks(
  shape: readonly number[],
): Generator<{ offset: bigint[]; count: bigint[]; elements: number }> {
  // The first axis with one index that fits into a block; earlier axes are iterated.
  const inner = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const axis = Math.max(
    0,
    inner.findIndex((elements) => elements <= BLOCK_ELEMENTS),
  );
  const rows = Math.max(1, Math.floor(BLOCK_ELEMENTS / inner[axis]));
  const outer = shape.slice(0, axis);
  const outerCount = outer.reduce((product, size) => product * size, 1);
  for (let i = 0; i < outerCount; i++) {
    const index: number[] = [];
    for (let k = axis - 1, rest = i; k >= 0; rest = Math.floor(rest / outer[k]), k--)
      index.unshift(rest % outer[k]);
    for (let from = 0; from < shape[axis]; from += rows) {
      const taken = Math.min(rows, shape[axis] - from);
      const after = shape.slice(axis + 1);
      yield {
        offset: [...index, from, ...after.map(() => 0)].map(BigInt),
        count: [...index.map(() => 1), taken, ...after].map(BigInt),
        elements: taken * inner[axis],
      };
    }
  }
}

/** Not by class, because the library is loaded on demand. */
function isGroup(entity: Entity | null): entity is Group {
  return entity != null && 'type' in entity && entity.type === ('Group' as typeof entity.type);
}

/** Converts errors of the library to coded errors. */
function guarded<T>(message: string, read: () => T, layer?: string): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof FaceError) throw error;
    throw importError(message, layer == null ? {} : { layer }, error);
  }
}

/** Names from a file appear in messages: truncated, and without control characters. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}
