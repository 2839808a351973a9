import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import buildKernel from './build-kernel';

/** Jest globalSetup of the suites that start real workers: builds `dist/` and compiles the default models. */
export default function buildOnce(): void {
  buildKernel();
  const root = join(__dirname, '..', '..');
  const run = (...args: string[]) => execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  run(join(root, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js'), 'build');
  run(join(root, 'dist', 'cli.js'), 'models', 'compile');
}
