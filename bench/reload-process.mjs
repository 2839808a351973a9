import { readFileSync } from 'node:fs';
import { openAsWorker, openPipeline, openPlain } from './models.mjs';
import { samples } from './service.mjs';

/*
 * Child process of the reload scenario: verifications of two photos, one after the other, with models that are made ready
 * in one of the ways below. Arguments: way, times, models as JSON. Prints milliseconds of each as JSON.
 */

const [way, times, models] = process.argv.slice(2);
const parsed = JSON.parse(models);
const images = samples.slice(0, 2).map((path) => readFileSync(path));
const open = { session: openPlain, process: openPlain, mapped: openAsWorker, preloaded: openAsWorker }[way];

const results = [];
if (way === 'preloaded') {
  const pipeline = await openPipeline(parsed, open);
  await verify(pipeline);
  for (let i = 0; i < times; i++) results.push(await timed(() => verify(pipeline)));
} else {
  // A process that is made for one request has nothing warm; sessions that are made for one find a warm runtime.
  if (way !== 'process') await verifyOnce();
  for (let i = 0; i < times; i++) results.push(await timed(verifyOnce));
}
console.log(JSON.stringify(results));

async function verifyOnce() {
  const pipeline = await openPipeline(parsed, open);
  await verify(pipeline);
  await pipeline.release();
}

async function verify(pipeline) {
  for (const image of images) await pipeline.represent(image);
}

async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
