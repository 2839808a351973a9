import ipaddr from 'ipaddr.js';
import { delimiter } from 'node:path';
import { FaceError } from '../../errors';
import {
  DEFAULT_GALLERY_DIR,
  DEFAULT_GALLERY_SETTINGS,
  DEFAULT_MAX_GALLERIES,
  GALLERY_STORES,
  type GalleryModuleOptions,
  GALLERY_BYTES_RANGE,
  MAX_GALLERIES_RANGE,
  SCAN_THREADS_RANGE,
} from '../../gallery/gallery.options';
import { GALLERY_RANGES } from '../../gallery/gallery-rules';
import {
  type Auto,
  CACHE_KINDS,
  DECISION_RANGES,
  DEFAULT_FACE_OPTIONS,
  FACE_OPTION_RANGES,
  type FaceModuleOptions,
  IDLE_TTL_RANGE,
} from '../../face/face.options';
import { ATTRIBUTES, PRESENTATION_ATTACK_POLICIES } from '../../pipeline/face.types';
import {
  DEFAULT_NATS_NAMESPACE,
  DEFAULT_NATS_REPLICAS,
  DEFAULT_NATS_TIMEOUT_MS,
  NATS_REPLICAS_RANGE,
  NATS_TIMEOUT_RANGE,
} from '../../gallery/stores/jetstream/nats-settings';
import { VECTOR_PRECISIONS } from '../../gallery/search/vector-index';
import { ALL_FEATURES, type Feature, FEATURES, type Features } from './features';

/** Nest's log levels: the named one and all that are graver are written. */
const LOG_LEVELS = ['verbose', 'debug', 'log', 'warn', 'error', 'fatal'] as const;
export type AppLogLevel = (typeof LOG_LEVELS)[number];

/** How persons are named in the audit stream. */
const AUDIT_SUBJECTS = ['hashed', 'plain'] as const;
/** What requests get while the audit stream cannot be written. */
const AUDIT_FAILURE_POLICIES = ['refuse', 'continue'] as const;

/** One environment variable. */
interface ConfigVariable {
  readonly type:
    | 'integer'
    | 'decimal'
    | 'text'
    | 'secret'
    | 'choice'
    | 'list'
    | 'folders'
    | 'durations'
    | 'url'
    | 'names'
    | 'hosts'
    | 'origins'
    | 'networks'
    | 'features';
  readonly default: number | string | readonly string[];
  /** What the documentation shows where the default depends on the machine. */
  readonly defaultText?: string;
  /** Inclusive; of the value of integers and durations, of the length of secrets. */
  readonly range?: readonly [number, number];
  /** Values that a choice may have. */
  readonly choices?: readonly string[];
  /** Lists and texts: an empty value stands for an empty list, or for none. */
  readonly allowEmpty?: boolean;
  readonly doc: string;
}

type FaceInteger = keyof typeof FACE_OPTION_RANGES;

const faceInteger = <Option extends FaceInteger>(option: Option, doc: string) => ({
  type: 'integer' as const,
  default: DEFAULT_FACE_OPTIONS[option] as Option extends AutoOption ? Auto : number,
  range: FACE_OPTION_RANGES[option],
  doc,
});

const faceDecimal = (option: keyof typeof DECISION_RANGES, doc: string) => ({
  type: 'decimal' as const,
  default: DEFAULT_FACE_OPTIONS[option],
  range: DECISION_RANGES[option],
  doc,
});

/** Options that the machine decides where the environment does not. */
type AutoOption = 'workerCount' | 'intraOpThreads' | 'memoryBudgetBytes' | 'maxDecodeBytes';

const faceList = (option: 'detectors' | 'embedders' | 'attributeModels' | 'attackModels', doc: string) => ({
  type: 'list' as const,
  default: DEFAULT_FACE_OPTIONS[option],
  allowEmpty: option === 'attributeModels' || option === 'attackModels',
  doc,
});

