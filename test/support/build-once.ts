import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { COMPILED_MODELS } from '../../src/models/compiled-models';
import buildKernel from './build-kernel';

/**
 * Jest globalSetup of the suites that start real workers: builds `dist/` and compiles all models, the earlier default set too.
 * With BUILT=1, `npm run build` has just been run, and its outcome is tested.
 */
export default function buildOnce(): void {
  const root = join(__dirname, '..', '..');
  const run = (...args: string[]) => execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (process.env.BUILT !== '1') {
    buildKernel();
    run(join(root, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js'), 'build');
  }
  run(join(root, 'dist', 'cli.js'), 'models', 'compile', ...Object.keys(COMPILED_MODELS));
}
