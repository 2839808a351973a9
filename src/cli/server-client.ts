import { type Command, Option } from 'commander';
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
  const isJson = body != null && !(body instanceof FormData) && !(body instanceof ReadableStream);
  let response: Response;
  try {
    response = await fetch(new URL(path, server), {
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

function strangeAnswer({ server }: ServerOption, { status }: Response): FaceError {
  return new FaceError(
    'INTERNAL_ERROR',
    `${server} answered with status ${status}, but not in the format of Likeness.`,
  );
}
