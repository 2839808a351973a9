import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FaceError } from '../../errors';
import {
  compiledFileName,
  compiledModel,
  COMPILER_VERSION,
  WEIGHT_PACKAGES,
} from '../../models/compiled-models';
import { OnnxGraph } from '../onnx/onnx-builder';
import { decodeModel, type OnnxModel } from '../../models/onnx/onnx-schema';
import { buildAgeGender } from './networks/age-gender';
import { buildFaceExpression } from './networks/face-expression';
import { buildFaceLandmark68 } from './networks/face-landmark-68';
import { buildFaceResnet128 } from './networks/face-resnet-128';
import { buildMinifasnetV2Se } from './networks/minifasnet-v2-se';
import { buildMobilefacenet512 } from './networks/mobilefacenet-512';
import { buildRfb320 } from './networks/rfb-320';
import { buildSsdMobilenetV1, SSD_LEFTOVERS } from './networks/ssd-mobilenetv1';
import { readWeightFile, WeightsManifest } from './weights-manifest';
import { writeAtomically } from '../../models/write-atomically';

/** Reads the weights of one model and adds its inputs, operations and outputs to an empty graph. */
type AddNetwork = (graph: OnnxGraph, weightsFolder: string, weights: Buffer) => void | Promise<void>;

/** Builders of the networks of `COMPILED_MODELS`. */
const NETWORKS: Readonly<Record<string, AddNetwork>> = {
  'rfb-320': fromFaceplugin(buildRfb320),
  'face-landmark-68': fromFaceApi('face_landmark_68_model', buildFaceLandmark68),
  'mobilefacenet-512': fromFaceplugin(buildMobilefacenet512),
  'minifasnet-v2-se': fromFaceplugin(buildMinifasnetV2Se),
  'age-gender': fromFaceApi('age_gender_model', buildAgeGender),
  'face-expression': fromFaceApi('face_expression_model', buildFaceExpression),
  'ssd-mobilenetv1': fromFaceApi('ssd_mobilenetv1_model', buildSsdMobilenetV1, SSD_LEFTOVERS),
  'face-resnet-128': fromFaceApi('face_recognition_model', buildFaceResnet128),
};

/** @param leftovers - name prefixes of tensors that the network does not need. */
function fromFaceApi(
  weights: string,
  build: (graph: OnnxGraph, manifest: WeightsManifest) => void,
  leftovers?: readonly string[],
): AddNetwork {
  return async (graph, weightsFolder) => {
    const manifest = await WeightsManifest.read(weightsFolder, weights);
    build(graph, manifest);
    manifest.assertAllUsed(leftovers);
  };
}

function fromFaceplugin(build: (graph: OnnxGraph, source: OnnxModel) => void): AddNetwork {
  return (graph, _folder, weights) => build(graph, decodeModel(weights));
}

/** Folder of the weights of a package. */
function packagedWeightsFolder(name: keyof typeof WEIGHT_PACKAGES): string {
  try {
    return join(dirname(require.resolve(`${name}/package.json`)), 'model');
  } catch (error) {
    const version = WEIGHT_PACKAGES[name];
    throw new FaceError(
      'MODEL_NOT_FOUND',
      `The package ${name} with the weights is not installed. Install it with: npm install --save-dev ${name}@${version}`,
      { package: name },
      { cause: error },
    );
  }
}

/**
 * Compiles one model of {@link COMPILED_MODELS} in memory. The same weights always produce the same bytes.
 *
 * Runs on the calling thread, up to a few hundred milliseconds for the big networks.
 *
 * @param weightsFolder - folder of the weight files. @defaultValue the folder of the npm package
 * @returns an ONNX file, float32 weights, opset 17.
 * @throws {FaceError} MODEL_NOT_FOUND if the name is unknown, or the package or a weight file is absent.
 * @throws {FaceError} MODEL_CHECKSUM_MISMATCH if the weights are not those of the network.
 * @throws {FaceError} MODEL_INVALID if weights do not match each other or the network.
 */
export async function compileModel(name: string, weightsFolder?: string): Promise<Buffer> {
  const { package: weightsPackage, file, weightsSha256 } = compiledModel(name);
  const folder = weightsFolder ?? packagedWeightsFolder(weightsPackage);
  const weights = await readWeightFile(folder, file);
  const sha256 = createHash('sha256').update(weights).digest('hex');
  if (sha256 !== weightsSha256) {
    throw new FaceError(
      'MODEL_CHECKSUM_MISMATCH',
      `Expected sha256 ${weightsSha256} for ${file} but received ${sha256}`,
      { file, expected: weightsSha256, received: sha256 },
    );
  }
  const graph = new OnnxGraph(name, String(COMPILER_VERSION));
  await NETWORKS[name](graph, folder, weights);
  return graph.toBytes();
}

/**
 * Compiles one model and writes its file to `directory`, which is created if absent.
 *
 * Several processes may do this at the same time: files are written atomically, all with the same bytes.
 *
 * @returns the path of the file.
 * @throws {FaceError} FACE_OPTIONS_INVALID if the folder is not writable; as {@link compileModel} otherwise.
 */
export async function compileInto(directory: string, name: string, weightsFolder?: string): Promise<string> {
  const path = join(directory, compiledFileName(name));
  const bytes = await compileModel(name, weightsFolder);
  try {
    await mkdir(directory, { recursive: true });
    await writeAtomically(path, bytes);
  } catch (error) {
    unwritable(error as NodeJS.ErrnoException);
  }
  return path;
}

function unwritable(cause: NodeJS.ErrnoException): never {
  throw new FaceError(
    'FACE_OPTIONS_INVALID',
    `The first models folder, the target of compiled models, cannot be written (${cause.code ?? 'unknown error'}).`,
    { option: 'modelDirs' },
    { cause },
  );
}
