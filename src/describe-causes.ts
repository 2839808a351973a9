import { posix, win32 } from 'node:path';

/** A limit on chains that other libraries build. */
const MAX_CAUSES = 5;
/** Names of environment variables that hold a secret. Those of files that hold one end in `_FILE`. */
const SECRET_NAME = /(KEY|TOKEN|SECRET|PASSWORD)$/;
/** Shorter values occur in ordinary words. */
const MIN_SECRET_LENGTH = 6;

/** Quoted absolute paths, which may contain spaces, then URLs, then paths without quotes. */
const PLACES =
  /(['"`])((?:file:\/\/|\/|[A-Za-z]:[\\/]|\\\\)[^'"`]*)\1|\b([a-z][a-z0-9+.-]*):\/\/[^\s'"`)]+|(?<![\w./\\-])(?:\/|[A-Za-z]:[\\/]|\\\\)[^\s'"`),;:]+/gi;

/**
 * The causes of an error for the operator's terminal, each as ` Cause: <message>`; empty where there is none. What the error
 * says itself is not repeated.
 *
 * @param env - whose keys, tokens and passwords are replaced.
 */
export function describeCauses(error: Error, env: NodeJS.ProcessEnv = process.env): string {
  const causes: string[] = [];
  const message = redact(error.message, env);
  const known = new Set<unknown>([error]);
  for (let at = error.cause; at != null && known.size <= MAX_CAUSES && !known.has(at); at = causeOf(at)) {
    known.add(at);
    const text = redact(messageOf(at), env);
    if (text !== '' && ![message, ...causes].some((said) => said.includes(text))) causes.push(text);
  }
  return causes.map((text) => ` Cause: ${text}`).join('');
}

/** One line without stack traces, secrets of the environment, credentials in URLs, and folders of absolute paths. */
export function redact(text: string, env: NodeJS.ProcessEnv = process.env): string {
  const secrets = Object.entries(env)
    .filter(([name, value]) => SECRET_NAME.test(name) && (value?.length ?? 0) >= MIN_SECRET_LENGTH)
    .map(([, value]) => value as string)
    // A secret that contains another one goes first.
    .sort((a, b) => b.length - a.length);
  const withoutStack = text.replace(/(\n\s+at .*)+/g, '');
  const withoutSecrets = secrets.reduce(
    (rest, secret) => rest.replaceAll(secret, '[redacted]'),
    withoutStack,
  );
  return withoutSecrets
    .replace(PLACES, (place: string, quote?: string, quoted?: string, scheme?: string) => {
      if (quoted != null) return `${quote}${fileName(quoted)}${quote}`;
      if (scheme == null || scheme.toLowerCase() === 'file') return fileName(place);
      return place.replace(/\/\/[^/@]*@/, '//').replace(/[?#].*$/, '');
    })
    .replace(/\s+/g, ' ')
    .trim();
}

/** Of a path of either system: messages of compiled models and of archives may come from another one. */
function fileName(path: string): string {
  return win32.basename(posix.basename(path));
}

function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  // Node leaves the message empty where several addresses refuse a connection.
  return thrown.message || (thrown as NodeJS.ErrnoException).code || thrown.name;
}

function causeOf(thrown: unknown): unknown {
  return thrown instanceof Error ? thrown.cause : null;
}
