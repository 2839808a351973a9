import type { FaceModuleOptions } from '../../face/face.options';
import type { GalleryModuleOptions } from '../../gallery/gallery.options';
import type { KeyFileEntry } from '../http/auth/key-file';
import type { AppLogLevel, AUDIT_FAILURE_POLICIES, AUDIT_SUBJECTS } from './config-variables';
import type { Features } from './features';

/** Options of FaceModule that the environment sets. */
type FaceConfig = Required<Omit<FaceModuleOptions, 'onProgress' | 'onImage' | 'onNotice' | 'workerFile'>>;

/** Options of GalleryModule that the environment sets. */
type GalleryConfig = Required<Omit<GalleryModuleOptions, 'onProgress' | 'onNotice' | 'onSearch' | 'onPurge'>>;

/** The audit stream. */
interface AuditConfig {
  /** `null`: no audit stream. */
  file: string | null;
  /** Never logged. */
  key: string | null;
  subjects: (typeof AUDIT_SUBJECTS)[number];
  onFailure: (typeof AUDIT_FAILURE_POLICIES)[number];
  maxBytes: number;
}

/** The DeepFace dialect. */
interface DeepfaceConfig {
  /** Token that callers must send; `null`: none. Never logged. */
  authToken: string | null;
  /** Card names by the names of DeepFace that they replace. */
  aliases: Readonly<Record<string, string>>;
  /** True: the default models answer for names of DeepFace that are not loaded, and attributes without a model are left out. */
  hasSubstitutes: boolean;
}

/** Settings of the service: frozen, made once from the environment by `loadAppConfig`. */
export class AppConfig {
  readonly port!: number;
  readonly host!: string;
  /** Port of the health thread; 0: none. */
  readonly healthPort!: number;
  /** Milliseconds of serving after the signal that ends the service. */
  readonly shutdownDelayMs!: number;
  /** Key of an operator; `null`: none. Never logged. */
  readonly adminKey!: string | null;
  /** File of the API keys; without it and `apiKeys`, only `adminKey` and `deepface.authToken` protect routes. */
  readonly apiKeysFile!: string | null;
  /** API keys that the program gives in place of a file; `null`: none. */
  readonly apiKeys!: readonly KeyFileEntry[] | null;
  /** False: a public host may be served without API keys. */
  readonly isAuthRequired!: boolean;
  readonly logLevel!: AppLogLevel;
  readonly audit!: Readonly<AuditConfig>;
  /** File of the key that signs receipts; `null`: no receipts. */
  readonly receiptKeyFile!: string | null;
  /** Enabled capabilities. */
  readonly features!: Features;
  /** Largest number of images in one call of /v1/represent, and in one enrollment. */
  readonly maxImages!: number;
  /** Largest JSON body in bytes. */
  readonly maxJsonBytes!: number;
  /** Limit of the bytes of all request bodies in progress. */
  readonly uploadBytes!: number;
  /** Hosts from which images are fetched: see `FetchRules`. */
  readonly imageUrlHosts!: readonly string[];
  readonly imageUrlTimeoutMs!: number;
  /** Allowed host names beside addresses and `localhost`; `*.` before a name, or `*` alone, as wildcard. */
  readonly allowedHosts!: readonly string[];
  /** Origins of other sites whose pages may call the service, as browsers write them. */
  readonly corsOrigins!: readonly string[];
  /** Addresses and CIDR blocks of proxies whose `X-Forwarded-*` headers are trusted. */
  readonly trustProxy!: readonly string[];
  /** Per caller; 0: no limit. */
  readonly requestsPerMinute!: number;
  /** Folder URL for pulling models, with a slash at its end; `null`: each is pulled from its publisher. */
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
