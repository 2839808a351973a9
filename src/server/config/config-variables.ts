import {
  DEFAULT_GALLERY_DIR,
  DEFAULT_GALLERY_SETTINGS,
  DEFAULT_MAX_GALLERIES,
  GALLERY_STORES,
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
  IDLE_TTL_RANGE,
} from '../../face/face.options';
import { PRESENTATION_ATTACK_POLICIES } from '../../pipeline/face.types';
import {
  DEFAULT_NATS_NAMESPACE,
  DEFAULT_NATS_REPLICAS,
  DEFAULT_NATS_TIMEOUT_MS,
  NATS_REPLICAS_RANGE,
  NATS_TIMEOUT_RANGE,
} from '../../gallery/stores/jetstream/nats-settings';
import { VECTOR_PRECISIONS } from '../../gallery/search/vector-index';
import { ALL_FEATURES } from './features';

/** Nest's log levels, from the lowest to the highest. */
const LOG_LEVELS = ['verbose', 'debug', 'log', 'warn', 'error', 'fatal'] as const;
export type AppLogLevel = (typeof LOG_LEVELS)[number];

/** Form of subject ids in the audit stream. */
export const AUDIT_SUBJECTS = ['hashed', 'plain'] as const;
/** Policy for requests while the audit stream cannot be written. */
export const AUDIT_FAILURE_POLICIES = ['refuse', 'continue'] as const;

