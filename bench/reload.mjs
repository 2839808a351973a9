import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { verifyModels } from './models.mjs';
import { rootDir } from './service.mjs';
import { median } from './statistics.mjs';
import { VGG_FACE, writeVggFace } from './vgg-face.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 7);

const WAYS = [
  ['session', 'sessions made for each request, from the model files'],
  ['process', 'a Node process for each request'],
  ['mapped', 'sessions made for each request, prepared models mapped'],
  ['preloaded', 'models loaded once (Likeness)'],
];

/** What it costs to load models on the path of a request, against models that are there. */
export default async function reload(log) {
  const folder = mkdtempSync(join(tmpdir(), 'likeness-bench-'));
  try {
    writeVggFace(folder);
    const embedders = [
      ['mobilefacenet-512, the default, 5 MB', await verifyModels()],
      [
        'VGG-Face size, 580 MB',
        await verifyModels({ modelDirs: [folder], cacheDir: folder, embedder: VGG_FACE }),
      ],
    ];
    const times = new Map();
    for (const [embedder, models] of embedders) {
      for (const [way] of WAYS.filter(([way]) => way !== 'mapped' || isPrepared(models))) {
        const ms = median(await measure(way, models));
        times.set(`${way} ${embedder}`, ms);
        log(`${embedder}, ${way}: ${ms.toFixed(0)} ms`);
      }
    }
    const rows = WAYS.filter(([way]) => embedders.some(([embedder]) => times.has(`${way} ${embedder}`))).map(
      ([way, text]) => [
        text,
        ...embedders.flatMap(([embedder]) => {
          const ms = times.get(`${way} ${embedder}`);
          return [ms?.toFixed(0) ?? '-', `${(ms / times.get(`preloaded ${embedder}`)).toFixed(1)} x`];
        }),
      ],
    );
    return {
      columns: ['', ...embedders.flatMap(([embedder]) => [`${embedder}: ms per verification`, 'ratio'])],
      rows,
      notes: [
        `Medians of ${ROUNDS}. A verification is two photos of 1,920 px, one after the other, on one thread, without HTTP: decode, detect, landmarks, align, embed, with the detector and the landmark network loaded in the same way as the embedder. The files are in the page cache: a disk would add to all ways but the last. The large embedder has VGG-Face's architecture and random weights.`,
        ...(embedders.every(([, models]) => isPrepared(models))
          ? []
          : ['Prepared models were not to be had: that way was left out.']),
      ],
      plots: [plot(embedders, times)],
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function isPrepared({ files }) {
  return files.every(({ preparedPath }) => preparedPath != null);
}

async function measure(way, models) {
  const run = async (times) => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      join(rootDir, 'bench', 'reload-process.mjs'),
      way,
      String(times),
      JSON.stringify(models),
    ]);
    return JSON.parse(stdout);
  };
  if (way !== 'process') return run(ROUNDS);
  const all = [];
  for (let i = 0; i < ROUNDS; i++) {
    const start = performance.now();
    await run(1);
    all.push(performance.now() - start);
  }
  return all;
}

function plot(embedders, times) {
  return {
    name: 'reload',
    title: 'One verification, by how its models were loaded (log scale)',
    data: embedders.flatMap(([embedder]) =>
      WAYS.filter(([way]) => times.has(`${way} ${embedder}`)).map(([way, text]) => ({
        text,
        embedder,
        ms: times.get(`${way} ${embedder}`),
      })),
    ),
    // Points, not bars: a bar has no foot on a log scale.
    mark: { type: 'point', filled: true, size: 120 },
    encoding: {
      y: { field: 'text', type: 'nominal', sort: null, title: null, axis: { labelLimit: 400 } },
      x: { field: 'ms', type: 'quantitative', scale: { type: 'log' }, title: 'milliseconds' },
      color: { field: 'embedder', type: 'nominal', sort: null, title: null },
      shape: { field: 'embedder', type: 'nominal', sort: null, title: null },
    },
  };
}
