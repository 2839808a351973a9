import type { AppConfig } from '../../config/app.config';
import type { AppRequest } from '../request/request-id';

/**
 * Paths that never need a key: load balancers ask for health, and a browser opens the documentation, where a key can then be
 * given. The documentation is the same for every service of this version and these settings.
 */
const OPEN_PATHS = /^\/(health\/(live|ready)|docs(\/.*)?|openapi\.json)?$/;

/** Which requests must bring a key. */
export type AccessRules = Pick<AppConfig, 'apiKeysFile' | 'adminKey' | 'deepface'>;

/**
 * Whether a request must bring a key: with a key file, every one but those of {@link OPEN_PATHS}; without one, those for
 * which ADMIN_KEY or DEEPFACE_AUTH_TOKEN is set.
 *
 * @param path - of the request, or the pattern of its route.
 */
export function needsKey(
  { apiKeysFile, adminKey, deepface }: AccessRules,
  path: string,
  { dialect }: Pick<AppRequest, 'dialect'>,
): boolean {
  if (apiKeysFile != null) return !OPEN_PATHS.test(plainPath(path));
  if (isAdminPath(path)) return adminKey != null;
  return dialect === 'deepface' && deepface.authToken != null;
}

export function isAdminPath(path: string): boolean {
  return /^\/admin(\/|$)/.test(plainPath(path));
}

/** As Express compares paths: case and a slash at the end do not matter. */
function plainPath(path: string): string {
  return path.toLowerCase().replace(/(?<=.)\/$/, '');
}
