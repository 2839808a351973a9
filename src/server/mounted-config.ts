import { FaceError } from '../errors';
import type { AppConfig } from './config/app.config';
import { loadAppConfig } from './config/load-app-config';
import { hasApiKeys } from './http/auth/access';
import type { LikenessServerOptions } from './likeness-server.options';

/**
 * The settings of a server inside another app: its options stand for environment variables, and the rules are the same.
 *
 * @throws {FaceError} FACE_OPTIONS_INVALID naming the variable or the option; API_KEYS_INVALID for `keys`.
 */
export function mountedConfig({ keys, adminKey, features, settings = {} }: LikenessServerOptions): AppConfig {
  // The host app has its own port and log, and often the same names for them.
  const { PORT: _port, LOG_LEVEL: _logLevel, ...variables } = settings as Record<string, unknown>;
  if (typeof keys === 'string') variables.FACE_API_KEYS_FILE = keys;
  else if (keys === false) variables.FACE_AUTH = 'off';
  else if (keys != null) variables.FACE_API_KEYS_FILE = undefined;
  variables.ADMIN_KEY = adminKey ?? variables.ADMIN_KEY;
  variables.FACE_FEATURES = features?.join() ?? variables.FACE_FEATURES;
  const env = Object.entries(variables).filter(([, value]) => value != null);
  const config = loadAppConfig(
    Object.fromEntries(env.map(([name, value]) => [name, String(value)])),
    Array.isArray(keys) ? keys : null,
  );
  if (hasApiKeys(config) === config.isAuthRequired) return config;
  throw invalidOption(
    'keys',
    config.isAuthRequired
      ? 'is required: a key file or a list of keys. With false, everyone who reaches the app can verify, enroll, identify and delete'
      : 'and FACE_AUTH=off contradict each other: remove one of them',
  );
}

/**
 * A prefix with a slash before it and none at its end.
 *
 * @throws {FaceError} FACE_OPTIONS_INVALID for an empty one, which would take every route of the app, and for characters that
 * clients encode.
 */
export function mountedPrefix(prefix: string): string {
  const plain = typeof prefix === 'string' ? `/${prefix.replace(/^\/|\/$/g, '')}` : '';
  if (/^(\/(?!\.{1,2}(\/|$))[\w.~-]+)+$/.test(plain)) return plain;
  throw invalidOption('prefix', 'must be a path such as /face, of letters, digits, ".", "_", "~" and "-"');
}

/** @param problem - the end of a sentence that begins with the option. */
export function invalidOption(option: string, problem: string): FaceError {
  return new FaceError('FACE_OPTIONS_INVALID', `LikenessServerModule: ${option} ${problem}.`, { option });
}