/** Every environment variable of the service, in one table. README is tested against it. */
export const APP_CONFIG = {
  PORT: { type: 'integer', default: 3000, range: [0, 65_535], doc: 'Port to listen on; 0 picks a free one' },
  HOST: {
    type: 'text',
    default: '127.0.0.1',
    defaultText: '127.0.0.1; 0.0.0.0 with FACE_API_KEYS_FILE',
    doc: 'Address to listen on. Without FACE_API_KEYS_FILE, any other than a loopback address needs FACE_AUTH=off',
  },
  FACE_API_KEYS_FILE: {
    type: 'text',
    default: '',
    defaultText: '',
    allowEmpty: true,
    doc: 'JSON file with the API keys (docs/security.md); with it, every route but health needs a key. Read again on SIGHUP and when it changes',
  },
  FACE_AUTH: {
    type: 'choice',
    default: 'on',
    choices: ['on', 'off'],
    doc: 'off: serve a public HOST without API keys, so that everyone who reaches it can do everything; on: refuse to start there',
  },
  FACE_API_KEY: {
    type: 'secret',
    default: '',
    defaultText: '',
    range: [1, 1024],
    doc: 'API key that commands send to a running service; the service itself does not use it',
  },
  FACE_HEALTH_PORT: {
    type: 'integer',
    default: 0,
    range: [0, 65_535],
    doc: 'Port on which a thread of its own answers /health/live and /health/ready, at once whatever the load; 0: none',
  },
  FACE_SHUTDOWN_DELAY_MS: {
    type: 'integer',
    default: 0,
    range: [0, 600_000],
    doc: 'Milliseconds between SIGTERM and the end of serving: /health/ready answers 503 meanwhile, so that load balancers send requests elsewhere first',
  },
  ADMIN_KEY: {
    type: 'secret',
    default: '',
    defaultText: '',
    range: [16, 1024],
    doc: 'Key with the scopes admin, embeddings and metrics, 16 characters or more; the routes under /admin need a key, and are off where there is neither this nor FACE_API_KEYS_FILE',
  },
  LOG_LEVEL: {
    type: 'choice',
    default: 'log',
    choices: LOG_LEVELS,
    doc: `Minimum log level: ${LOG_LEVELS.join(', ')}`,
  },
  FACE_AUDIT_FILE: {
    type: 'text',
    default: '',
    defaultText: '',
    allowEmpty: true,
    doc: 'File of the audit stream (docs/security-audit.md), for one process at a time; empty: there is none',
  },
  FACE_AUDIT_KEY: {
    type: 'secret',
    default: '',
    defaultText: '',
    range: [32, 1024],
    doc: 'Key of the audit stream, 32 characters or more: it hashes subject ids, in receipts too, and without it nobody can write the stream anew; required where subjects are hashed',
  },
  FACE_AUDIT_SUBJECTS: {
    type: 'choice',
    default: 'hashed',
    choices: AUDIT_SUBJECTS,
    doc: 'Subjects in the audit stream and in receipts: hashed (HMAC of gallery and subject id), plain',
  },
  FACE_AUDIT_ON_FAILURE: {
    type: 'choice',
    default: 'refuse',
    choices: AUDIT_FAILURE_POLICIES,
    doc: 'Requests while the audit stream cannot be written: refuse (AUDIT_FAILED, and the service is not ready), continue (lines may be lost; the stream counts them)',
  },
  FACE_AUDIT_MAX_BYTES: {
    type: 'integer',
    default: 100 * 1024 * 1024,
    range: [1024 * 1024, 1024 ** 4],
    doc: 'Size at which a file of the audit stream is renamed and the next one begins; the service deletes none',
  },
  FACE_RECEIPT_KEY_FILE: {
    type: 'text',
    default: '',
    defaultText: '',
    allowEmpty: true,
    doc: 'File of the key that signs receipts of erasures (docs/security-rights.md): an Ed25519 private key in PEM, made at the first start where it does not exist; empty: there are no receipts',
  },
  FACE_FEATURES: {
    type: 'features',
    default: [...ALL_FEATURES],
    defaultText: [...ALL_FEATURES].join(','),
    doc: 'Capabilities to offer, separated by commas; the routes and the models of all others are left out (docs/security-rights.md); with a minus before each, all but these. `verify` alone: a service that compares two images and does nothing else',
  },
  FACE_DETECTORS: faceList('detectors', 'Detectors to load, separated by commas; the first is the default'),
  FACE_EMBEDDERS: faceList('embedders', 'Embedders to load, separated by commas; the first is the default'),
  FACE_ATTRIBUTE_MODELS: faceList(
    'attributeModels',
    'Models of age, gender, expression and race to load, separated by commas; of two that estimate the same, the first does; empty to go without /v1/analyze',
  ),
  FACE_PRESENTATION_ATTACK_MODELS: {
    ...faceList(
      'attackModels',
      'Presentation attack models to load, separated by commas; of several the mean of the scores counts; empty to go without',
    ),
    defaultText: '',
  },
  FACE_PRESENTATION_ATTACK: {
    type: 'choice',
    default: DEFAULT_FACE_OPTIONS.presentationAttack,
    choices: PRESENTATION_ATTACK_POLICIES,
    doc: 'What requests do about presentation attacks where they do not say it themselves: off, report (a score for each face), require (refuse suspected faces)',
  },
  FACE_MODEL_DIRS: {
    type: 'folders',
    default: DEFAULT_FACE_OPTIONS.modelDirs,
    defaultText: 'models',
    doc: 'Folders with ONNX files, separated as in PATH, searched before the files of the package; pulled, imported, compiled and prepared models are written to the first',
  },
  FACE_MODEL_MIRROR_URL: {
    type: 'url',
    default: '',
    defaultText: '',
    doc: 'Folder of a server of your own, from which `likeness models pull` takes files by their name instead of from where they are published',
  },
  FACE_PREPARE_MODELS: {
    type: 'choice',
    default: 'on',
    choices: ['on', 'off'],
    doc: 'Optimise models once per machine and map them into every worker, so that all share one copy: on, off',
  },
  FACE_IDLE_TTLS: {
    type: 'durations',
    default: '',
    defaultText: '',
    range: IDLE_TTL_RANGE,
    doc: 'Milliseconds without a call after which a model is unloaded: `name=ms`, separated by commas; never the defaults',
  },
  FACE_WORKER_COUNT: faceInteger(
    'workerCount',
    'Inference workers (child processes); auto: one per core, fewer where the memory budget is small',
  ),
  FACE_INTRA_OP_THREADS: faceInteger(
    'intraOpThreads',
    'Threads inside one inference, per worker; auto: cores divided by workers',
  ),
  FACE_MEMORY_BUDGET_BYTES: faceInteger(
    'memoryBudgetBytes',
    'Bytes that server and workers may take; a load that would not fit is refused; auto: the limit of the container, or 80 % of the machine',
  ),
  FACE_MAX_IMAGE_BYTES: faceInteger('maxImageBytes', 'Largest encoded image in bytes'),
  FACE_MAX_IMAGE_PIXELS: faceInteger('maxImagePixels', 'Largest image in pixels (width times height)'),
  FACE_MAX_DECODE_BYTES: faceInteger(
    'maxDecodeBytes',
    'Memory that decoding one image may take, estimated from its header: a limit of pixels for each format; counted for every worker; auto: 256 MiB, less where the memory budget is small',
  ),
  FACE_MAX_FACES: faceInteger('maxFaces', 'Upper bound and default of `maxFaces`'),
  FACE_MAX_IMAGES: {
    type: 'integer',
    default: 16,
    range: [1, 256],
    doc: 'Most images in one call of /v1/represent, and in one enrollment',
  },
  FACE_MAX_JSON_BYTES: {
    type: 'integer',
    default: 32 * 1024 * 1024,
    range: [1024, 512 * 1024 * 1024],
    doc: 'Largest JSON body in bytes: it is parsed while no other request is; larger batches go as multipart',
  },
  FACE_UPLOAD_BYTES: {
    type: 'integer',
    default: 256 * 1024 * 1024,
    range: [1024 * 1024, 64 * 1024 ** 3],
    doc: 'Bytes of request bodies that are received or worked on, together, before QUEUE_FULL; one caller gets half of them',
  },
  FACE_IMAGE_URL_HOSTS: {
    type: 'list',
    default: [],
    defaultText: '',
    allowEmpty: true,
    doc: 'Hosts from which images are fetched by their address, separated by commas, with a port where it is not the usual one; `*.` before a name: its subdomains, `*`: every host at port 80 or 443, both at public addresses only; empty: addresses are refused',
  },
  FACE_IMAGE_URL_TIMEOUT_MS: {
    type: 'integer',
    default: 10_000,
    range: [100, 120_000],
    doc: 'Milliseconds that fetching an image may take',
  },
  FACE_ALLOWED_HOSTS: {
    type: 'hosts',
    default: [],
    defaultText: '',
    allowEmpty: true,
    doc: 'Host names, separated by commas, that requests may name in `Host`, beside IP addresses, `localhost` and HOST; `*.` before a name: its subdomains, `*`: every host; empty: no others, and from the proxies of FACE_TRUST_PROXY every host',
  },
  FACE_CORS_ORIGINS: {
    type: 'origins',
    default: [],
    defaultText: '',
    allowEmpty: true,
    doc: 'Origins of web pages that may call the service, separated by commas: `https://app.example.com`; empty: pages of the service itself only',
  },
  FACE_TRUST_PROXY: {
    type: 'networks',
    default: [],
    defaultText: '',
    allowEmpty: true,
    doc: 'Addresses or CIDR blocks of your proxies, separated by commas: their `X-Forwarded-For` is the address of the caller; empty: none is believed',
  },
  FACE_REQUESTS_PER_MINUTE: {
    type: 'integer',
    default: 0,
    range: [0, 1_000_000],
    doc: 'Requests per minute of one caller (API key, else IPv4 address or IPv6 /64) before RATE_LIMIT_EXCEEDED; the limit of the API key itself counts instead where it has one; health and metrics are never limited; 0: no limit',
  },
  FACE_QUEUE_SIZE: faceInteger('queueSize', 'Images that may wait for a worker before QUEUE_FULL'),
  FACE_QUEUE_BYTES: faceInteger(
    'queueBytes',
    'Bytes of the images that may wait, together, before QUEUE_FULL',
  ),
  FACE_REQUEST_TIMEOUT_MS: faceInteger(
    'requestTimeoutMs',
    'Milliseconds until an unanswered image is refused with INFERENCE_TIMEOUT',
  ),
  FACE_BOOT_TIMEOUT_MS: faceInteger(
    'bootTimeoutMs',
    'Milliseconds that a worker may take to load and warm its models',
  ),
  FACE_CACHE: {
    type: 'choice',
    default: DEFAULT_FACE_OPTIONS.cache,
    choices: CACHE_KINDS,
    doc: 'Keep answers (biometric data) by the hash of the image: off, memory',
  },
  FACE_CACHE_BYTES: faceInteger('cacheBytes', 'Most bytes of answers that the cache keeps'),
  FACE_CACHE_TTL_MS: faceInteger('cacheTtlMs', 'Milliseconds that an answer is kept'),
  FACE_TARGET_FMR: faceDecimal(
    'targetFmr',
    'False match rate of a comparison 1:1, from which the threshold follows where neither call nor gallery says otherwise; for embedders with a calibration',
  ),
  FACE_TARGET_FPIR: faceDecimal(
    'targetFpir',
    'Share of searches for strangers that may find somebody (1:N); the threshold follows from it and the number of subjects, where neither call nor gallery says otherwise; for embedders with a calibration',
  ),
  FACE_REVIEW_MARGIN: faceDecimal(
    'reviewMargin',
    'Distances no farther from the threshold than this get the decision `review`, in the unit of the metric; 0: none does',
  ),
  FACE_GALLERY_STORE: {
    type: 'choice',
    default: 'memory',
    choices: GALLERY_STORES,
    doc: 'Where galleries are kept: memory (gone with the process), durable (a folder), jetstream (NATS servers, shared by replicas)',
  },
  FACE_GALLERY_DIR: {
    type: 'text',
    default: DEFAULT_GALLERY_DIR,
    doc: 'Folder of the durable store, for one process at a time',
  },
  FACE_GALLERY_KEY: {
    type: 'secret',
    default: '',
    defaultText: '',
    range: [32, 1024],
    doc: 'Key of the durable and the jetstream store, 32 characters or more: what they write cannot be read without it. Required by jetstream, the same for all replicas',
  },
  FACE_GALLERY_NEW_KEY: {
    type: 'secret',
    default: '',
    defaultText: '',
    range: [32, 1024],
    doc: 'Key that `likeness gallery rekey` gives to the folder of the durable store; the service itself does not use it',
  },
  FACE_GALLERY_ACCEPT_DAMAGE: {
    type: 'choice',
    default: 'off',
    choices: ['off', 'on'],
    doc: 'on: the service starts with a durable store of which more than 1 % cannot be read, and serves the rest',
  },
  FACE_GALLERY_NATS_SERVERS: {
    type: 'list',
    default: [] as readonly string[],
    allowEmpty: true,
    doc: 'NATS servers of the jetstream store, separated by commas: nats://host:port or tls://host:port; the other servers of a cluster are learned from one',
  },
  FACE_GALLERY_NATS_CA_FILE: {
    type: 'text',
    default: '',
    defaultText: '',
    allowEmpty: true,
    doc: 'PEM file of the authorities that sign the certificates of the NATS servers; with it, only TLS is used',
  },
  FACE_GALLERY_NATS_CERT_FILE: {
    type: 'text',
    default: '',
    defaultText: '',
    allowEmpty: true,
    doc: 'PEM file of the client certificate for NATS servers that ask for one',
  },
  FACE_GALLERY_NATS_KEY_FILE: {
    type: 'text',
    default: '',
    defaultText: '',
    allowEmpty: true,
    doc: 'PEM file of the key of FACE_GALLERY_NATS_CERT_FILE',
  },
  FACE_GALLERY_NATS_CREDENTIALS_FILE: {
    type: 'text',
    default: '',
    defaultText: '',
    allowEmpty: true,
    doc: '.creds file for the NATS servers',
  },
  FACE_GALLERY_NATS_USER: {
    type: 'text',
    default: '',
    defaultText: '',
    allowEmpty: true,
    doc: 'User for the NATS servers, with FACE_GALLERY_NATS_PASSWORD',
  },
  FACE_GALLERY_NATS_PASSWORD: {
    type: 'secret',
    default: '',
    defaultText: '',
    range: [1, 1024],
    doc: 'Password of FACE_GALLERY_NATS_USER',
  },
  FACE_GALLERY_NATS_TOKEN: {
    type: 'secret',
    default: '',
    defaultText: '',
    range: [1, 1024],
    doc: 'Token for the NATS servers, in place of user and password',
  },
  FACE_GALLERY_NATS_NAMESPACE: {
    type: 'text',
    default: DEFAULT_NATS_NAMESPACE,
    doc: 'Name of the galleries on the NATS servers, 1 to 32 letters, digits, _ and -: services with different names share servers and see nothing of each other',
  },
  FACE_GALLERY_NATS_REPLICAS: {
    type: 'integer',
    default: DEFAULT_NATS_REPLICAS,
    range: NATS_REPLICAS_RANGE,
    doc: 'NATS servers that keep a copy of the galleries when they are made: 3 survive the loss of one server, 1 is for a single server',
  },
  FACE_GALLERY_NATS_TIMEOUT_MS: {
    type: 'integer',
    default: DEFAULT_NATS_TIMEOUT_MS,
    range: NATS_TIMEOUT_RANGE,
    doc: 'Milliseconds after which a change that the NATS servers have not confirmed gets 503',
  },
  FACE_GALLERY_PRECISION: {
    type: 'choice',
    default: 'float32',
    choices: VECTOR_PRECISIONS,
    doc: 'Numbers in which galleries are scanned: float32; int8 is faster, and looks at the best again in float32',
  },
  FACE_GALLERY_SCAN_THREADS: {
    type: 'integer',
    default: 'auto' as Auto | number,
    range: SCAN_THREADS_RANGE,
    doc: 'Threads that scan galleries; auto: one per core, at most 4',
  },
  FACE_GALLERY_MAX_BYTES: {
    type: 'integer',
    default: 'auto' as Auto | number,
    range: GALLERY_BYTES_RANGE,
    doc: 'Bytes that all galleries may take in memory, before GALLERY_FULL (memory and durable store); auto: half of the machine or the container',
  },
  FACE_GALLERY_MAX_GALLERIES: {
    type: 'integer',
    default: DEFAULT_MAX_GALLERIES,
    range: MAX_GALLERIES_RANGE,
    doc: 'Most galleries; one more is refused with GALLERY_FULL',
  },
  FACE_GALLERY_CAPACITY: {
    type: 'integer',
    default: DEFAULT_GALLERY_SETTINGS.capacity,
    range: GALLERY_RANGES.capacity,
    doc: 'Most references of a gallery that is made without a capacity of its own',
  },
  FACE_GALLERY_MAX_SUBJECTS: {
    type: 'integer',
    default: 'auto' as Auto | number,
    range: GALLERY_RANGES.maxSubjects,
    doc: 'Most subjects of a gallery that is made without such a limit of its own; auto: as many as its capacity',
  },
  FACE_GALLERY_MAX_REFERENCES_PER_SUBJECT: {
    type: 'integer',
    default: DEFAULT_GALLERY_SETTINGS.maxReferencesPerSubject,
    range: GALLERY_RANGES.maxReferencesPerSubject,
    doc: 'Most references of one subject, in a gallery that is made without such a limit of its own',
  },
  FACE_GALLERY_KEEP_CROPS: {
    type: 'choice',
    default: 'off',
    choices: ['off', 'on'],
    doc: 'on: galleries that are made without a choice of their own keep a picture of each enrolled face, so that they can be moved to another embedder',
  },
  FACE_DEEPFACE_ALIASES: {
    type: 'names',
    default: '',
    defaultText: '',
    doc: 'Cards that stand in for names of the DeepFace API: `opencv=yunet,VGG-Face=sface`',
  },
  DEEPFACE_AUTH_TOKEN: {
    type: 'secret',
    default: '',
    defaultText: '',
    range: [1, 1024],
    doc: 'Key with the scopes verify, identify, enroll and embeddings, which the DeepFace API then asks for in `Authorization: Bearer`; without it and FACE_API_KEYS_FILE it asks for none',
  },
} as const satisfies Record<string, ConfigVariable>;

