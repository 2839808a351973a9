import { createHash } from 'node:crypto';
import { FaceError } from '../errors';

/** Version of the compiler output. Raise it when the bytes change: it is part of the file names. */
export const COMPILER_VERSION = 1;

/** Source weights of one compiled model. */
export interface CompiledModel {
  /** Name of the npm package; only its data files are read. */
  package: keyof typeof WEIGHT_PACKAGES;
  /** Name of the weight file in the folder `model` of the package. */
  file: string;
  /** SHA-256 of that file, hexadecimal. */
  weightsSha256: string;
}

/** Packages with the weights, in the versions of the hashes. They are development dependencies: startup reads none. */
export const WEIGHT_PACKAGES = {
  '@vladmandic/face-api': '1.7.15',
  'faceplugin-face-recognition-js': '0.0.1',
} as const;

/** Models that are compiled instead of downloaded. */
export const COMPILED_MODELS: Readonly<Record<string, CompiledModel>> = {
  'rfb-320': {
    package: 'faceplugin-face-recognition-js',
    file: 'fr_detect.onnx',
    weightsSha256: '6c0256ccd3164f844736a401faf936ec2930764a87ae39442180887d0c5c8854',
  },
  'face-landmark-68': {
    package: '@vladmandic/face-api',
    file: 'face_landmark_68_model.bin',
    weightsSha256: '4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b',
  },
  'mobilefacenet-512': {
    package: 'faceplugin-face-recognition-js',
    file: 'fr_feature.onnx',
    weightsSha256: '87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581',
  },
  'minifasnet-v2-se': {
    package: 'faceplugin-face-recognition-js',
    file: 'fr_liveness.onnx',
    weightsSha256: 'afa783b7e902fdfcf323a7240cac2a1c580c25314ea4161129dc1b0d100dc32d',
  },
  'age-gender': {
    package: '@vladmandic/face-api',
    file: 'age_gender_model.bin',
    weightsSha256: '49f92bbc0afef2342c4385e4a2b0acb6d7a727c6f0aa539499719a81acf9abaa',
  },
  'face-expression': {
    package: '@vladmandic/face-api',
    file: 'face_expression_model.bin',
    weightsSha256: '9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d',
  },
  'ssd-mobilenetv1': {
    package: '@vladmandic/face-api',
    file: 'ssd_mobilenetv1_model.bin',
    weightsSha256: '2835640602d53718aa6ae9a42896327eaa21beefed056c218d32ca7d79e1e2f8',
  },
  'face-resnet-128': {
    package: '@vladmandic/face-api',
    file: 'face_recognition_model.bin',
    weightsSha256: 'b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589',
  },
};

/** Models that the build compiles: the ones loaded by default. The others are compiled on request. */
export const DEFAULT_COMPILED_MODELS: readonly string[] = [
  'rfb-320',
  'face-landmark-68',
  'mobilefacenet-512',
  'age-gender',
  'face-expression',
];

/**
 * File name of a compiled model. It changes with the weights and with the compiler, so an existing file is never
 * outdated.
 *
 * @throws {FaceError} MODEL_NOT_FOUND when the name is unknown.
 */
export function compiledFileName(name: string): string {
  const { weightsSha256 } = compiledModel(name);
  const key = createHash('sha256').update(`${weightsSha256} ${COMPILER_VERSION} ${name}`).digest('hex');
  return `${name}.${key.slice(0, 8)}.onnx`;
}

/** @throws {FaceError} MODEL_NOT_FOUND when the name is unknown. */
export function compiledModel(name: string): CompiledModel {
  if (!Object.hasOwn(COMPILED_MODELS, name)) {
    throw new FaceError('MODEL_NOT_FOUND', `No compiled model is named "${name}"`, { model: name });
  }
  return COMPILED_MODELS[name];
}
