import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { rootDir } from './service.mjs';

/*
 * Child process of the weights scenario: loads one model as a worker does, in a process that has loaded nothing else.
 * Arguments: the card, the model file or the prepared graph, `plain` or `prepared`. Prints JSON.
 */

const require = createRequire(import.meta.url);
const dist = (file) => require(join(rootDir, 'dist', file));
const { readModelFile } = dist('models/model-file.js');
const { warmUp } = dist('pipeline/face-pipeline.js');
const { openSession } = dist('pipeline/tensor-session.js');

const [cardPath, path, kind] = process.argv.slice(2);
const card = JSON.parse(readFileSync(cardPath, 'utf8'));
const start = performance.now();
const session = await openSession(kind === 'plain' ? await readModelFile(path, card) : path, card, 1);
const loadMs = performance.now() - start;
await warmUp({ card, session });
console.log(JSON.stringify({ loadMs, firstRunMs: performance.now() - start - loadMs }));