type VariableName = keyof typeof APP_CONFIG;

/** Options of FaceModule that the environment sets. */
type FaceConfig = Required<Omit<FaceModuleOptions, 'onProgress' | 'onImage' | 'onNotice' | 'workerFile'>>;

/** Options of GalleryModule that the environment sets. */
type GalleryConfig = Required<Omit<GalleryModuleOptions, 'onProgress' | 'onNotice' | 'onSearch' | 'onPurge'>>;

/** The audit stream. */
interface AuditConfig {
  /** `null`: there is none. */
  file: string | null;
  /** Never logged. */
  key: string | null;
  subjects: (typeof AUDIT_SUBJECTS)[number];
  onFailure: (typeof AUDIT_FAILURE_POLICIES)[number];
  maxBytes: number;
}

/** The DeepFace dialect. */
interface DeepfaceConfig {
  /** What callers must bring; `null`: nothing. Never logged. */
  authToken: string | null;
  /** Cards by the names of DeepFace that they stand in for. */
  aliases: Readonly<Record<string, string>>;
}

/** Settings of the service: frozen, made once from the environment by {@link loadAppConfig}. */
export class AppConfig {
  readonly port!: number;
  readonly host!: string;
  /** Port of the health thread; 0 where there is none. */
  readonly healthPort!: number;
  /** Requests are served for so long after the signal that ends the service. */
  readonly shutdownDelayMs!: number;
  /** Key of an operator; `null`: none. Never logged. */
  readonly adminKey!: string | null;
  /** File of the API keys; `null`: requests need none, apart from `adminKey` and `deepface.authToken`. */
  readonly apiKeysFile!: string | null;
  /** False: a public host may be served without API keys. */
  readonly isAuthRequired!: boolean;
  readonly logLevel!: AppLogLevel;
  readonly audit!: Readonly<AuditConfig>;
  /** File of the key that signs receipts; `null`: there are none. */
  readonly receiptKeyFile!: string | null;
  /** Capabilities that are on. */
  readonly features!: Features;
  /** Most images in one call of /v1/represent, and in one enrollment. */
  readonly maxImages!: number;
  /** Largest JSON body in bytes. */
  readonly maxJsonBytes!: number;
  /** Bytes of request bodies that are received or worked on, together. */
  readonly uploadBytes!: number;
  /** Hosts from which images are fetched: see `FetchRules`. */
  readonly imageUrlHosts!: readonly string[];
  readonly imageUrlTimeoutMs!: number;
  /** Host names that requests may name beside addresses and `localhost`; `*.` before a name, or `*` alone, as wildcard. */
  readonly allowedHosts!: readonly string[];
  /** Origins of other sites whose pages may call the service, as browsers write them. */
  readonly corsOrigins!: readonly string[];
  /** Addresses and CIDR blocks of proxies whose `X-Forwarded-*` headers are believed. */
  readonly trustProxy!: readonly string[];
  /** Per caller; 0: no limit. */
  readonly requestsPerMinute!: number;
  /** Folder that models are pulled from, ends in a slash; `null` where each is pulled from its publisher. */
  readonly modelMirrorUrl!: string | null;
  readonly face!: Readonly<FaceConfig>;
  /** Its `key` is never logged. */
  readonly gallery!: Readonly<GalleryConfig>;
  readonly deepface!: Readonly<DeepfaceConfig>;

