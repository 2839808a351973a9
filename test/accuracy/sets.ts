import { join } from 'node:path';
import {
  DEFAULT_FACE_OPTIONS,
  type FaceModuleOptions,
  resolveFaceOptions,
} from '../../src/face/face.options';
import { WorkerFaceModel } from '../../src/face/worker-face-model';
import { workerFile } from '../support/paths';
import { sharedDir } from '../support/shared';

/** A detector and an embedder that are measured together, by card name. */
export interface ModelSet {
  detector: string;
  embedder: string;
}

/** Gates of a set on lfw10 and nonface; a set that comes from no earlier promise has none. */
export interface GatedSet extends ModelSet {
  /** Largest equal error rate over all pairs of lfw10. */
  maxEer?: number;
  /** Least share of probes of lfw10 whose own person is the nearest of ten. */
  minRank1?: number;
}

/** What is loaded where nobody chooses. */
export const DEFAULT_SET: ModelSet = {
  detector: DEFAULT_FACE_OPTIONS.detectors[0],
  embedder: DEFAULT_FACE_OPTIONS.embedders[0],
};
const OLD_DEFAULT_SET: ModelSet = { detector: 'ssd-mobilenetv1', embedder: 'face-resnet-128' };
const YUNET_SET: ModelSet = { detector: 'yunet-dynamic', embedder: 'arcface-mobilefacenet-128' };
/**
 * Says where faces are in untouched photos: where masks are drawn, and what is cut out for large pictures. Always the same
 * one, so that another default is measured on the same pixels.
 */
export const PLACING_SET = YUNET_SET;
export const RETINAFACE_SET: ModelSet = {
  detector: 'retinaface-mnet025',
  embedder: 'arcface-mobilefacenet-128',
};
const OLD_EMBEDDER_SET: ModelSet = { detector: 'yunet-dynamic', embedder: 'face-resnet-128' };

/**
 * Sets of the table of pairs. A gate is a promise: changing it is changing the product, and none may be loosened to let a
 * change pass.
 */
export const PAIR_SETS: readonly GatedSet[] = [
  { ...DEFAULT_SET, maxEer: 0.001, minRank1: 0.995 },
  { ...OLD_DEFAULT_SET, maxEer: 0.015, minRank1: 0.99 },
  { ...YUNET_SET, maxEer: 0.002, minRank1: 0.995 },
  { detector: 'yunet', embedder: 'arcface-mobilefacenet-128', maxEer: 0.002, minRank1: 0.995 },
  { ...RETINAFACE_SET, maxEer: 0.005, minRank1: 0.995 },
  OLD_EMBEDDER_SET,
].filter(isFirst);

/** Sets that are measured on edited photos: one of each family of detectors that new galleries use. */
export const ROBUST_SETS: readonly ModelSet[] = [DEFAULT_SET, YUNET_SET, RETINAFACE_SET].filter(isFirst);

/** Whether the tables are written: then all of them is measured, and otherwise what a gate asks for, which takes half of the time. */
export const IS_WRITING = Boolean(process.env.WRITE_DOCS);

/** Sets of the table of cfp250; of YuNet there is no gate. */
export const CFP_SETS: readonly ModelSet[] = [
  DEFAULT_SET,
  ...(IS_WRITING ? [YUNET_SET] : []),
  RETINAFACE_SET,
].filter(isFirst);

/** Sets of the table of groups; gates speak of the default alone. */
export const GROUP_SETS: readonly ModelSet[] = [
  DEFAULT_SET,
  ...(IS_WRITING ? [YUNET_SET, OLD_EMBEDDER_SET] : []),
].filter(isFirst);

/** Detectors of the table of detection. */
export const DETECTORS: readonly string[] = [
  DEFAULT_SET.detector,
  OLD_DEFAULT_SET.detector,
  'yunet-dynamic',
  'yunet',
  RETINAFACE_SET.detector,
].filter((name, i, all) => all.indexOf(name) === i);

export function setName({ detector, embedder }: ModelSet): string {
  return `${detector} + ${embedder}`;
}

/** Whether a set has no equal before it in its list. */
function isFirst(set: ModelSet, i: number, all: readonly ModelSet[]): boolean {
  return all.findIndex((other) => setName(other) === setName(set)) === i;
}

/**
 * Loads what the sets need into one model; calls name the detector and the embedder of their set.
 *
 * @param options - what is loaded beside.
 */
export function loadSets(
  sets: readonly ModelSet[],
  options: FaceModuleOptions = {},
): Promise<WorkerFaceModel> {
  const names = (key: keyof ModelSet) => [...new Set(sets.map((set) => set[key]))];
  return WorkerFaceModel.load(
    resolveFaceOptions({
      detectors: names('detector'),
      embedders: names('embedder'),
      attributeModels: [],
      modelDirs: [DEFAULT_FACE_OPTIONS.modelDirs[0], join(sharedDir ?? '', 'models')],
      requestTimeoutMs: 600_000,
      workerFile,
      ...options,
    }),
  );
}
