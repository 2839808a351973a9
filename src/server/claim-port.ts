import { once } from 'node:events';
import { createServer } from 'node:net';
import { FaceError } from '../errors';

/**
 * Checks that the service can listen on a port, before models are loaded.
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
    const problem = code === 'EADDRINUSE' ? 'is in use' : `is not available (${code})`;
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
