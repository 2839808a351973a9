import type { AppConfig } from '../../config/app.config';
import type { AppRequest } from '../request/request-id';

/**
 * Paths that never need a key: health for load balancers, and the documentation, where a browser asks for a key. The
 * documentation depends only on the version and the settings.
 */
const OPEN_PATHS = /^\/(health\/(live|ready)|docs(\/.*)?|openapi\.json)?$/;

/** Settings that decide whether a request needs a key. */
export type AccessRules = Pick<AppConfig, 'apiKeysFile' | 'apiKeys' | 'adminKey' | 'deepface'>;

/** Whether there are API keys, from a file or from the program. */
export function hasApiKeys({ apiKeysFile, apiKeys }: Pick<AppConfig, 'apiKeysFile' | 'apiKeys'>): boolean {
  return apiKeysFile != null || apiKeys != null;
}

/**
 * Whether a request needs a key: with API keys, all paths except {@link OPEN_PATHS}; without one, those that
 * ADMIN_KEY or DEEPFACE_AUTH_TOKEN protects.
 *
 * @param path - path of the request, or pattern of its route.
 */
export function needsKey(
  rules: AccessRules,
  path: string,
  { dialect }: Pick<AppRequest, 'dialect'>,
): boolean {
  const { adminKey, deepface } = rules;
  if (hasApiKeys(rules)) return !OPEN_PATHS.test(plainPath(path));
  if (isAdminPath(path)) return adminKey != null;
  return dialect === 'deepface' && deepface.authToken != null;
}

export function isAdminPath(path: string): boolean {
  return /^\/admin(\/|$)/.test(plainPath(path));
}

/** Normalizes a path as Express does, which ignores case and a trailing slash. */
function plainPath(path: string): string {
  return path.toLowerCase().replace(/(?<=.)\/$/, '');
}
