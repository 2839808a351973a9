import { once } from 'node:events';
import { createServer } from 'node:net';
import { FaceError } from '../errors';

/**
 * Finds out whether a port can be listened on, before models are loaded for nothing.
 *
 * @throws {FaceError} FACE_OPTIONS_INVALID naming the variable.
 */
export async function claimPort(variable: string, port: number, host: string): Promise<void> {
  if (port === 0) return;
  const server = createServer().listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const problem = code === 'EADDRINUSE' ? 'is in use' : `cannot be listened on (${code})`;
    throw new FaceError(
      'FACE_OPTIONS_INVALID',
      `${variable}: port ${port} ${problem}.`,
      {},
      { cause: error },
    );
  }
  server.close();
  await once(server, 'close');
}
