import { type Command, Option } from 'commander';
import { FACE_ERRORS, FaceError, type FaceErrorCode } from '../errors';

/** Options of every command that talks to a running service. */
export interface ServerOption {
  server: string;
}

const DEFAULT_SERVER = 'http://127.0.0.1:3000';

export function addServerOption(command: Command): Command {
  return command.addOption(
    new Option('--server <url>', 'the running service; the key is taken from ADMIN_KEY')
      .env('LIKENESS_SERVER')
      .default(DEFAULT_SERVER),
  );
}

/**
 * Asks an admin route of a running service.
 *
 * @throws {FaceError} the error that the service answered with; NOT_READY where it cannot be reached.
 */
export async function askServer<Answer>(
  { server }: ServerOption,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: object,
): Promise<Answer> {
  const key = process.env.ADMIN_KEY;
  let response: Response;
  try {
    response = await fetch(new URL(path, server), {
      method,
      headers: {
        ...(key ? { authorization: `Bearer ${key}` } : {}),
        ...(body == null ? {} : { 'content-type': 'application/json' }),
      },
      ...(body == null ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    throw new FaceError('NOT_READY', `No service answers at ${server}.`, { server }, { cause: error });
  }
  const answer: unknown = await response.json().catch(() => null);
  if (response.ok) return answer as Answer;
  const { error } = (answer ?? {}) as {
    error?: { code: FaceErrorCode; message: string; details: Record<string, unknown> };
  };
  if (error != null && Object.hasOwn(FACE_ERRORS, error.code)) {
    throw new FaceError(error.code, error.message, error.details);
  }
  throw new FaceError(
    'INTERNAL_ERROR',
    `${server} answered with status ${response.status}, and not as Likeness does.`,
  );
}
