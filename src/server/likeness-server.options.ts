import type { Feature } from './config/features';
import type { VariableName } from './config/config-variables';
import type { KeyFileEntry } from './http/auth/key-file';

/** Settings by the name of their environment variable, as in docs/configuration.md. The host app has its own port and log. */
export type ServerSettings = Partial<Record<Exclude<VariableName, 'PORT' | 'LOG_LEVEL'>, string | number>>;

/** Options of {@link LikenessServerModule}. */
export interface LikenessServerOptions {
  /**
   * Path of all routes, for example `/face`: one segment or more, each of letters, digits, `.`, `_`, `~` and `-`. The global
   * prefix of the app is not added.
   */
  prefix: string;
  /**
   * API keys that requests need: the path of a key file, as FACE_API_KEYS_FILE, or its entries, which `likeness keys create`
   * makes. `false`, as FACE_AUTH=off: no keys, so that everyone who reaches the app can verify, enroll, identify and delete.
   *
   * @defaultValue FACE_API_KEYS_FILE or FACE_AUTH of `settings`
   */
  keys?: string | readonly KeyFileEntry[] | false;
  /** Key of the routes under `admin`, as ADMIN_KEY: 16 to 1024 printable ASCII characters. @defaultValue ADMIN_KEY of `settings` */
  adminKey?: string;
  /** Enabled features, as FACE_FEATURES; the others have no routes and no models. @defaultValue FACE_FEATURES of `settings` */
  features?: readonly Feature[];
  /**
   * All other settings, for example `{ FACE_WORKER_COUNT: 2 }`. `process.env` takes them from the environment, which is not
   * read otherwise.
   *
   * @defaultValue the defaults of the service
   */
  settings?: ServerSettings;
}
