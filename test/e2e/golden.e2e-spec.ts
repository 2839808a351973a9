import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  compiledFileName,
  compileModel,
  COMPILED_MODELS,
  ensureCompiled,
} from '../../src/model-store/compile/compile-models';
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

const names = Object.keys(COMPILED_MODELS);
let directory: string;
let goldens: Record<string, Record<string, Golden>>;
let answers: Record<string, Answers>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'likeness-golden-'));
  goldens = JSON.parse(await readFile(join(__dirname, '../golden/goldens.json'), 'utf8')).networks;
  await ensureCompiled(names, directory);
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
