import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Jest globalSetup of the unit tests: compiles the kernel of the vector index, which is not in the repository. */
export default function buildKernel(): void {
  const root = join(__dirname, '..', '..');
  execFileSync('npm', ['run', '--silent', 'build:kernel'], { cwd: root, stdio: 'inherit' });
}