/** One environment variable. */
export interface ConfigVariable {
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
  /** Text of the documentation where the default depends on the machine. */
  readonly defaultText?: string;
  /** Inclusive range of numbers and durations, or of the length of secrets. */
  readonly range?: readonly [number, number];
  /** Allowed values of a choice. */
  readonly choices?: readonly string[];
  /** For lists and texts: an empty value means an empty list, or no value. */
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

/** Options whose default follows from the machine. */
type AutoOption = 'workerCount' | 'intraOpThreads' | 'memoryBudgetBytes' | 'maxDecodeBytes';

const faceList = (option: 'detectors' | 'embedders' | 'attributeModels' | 'attackModels', doc: string) => ({
  type: 'list' as const,
  default: DEFAULT_FACE_OPTIONS[option],
  allowEmpty: option === 'attributeModels' || option === 'attackModels',
  doc,
});

/** Every environment variable of the service, in one table. docs/configuration.md is tested against it. */
export const CONFIG_VARIABLES = {
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
    doc: 'off: serve a public HOST without API keys, open to everyone with access to it; on: refuse to start there',
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
    doc: 'Port of a separate thread that answers /health/live and /health/ready at once under any load; 0: none',
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
    doc: 'Key with the scopes admin, embeddings and metrics, 16 characters or more; the routes under /admin need a key, and are off without this variable and FACE_API_KEYS_FILE',
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
    doc: 'File of the audit stream (docs/security-audit.md), for one process at a time; empty: no audit stream',
  },
  FACE_AUDIT_KEY: {
    type: 'secret',
    default: '',
    defaultText: '',
    range: [32, 1024],
    doc: 'Key of the audit stream, 32 characters or more: it hashes subject ids, in receipts too, and protects the stream from being rewritten; required where subjects are hashed',
  },
  FACE_AUDIT_SUBJECTS: {
    type: 'choice',
    default: 'hashed',
    choices: AUDIT_SUBJECTS,
    doc: 'Subject ids in the audit stream and in receipts: hashed (HMAC of gallery and subject id), plain',
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
    doc: 'Size in bytes at which a file of the audit stream is renamed and a new one begins; the service deletes none',
  },
  FACE_RECEIPT_KEY_FILE: {
    type: 'text',
    default: '',
    defaultText: '',
    allowEmpty: true,
    doc: 'File of the key that signs receipts of erasures (docs/security-rights.md): an Ed25519 private key in PEM, created at the first start; empty: no receipts',
  },
  FACE_FEATURES: {
    type: 'features',
    default: [...ALL_FEATURES],
    defaultText: [...ALL_FEATURES].join(','),
    doc: 'Capabilities to offer, separated by commas; the service has no routes and no models for the others (docs/security-rights.md); with a minus before each: all but these. `verify` alone: a service that only compares two images',
  },
  FACE_DETECTORS: faceList('detectors', 'Detectors to load, separated by commas; the first is the default'),
  FACE_EMBEDDERS: faceList('embedders', 'Embedders to load, separated by commas; the first is the default'),
  FACE_ATTRIBUTE_MODELS: faceList(
    'attributeModels',
    'Models of age, gender, expression and race to load, separated by commas; of two models for the same attribute, the first one counts; empty: no /v1/analyze',
  ),
  FACE_PRESENTATION_ATTACK_MODELS: {
    ...faceList(
      'attackModels',
      'Presentation attack models to load, separated by commas; of several the mean of the scores counts; empty: none',
    ),
    defaultText: '',
  },
  FACE_PRESENTATION_ATTACK: {
    type: 'choice',
    default: DEFAULT_FACE_OPTIONS.presentationAttack,
    choices: PRESENTATION_ATTACK_POLICIES,
    doc: 'Default policy of requests on presentation attacks: off, report (a score for each face), require (refuse suspected faces)',
  },
  FACE_MODEL_DIRS: {
    type: 'folders',
    default: DEFAULT_FACE_OPTIONS.modelDirs,
    defaultText: 'models',
    doc: 'Folders with ONNX files, separated as in PATH, searched before the files of the package; pulled, imported and compiled models are written to the first. Where the package is installed, the default is `models` in FACE_CACHE_DIR',
  },
  FACE_CACHE_DIR: {
    type: 'text',
    default: '',
    defaultText: '~/.cache/likeness',
    allowEmpty: true,
    doc: 'Folder for models that are optimized for this machine; if it cannot be written, each worker loads its own copy. Default: `$XDG_CACHE_HOME/likeness`, on macOS `~/Library/Caches/likeness`, on Windows `%LOCALAPPDATA%\\likeness`',
  },
  FACE_MODEL_MIRROR_URL: {
    type: 'url',
    default: '',
    defaultText: '',
    doc: 'Folder on your own server, from which `likeness models pull` downloads files by name instead of from their publishers',
  },
  FACE_PREPARE_MODELS: {
    type: 'choice',
    default: 'on',
    choices: ['on', 'off'],
    doc: 'Optimize models once per machine and map them into every worker, so that all share one copy: on, off',
  },
  FACE_IDLE_TTLS: {
    type: 'durations',
    default: '',
    defaultText: '',
    range: IDLE_TTL_RANGE,
    doc: 'Milliseconds without a call after which a model is unloaded: `name=ms`, separated by commas; default models are never unloaded',
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
    'Memory budget of server and workers in bytes; a load over it is refused; auto: the limit of the container, or 80 % of the machine',
  ),
  FACE_MAX_IMAGE_BYTES: faceInteger('maxImageBytes', 'Largest encoded image in bytes'),
  FACE_MAX_IMAGE_PIXELS: faceInteger('maxImagePixels', 'Largest image in pixels (width times height)'),
  FACE_MAX_DECODE_BYTES: faceInteger(
    'maxDecodeBytes',
    'Memory limit of decoding one image in bytes, estimated from its header: a pixel limit for each format; counted for every worker; auto: 256 MiB, less where the memory budget is small',
  ),
  FACE_MAX_FACES: faceInteger('maxFaces', 'Upper bound and default of `maxFaces`'),
  FACE_MAX_IMAGES: {
    type: 'integer',
    default: 16,
    range: [1, 256],
    doc: 'Largest number of images in one call of /v1/represent, and in one enrollment',
  },
  FACE_MAX_JSON_BYTES: {
    type: 'integer',
    default: 32 * 1024 * 1024,
    range: [1024, 512 * 1024 * 1024],
    doc: 'Largest JSON body in bytes: parsing it blocks all other requests, so larger batches need multipart',
  },
  FACE_UPLOAD_BYTES: {
    type: 'integer',
    default: 256 * 1024 * 1024,
    range: [1024 * 1024, 64 * 1024 ** 3],
    doc: 'Largest size of all request bodies in progress in bytes before QUEUE_FULL; one caller gets half of it',
  },
  FACE_IMAGE_URL_HOSTS: {
    type: 'list',
    default: [],
    defaultText: '',
    allowEmpty: true,
    doc: 'Hosts from which images are fetched by URL, separated by commas, with a port unless it is the default one; `*.` before a name: its subdomains, `*`: every host at port 80 or 443, both at public addresses only; empty: URLs are refused',
  },
  FACE_IMAGE_URL_TIMEOUT_MS: {
    type: 'integer',
    default: 10_000,
    range: [100, 120_000],
    doc: 'Time limit for fetching an image, in milliseconds',
  },
  FACE_ALLOWED_HOSTS: {
    type: 'hosts',
    default: [],
    defaultText: '',
    allowEmpty: true,
    doc: 'Host names allowed in the `Host` header, separated by commas, beside IP addresses, `localhost` and HOST; `*.` before a name: its subdomains, `*`: every host; empty: no others, and from the proxies of FACE_TRUST_PROXY every host',
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
    doc: 'Addresses or CIDR blocks of your proxies, separated by commas: their `X-Forwarded-For` is taken for the address of the caller; empty: no proxy is trusted',
  },
  FACE_REQUESTS_PER_MINUTE: {
    type: 'integer',
    default: 0,
    range: [0, 1_000_000],
    doc: 'Requests per minute of one caller (API key, else IPv4 address or IPv6 /64) before RATE_LIMIT_EXCEEDED; an API key with its own limit has that one instead; health and metrics are never limited; 0: no limit',
  },
  FACE_QUEUE_SIZE: faceInteger('queueSize', 'Largest number of waiting images before QUEUE_FULL'),
  FACE_QUEUE_BYTES: faceInteger(
    'queueBytes',
    'Largest size of all waiting images in bytes before QUEUE_FULL',
  ),
  FACE_REQUEST_TIMEOUT_MS: faceInteger(
    'requestTimeoutMs',
    'Milliseconds until an unanswered image is refused with INFERENCE_TIMEOUT',
  ),
  FACE_BOOT_TIMEOUT_MS: faceInteger(
    'bootTimeoutMs',
    'Time limit for a worker to load and warm its models, in milliseconds',
  ),
  FACE_CACHE: {
    type: 'choice',
    default: DEFAULT_FACE_OPTIONS.cache,
    choices: CACHE_KINDS,
    doc: 'Cache of answers (biometric data) by the hash of the image: off, memory',
  },
  FACE_CACHE_BYTES: faceInteger('cacheBytes', 'Largest size of the cache in bytes'),
  FACE_CACHE_TTL_MS: faceInteger('cacheTtlMs', 'Lifetime of a cached answer in milliseconds'),
  FACE_TARGET_FMR: faceDecimal(
    'targetFmr',
    'False match rate of a comparison 1:1, which sets the threshold where neither call nor gallery does; for embedders with a calibration',
  ),
  FACE_TARGET_FPIR: faceDecimal(
    'targetFpir',
    'Largest share of searches for strangers that find a candidate (1:N): with the number of subjects it sets the threshold where neither call nor gallery does; for embedders with a calibration',
  ),
  FACE_REVIEW_MARGIN: faceDecimal(
    'reviewMargin',
    'Largest difference from the threshold for the decision `review`, in the unit of the metric; 0: no reviews',
  ),
  FACE_GALLERY_STORE: {
    type: 'choice',
    default: 'memory',
    choices: GALLERY_STORES,
    doc: 'Store of the galleries: memory (lost at the end of the process), durable (a folder), jetstream (NATS servers, shared by replicas)',
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
    doc: 'Key of the durable and the jetstream store, 32 characters or more: it encrypts all stored data. Required by jetstream, the same for all replicas',
  },
  FACE_GALLERY_NEW_KEY: {
    type: 'secret',
    default: '',
    defaultText: '',
    range: [32, 1024],
    doc: 'New key for `likeness gallery rekey`; the service itself does not use it',
  },
  FACE_GALLERY_ACCEPT_DAMAGE: {
    type: 'choice',
    default: 'off',
    choices: ['off', 'on'],
    doc: 'on: the service starts with a durable store in which more than 1 % is unreadable, and serves the rest',
  },
  FACE_GALLERY_NATS_SERVERS: {
    type: 'list',
    default: [] as readonly string[],
    allowEmpty: true,
    doc: 'NATS servers of the jetstream store, separated by commas: nats://host:port or tls://host:port; one of them names the other servers of its cluster',
  },
  FACE_GALLERY_NATS_CA_FILE: {
    type: 'text',
    default: '',
    defaultText: '',
    allowEmpty: true,
    doc: 'PEM file of the certificate authorities of the NATS servers; with it, only TLS is used',
  },
  FACE_GALLERY_NATS_CERT_FILE: {
    type: 'text',
    default: '',
    defaultText: '',
    allowEmpty: true,
    doc: 'PEM file of the client certificate, for NATS servers that require one',
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
    doc: 'Name of the galleries on the NATS servers, 1 to 32 letters, digits, _ and -: services with different names share servers, but no data',
  },
  FACE_GALLERY_NATS_REPLICAS: {
    type: 'integer',
    default: DEFAULT_NATS_REPLICAS,
    range: NATS_REPLICAS_RANGE,
    doc: 'Number of NATS servers with a copy of the galleries, set when they are created: 3 survive the loss of one server, 1 is for a single server',
  },
  FACE_GALLERY_NATS_TIMEOUT_MS: {
    type: 'integer',
    default: DEFAULT_NATS_TIMEOUT_MS,
    range: NATS_TIMEOUT_RANGE,
    doc: 'Time limit for the NATS servers to confirm a change, in milliseconds; then the request gets 503',
  },
  FACE_GALLERY_PRECISION: {
    type: 'choice',
    default: 'float32',
    choices: VECTOR_PRECISIONS,
    doc: 'Precision of searches: float32; int8 is faster, and compares the best candidates again in float32',
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
    doc: 'Memory budget of all galleries in bytes, before GALLERY_FULL (memory and durable store); auto: half of the memory of the machine or the container',
  },
  FACE_GALLERY_MAX_GALLERIES: {
    type: 'integer',
    default: DEFAULT_MAX_GALLERIES,
    range: MAX_GALLERIES_RANGE,
    doc: 'Largest number of galleries; one more is refused with GALLERY_FULL',
  },
  FACE_GALLERY_CAPACITY: {
    type: 'integer',
    default: DEFAULT_GALLERY_SETTINGS.capacity,
    range: GALLERY_RANGES.capacity,
    doc: 'Capacity (largest number of references) of a gallery that is created without one',
  },
  FACE_GALLERY_MAX_SUBJECTS: {
    type: 'integer',
    default: 'auto' as Auto | number,
    range: GALLERY_RANGES.maxSubjects,
    doc: 'Largest number of subjects in a gallery that is created without this limit; auto: its capacity',
  },
  FACE_GALLERY_MAX_REFERENCES_PER_SUBJECT: {
    type: 'integer',
    default: DEFAULT_GALLERY_SETTINGS.maxReferencesPerSubject,
    range: GALLERY_RANGES.maxReferencesPerSubject,
    doc: 'Largest number of references per subject in a gallery that is created without this limit',
  },
  FACE_GALLERY_KEEP_CROPS: {
    type: 'choice',
    default: 'off',
    choices: ['off', 'on'],
    doc: 'on: galleries that are created without this setting keep a crop of each enrolled face, so that they can be moved to another embedder',
  },
  FACE_DEEPFACE_ALIASES: {
    type: 'names',
    default: '',
    defaultText: '',
    doc: 'Cards that stand in for names of the DeepFace API: `opencv=yunet,VGG-Face=sface`',
  },
  FACE_DEEPFACE_SUBSTITUTE: {
    type: 'choice',
    default: 'on',
    choices: ['on', 'off'],
    doc: 'on: in the DeepFace API, the default models answer for models and detectors of DeepFace that are not loaded, apart from embedders in /represent, and /analyze leaves out actions without a model; `x-likeness-substitute` and `x-likeness-omitted` name them. off: such requests are rejected',
  },
  DEEPFACE_AUTH_TOKEN: {
    type: 'secret',
    default: '',
    defaultText: '',
    range: [1, 1024],
    doc: 'Key with the scopes verify, identify, enroll and embeddings, which the DeepFace API then requires in `Authorization: Bearer`; without it and FACE_API_KEYS_FILE it requires none',
  },
} as const satisfies Record<string, ConfigVariable>;

export type VariableName = keyof typeof CONFIG_VARIABLES;

/** Names of the variables of one type. */
export type NameOf<Type extends ConfigVariable['type']> = {
  [Name in VariableName]: (typeof CONFIG_VARIABLES)[Name]['type'] extends Type ? Name : never;
}[VariableName];
