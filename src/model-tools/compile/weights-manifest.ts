import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FaceError } from '../../errors';

/** One tensor of a weight file: float32 values, row-major, in the layout of TensorFlow (kernels are H, W, in, out). */
export interface WeightTensor {
  name: string;
  shape: readonly number[];
  data: Float32Array;
}

/** Quantization of a value to a byte: value = byte * scale + min. */
interface Quantization {
  dtype: string;
  scale: number;
  min: number;
}

/** Description of one tensor in the manifest. */
interface ManifestEntry {
  name: string;
  shape: number[];
  dtype: string;
  quantization?: Quantization;
}

interface ManifestGroup {
  paths: string[];
  weights: ManifestEntry[];
}

/** A manifest entry and its bytes. */
interface StoredTensor {
  entry: ManifestEntry;
  bytes: Buffer;
}

/**
 * The weights of one network in the format of TensorFlow.js: `<base>-weights_manifest.json` and its .bin files, with
 * the tensors in the order of the manifest.
 *
 * It records the tensors read, to detect a compiler that omits a layer: see {@link assertAllUsed}.
 */
export class WeightsManifest {
  private readonly tensors = new Map<string, StoredTensor>();
  private readonly used = new Set<string>();

  /**
   * @param baseName - file name without `-weights_manifest.json`; names the network in messages.
   * @param groups - the parsed manifest.
   * @param bytes - the .bin files of all groups, concatenated.
   * @throws {FaceError} MODEL_INVALID if the manifest does not cover every byte.
   */
  constructor(
    private readonly baseName: string,
    groups: ManifestGroup[],
    bytes: Buffer,
  ) {
    let offset = 0;
    for (const entry of groups.flatMap((group) => group.weights)) {
      const end = offset + countOf(entry) * this.bytesPerValue(entry);
      if (end > bytes.length) {
        throw this.invalid(
          `weights end at byte ${bytes.length}, inside "${entry.name}" (${offset} to ${end})`,
        );
      }
      this.tensors.set(entry.name, { entry, bytes: bytes.subarray(offset, end) });
      offset = end;
    }
    if (offset !== bytes.length) {
      throw this.invalid(`expected ${offset} bytes of weights but received ${bytes.length}`);
    }
  }

  /**
   * Reads manifest and weights from a folder.
   *
   * @throws {FaceError} MODEL_NOT_FOUND if a file is absent, MODEL_INVALID if one is malformed.
   */
  static async read(folder: string, baseName: string): Promise<WeightsManifest> {
    const manifestName = `${baseName}-weights_manifest.json`;
    const groups = parseManifest(manifestName, (await readWeightFile(folder, manifestName)).toString('utf8'));
    const paths = groups.flatMap((group) => group.paths);
    const files = await Promise.all(paths.map((path) => readWeightFile(folder, path)));
    return new WeightsManifest(baseName, groups, files.length === 1 ? files[0] : Buffer.concat(files));
  }

  /**
   * Returns one tensor as float32; bytes become byte * scale + min, computed in float64 and then rounded.
   *
   * @throws {FaceError} MODEL_INVALID if the tensor does not exist or does not hold floats.
   */
  tensor(name: string): WeightTensor {
    const stored = this.tensors.get(name);
    if (!stored) throw this.invalid(`no tensor named "${name}"`);
    if (stored.entry.dtype !== 'float32')
      throw this.invalid(`"${name}" is ${stored.entry.dtype}, not float32`);
    this.used.add(name);
    return { name, shape: stored.entry.shape, data: decode(stored) };
  }

  /**
   * Checks that every tensor was read or is known to be unused.
   *
   * @param leftovers - name prefixes of tensors that the network does not need.
   * @throws {FaceError} MODEL_INVALID naming the tensors that were not read.
   */
  assertAllUsed(leftovers: readonly string[] = []): void {
    const forgotten = [...this.tensors.keys()].filter(
      (name) => !this.used.has(name) && !leftovers.some((start) => name.startsWith(start)),
    );
    if (forgotten.length > 0) throw this.invalid(`unused tensors: ${forgotten.join(', ')}`);
  }

  private bytesPerValue({ name, dtype, quantization }: ManifestEntry): number {
    if (dtype !== 'float32' && dtype !== 'int32') throw this.invalid(`"${name}" has unknown type "${dtype}"`);
    if (!quantization) return 4;
    if (quantization.dtype === 'uint8') return 1;
    throw this.invalid(`"${name}" is quantized as "${quantization.dtype}", which is not supported`);
  }

  private invalid(message: string): FaceError {
    return new FaceError('MODEL_INVALID', `${this.baseName}: ${message}`, { model: this.baseName });
  }
}

/**
 * Reads a file of the weights folder.
 *
 * @throws {FaceError} MODEL_NOT_FOUND if it cannot be read; the message has only the base name.
 */
export async function readWeightFile(folder: string, fileName: string): Promise<Buffer> {
  try {
    return await readFile(join(folder, fileName));
  } catch (error) {
    throw new FaceError(
      'MODEL_NOT_FOUND',
      `Weight file ${fileName} cannot be read`,
      { file: fileName },
      { cause: error },
    );
  }
}

function parseManifest(fileName: string, text: string): ManifestGroup[] {
  try {
    const groups = JSON.parse(text) as ManifestGroup[];
    if (groups.every((group) => Array.isArray(group.paths) && Array.isArray(group.weights))) return groups;
  } catch (error) {
    throw new FaceError(
      'MODEL_INVALID',
      `${fileName} is not valid JSON`,
      { file: fileName },
      { cause: error },
    );
  }
  throw new FaceError('MODEL_INVALID', `${fileName} is not a list of weight groups`, { file: fileName });
}

function countOf(entry: ManifestEntry): number {
  return entry.shape.reduce((product, size) => product * size, 1);
}

function decode({ entry, bytes }: StoredTensor): Float32Array {
  const data = new Float32Array(countOf(entry));
  const { quantization } = entry;
  for (let i = 0; i < data.length; i++) {
    data[i] = quantization ? bytes[i] * quantization.scale + quantization.min : bytes.readFloatLE(i * 4);
  }
  return data;
}
