/** Result of one check of `likeness doctor`. */
export interface Check {
  /** What was checked, in a few words. */
  name: string;
  /** `warning`: the service runs, but not as well or as safely as it could; `failure`: it does not start, or is open to others. */
  state: 'ok' | 'warning' | 'failure';
  /** What was found. Never a secret, never a path other than those of the settings. */
  message: string;
  /** What to do about it; `null` where there is nothing to do. */
  advice: string | null;
}

export function ok(name: string, message: string): Check {
  return { name, state: 'ok', message, advice: null };
}

export function warning(name: string, message: string, advice: string): Check {
  return { name, state: 'warning', message, advice };
}

export function failure(name: string, message: string, advice: string): Check {
  return { name, state: 'failure', message, advice };
}

const REASONS: Partial<Record<string, string>> = {
  ENOENT: 'it does not exist',
  ENOTDIR: 'a part of its path is not a folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
};

/** Why the operating system refused, without the path that its message holds. */
export function reasonOf(error: unknown): string {
  const { code = 'unknown error' } = error as NodeJS.ErrnoException;
  return REASONS[code] ?? code;
}