  constructor(values: AppConfig) {
    Object.assign(this, values, {
      audit: Object.freeze(values.audit),
      face: Object.freeze(values.face),
      gallery: Object.freeze(values.gallery),
      deepface: Object.freeze(values.deepface),
    });
    Object.freeze(this);
  }
}

/**
 * Reads the settings from an environment. Never changes it.
 *
 * @throws {FaceError} FACE_OPTIONS_INVALID naming the variable, never its value; also for a FACE_ variable that does
 * not exist, so that a misspelt name does not pass for its default.
 */
export function loadAppConfig(env: NodeJS.ProcessEnv): AppConfig {
  refuseRemovedStore(env);
  const unknown = Object.keys(env).find((name) => name.startsWith('FACE_') && !(name in APP_CONFIG));
  if (unknown != null) throw invalid(unknown, 'is no variable of Likeness');
  const apiKeysFile = text(env, 'FACE_API_KEYS_FILE') ?? null;
  const adminKey = bearerToken(env, 'ADMIN_KEY');
  const authToken = bearerToken(env, 'DEEPFACE_AUTH_TOKEN');
  // A request shows one key, which has the scopes of one.
  if (authToken != null && authToken === adminKey)
    throw invalid('DEEPFACE_AUTH_TOKEN', 'must differ from ADMIN_KEY');
  const features = featureSet(env, 'FACE_FEATURES');
  const maxSubjects = integer(env, 'FACE_GALLERY_MAX_SUBJECTS');
  return new AppConfig({
    port: integer(env, 'PORT'),
    host: text(env, 'HOST') ?? (apiKeysFile == null ? APP_CONFIG.HOST.default : '0.0.0.0'),
    adminKey,
    apiKeysFile,
    isAuthRequired: choice(env, 'FACE_AUTH') === 'on',
    healthPort: integer(env, 'FACE_HEALTH_PORT'),
    shutdownDelayMs: integer(env, 'FACE_SHUTDOWN_DELAY_MS'),
    logLevel: choice(env, 'LOG_LEVEL'),
    audit: auditConfig(env),
    receiptKeyFile: text(env, 'FACE_RECEIPT_KEY_FILE') ?? null,
    features,
    maxImages: integer(env, 'FACE_MAX_IMAGES'),
    maxJsonBytes: integer(env, 'FACE_MAX_JSON_BYTES'),
    uploadBytes: integer(env, 'FACE_UPLOAD_BYTES'),
    imageUrlHosts: list(env, 'FACE_IMAGE_URL_HOSTS', ','),
    imageUrlTimeoutMs: integer(env, 'FACE_IMAGE_URL_TIMEOUT_MS'),
    allowedHosts: hosts(env, 'FACE_ALLOWED_HOSTS'),
    corsOrigins: origins(env, 'FACE_CORS_ORIGINS'),
    trustProxy: networks(env, 'FACE_TRUST_PROXY'),
    requestsPerMinute: integer(env, 'FACE_REQUESTS_PER_MINUTE'),
    modelMirrorUrl: folderUrl(env, 'FACE_MODEL_MIRROR_URL'),
    face: {
      detectors: list(env, 'FACE_DETECTORS', ','),
      embedders: list(env, 'FACE_EMBEDDERS', ','),
      attributeModels: list(env, 'FACE_ATTRIBUTE_MODELS', ','),
      attributes: ATTRIBUTES.filter((name) => features.has(name === 'expression' ? name : 'attributes')),
      attackModels: list(env, 'FACE_PRESENTATION_ATTACK_MODELS', ','),
      presentationAttack: choice(env, 'FACE_PRESENTATION_ATTACK'),
      modelDirs: list(env, 'FACE_MODEL_DIRS', delimiter),
      prepareModels: choice(env, 'FACE_PREPARE_MODELS') === 'on',
      idleTtlsMs: durations(env, 'FACE_IDLE_TTLS'),
      workerCount: integer(env, 'FACE_WORKER_COUNT'),
      intraOpThreads: integer(env, 'FACE_INTRA_OP_THREADS'),
      memoryBudgetBytes: integer(env, 'FACE_MEMORY_BUDGET_BYTES'),
      maxImageBytes: integer(env, 'FACE_MAX_IMAGE_BYTES'),
      maxImagePixels: integer(env, 'FACE_MAX_IMAGE_PIXELS'),
      maxDecodeBytes: integer(env, 'FACE_MAX_DECODE_BYTES'),
      maxFaces: integer(env, 'FACE_MAX_FACES'),
      queueSize: integer(env, 'FACE_QUEUE_SIZE'),
      queueBytes: integer(env, 'FACE_QUEUE_BYTES'),
      requestTimeoutMs: integer(env, 'FACE_REQUEST_TIMEOUT_MS'),
      bootTimeoutMs: integer(env, 'FACE_BOOT_TIMEOUT_MS'),
      cache: choice(env, 'FACE_CACHE'),
      cacheBytes: integer(env, 'FACE_CACHE_BYTES'),
      cacheTtlMs: integer(env, 'FACE_CACHE_TTL_MS'),
      targetFmr: decimal(env, 'FACE_TARGET_FMR'),
      targetFpir: decimal(env, 'FACE_TARGET_FPIR'),
      reviewMargin: decimal(env, 'FACE_REVIEW_MARGIN'),
    },
    gallery: {
      // What no route can reach is not read from the disk either.
      store: features.has('galleries') ? choice(env, 'FACE_GALLERY_STORE') : 'memory',
      identification: features.has('identify'),
      dir: text(env, 'FACE_GALLERY_DIR') ?? APP_CONFIG.FACE_GALLERY_DIR.default,
      key: secret(env, 'FACE_GALLERY_KEY'),
      acceptDamage: choice(env, 'FACE_GALLERY_ACCEPT_DAMAGE') === 'on',
      nats: {
        servers: list(env, 'FACE_GALLERY_NATS_SERVERS', ','),
        caFile: text(env, 'FACE_GALLERY_NATS_CA_FILE') ?? null,
        certFile: text(env, 'FACE_GALLERY_NATS_CERT_FILE') ?? null,
        keyFile: text(env, 'FACE_GALLERY_NATS_KEY_FILE') ?? null,
        credentialsFile: text(env, 'FACE_GALLERY_NATS_CREDENTIALS_FILE') ?? null,
        user: text(env, 'FACE_GALLERY_NATS_USER') ?? null,
        password: secret(env, 'FACE_GALLERY_NATS_PASSWORD'),
        token: secret(env, 'FACE_GALLERY_NATS_TOKEN'),
        namespace: text(env, 'FACE_GALLERY_NATS_NAMESPACE') ?? APP_CONFIG.FACE_GALLERY_NATS_NAMESPACE.default,
        replicas: integer(env, 'FACE_GALLERY_NATS_REPLICAS'),
        timeoutMs: integer(env, 'FACE_GALLERY_NATS_TIMEOUT_MS'),
      },
      precision: choice(env, 'FACE_GALLERY_PRECISION'),
      scanThreads: integer(env, 'FACE_GALLERY_SCAN_THREADS'),
      maxBytes: integer(env, 'FACE_GALLERY_MAX_BYTES'),
      maxGalleries: integer(env, 'FACE_GALLERY_MAX_GALLERIES'),
      defaultGallery: {
        capacity: integer(env, 'FACE_GALLERY_CAPACITY'),
        maxSubjects: maxSubjects === 'auto' ? null : maxSubjects,
        maxReferencesPerSubject: integer(env, 'FACE_GALLERY_MAX_REFERENCES_PER_SUBJECT'),
        keepCrops: choice(env, 'FACE_GALLERY_KEEP_CROPS') === 'on',
      },
    },
    deepface: {
      authToken,
      aliases: names(env, 'FACE_DEEPFACE_ALIASES'),
    },
  });
}

