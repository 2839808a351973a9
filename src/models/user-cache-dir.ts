import { homedir, platform } from 'node:os';
import { isAbsolute, join } from 'node:path';

/**
 * Folder `likeness` among the caches of the current user: `$XDG_CACHE_HOME/likeness` or `~/.cache/likeness`, on macOS
 * `~/Library/Caches/likeness`, on Windows `%LOCALAPPDATA%\likeness`.
 *
 * @returns `null` for a user without a home folder. The folder need not exist.
 * @see XDG Base Directory Specification 0.8: relative paths in XDG_CACHE_HOME are invalid and ignored.
 */
export function userCacheDir(
  env: NodeJS.ProcessEnv = process.env,
  system: NodeJS.Platform = platform(),
): string | null {
  const { XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = env;
  if (xdg != null && isAbsolute(xdg)) return join(xdg, 'likeness');
  if (system === 'win32' && local != null && isAbsolute(local)) return join(local, 'likeness');
  const home = env.HOME ?? homeOfUser();
  if (home == null || !isAbsolute(home)) return null;
  const caches = system === 'darwin' ? join('Library', 'Caches') : '.cache';
  return join(home, caches, 'likeness');
}

/** A user id without an entry in the list of users, as in some containers, has no home folder. */
function homeOfUser(): string | null {
  try {
    return homedir();
  } catch {
    return null;
  }
}
