import { DEFAULT_FACE_OPTIONS, defaultModelDirs } from '../../face/face.options';
import { GALLERY_STORES } from '../../gallery/gallery.options';
import { ATTRIBUTES } from '../../pipeline/face.types';
import type { KeyFileEntry } from '../http/auth/key-file';
import { AppConfig } from './app.config';
import { CONFIG_VARIABLES } from './config-variables';
import type { Features } from './features';
import {
  invalidVariable,
  readAliases,
  readBearerToken,
  readChoice,
  readDecimal,
  readDurations,
  readFeatures,
  readFolderUrl,
  readHosts,
  readInteger,
  readList,
  readNetworks,
  readOrigins,
  readSecret,
  readText,
} from './read-variable';

/**
 * Reads the settings from an environment. Never changes it.
 *
 * @param apiKeys - API keys in place of a file.
 * @throws {FaceError} FACE_OPTIONS_INVALID naming the variable, never its value; also for a FACE_ variable that does
 * not exist, so that a misspelled name does not pass for its default.
 */
export function loadAppConfig(
  env: NodeJS.ProcessEnv,
  apiKeys: readonly KeyFileEntry[] | null = null,
): AppConfig {
  refuseRemovedStore(env);
  const unknown = Object.keys(env).find((name) => name.startsWith('FACE_') && !(name in CONFIG_VARIABLES));
  if (unknown != null) throw invalidVariable(unknown, 'is not a variable of Likeness');
  const apiKeysFile = readText(env, 'FACE_API_KEYS_FILE') ?? null;
  const adminKey = readBearerToken(env, 'ADMIN_KEY');
  const authToken = readBearerToken(env, 'DEEPFACE_AUTH_TOKEN');
  // A request has one key, so equal keys would leave its scopes undefined.
  if (authToken != null && authToken === adminKey)
    throw invalidVariable('DEEPFACE_AUTH_TOKEN', 'must differ from ADMIN_KEY');
  const features = readFeatures(env, 'FACE_FEATURES');
  return new AppConfig({
    port: readInteger(env, 'PORT'),
    host: readText(env, 'HOST') ?? (apiKeysFile == null ? CONFIG_VARIABLES.HOST.default : '0.0.0.0'),
    adminKey,
    apiKeysFile,
    apiKeys,
    isAuthRequired: readChoice(env, 'FACE_AUTH') === 'on',
    healthPort: readInteger(env, 'FACE_HEALTH_PORT'),
    shutdownDelayMs: readInteger(env, 'FACE_SHUTDOWN_DELAY_MS'),
    logLevel: readChoice(env, 'LOG_LEVEL'),
    audit: auditConfig(env),
    receiptKeyFile: readText(env, 'FACE_RECEIPT_KEY_FILE') ?? null,
    features,
    maxImages: readInteger(env, 'FACE_MAX_IMAGES'),
    maxJsonBytes: readInteger(env, 'FACE_MAX_JSON_BYTES'),
    uploadBytes: readInteger(env, 'FACE_UPLOAD_BYTES'),
    imageUrlHosts: readList(env, 'FACE_IMAGE_URL_HOSTS'),
    imageUrlTimeoutMs: readInteger(env, 'FACE_IMAGE_URL_TIMEOUT_MS'),
    allowedHosts: readHosts(env, 'FACE_ALLOWED_HOSTS'),
    corsOrigins: readOrigins(env, 'FACE_CORS_ORIGINS'),
    trustProxy: readNetworks(env, 'FACE_TRUST_PROXY'),
    requestsPerMinute: readInteger(env, 'FACE_REQUESTS_PER_MINUTE'),
    modelMirrorUrl: readFolderUrl(env, 'FACE_MODEL_MIRROR_URL'),
    face: faceConfig(env, features),
    gallery: galleryConfig(env, features),
    deepface: {
      authToken,
      aliases: readAliases(env, 'FACE_DEEPFACE_ALIASES'),
      hasSubstitutes: readChoice(env, 'FACE_DEEPFACE_SUBSTITUTE') === 'on',
    },
  });
}

/** Users of the LanceDB store of older versions learn how to move their galleries, not only that a name is unknown. */
function refuseRemovedStore(env: NodeJS.ProcessEnv): void {
  const isNamed = /^\s*lance/i.test(env.FACE_GALLERY_STORE ?? '');
  if (!isNamed && env.FACE_GALLERY_URI == null) return;
  throw invalidVariable(
    isNamed ? 'FACE_GALLERY_STORE' : 'FACE_GALLERY_URI',
    `belongs to the LanceDB store, which was removed: unset FACE_GALLERY_URI, and set FACE_GALLERY_STORE to one of ${GALLERY_STORES.join(', ')}. ` +
      'To move galleries, run `likeness gallery export` with the version that wrote them, and `likeness gallery restore` with this one',
  );
}

function auditConfig(env: NodeJS.ProcessEnv): AppConfig['audit'] {
  const audit = {
    file: readText(env, 'FACE_AUDIT_FILE') ?? null,
    key: readSecret(env, 'FACE_AUDIT_KEY'),
    subjects: readChoice(env, 'FACE_AUDIT_SUBJECTS'),
    onFailure: readChoice(env, 'FACE_AUDIT_ON_FAILURE'),
    maxBytes: readInteger(env, 'FACE_AUDIT_MAX_BYTES'),
  };
  if (audit.key == null && audit.subjects === 'hashed') {
    // Receipts contain subject ids in the same form as the audit stream.
    for (const name of ['FACE_AUDIT_FILE', 'FACE_RECEIPT_KEY_FILE'] as const) {
      if (readText(env, name) == null) continue;
      throw invalidVariable('FACE_AUDIT_KEY', `is required by ${name} while FACE_AUDIT_SUBJECTS is hashed`);
    }
  }
  return audit;
}