/** Who used the LanceDB store of older versions must learn how to move galleries, not only that a name is unknown. */
function refuseRemovedStore(env: NodeJS.ProcessEnv): void {
  const isNamed = /^\s*lance/i.test(env.FACE_GALLERY_STORE ?? '');
  if (!isNamed && env.FACE_GALLERY_URI == null) return;
  throw invalid(
    isNamed ? 'FACE_GALLERY_STORE' : 'FACE_GALLERY_URI',
    `belongs to the LanceDB store, which was removed: unset FACE_GALLERY_URI, and set FACE_GALLERY_STORE to one of ${GALLERY_STORES.join(', ')}. ` +
      'To move galleries, run `likeness gallery export` with the version that wrote them, and `likeness gallery restore` with this one',
  );
}

function auditConfig(env: NodeJS.ProcessEnv): AuditConfig {
  const audit = {
    file: text(env, 'FACE_AUDIT_FILE') ?? null,
    key: secret(env, 'FACE_AUDIT_KEY'),
    subjects: choice(env, 'FACE_AUDIT_SUBJECTS'),
    onFailure: choice(env, 'FACE_AUDIT_ON_FAILURE'),
    maxBytes: integer(env, 'FACE_AUDIT_MAX_BYTES'),
  };
  if (audit.key == null && audit.subjects === 'hashed') {
    // Receipts name subjects as the audit stream does.
    for (const name of ['FACE_AUDIT_FILE', 'FACE_RECEIPT_KEY_FILE'] as const) {
      if (text(env, name) == null) continue;
      throw invalid('FACE_AUDIT_KEY', `is required by ${name} while FACE_AUDIT_SUBJECTS is hashed`);
    }
  }
  return audit;
}

