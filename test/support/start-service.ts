import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { rootDir } from './paths';

/** The built service in a process of its own, as `npm start` runs it. */
export interface RunningService {
  port: number;
  url: string;
  pid: number;
  /** Standard output and error so far. */
  output: () => string;
  /** Sends SIGTERM and gives the exit code. */
  stop: () => Promise<number | null>;
  /** Settles when the process has ended, however it does. */
  ended: () => Promise<unknown>;
}

/** Where and as whom the service runs. */
export interface ServicePlace {
  /** Folder with `dist`. @defaultValue the checkout */
  root?: string;
  /** User and group of the process. @defaultValue those of the suite */
  user?: { uid: number; gid: number };
}

/**
 * Starts the service on a free port and waits for its line `ready in … on port …`.
 *
 * @throws with the output where it ends instead.
 */
export async function startService(
  env: NodeJS.ProcessEnv = {},
  { root = rootDir, user }: ServicePlace = {},
): Promise<RunningService> {
  const child = spawn(process.execPath, [join(root, 'dist', 'main.js')], {
    cwd: root,
    env: { ...process.env, PORT: '0', ...env },
    ...user,
  });
  let output = '';
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const port = await new Promise<number>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk.toString();
      const ready = /ready in \d+ ms on port (\d+)/.exec(output);
      if (ready != null) resolve(Number(ready[1]));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    void exited.then(([code]) => reject(new Error(`The service ended with ${code}: ${output}`)));
  });
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    pid: child.pid as number,
    output: () => output,
    ended: () => exited,
    async stop() {
      child.kill('SIGTERM');
      return (await exited)[0];
    },
  };
}