function faceConfig(env: NodeJS.ProcessEnv, features: Features): AppConfig['face'] {
  const cacheDir = readText(env, 'FACE_CACHE_DIR') ?? DEFAULT_FACE_OPTIONS.cacheDir;
  return {
    detectors: readList(env, 'FACE_DETECTORS'),
    embedders: readList(env, 'FACE_EMBEDDERS'),
    attributeModels: readList(env, 'FACE_ATTRIBUTE_MODELS'),
    attributes: ATTRIBUTES.filter((name) => features.has(name === 'expression' ? name : 'attributes')),
    attackModels: readList(env, 'FACE_PRESENTATION_ATTACK_MODELS'),
    presentationAttack: readChoice(env, 'FACE_PRESENTATION_ATTACK'),
    modelDirs: env.FACE_MODEL_DIRS == null ? defaultModelDirs(cacheDir) : readList(env, 'FACE_MODEL_DIRS'),
    cacheDir,
    prepareModels: readChoice(env, 'FACE_PREPARE_MODELS') === 'on',
    idleTtlsMs: readDurations(env, 'FACE_IDLE_TTLS'),
    workerCount: readInteger(env, 'FACE_WORKER_COUNT'),
    intraOpThreads: readInteger(env, 'FACE_INTRA_OP_THREADS'),
    memoryBudgetBytes: readInteger(env, 'FACE_MEMORY_BUDGET_BYTES'),
    maxImageBytes: readInteger(env, 'FACE_MAX_IMAGE_BYTES'),
    maxImagePixels: readInteger(env, 'FACE_MAX_IMAGE_PIXELS'),
    maxDecodeBytes: readInteger(env, 'FACE_MAX_DECODE_BYTES'),
    maxFaces: readInteger(env, 'FACE_MAX_FACES'),
    queueSize: readInteger(env, 'FACE_QUEUE_SIZE'),
    queueBytes: readInteger(env, 'FACE_QUEUE_BYTES'),
    requestTimeoutMs: readInteger(env, 'FACE_REQUEST_TIMEOUT_MS'),
    bootTimeoutMs: readInteger(env, 'FACE_BOOT_TIMEOUT_MS'),
    cache: readChoice(env, 'FACE_CACHE'),
    cacheBytes: readInteger(env, 'FACE_CACHE_BYTES'),
    cacheTtlMs: readInteger(env, 'FACE_CACHE_TTL_MS'),
    targetFmr: readDecimal(env, 'FACE_TARGET_FMR'),
    targetFpir: readDecimal(env, 'FACE_TARGET_FPIR'),
    reviewMargin: readDecimal(env, 'FACE_REVIEW_MARGIN'),
  };
}

function galleryConfig(env: NodeJS.ProcessEnv, features: Features): AppConfig['gallery'] {
  const maxSubjects = readInteger(env, 'FACE_GALLERY_MAX_SUBJECTS');
  return {
    // Without routes for galleries the store on disk is not opened either.
    store: features.has('galleries') ? readChoice(env, 'FACE_GALLERY_STORE') : 'memory',
    identification: features.has('identify'),
    dir: readText(env, 'FACE_GALLERY_DIR') ?? CONFIG_VARIABLES.FACE_GALLERY_DIR.default,
    key: readSecret(env, 'FACE_GALLERY_KEY'),
    acceptDamage: readChoice(env, 'FACE_GALLERY_ACCEPT_DAMAGE') === 'on',
    nats: {
      servers: readList(env, 'FACE_GALLERY_NATS_SERVERS'),
      caFile: readText(env, 'FACE_GALLERY_NATS_CA_FILE') ?? null,
      certFile: readText(env, 'FACE_GALLERY_NATS_CERT_FILE') ?? null,
      keyFile: readText(env, 'FACE_GALLERY_NATS_KEY_FILE') ?? null,
      credentialsFile: readText(env, 'FACE_GALLERY_NATS_CREDENTIALS_FILE') ?? null,
      user: readText(env, 'FACE_GALLERY_NATS_USER') ?? null,
      password: readSecret(env, 'FACE_GALLERY_NATS_PASSWORD'),
      token: readSecret(env, 'FACE_GALLERY_NATS_TOKEN'),
      namespace:
        readText(env, 'FACE_GALLERY_NATS_NAMESPACE') ?? CONFIG_VARIABLES.FACE_GALLERY_NATS_NAMESPACE.default,
      replicas: readInteger(env, 'FACE_GALLERY_NATS_REPLICAS'),
      timeoutMs: readInteger(env, 'FACE_GALLERY_NATS_TIMEOUT_MS'),
    },
    precision: readChoice(env, 'FACE_GALLERY_PRECISION'),
    scanThreads: readInteger(env, 'FACE_GALLERY_SCAN_THREADS'),
    maxBytes: readInteger(env, 'FACE_GALLERY_MAX_BYTES'),
    maxGalleries: readInteger(env, 'FACE_GALLERY_MAX_GALLERIES'),
    defaultGallery: {
      capacity: readInteger(env, 'FACE_GALLERY_CAPACITY'),
      maxSubjects: maxSubjects === 'auto' ? null : maxSubjects,
      maxReferencesPerSubject: readInteger(env, 'FACE_GALLERY_MAX_REFERENCES_PER_SUBJECT'),
      keepCrops: readChoice(env, 'FACE_GALLERY_KEEP_CROPS') === 'on',
    },
  };
}