type NameOf<Type extends ConfigVariable['type']> = {
  [Name in VariableName]: (typeof APP_CONFIG)[Name]['type'] extends Type ? Name : never;
}[VariableName];

function text(env: NodeJS.ProcessEnv, name: VariableName): string | undefined {
  const value = env[name]?.trim();
  const variable: ConfigVariable = APP_CONFIG[name];
  if (value === '' && variable.type === 'text' && variable.allowEmpty) return undefined;
  if (value === '') throw invalid(name, 'must not be empty');
  return value;
}

type DefaultOf<Name extends VariableName> = (typeof APP_CONFIG)[Name]['default'];

function integer<Name extends NameOf<'integer'>>(
  env: NodeJS.ProcessEnv,
  name: Name,
): number | Extract<DefaultOf<Name>, Auto> {
  const variable: ConfigVariable = APP_CONFIG[name];
  const [min, max] = variable.range as readonly [number, number];
  const value = text(env, name);
  const takesAuto = variable.default === 'auto';
  if (value == null || (takesAuto && value === 'auto')) return variable.default as number;
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  throw invalid(name, `must be an integer in [${min}, ${max}]${takesAuto ? ', or auto' : ''}`);
}

function decimal(env: NodeJS.ProcessEnv, name: NameOf<'decimal'>): number {
  const { default: byDefault, range } = APP_CONFIG[name];
  const [min, max] = range;
  const value = text(env, name);
  if (value == null) return byDefault;
  const number = /^\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  throw invalid(name, `must be a number in [${min}, ${max}]`);
}

