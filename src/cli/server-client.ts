import { type Command, Option } from 'commander';
import { setTimeout } from 'node:timers/promises';
import { FACE_ERRORS, FaceError, type FaceErrorCode } from '../errors';

/** Options of every command that talks to a running service. */
export interface ServerOption {
  server: string;
  /** @defaultValue ADMIN_KEY of the environment */
  apiKey?: string;
}

/** Headers and body of a request. */
export interface ServerRequest {
  headers?: Record<string, string>;
  /** Plain objects are sent as JSON. */
  body?: object | FormData | ReadableStream<Uint8Array>;
}

const DEFAULT_SERVER = 'http://127.0.0.1:3000';

export function addServerOption(command: Command): Command {
  return command
    .addOption(
      new Option('--server <url>', 'URL of the running service')
        .env('LIKENESS_SERVER')
        .default(DEFAULT_SERVER),
    )
    .addOption(apiKeyOption());
}

export function apiKeyOption(): Option {
  return new Option(
    '--api-key <key>',
    'API key of the service; prefer the variable, because other users of this machine can see options (default: ADMIN_KEY)',
  ).env('FACE_API_KEY');
}

/**
 * Sends a request to a running service and returns its JSON.
 *
 * @throws {FaceError} the error returned by the service; NOT_READY if it cannot be reached.
 */
export async function askServer<Answer>(
  server: ServerOption,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  request: ServerRequest = {},
): Promise<Answer> {
  const response = await callServer(server, method, path, request);
  const answer: unknown = await response.json().catch(() => null);
  if (answer == null) throw strangeAnswer(server, response);
  return answer as Answer;
}

/** Transient errors: the same request can succeed later. */
const TRANSIENT: readonly FaceErrorCode[] = [
  'QUEUE_FULL',
  'CALLER_QUEUE_FULL',
  'RATE_LIMIT_EXCEEDED',
  'INFERENCE_TIMEOUT',
  'GALLERY_STORE_FAILED',
];
const MAX_ATTEMPTS = 8;

export function isTransient(value: unknown): value is FaceError {
  return value instanceof FaceError && TRANSIENT.includes(value.code);
}

/**
 * Repeats work after transient errors, and waits as long as they say.
 *
 * @param errorIn - finds a transient error in an answer.
 * @returns what the last attempt returned.
 * @throws what the last attempt threw.
 */
export async function patiently<Answer>(
  work: () => Promise<Answer>,
  errorIn: (answer: Answer) => FaceError | undefined = () => undefined,
): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    const isLast = attempt === MAX_ATTEMPTS;
    try {
      const answer = await work();
      const error = errorIn(answer);
      if (error == null || isLast) return answer;
      await wait(error, attempt);
    } catch (error) {
      if (!isTransient(error) || isLast) throw error;
      await wait(error, attempt);
    }
  }
}

async function wait({ details }: FaceError, attempt: number): Promise<void> {
  const seconds = typeof details.retryAfterSeconds === 'number' ? details.retryAfterSeconds : attempt;
  await setTimeout(seconds * 1000);
}

/** As {@link askServer}, but returns the raw response. */
export async function callServer(
  { server, apiKey }: ServerOption,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  { headers, body }: ServerRequest = {},
): Promise<Response> {
  const key = apiKey || process.env.ADMIN_KEY;
  if (key && !/^[\x21-\x7e]+$/.test(key)) {
    throw new FaceError('PARAMETER_INVALID', 'The API key must consist of ASCII characters without spaces.');
  }
  const url = urlOf(server, path);
  const isJson = body != null && !(body instanceof FormData) && !(body instanceof ReadableStream);
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers: {
        ...(key ? { authorization: `Bearer ${key}` } : {}),
        ...(isJson ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      ...(body == null ? {} : { body: isJson ? JSON.stringify(body) : body, duplex: 'half' }),
    } as RequestInit);
  } catch (error) {
    throw new FaceError('NOT_READY', `No service answers at ${server}.`, { server }, { cause: error });
  }
  if (response.ok) return response;
  const answer: unknown = await response.json().catch(() => null);
  const { error } = (answer ?? {}) as {
    error?: { code: FaceErrorCode; message: string; details: Record<string, unknown> };
  };
  if (error != null && Object.hasOwn(FACE_ERRORS, error.code)) {
    throw new FaceError(error.code, error.message, error.details);
  }
  throw strangeAnswer({ server }, response);
}

/** The URL of a path of the service, which can itself be below a path of its host. */
function urlOf(server: string, path: string): URL {
  if (/^https?:\/\//i.test(server) && URL.canParse(server)) {
    return new URL(path.replace(/^\//, ''), server.replace(/\/*$/, '/'));
  }
  throw new FaceError(
    'PARAMETER_INVALID',
    `Expected a URL such as ${DEFAULT_SERVER} for --server but received ${JSON.stringify(server)}.`,
  );
}

function strangeAnswer({ server }: ServerOption, { status }: Response): FaceError {
  return new FaceError(
    'INTERNAL_ERROR',
    `${server} answered with status ${status}, but not in the format of Likeness.`,
  );
}
