import { join } from 'node:path';

/** Root of the checkout. */
export const rootDir = join(__dirname, '..', '..');
/** Built worker: suites run from TypeScript, workers from `dist/`. */
export const workerFile = join(rootDir, 'dist', 'inference', 'worker-main.js');
