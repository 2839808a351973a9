import { FaceError } from '../../errors';
import type { VariableName } from './config-variables';
import {
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

/** Values that each reader refuses. */
const REFUSED: {
  read: (env: NodeJS.ProcessEnv, name: never) => unknown;
  refused: [name: VariableName, value: string][];
}[] = [
  {
    read: readInteger,
    refused: [
      ['PORT', '65536'],
      ['PORT', '-1'],
      ['PORT', '0x10'],
      ['PORT', '80.5'],
      ['PORT', ''],
      ['FACE_WORKER_COUNT', '0'],
      ['FACE_MAX_IMAGES', '0'],
      ['FACE_QUEUE_SIZE', 'many'],
      ['FACE_WORKER_COUNT', 'AUTO'],
      ['FACE_QUEUE_SIZE', 'auto'],
      ['FACE_MEMORY_BUDGET_BYTES', '1000'],
      ['FACE_GALLERY_SCAN_THREADS', '0'],
      ['FACE_GALLERY_CAPACITY', '0'],
      ['FACE_GALLERY_MAX_SUBJECTS', '0'],
      ['FACE_GALLERY_MAX_GALLERIES', 'auto'],
      ['FACE_REQUESTS_PER_MINUTE', '-1'],
    ],
  },
  {
    read: readText,
    refused: [
      ['HOST', ' '],
      ['FACE_GALLERY_DIR', ''],
    ],
  },
  {
    read: readChoice,
    refused: [
      ['LOG_LEVEL', 'loud'],
      ['FACE_CACHE', 'disk'],
      ['FACE_PREPARE_MODELS', 'true'],
      ['FACE_GALLERY_STORE', 'postgres'],
    ],
  },
  {
    read: readList,
    refused: [
      ['FACE_DETECTORS', ''],
      ['FACE_EMBEDDERS', 'secret-a,,secret-b'],
      ['FACE_MODEL_DIRS', ''],
    ],
  },
  {
    read: readFolderUrl,
    refused: [
      ['FACE_MODEL_MIRROR_URL', 'mirror.example/models'],
      ['FACE_MODEL_MIRROR_URL', 'ftp://mirror.example/models'],
      ['FACE_MODEL_MIRROR_URL', 'https://name:word@mirror.example'],
      ['FACE_MODEL_MIRROR_URL', 'https://mirror.example/?token=abc'],
    ],
  },
  {
    read: readDurations,
    refused: [
      ['FACE_IDLE_TTLS', 'yunet'],
      ['FACE_IDLE_TTLS', 'yunet=1'],
      ['FACE_IDLE_TTLS', 'yunet=5000,'],
    ],
  },
  {
    read: readFeatures,
    refused: [
      ['FACE_FEATURES', 'recognize'],
      ['FACE_FEATURES', ''],
      ['FACE_FEATURES', 'verify,-detect'],
      ['FACE_FEATURES', '-galleries'],
      ['FACE_FEATURES', 'identify,verify'],
    ],
  },
  {
    read: readAliases,
    refused: [
      ['FACE_DEEPFACE_ALIASES', 'opencv'],
      ['FACE_DEEPFACE_ALIASES', 'opencv=yunet,'],
    ],
  },
  {
    read: readBearerToken,
    refused: [
      ['DEEPFACE_AUTH_TOKEN', ' secret'],
      ['ADMIN_KEY', 'too-short-secret'.slice(1)],
      ['ADMIN_KEY', ' padded-secret-of-length '],
      ['ADMIN_KEY', 'correct horse battery staple'],
      ['ADMIN_KEY', 'clé-de-l-administrateur'],
      ['DEEPFACE_AUTH_TOKEN', 'open sesame'],
    ],
  },
  {
    read: readDecimal,
    refused: [
      ['FACE_TARGET_FMR', '0'],
      ['FACE_TARGET_FMR', '0.51'],
      ['FACE_TARGET_FMR', '1e-7'],
      ['FACE_TARGET_FPIR', 'one percent'],
      ['FACE_TARGET_FPIR', '.1'],
      ['FACE_REVIEW_MARGIN', '-0.1'],
      ['FACE_REVIEW_MARGIN', ''],
    ],
  },
  {
    read: readSecret,
    refused: [['FACE_GALLERY_KEY', 'too-short-for-a-key-of-galleries'.slice(1)]],
  },
  {
    read: readHosts,
    refused: [
      ['FACE_ALLOWED_HOSTS', 'https://face.example'],
      ['FACE_ALLOWED_HOSTS', 'face.example:3000'],
      ['FACE_ALLOWED_HOSTS', 'face.example,'],
      ['FACE_ALLOWED_HOSTS', 'face.*'],
    ],
  },
  {
    read: readOrigins,
    refused: [
      ['FACE_CORS_ORIGINS', '*'],
      ['FACE_CORS_ORIGINS', 'app.example'],
      ['FACE_CORS_ORIGINS', 'https://app.example/page'],
      ['FACE_CORS_ORIGINS', 'https://user@app.example'],
      ['FACE_CORS_ORIGINS', 'null'],
    ],
  },
  {
    read: readNetworks,
    refused: [
      ['FACE_TRUST_PROXY', 'true'],
      ['FACE_TRUST_PROXY', 'proxy.example'],
      ['FACE_TRUST_PROXY', '10.1'],
      ['FACE_TRUST_PROXY', '10.0.0.0/33'],
      ['FACE_TRUST_PROXY', '0.0.0.0/0'],
      ['FACE_TRUST_PROXY', '::/0'],
    ],
  },
];

for (const { read, refused } of REFUSED) {
  describe(read.name, () => {
    it.each(refused)('refuses %s=%j, naming the variable and not its value', (name, value) => {
      const error = refusal(() => read({ [name]: value }, name as never));
      expect(error.code).toBe('FACE_OPTIONS_INVALID');
      expect(error.details).toEqual({ variable: name });
      expect(error.message).toContain(` ${name} `);
      if (/[a-z]/.test(value)) expect(error.message).not.toContain(value);
    });
  });
}

function refusal(call: () => unknown): FaceError {
  try {
    call();
  } catch (error) {
    if (error instanceof FaceError) return error;
    throw error;
  }
  throw new Error('The value was accepted.');
}
