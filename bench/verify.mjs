import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { answersIn, requireSuccess, startLoad, steadyWindow } from './load.mjs';
import { markdownTable } from './markdown-table.mjs';
import { pairRequests, photoSets, sharedData, upright } from './photos.mjs';
import { call, multipartRequest, rootDir, startService } from './service.mjs';
import { mean, median, sum } from './statistics.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 3);
const WINDOW = Number(process.env.WINDOW ?? 10);
const CLIENTS = 2 * availableParallelism();
/** Folder of a built checkout of an older commit: the old set then runs there. */
const BASELINE = process.env.BASELINE == null ? rootDir : resolve(process.env.BASELINE);

const OLD_SET = ['ssd-mobilenetv1', 'face-resnet-128'];
const NEW_SET = ['rfb-320', 'mobilefacenet-512'];
const STAGES = ['decodeMs', 'detectMs', 'alignMs', 'embedMs'];
/** Stages that run the models. */
const MODEL_STAGES = STAGES.slice(1);

/** The old default set beside the new one: the same photos, in turn. */
export default async function verify(log) {
  const { compileInto } = createRequire(import.meta.url)(
    join(rootDir, 'dist', 'model-tools', 'compile', 'compile-models.js'),
  );
  for (const name of OLD_SET) await compileInto(join(rootDir, 'models'), name);
  const newSide = await startService(environment(NEW_SET));
  const oldSide = await startService(environment(OLD_SET), BASELINE);
  const { source, sets } = await photoSets(newSide.port);
  const rows = [];
  for (const { name, photos } of sets) {
    const requests = pairRequests(photos);
    // As verify takes a photo, but one at a time: work then, not waiting for the other photo's.
    const single = photos.map((image) =>
      multipartRequest('/v1/represent', { image }, { faceSelection: 'best' }),
    );
    const sides = [oldSide, newSide].map(({ port }) => ({ port, perSecond: [], timings: [] }));
    for (let round = 0; round < ROUNDS; round++) {
      // Photo by photo in turn: what else the machine does then meets both sides.
      for (const request of single) {
        for (const side of sides) side.timings.push((await send(side.port, request)).timings);
      }
      for (const side of sides) side.perSecond.push(await throughput(side.port, requests));
      const [before, now] = sides.map(({ perSecond }) => perSecond[round].toFixed(2));
      log(`${name}, round ${round + 1}: ${before} and ${now} verifications/s`);
    }
    const [before, now] = sides.map(({ perSecond, timings }) => ({
      perSecond: mean(perSecond),
      modelMs: median(timings.map((timing) => sum(MODEL_STAGES.map((stage) => timing[stage])))),
      stages: STAGES.map((stage) => median(timings.map((timing) => timing[stage])).toFixed(1)).join(' / '),
    }));
    const megabytes = mean(photos.map(({ length }) => length)) / 1e6;
    rows.push([
      `${name} (${megabytes.toFixed(2)} MB)`,
      before.perSecond.toFixed(2),
      now.perSecond.toFixed(2),
      `${(now.perSecond / before.perSecond).toFixed(2)} x`,
      before.modelMs.toFixed(1),
      now.modelMs.toFixed(1),
      (now.modelMs / before.modelMs).toFixed(2),
      before.stages,
      now.stages,
    ]);
  }
  const cost = await uprightCost(newSide.port, log);
  await Promise.all([oldSide.stop(), newSide.stop()]);
  return {
    columns: [
      'photos (mean size)',
      'old: verifications/s',
      'new: verifications/s',
      'ratio',
      'old: model work per photo, ms',
      'new: model work per photo, ms',
      'ratio of model work',
      'old: decode / detect / align / embed, ms',
      'new: decode / detect / align / embed, ms',
    ],
    rows,
    notes: [
      `Old: ${OLD_SET.join(' and ')}, ${baselineName()}. New: ${NEW_SET.join(' and ')}. A verification is two photos of one face each, multipart: ${source}. ${ROUNDS} rounds, both sides in turn. Verifications per second: ${CLIENTS} clients, ${WINDOW} s per round and side. Stages: medians per photo as the worker reports them, one photo at a time, represented as a verification does it, each photo on both sides in turn. Model work: detect, align, and embed. The photos of 1,920 px and 12 megapixels carry the sRGB profile of 3,144 bytes that cameras and phones write.`,
      ...cost,
    ],
  };
}

function environment([detector, embedder]) {
  return { FACE_DETECTORS: detector, FACE_EMBEDDERS: embedder, FACE_ATTRIBUTE_MODELS: '' };
}

function baselineName() {
  if (BASELINE === rootDir) return 'at the same commit';
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: BASELINE, encoding: 'utf8' });
  return `the service of commit ${commit.trim()}`;
}

async function throughput(port, requests) {
  const load = startLoad({ port, requests, clients: CLIENTS });
  const window = await steadyWindow(load, CLIENTS, WINDOW);
  const { answers } = await load.stop();
  requireSuccess(answers);
  return answersIn(answers, window).perSecond;
}

/** Body of a successful answer. */
async function send(port, request) {
  const { status, body } = await call(port, request.method, request.path, request.headers, request.body);
  const answer = JSON.parse(body);
  if (status !== 200) throw new Error(`Expected success but received ${status} ${answer.error?.code}.`);
  return answer;
}

/** What trying the four turns costs photos that are upright already; a section of the notes. */
async function uprightCost(port, log) {
  const name = 'Upright cost';
  if (sharedData == null) return [`${name}: skipped, because ../shared is absent.`];
  const photos = upright();
  const requests = (autoRotate) =>
    photos.map((image) => multipartRequest('/v1/represent', { image }, { autoRotate }));
  const sides = [false, true].map((autoRotate) => ({ requests: requests(autoRotate), ms: [] }));
  const probe = sides[0].requests[0];
  const { status, body } = await call(port, probe.method, probe.path, probe.headers, probe.body);
  if (status === 400 && body.includes('autoRotate')) {
    return [`${name}: skipped, because the service does not know \`autoRotate\`.`];
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const i of photos.keys()) {
      // In turn, so that neither side always comes first.
      for (const side of (round + i) % 2 === 0 ? sides : [...sides].reverse()) {
        const { timings } = await send(port, side.requests[i]);
        side.ms.push(sum(STAGES.map((stage) => timings[stage])));
      }
    }
  }
  const [off, on] = sides.map(({ ms }) => ms);
  const ratio = sum(on) / sum(off);
  log(`${name}: ${ratio.toFixed(3)}`);
  const row = (label, ms) => [label, median(ms).toFixed(1), mean(ms).toFixed(1)];
  return [
    `${name}: the ${photos.length} upright photos of lfw10, ${ROUNDS} rounds, each photo with and without \`autoRotate\` in turn; decode, detect, align, and embed together.`,
    markdownTable(
      ['', 'median ms per photo', 'mean ms per photo', 'ratio of means'],
      [
        [...row('`autoRotate=false`', off), ''],
        [...row('`autoRotate=true`', on), ratio.toFixed(3)],
      ],
    ),
  ];
}
