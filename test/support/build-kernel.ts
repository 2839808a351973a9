import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Jest globalSetup of the unit tests: compiles the kernel of the vector index, which is not in the repository. */
export default function buildKernel(): void {
  const root = join(__dirname, '..', '..');
  const asc = join(root, 'node_modules', 'assemblyscript', 'bin', 'asc.js');
  const index = join('src', 'gallery', 'search', 'thread');
  const args = [asc, join(index, 'kernel.as.ts'), '--config', join(index, 'asconfig.json')];
  execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
}
