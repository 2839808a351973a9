import { readFile, stat } from 'node:fs/promises';
import { quote } from '../hdf5-file';
import { importError } from '../import-error';
import { damaged, type PickleCalls, PickleGlobal, type PickleValue, readPickle } from './pickle';

/** Largest file: it is read into memory as a whole. */
const MAX_FILE_BYTES = 256 * 1024 * 1024;
/** First number of a file of the legacy format. @see pytorch/pytorch@v2.5.0:torch/serialization.py, MAGIC_NUMBER */
const MAGIC = 0x1950a86a20f9469cfc6cn;
/** Second number of a file. */
const FORMAT_VERSION = 1001;
/** First bytes of a zip, the format since PyTorch 1.6. */
const ZIP_MAGIC = Buffer.from('PK\x03\x04', 'latin1');
/** Most dimensions of a tensor. */
const MAX_DIMENSIONS = 8;
/** Prefix of the names of a network trained on several devices. */
const PARALLEL_PREFIX = 'module.';

/** Kinds of storages, and bytes of an element. */
const STORAGES = { 'torch.FloatStorage': 4, 'torch.LongStorage': 8 } as const;
type StorageKind = keyof typeof STORAGES;

/** Elements viewed by one or more tensors. */
class Storage {
  constructor(
    readonly kind: StorageKind,
    readonly key: string,
    /** Number of elements in the pickle; the data must have the same number. */
    readonly length: number,
  ) {}
}

/** A view of a storage: element (i, j, ...) is at `offset + i * strides[0] + j * strides[1] ...`. */
class TensorView {
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly dims: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

/**
 * Weights saved by `torch.save(model.state_dict())` of PyTorch before version 1.6: three small pickles (magic number,
 * version, byte order), the pickle of the tensors, a list of storages, then each storage as its length and its
 * elements.
 *
 * The pickle is read as data, see {@link readPickle}: nothing of the file is executed.
 *
 * @see pytorch/pytorch@v2.5.0:torch/serialization.py, `_legacy_save`
 */
export class StateDict {
  private readonly used = new Set<string>();

  private constructor(
    private readonly tensors: ReadonlyMap<string, TensorView>,
    private readonly data: ReadonlyMap<string, Buffer>,
  ) {}

  /**
   * Reads a file. Every tensor is checked against its storage.
   *
   * @throws {FaceError} MODEL_IMPORT_FAILED with the reason.
   */
  static async open(path: string): Promise<StateDict> {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) {
      throw importError(`Expected at most ${MAX_FILE_BYTES} bytes of weights but the file has ${size}.`);
    }
    return StateDict.parse(await readFile(path));
  }

  /** As {@link StateDict.open}, from the bytes of the file, which are kept but not changed. */
  static parse(file: Buffer): StateDict {
    if (file.subarray(0, ZIP_MAGIC.length).equals(ZIP_MAGIC)) {
      throw importError(
        'The file is in the zip format of PyTorch 1.6 and later, which is not supported. In Python, ' +
          'torch.save(weights, path, _use_new_zipfile_serialization=False) writes the older format.',
      );
    }
    const reader = new Reader(file);
    reader.readHeader();
    const tensors = withoutPrefix(reader.readTensors());
    const data = reader.readStorages();
    for (const [name, tensor] of tensors) assertInside(name, tensor, data);
    return new StateDict(tensors, data);
  }

