/** Result of one check of `likeness doctor`. */
export interface Check {
  /** Short name of the check. */
  name: string;
  /**
   * `warning`: the service runs, but not as well or as safely as it could; `failure`: it does not start, or is
   * unprotected.
   */
  state: 'ok' | 'warning' | 'failure';
  /** Finding. Never contains a secret, or a path other than those of the settings. */
  message: string;
  /** Recommended action; `null`: none is needed. */
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

/** Reason given by the operating system, without the path that its message contains. */
export function reasonOf(error: unknown): string {
  const { code = 'unknown error' } = error as NodeJS.ErrnoException;
  return REASONS[code] ?? code;
}
