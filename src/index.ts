export { FaceError, FACE_ERRORS, type FaceErrorCode } from './errors';
export { AnalysisService, type Analysis } from './face/analysis.service';
export { DetectionService, type Detection } from './face/detection.service';
export {
  FaceModel,
  type EmbedderInfo,
  type FaceCallOptions,
  type ModelStatus,
  type RepresentCallOptions,
} from './face/face-model';
export { FaceModule } from './face/face.module';
export { DEFAULT_FACE_OPTIONS, type BootProgress, type FaceModuleOptions } from './face/face.options';
export { RepresentationService, type Representation } from './face/representation.service';
export {
  VerificationService,
  type EmbeddingInput,
  type VerificationInput,
  type VerificationResult,
  type VerifyOptions,
} from './face/verification.service';
export { LanceStore } from './gallery/lance-store';
export type { LanceStoreOptions } from './gallery/lance/lance.options';
export type {
  AnalyzedFace,
  BoundingBox,
  Expression,
  FaceDetection,
  FaceSelection,
  ImageFaces,
  Landmarks,
  Metric,
  Point,
  RepresentedFace,
  StageTimings,
} from './pipeline/face.types';