  /** Bytes of all elements of all tensors. */
  get byteLength(): number {
    return [...this.data.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /**
   * Returns one tensor as a new row-major array, and marks it as used.
   *
   * @throws {FaceError} MODEL_IMPORT_FAILED if it is missing, has other dimensions, is not float32, or has an element
   * that is not finite.
   */
  floats(name: string, dims: readonly number[]): Float32Array {
    const { storage, offset, strides } = this.take(name, dims, 'torch.FloatStorage');
    const bytes = this.data.get(storage.key) as Buffer;
    const result = new Float32Array(dims.reduce((product, size) => product * size, 1));
    const index = dims.map(() => 0);
    let at = offset;
    for (let i = 0; i < result.length; i++) {
      result[i] = bytes.readFloatLE(at * 4);
      if (!Number.isFinite(result[i])) {
        throw importError(`The tensor ${quote(name)} has values that are not finite.`, { layer: name });
      }
      for (let axis = dims.length - 1; axis >= 0; axis--) {
        at += strides[axis];
        if (++index[axis] < dims[axis]) break;
        at -= dims[axis] * strides[axis];
        index[axis] = 0;
      }
    }
    return result;
  }

  /**
   * Marks the int64 scalar of that name as used: the number of training steps of a batch norm does not matter at
   * inference.
   */
  passOver(name: string): void {
    this.take(name, [], 'torch.LongStorage');
  }

  /** @throws {FaceError} MODEL_IMPORT_FAILED naming the unused tensors: the file is of another network. */
  assertAllUsed(): void {
    const unused = [...this.tensors.keys()].filter((name) => !this.used.has(name));
    if (unused.length === 0) return;
    const names = unused.slice(0, 5).map(quote).join(', ');
    throw importError(`The file has ${unused.length} tensors that are not in this architecture: ${names}.`, {
      layer: unused[0],
    });
  }

  private take(name: string, dims: readonly number[], kind: StorageKind): TensorView {
    const tensor = this.tensors.get(name);
    if (tensor == null) throw importError(`The file lacks the tensor ${quote(name)}.`, { layer: name });
    if (tensor.dims.join() !== dims.join() || tensor.storage.kind !== kind) {
      const received = `${tensor.storage.kind} [${tensor.dims.join(', ')}]`;
      throw importError(
        `Expected ${kind} [${dims.join(', ')}] for the tensor ${quote(name)} but it is ${received}.`,
        { layer: name },
      );
    }
    this.used.add(name);
    return tensor;
  }
}

/** Sequential reader of a file. */
class Reader {
  private position = 0;
  /** Storages of the tensors, by key. */
  private readonly storages = new Map<string, Storage>();

  constructor(private readonly file: Buffer) {}

  readHeader(): void {
    const start = this.file[0];
    // First byte of a pickle of protocol 2 or later: anything else is another file type, not a damaged file of PyTorch.
    if (start !== 0x80 || this.read() !== MAGIC) {
      throw importError('The file is not a PyTorch file: it does not begin with its magic number.');
    }
    const version = this.read();
    if (version !== FORMAT_VERSION) throw damaged(`its format has version ${String(version)}`);
    const system = this.read();
    if (!(system instanceof Map) || system.get('little_endian') !== true) {
      throw importError('The file was not written on a little-endian machine.');
    }
  }

  readTensors(): Map<string, TensorView> {
    const value = this.read({
      functions: {
        'collections.OrderedDict': (args) => {
          if (args.length > 0) throw damaged('an OrderedDict is created with arguments');
          return new Map();
        },
        'torch._utils._rebuild_tensor_v2': toTensor,
      },
      names: new Set(Object.keys(STORAGES)),
      persistent: (id) => this.toStorage(id),
    });
    const entries = value instanceof Map ? [...(value as Map<unknown, PickleValue>)] : [];
    if (entries.length === 0 || !entries.every(([, tensor]) => tensor instanceof TensorView)) {
      throw importError('The file is not a state dict: it contains values other than named tensors.');
    }
    return new Map(entries.map(([name, tensor]) => [String(name), tensor as TensorView]));
  }

  /** Reads the rest of the file after the pickles, to its last byte. */
  readStorages(): Map<string, Buffer> {
    const keys = this.read();
    const isList = Array.isArray(keys) && keys.every((key) => typeof key === 'string');
    if (!isList) throw damaged('its list of storages is not a list of strings');
    const data = new Map<string, Buffer>();
    for (const key of keys as string[]) {
      const storage = this.storages.get(key);
      if (storage == null) throw damaged('it lists a storage that no tensor uses');
      if (data.has(key)) throw damaged('it lists a storage twice');
      const length = this.bytes(8).readBigInt64LE();
      if (length !== BigInt(storage.length)) {
        throw damaged(`a storage of ${storage.length} elements declares ${length}`);
      }
      data.set(key, this.bytes(storage.length * STORAGES[storage.kind]));
    }
    if (data.size !== this.storages.size) throw damaged('a tensor uses a missing storage');
    if (this.position !== this.file.length) throw damaged('it has data after the last storage');
    return data;
  }

  /** ('storage', kind, key, device, length, view): the persistent id of a storage that is not a view of another one. */
  private toStorage(id: PickleValue): Storage {
    const [tag, kind, key, , length, view = null] = Array.isArray(id) ? id : [];
    const isKind = kind instanceof PickleGlobal && Object.hasOwn(STORAGES, kind.name);
    if (tag !== 'storage' || !isKind || typeof key !== 'string' || !isCount(length) || view !== null) {
      throw damaged('a persistent id does not describe a storage');
    }
    const storage = new Storage(kind.name as StorageKind, key, length);
    const known = this.storages.get(key) ?? storage;
    if (known.kind !== storage.kind || known.length !== length)
      throw damaged('a storage is described in two ways');
    this.storages.set(key, known);
    return known;
  }

  private read(calls: PickleCalls = NO_CALLS): PickleValue {
    const { value, end } = readPickle(this.file, this.position, calls);
    this.position = end;
    return value;
  }

  private bytes(length: number): Buffer {
    const end = this.position + length;
    if (end > this.file.length) throw damaged('it ends inside a storage');
    const bytes = this.file.subarray(this.position, end);
    this.position = end;
    return bytes;
  }
}

const NO_CALLS: PickleCalls = {
  functions: {},
  names: new Set(),
  persistent: () => {
    throw damaged('a persistent id is in an unexpected place');
  },
};

/** `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`. */
function toTensor([storage, offset, dims, strides]: readonly PickleValue[]): TensorView {
  const isShape = (value: PickleValue): value is number[] =>
    Array.isArray(value) && value.length <= MAX_DIMENSIONS && value.every(isCount);
  if (!(storage instanceof Storage) || !isCount(offset) || !isShape(dims) || !isShape(strides)) {
    throw damaged('a tensor has no storage, offset, sizes and strides');
  }
  if (dims.length !== strides.length) throw damaged('a tensor has different numbers of sizes and strides');
  return new TensorView(storage, offset, dims, strides);
}

/**
 * Checks that every element is inside the storage, and no two share a position, so that a tensor is never larger than
 * the file.
 *
 * @throws {FaceError} MODEL_IMPORT_FAILED
 */
function assertInside(
  name: string,
  { storage, offset, dims, strides }: TensorView,
  data: ReadonlyMap<string, Buffer>,
) {
  const fail = (problem: string) =>
    importError(`The weights file is damaged: the tensor ${quote(name)} ${problem}.`, { layer: name });
  if (!data.has(storage.key)) throw fail('has no data');
  if (dims.includes(0)) throw fail('is empty');
  const axes = dims
    .map((size, axis) => ({ size, stride: strides[axis] }))
    .filter(({ size }) => size > 1)
    .sort((a, b) => a.stride - b.stride);
  // Extent of the previous axes: the stride of the next one must exceed it.
  let reach = 0;
  for (const { size, stride } of axes) {
    if (stride <= reach) throw fail('has strides that overlap');
    reach += (size - 1) * stride;
  }
  if (offset + reach >= storage.length) throw fail('extends beyond its storage');
}

function withoutPrefix(tensors: Map<string, TensorView>): Map<string, TensorView> {
  const names = [...tensors.keys()];
  if (!names.every((name) => name.startsWith(PARALLEL_PREFIX))) return tensors;
  return new Map([...tensors].map(([name, tensor]) => [name.slice(PARALLEL_PREFIX.length), tensor]));
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
