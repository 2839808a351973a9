import type { FaceModuleOptions } from '../../face/face.options';
import type { GalleryModuleOptions } from '../../gallery/gallery.options';
import type { AppLogLevel, AUDIT_FAILURE_POLICIES, AUDIT_SUBJECTS } from './config-variables';
import type { Features } from './features';

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

/** Settings of the service: frozen, made once from the environment by `loadAppConfig`. */
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
