import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { rootDir } from './paths';

const candidate = join(rootDir, '..', 'shared');

/** Folder with real weights and labeled photos beside the checkout; `null` where it is absent. */
export const sharedDir: string | null = existsSync(candidate) ? candidate : null;

if (sharedDir == null && process.env.REQUIRE_SHARED) {
  throw new Error('REQUIRE_SHARED is set but there is no folder shared beside the checkout.');
}

/** A suite that needs {@link sharedDir}; skipped by name where it is absent. */
export function describeWithShared(name: string, suite: () => void): void {
  if (sharedDir == null) describe.skip(`${name} (needs ../shared, which is absent)`, suite);
  else describe(name, suite);
}
