import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { rootDir } from './paths';

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

const cli = join(rootDir, 'dist', 'cli.js');
const noSettings = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^FACE_|^(https?|all|no)_proxy$/i.test(name)),
);

/** Without the settings of whoever runs the suite. A process that does not end by itself fails its test by the time limit. */
export function startCli(
  args: string[],
  env: NodeJS.ProcessEnv = {},
  stdin: 'ignore' | 'pipe' = 'ignore',
): { child: ChildProcessByStdio<Writable | null, Readable, Readable>; ended: Promise<CliResult> } {
  const child = spawn(process.execPath, [cli, ...args], {
    env: { ...noSettings, ...env },
    stdio: [stdin, 'pipe', 'pipe'],
  }) as ChildProcessByStdio<Writable | null, Readable, Readable>;
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<CliResult>((resolve) => {
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { child, ended };
}