function choice<Name extends NameOf<'choice'>>(
  env: NodeJS.ProcessEnv,
  name: Name,
): (typeof APP_CONFIG)[Name]['choices'][number] {
  const { default: byDefault, choices } = APP_CONFIG[name];
  const value = text(env, name) ?? byDefault;
  const known = choices.find((candidate) => candidate === value);
  if (known == null) throw invalid(name, `must be one of ${choices.join(', ')}`);
  return known;
}

function secret(env: NodeJS.ProcessEnv, name: NameOf<'secret'>): string | null {
  const value = env[name];
  if (value == null || value === '') return null;
  const problem = secretProblem(name, value);
  if (problem != null) throw invalid(name, problem);
  return value;
}

/** Why a value cannot be this secret, as the end of a sentence; `null` where it can. */
export function secretProblem(name: NameOf<'secret'>, value: string): string | null {
  const [min, max] = APP_CONFIG[name].range;
  if (value.length >= min && value.length <= max && value === value.trim()) return null;
  return `must have ${min} to ${max} characters, and no space around them`;
}

/** A secret that clients can send in a header: other characters never arrive as they are, and would let nobody in. */
function bearerToken(env: NodeJS.ProcessEnv, name: NameOf<'secret'>): string | null {
  const value = secret(env, name);
  if (value == null || /^[\x21-\x7e]+$/.test(value)) return value;
  throw invalid(
    name,
    'must be ASCII characters without spaces, because clients send it in `Authorization: Bearer`',
  );
}

