import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { rootDir } from '../support/paths';

/** Starts the service on a terminal of `script`, and gives what it shows until it is ready. */
async function bootOnTerminal(env: NodeJS.ProcessEnv): Promise<string> {
  const command = `exec ${process.execPath} ${join(rootDir, 'dist', 'main.js')}`;
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    cwd: rootDir,
    env: { ...process.env, PORT: '0', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let shown = '';
  const ready = new Promise<string>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text;
      if (/health\/ready\s+$/.test(shown)) resolve(shown);
    });
  });
  const ended = once(child, 'exit').then(() => shown);
  const text = await Promise.race([ready, ended]);
  // Ctrl+C reaches the service through its terminal.
  child.stdin.write('\x03');
  await ended;
  return text;
}

describe('the log of a boot on a terminal', () => {
  it('has less than 15 lines, and ends with the URLs', async () => {
    const shown = await bootOnTerminal({ FACE_WORKER_COUNT: '1', NO_COLOR: '1' });
    const lines = shown.trimEnd().split('\r\n');
    const port = /ready in \d+ ms on port (\d+)/.exec(shown)?.[1];
    expect(lines.length).toBeLessThan(15);
    expect(lines.slice(-3)).toEqual([
      `  console  http://127.0.0.1:${port}/`,
      `  docs     http://127.0.0.1:${port}/docs`,
      `  health   http://127.0.0.1:${port}/health/ready`,
    ]);
    expect(shown).toContain('without API keys, only this machine can connect');
    // Progress is there, each message in place of the one before.
    expect(shown).toContain('load rfb-320 (1 of 5)\r');
    expect(shown).not.toContain('RouterExplorer');
  });
});
