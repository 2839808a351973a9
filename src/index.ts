export { FaceError, FACE_ERRORS, type FaceErrorCode } from './errors';
export { AnalysisService, type Analysis } from './face/analysis.service';
export { DetectionService, type Detection } from './face/detection.service';
export {
  FaceModel,
  type AnalyzeCallOptions,
  type EmbedderInfo,
  type EngineStatus,
  type FaceCallOptions,
  type ModelStatus,
  type ProcessMemory,
  type RepresentCallOptions,
} from './face/face-model';
export { FaceModule } from './face/face.module';
export {
  DEFAULT_FACE_OPTIONS,
  type Auto,
  type BootProgress,
  type CacheKind,
  type FaceModuleOptions,
  type ImageEvent,
  type Notice,
  type ResolvedFaceOptions,
} from './face/face.options';
export {
  GATE_LIMITS,
  REJECTION_REASONS,
  type GateLimits,
  type RejectionReason,
} from './gallery/enrollment/enrollment-gate';
export type { Decision, DecisionDefaults } from './face/thresholds';
export type { CalibrationPoint, CalibrationSet, CardCalibration, ModelTask } from './models/model-card';
export type { ImageCallOptions } from './gallery/gallery-calls';
export { GalleryModule } from './gallery/gallery.module';
export {
  DEFAULT_GALLERY_ID,
  DEFAULT_GALLERY_SETTINGS,
  type GalleryModuleOptions,
  type GalleryStoreKind,
  type SearchEvent,
  type StoreProgress,
} from './gallery/gallery.options';
export type { EnrollmentItem, EnrollmentResult, EnrollOptions } from './gallery/enrollment/enroller';
export { GalleryService, type CreateGalleryOptions } from './gallery/gallery.service';
export type {
  Candidate,
  FindReferencesOptions,
  FoundReference,
  Identification,
  IdentifiedFace,
  IdentifyOptions,
  SubjectVerification,
  VerifySubjectOptions,
} from './gallery/matching/matching.types';
export type {
  GalleryMigrations,
  MigrationState,
  MigrationStatus,
  MissingSubject,
} from './gallery/migration/gallery-migrations';
export type { PurgeReport } from './gallery/retention';
export type { VectorPrecision } from './gallery/search/vector-index';
export { DurableStore, type DurableStoreOptions } from './gallery/stores/durable-store';
export type { NatsSettings } from './gallery/stores/jetstream/nats-settings';
export { GalleryStore } from './gallery/stores/gallery-store';
export { MemoryStore, type MemoryStoreOptions } from './gallery/stores/memory-store';
export type {
  AddedReference,
  DeletionCounts,
  EnrollmentGate,
  FaceQuality,
  Gallery,
  GalleryRecord,
  GallerySettings,
  Hit,
  Metadata,
  MetadataFilter,
  NewGallery,
  NewReference,
  Page,
  PageRequest,
  Reference,
  ReferenceKey,
  ReferenceRights,
  SearchOptions,
  StoredReference,
  Subject,
  SubjectHistory,
  SubjectRights,
} from './gallery/gallery.types';
export { RepresentationService, type Representation } from './face/representation.service';
export type { ComparedImage, EmbeddingInput, ImageSize, VerificationInput } from './face/represent-input';
export {
  VerificationService,
  type DecisionResult,
  type RefusalReason,
  type VerificationResult,
  type VerifyOptions,
} from './face/verification.service';
export type {
  AnalyzedFace,
  Attribute,
  BoundingBox,
  CacheOutcome,
  Expression,
  FaceDetection,
  FacePose,
  FaceSelection,
  Gender,
  ImageFaces,
  Landmarks,
  Metric,
  PixelQuality,
  Point,
  PresentationAttack,
  PresentationAttackLabel,
  PresentationAttackPolicy,
  RepresentedFace,
  StageTimings,
  WholeImageMode,
} from './pipeline/face.types';
export { FaceErrorFilter } from './server/http/errors/face-error.filter';
export { LikenessServerModule } from './server/likeness-server.module';
export type { LikenessServerOptions, ServerSettings } from './server/likeness-server.options';
export type { Feature } from './server/config/features';
export type { VariableName } from './server/config/config-variables';
export type { Scope } from './server/http/auth/api-key';
export type { KeyFileEntry } from './server/http/auth/key-file';