/** URL of a folder, with a slash at its end. */
function folderUrl(env: NodeJS.ProcessEnv, name: NameOf<'url'>): string | null {
  const value = env[name]?.trim();
  if (value == null || value === '') return null;
  const url = URL.canParse(value) ? new URL(value) : null;
  const isPlain =
    url != null && ['username', 'password', 'search', 'hash'].every((part) => url[part as 'hash'] === '');
  if (url == null || !isPlain || !['http:', 'https:'].includes(url.protocol)) {
    throw invalid(name, 'must be an http or https URL without user, password, query and fragment');
  }
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}

/** `name=milliseconds` pairs, separated by commas. */
function durations(env: NodeJS.ProcessEnv, name: NameOf<'durations'>): Record<string, number> {
  const [min, max] = APP_CONFIG[name].range;
  return pairs(env, name, (text) => {
    const ms = /^\d+$/.test(text) ? Number(text) : NaN;
    if (ms >= min && ms <= max) return ms;
    throw invalid(name, `must be name=milliseconds, separated by commas, each in [${min}, ${max}]`);
  });
}

/** `name=other` pairs, separated by commas. */
function names(env: NodeJS.ProcessEnv, name: NameOf<'names'>): Record<string, string> {
  return pairs(env, name, (text) => {
    if (text !== '') return text;
    throw invalid(name, 'must be name=card, separated by commas');
  });
}

/** What stands on the right of `name=` goes through `toValue`; an empty text where the pair is no pair. */
function pairs<T>(
  env: NodeJS.ProcessEnv,
  name: NameOf<'durations' | 'names'>,
  toValue: (text: string) => T,
): Record<string, T> {
  if ((env[name] ?? '').trim() === '') return {};
  return Object.fromEntries(
    (env[name] as string).split(',').map((text) => {
      const pair = /^\s*([^\s=]+)=([^\s=]+)\s*$/.exec(text);
      return [pair?.[1] ?? '', toValue(pair?.[2] ?? '')];
    }),
  );
}

/** Host names in lower case, `*.` before them or alone as wildcard. */
function hosts(env: NodeJS.ProcessEnv, name: NameOf<'hosts'>): string[] {
  return list(env, name, ',').map((host) => {
    if (/^(\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*)$/i.test(host)) return host.toLowerCase();
    throw invalid(name, 'must be host names without scheme and port, separated by commas');
  });
}

/** Origins as browsers write them. */
function origins(env: NodeJS.ProcessEnv, name: NameOf<'origins'>): string[] {
  return list(env, name, ',').map((text) => {
    const url = URL.canParse(text) ? new URL(text) : null;
    // A path, or `*`, would never be what a browser sends.
    if (url != null && /^https?:$/.test(url.protocol) && `${url.origin}/` === url.href) return url.origin;
    throw invalid(name, 'must be http or https origins without path, separated by commas');
  });
}

/** IP addresses and CIDR blocks. A block of all addresses is refused: then every caller could choose its address. */
function networks(env: NodeJS.ProcessEnv, name: NameOf<'networks'>): string[] {
  return list(env, name, ',').map((text) => {
    const isNetwork = text.includes('/')
      ? ipaddr.isValidCIDR(text) && !/\/0+$/.test(text)
      : ipaddr.isValid(text);
    // Not `10.1` and `0x0a.1`, which are addresses too.
    if (isNetwork && /^(\d+\.\d+\.\d+\.\d+|[\da-f:.]*:[\da-f:.]*)(\/\d+)?$/i.test(text)) return text;
    throw invalid(name, 'must be addresses or CIDR blocks smaller than /0, separated by commas');
  });
}

function list(
  env: NodeJS.ProcessEnv,
  name: NameOf<'list' | 'folders' | 'hosts' | 'origins' | 'networks'>,
  separator: string,
): string[] {
  const variable: ConfigVariable = APP_CONFIG[name];
  if (variable.allowEmpty && env[name]?.trim() === '') return [];
  const items = text(env, name)
    ?.split(separator)
    .map((item) => item.trim());
  if (items?.includes(''))
    throw invalid(name, `must not hold an empty item between separators ("${separator}")`);
  return items ?? [...APP_CONFIG[name].default];
}

function featureSet(env: NodeJS.ProcessEnv, name: NameOf<'features'>): Features {
  const names = text(env, name)
    ?.split(',')
    .map((item) => item.trim());
  if (names == null) return ALL_FEATURES;
  const isLess = names.every((item) => item.startsWith('-'));
  const named = isLess ? names.map((item) => item.slice(1)) : names;
  if (named.some((item) => !Object.hasOwn(FEATURES, item))) {
    const known = [...ALL_FEATURES].join(', ');
    throw invalid(
      name,
      `must name capabilities of ${known}, separated by commas, with a minus before all or none`,
    );
  }
  const features = new Set(
    isLess ? [...ALL_FEATURES].filter((feature) => !named.includes(feature)) : (named as Feature[]),
  );
  if (features.has('identify') && !features.has('galleries')) {
    throw invalid(name, 'must name galleries beside identify');
  }
  return features;
}

function invalid(variable: string, problem: string): FaceError {
  return new FaceError('FACE_OPTIONS_INVALID', `Environment variable ${variable} ${problem}.`, { variable });
}
