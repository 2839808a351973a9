import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { compileInto, compileModel } from '../../src/model-tools/compile/compile-models';
import { compiledFileName, COMPILED_MODELS, WEIGHT_PACKAGES } from '../../src/models/compiled-models';
import { rootDir } from '../support/paths';
import { KINDS, NETWORKS } from '../golden/golden-inputs.cjs';

/** What the peer answered on one picture, by name of the output; of the detector only some `anchors` are kept. */
type Golden = Record<string, number[]> & { inputSha256: string; anchors?: number[] };

type Outputs = Record<string, number[]>;

/** What test/support/run-onnx.mjs prints about one model. */
interface Answers {
  pictures: Record<string, { sha256: string; outputs: Outputs }>;
  batch: Outputs;
}

/**
 * Largest difference allowed, in the unit of each output: years for age, fractions of the square for boxes and
 * landmarks, nothing for the rest. Five to forty times what was measured, to leave room for other processors.
 */
const TOLERANCES: Record<string, number> = {
  boxes: 2e-5,
  scores: 2e-5,
  landmarks: 5e-6,
  embedding: 5e-6,
  age: 3e-4,
  gender: 5e-6,
  expressions: 1e-5,
};

/** Anchors of the detector. */
const ANCHOR_COUNT = 5118;

const TIMEOUT_MS = 120_000;

const ofPackage = (name: keyof typeof WEIGHT_PACKAGES) =>
  Object.keys(COMPILED_MODELS).filter((model) => COMPILED_MODELS[model].package === name);

/** Those that the peer runs. */
const names = ofPackage('@vladmandic/face-api');
/** Those whose weights are ONNX files, which run beside them. */
const transcribed = ofPackage('faceplugin-face-recognition-js');
/** Largest difference from the original file, in the unit of each output. */
const MAX_DIFFERENCE_FROM_ORIGINAL = 1e-5;

let directory: string;
let goldens: Record<string, Record<string, Golden>>;
let answers: Record<string, Answers>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'likeness-golden-'));
  goldens = JSON.parse(await readFile(join(__dirname, '../golden/goldens.json'), 'utf8')).networks;
  for (const name of Object.keys(COMPILED_MODELS)) await compileInto(directory, name);
  const files = names.map((name) => [name, join(directory, compiledFileName(name))]);
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(__dirname, '../support/run-onnx.mjs'), JSON.stringify(Object.fromEntries(files))],
    { maxBuffer: 64 * 1024 * 1024 },
  );
  answers = JSON.parse(stdout);
}, TIMEOUT_MS);

afterAll(() => rm(directory, { recursive: true, force: true }));

describe.each(names)('%s', (name) => {
  const { outputs } = NETWORKS[name];

  it.each(KINDS)('answers like the peer on "%s"', (kind) => {
    const answer = answers[name].pictures[kind];
    const golden = goldens[name][kind];
    expect(answer.sha256).toBe(golden.inputSha256);
    for (const output of outputs) {
      const values = answer.outputs[output];
      expectClose(output, golden.anchors ? pickAnchors(values, golden.anchors) : values, golden[output]);
    }
  });

  it('answers a batch as it answers one picture', () => {
    for (const output of outputs) {
      const alone = KINDS.flatMap((kind) => answers[name].pictures[kind].outputs[output]);
      expectClose(output, answers[name].batch[output], alone);
    }
  });

  it(
    'is compiled to the same bytes every time',
    async () => {
      const written = await readFile(join(directory, compiledFileName(name)));
      expect((await compileModel(name)).equals(written)).toBe(true);
    },
    TIMEOUT_MS,
  );
});

describe.each(transcribed)('%s', (name) => {
  it('answers like the file that its weights come from', async () => {
    const { file, package: weightsPackage } = COMPILED_MODELS[name];
    const original = join(dirname(require.resolve(`${weightsPackage}/package.json`)), 'model', file);
    const files = { [name]: { compiled: join(directory, compiledFileName(name)), original } };
    const { stdout } = await promisify(execFile)(process.execPath, [
      join(__dirname, '../support/compare-originals.mjs'),
      JSON.stringify(files),
    ]);
    const differences = Object.values(JSON.parse(stdout)[name] as Record<string, number>);
    expect(differences.length).toBeGreaterThan(0);
    for (const difference of differences)
      expect(difference).toBeLessThanOrEqual(MAX_DIFFERENCE_FROM_ORIGINAL);
  });

  it('is compiled to the same bytes every time, those that the card pins', async () => {
    const bytes = await compileModel(name);
    const { sha256 } = JSON.parse(await readFile(join(rootDir, 'models', 'cards', `${name}.json`), 'utf8'));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256);
  });
});

/** Takes the values of some anchors out of the values of all. */
function pickAnchors(values: number[], anchors: number[]): number[] {
  const perAnchor = values.length / ANCHOR_COUNT;
  return anchors.flatMap((anchor) => values.slice(anchor * perAnchor, (anchor + 1) * perAnchor));
}

function expectClose(output: string, received: number[], expected: number[]): void {
  expect(received).toHaveLength(expected.length);
  const difference = received.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i])), 0);
  expect(difference).toBeLessThanOrEqual(TOLERANCES[output]);
}
