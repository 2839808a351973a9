import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { rootDir } from '../support/paths';
import { sharedDir } from '../support/shared';
import { startCli } from '../support/start-cli';
import { type RunningService, startService } from '../support/start-service';

const sample = (number: number | string) =>
  join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', `sample${number}.jpg`);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const likeness = (...args: string[]) => startCli(args).ended;
const jsonLines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('likeness', () => {
  jest.setTimeout(60_000);
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'likeness-cli-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  describe('calibrate', () => {
    const itWithShared = sharedDir == null ? it.skip : it;

    it.each([
      ['no set', [], /^PARAMETER_INVALID: .*--set/],
      [
        'a set without a name',
        ['--set', 'photos/{person}/*.jpg'],
        /^PARAMETER_INVALID: Expected name=pattern/,
      ],
      [
        'a pattern without a person',
        ['--set', 'a=photos/*.jpg'],
        /^PARAMETER_INVALID: .*must contain \{person\} exactly once/,
      ],
      [
        'a pattern that finds nothing',
        ['--set', 'a=nowhere/{person}/*.jpg'],
        /^IMAGE_MISSING: No photo matches/,
      ],
      [
        'one person',
        ['--set', `a=${sample(1).replace('sample', '{person}ample')}`],
        /^PARAMETER_INVALID: .*only one person/,
      ],
      [
        'a card that is not written',
        ['--set', `a=${sample('{person}')}`, '--card', 'x.json'],
        /^PARAMETER_INVALID: .*--write/,
      ],
      [
        'a name twice',
        ['--set', `a=${sample('{person}')}`, '--set', `a=${sample('{person}')}`],
        /^PARAMETER_INVALID: Two sets/,
      ],
    ])('exits with 2 and one line for %s', async (_name, args, line) => {
      const { code, stdout, stderr } = await likeness('calibrate', ...args);
      expect(stderr).toMatch(line);
      expect(stderr.trimEnd()).not.toContain('\n');
      expect([code, stdout]).toEqual([2, '']);
    });

    it('says that pairs are too few, after it has looked at the photos', async () => {
      const { code, stderr } = await likeness('calibrate', '--set', `a=${sample('{person}')}`);
      expect(stderr).toMatch(
        /PARAMETER_INVALID: A calibration needs at least 1000 pairs of different people/,
      );
      expect(code).toBe(2);
    });

    itWithShared('writes a card by which rates become thresholds (needs ../shared)', async () => {
      const models = join(folder, 'models');
      await mkdir(models);
      for (const file of await readdir(join(rootDir, 'models'))) {
        if (file.endsWith('.onnx')) await symlink(join(rootDir, 'models', file), join(models, file));
      }
      const env = { FACE_MODEL_DIRS: models };
      const calibrate = (...args: string[]) =>
        startCli(['calibrate', '--set', `lfw10=${sharedDir}/data/lfw10/{person}/*.jpg`, ...args], env).ended;
      const written = await calibrate('--write', '--json');
      expect(written.code).toBe(0);
      const { embedder, calibration, sets, card } = JSON.parse(written.stdout);
      expect(sets).toEqual([
        {
          name: 'lfw10',
          people: 10,
          photos: 100,
          matedPairs: 450,
          nonMatedPairs: 4500,
          withoutFace: 0,
          unreadable: 0,
        },
      ]);
      expect(card).toBe(join(models, 'cards', `${embedder}.json`));
      expect(JSON.parse(await readFile(card, 'utf8')).embedding.calibration).toEqual(calibration);
      expect(calibration.points.map((point: { isExtrapolated: boolean }) => point.isExtrapolated)).toEqual(
        [0.5, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6].map((fmr) => fmr * 4500 < 10),
      );
      const args = ['verify', sample(1), sample(1), '--target-fmr', '0.001', '--json'];
      const verified = JSON.parse((await startCli(args, env).ended).stdout);
      expect(verified).toMatchObject({ verified: true, targetFmr: 0.001, falseMatchRate: 1e-6 });
      expect(verified.threshold).toBeCloseTo(1 - calibration.points[3].minSimilarity, 9);
    });
  });

  describe('verify', () => {
    it('exits with 0 for the same photo twice', async () => {
      const { code, stdout, stderr } = await likeness('verify', sample(1), sample(1));
      expect(stdout).toMatch(/^verified\ncosine distance 0\.0000, within the threshold of 0\.\d+\n/);
      expect([code, stderr]).toEqual([0, '']);
    });

    it('exits with 1 for different people, and answers as the service does', async () => {
      const { code, stdout } = await likeness('verify', sample(1), sample(5), '--json');
      const answer = JSON.parse(stdout) as Record<string, unknown>;
      expect(answer).toMatchObject({
        verified: false,
        metric: 'cosine',
        threshold: expect.any(Number),
        detector: 'rfb-320',
        embedder: 'mobilefacenet-512',
        probe: { landmarks: { noseTip: { x: expect.any(Number), y: expect.any(Number) } } },
      });
      expect(answer.distance).toBeGreaterThan(answer.threshold as number);
      expect(code).toBe(1);
    });

    it('takes metric and threshold', async () => {
      const options = ['--metric', 'euclidean_l2', '--threshold', '2', '--json'];
      const { code, stdout } = await likeness('verify', sample(1), sample(5), ...options);
      expect(JSON.parse(stdout)).toMatchObject({ verified: true, metric: 'euclidean_l2', threshold: 2 });
      expect(code).toBe(0);
    });

    it.each([
      ['a missing file', ['nowhere.jpg', sample(1)], /^IMAGE_MISSING: .*"nowhere\.jpg" given as probe/],
      ['a folder', [sample(1), rootDir], /^IMAGE_MISSING: .* given as reference .* folder/],
      ['an unknown detector', [sample(1), sample(1), '--detector', 'none'], /^MODEL_UNKNOWN: .*"none"/],
      ['an embedder as detector', [sample(1), sample(1), '--detector', 'sface'], /^MODEL_UNKNOWN: .*"sface"/],
      ['a word as threshold', [sample(1), sample(1), '--threshold', 'low'], /^PARAMETER_INVALID: .*'low'/],
      ['a negative threshold', [sample(1), sample(1), '--threshold', '-1'], /^PARAMETER_INVALID: .*'-1'/],
      ['an empty threshold', [sample(1), sample(1), '--threshold', ''], /^PARAMETER_INVALID: /],
      ['an unknown metric', [sample(1), sample(1), '--metric', 'taxi'], /^PARAMETER_INVALID: .*'taxi'/],
      ['an unknown option', [sample(1), sample(1), '--treshold', '1'], /^PARAMETER_INVALID: /],
      ['a missing argument', [sample(1)], /^PARAMETER_INVALID: .*'reference'/],
      ['standard input twice', ['-', '-'], /^PARAMETER_INVALID: Standard input/],
      ['no bytes on standard input', ['-', sample(1)], /^IMAGE_EMPTY: Standard input, given as probe/],
      ['images beside pairs', [sample(1), '--pairs', 'x.csv'], /^PARAMETER_INVALID: .*not both/],
      ['pairs that are not there', ['--pairs', 'x.csv'], /^PARAMETER_INVALID: .*"x\.csv" given as --pairs/],
      ['a format without pairs', ['--format', 'csv'], /^PARAMETER_INVALID: Option --format needs --pairs/],
      ['a server that is no URL', [sample(1), sample(1), '--server', 'here'], /^PARAMETER_INVALID: .*"here"/],
    ])('exits with 2 and one line for %s', async (_name, args, line) => {
      const { code, stdout, stderr } = await likeness('verify', ...args);
      expect(stderr).toMatch(line);
      expect(stderr.trimEnd()).not.toContain('\n');
      expect(stdout).toBe('');
      expect(code).toBe(2);
    });

    it('names the file that is no image', async () => {
      const { code, stderr } = await likeness('verify', sample(1), join(rootDir, 'package.json'));
      expect(stderr).toMatch(/^IMAGE_UNSUPPORTED: .*package\.json\)$/m);
      expect(stderr).not.toMatch(/^ {4}at /m);
      expect(code).toBe(2);
    });

    it('writes errors as JSON where JSON was asked for, wrong options included', async () => {
      const missing = await likeness('verify', 'nowhere.jpg', sample(1), '--json');
      expect(JSON.parse(missing.stdout)).toEqual({
        error: {
          code: 'IMAGE_MISSING',
          message: expect.any(String),
          details: { field: 'probe', file: 'nowhere.jpg' },
        },
      });
      const wrong = await likeness('verify', '--json', sample(1), sample(1), '--threshold', 'low');
      expect(JSON.parse(wrong.stdout)).toMatchObject({ error: { code: 'PARAMETER_INVALID' } });
      expect([missing.code, wrong.code]).toEqual([2, 2]);
    });

    it('refuses a setting that the service would refuse', async () => {
      const { code, stderr } = await startCli(['verify', sample(1), sample(1)], { FACE_WORKER_COUNT: '0' })
        .ended;
      expect(stderr).toMatch(/^FACE_OPTIONS_INVALID: .*FACE_WORKER_COUNT/);
      expect(code).toBe(2);
    });
  });

  it('verifies pairs, and computes a photo that repeats once', async () => {
    const pairs = join(folder, 'pairs.csv');
    await symlink(sample(1), join(folder, 'one.jpg'));
    const rows = ['one.jpg,one.jpg', `one.jpg,${sample(5)}`, 'one.jpg,pairs.csv'];
    await writeFile(pairs, ['probe,reference', ...rows].join('\n'));
    const { code, stdout, stderr } = await likeness('verify', '--pairs', pairs, '--format', 'jsonl');
    const lines = jsonLines(stdout) as {
      result?: { verified: boolean; timings: Record<string, { cache: string }> };
      error?: { code: string };
    }[];
    expect(lines.map(({ result, error }) => result?.verified ?? error?.code)).toEqual([
      true,
      false,
      'IMAGE_UNSUPPORTED',
    ]);
    const sources = lines.flatMap(({ result }) =>
      Object.values(result?.timings ?? {}).map(({ cache }) => cache),
    );
    expect(sources.filter((source) => source === 'miss')).toHaveLength(2);
    expect(stderr).toMatch(/3 pairs: 1 verified, 1 not verified, 1 with errors\n$/);
    expect(code).toBe(2);
  });

  describe('represent', () => {
    it('answers with embeddings', async () => {
      const { code, stdout } = await likeness('represent', sample(2), '--json', '--max-faces', '1');
      const { faces, dimensions, contract } = JSON.parse(stdout);
      expect(contract).toMatch(/^[0-9a-f]{12}$/);
      expect(faces).toHaveLength(1);
      expect(faces[0].embedding).toHaveLength(dimensions);
      expect(code).toBe(0);
    });

    it('goes on with the other images where one fails, and then exits with 2', async () => {
      const { code, stdout } = await likeness('represent', '--json', sample(2), 'nowhere.jpg', sample(3));
      expect(jsonLines(stdout)).toMatchObject([
        { file: sample(2), faceCount: expect.any(Number) },
        { file: 'nowhere.jpg', error: { code: 'IMAGE_MISSING' } },
        { file: sample(3), faceCount: expect.any(Number) },
      ]);
      expect(code).toBe(2);
    });
  });

  describe('detect', () => {
    it('draws the faces over a photo of the same size', async () => {
      const png = join(folder, 'faces.png');
      const { code, stdout } = await likeness('detect', sample(1), '--json', '--draw', png);
      const { faces, imageWidth, imageHeight } = JSON.parse(stdout);
      const drawing = sharp(await readFile(png));
      expect(await drawing.metadata()).toMatchObject({
        format: 'png',
        width: imageWidth,
        height: imageHeight,
      });
      const pixels = await drawing.raw().toBuffer();
      const { x, y, height } = faces[0].box;
      const edge = (Math.round(y + height / 2) * imageWidth + Math.round(x)) * 3;
      expect([...pixels.subarray(edge, edge + 3)]).toEqual([0, 230, 90]);
      expect(code).toBe(0);
    });

    it('refuses to draw several photos, into a file of another kind or in no folder', async () => {
      const several = await likeness('detect', sample(1), sample(2), '--draw', 'faces.png');
      expect(several.stderr).toMatch(/^PARAMETER_INVALID: Option --draw needs exactly one image file/);
      const jpeg = await likeness('detect', sample(1), '--draw', 'faces.jpg');
      expect(jpeg.stderr).toMatch(/^PARAMETER_INVALID: .*'faces\.jpg'/);
      const nowhere = await likeness('detect', sample(1), '--draw', join(folder, 'none', 'faces.png'));
      expect(nowhere.stderr).toMatch(/PARAMETER_INVALID: .* given as --draw/);
      expect([jpeg.code, nowhere.code]).toEqual([2, 2]);
    });
  });

  it('analyses', async () => {
    const { code, stdout } = await likeness('analyze', sample(3), '--json', '--face-selection', 'best');
    const { faces } = JSON.parse(stdout);
    expect(faces).toMatchObject([
      { age: expect.any(Number), gender: expect.stringMatching(/^(fe)?male$/), expressionScores: {} },
    ]);
    expect(code).toBe(0);
  });

  it('analyses what is asked for', async () => {
    const only = ['--attributes', 'gender', '--face-selection', 'best'];
    const json = await likeness('analyze', sample(3), ...only, '--json');
    const [face] = JSON.parse(json.stdout).faces as object[];
    expect(Object.keys(face).sort()).toEqual([
      'alignmentScore',
      'box',
      'detectionScore',
      'gender',
      'genderScores',
      'landmarks',
    ]);
    const text = await likeness('analyze', sample(3), ...only);
    expect(text.stdout).toMatch(/^ {2}(fe)?male \(\d\.\d\d\); \d+ x \d+ at/m);
    const wrong = await likeness('analyze', sample(3), '--attributes', 'age,mood');
    expect(wrong.stderr).toContain('Expected a comma-separated list of age, gender, expression, race');
    const absent = await likeness('analyze', sample(3), '--attributes', 'race');
    expect(absent.stderr).toContain('MODEL_NOT_LOADED: No model for race is loaded');
    expect([json.code, text.code, wrong.code, absent.code]).toEqual([0, 0, 2, 2]);
  });

  it('takes the whole photo for the face, and faces as they are', async () => {
    const whole = await likeness(
      'detect',
      sample(1),
      '--whole-image',
      'always',
      '--draw',
      join(folder, 'whole.png'),
    );
    expect(whole.stdout).toContain(', the whole image as the face, no detector\n');
    const [aligned, cut] = [
      await likeness('represent', sample(1), '--json', '--face-selection', 'best'),
      await likeness('represent', sample(1), '--json', '--face-selection', 'best', '--no-align'),
    ].map(({ stdout }) => JSON.parse(stdout) as { contract: string; faces: { embedding: number[] }[] });
    expect(cut.contract).not.toBe(aligned.contract);
    expect(cut.faces[0].embedding).not.toEqual(aligned.faces[0].embedding);
    const verified = await likeness('verify', sample(1), sample(1), '--no-align', '--json');
    expect(JSON.parse(verified.stdout)).toMatchObject({ verified: true, contract: cut.contract });
    const json = await likeness('detect', sample(1), '--whole-image', 'always', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      detector: null,
      faceCount: 0,
      faces: [{ landmarks: null }],
    });
  });

  describe('models', () => {
    it('lists every card', async () => {
      const env = { FACE_MODEL_DIRS: join(folder, 'empty') };
      const { code, stdout } = await startCli(['models', 'list', '--json'], env).ended;
      const { models } = JSON.parse(stdout) as { models: { name: string }[] };
      expect(models.find(({ name }) => name === 'sface')).toMatchObject({
        task: 'embed',
        state: 'absent',
        license: { name: 'Apache-2.0', commercialUse: true },
        file: 'face_recognition_sface_2021dec.onnx',
      });
      expect(models.find(({ name }) => name === 'mobilefacenet-512')).toMatchObject({
        state: 'available',
        trainingData: 'The publisher does not say which faces it was trained on.',
      });
      const text = await likeness('models', 'list');
      expect(text.stdout.split('\n')[0]).toMatch(/^name +task +state +license +commercial use +file$/);
      expect(text.stdout).toMatch(/^rfb-320 +detect +available +MIT +yes +rfb-320\./m);
      expect([code, text.code]).toEqual([0, 0]);
    });

    it('compiles once, again with --force, and names what cannot be compiled', async () => {
      const env = { FACE_MODEL_DIRS: join(folder, 'compiled') };
      const compile = (...args: string[]) => startCli(['models', 'compile', ...args], env).ended;
      const byPackage = await compile('age-gender', '--json');
      expect(JSON.parse(byPackage.stdout)).toMatchObject({
        models: [{ compiled: false, path: expect.stringContaining(join(rootDir, 'models')) }],
      });
      const first = await compile('age-gender', 'face-expression', '--force');
      expect(first.stdout).toMatch(/^age-gender: compiled in \d+ ms, .*\nface-expression: compiled in /);
      const second = await compile('age-gender', '--json');
      expect(JSON.parse(second.stdout)).toMatchObject({
        models: [
          { name: 'age-gender', compiled: false, path: expect.stringContaining(join(folder, 'compiled')) },
        ],
      });
      const forced = await compile('age-gender', '--force', '--json');
      expect(JSON.parse(forced.stdout)).toMatchObject({ models: [{ name: 'age-gender', compiled: true }] });
      const unknown = await compile('sface');
      expect(unknown.stderr).toMatch(/^MODEL_UNKNOWN: .*"sface"/);
      expect([first.code, second.code, forced.code, unknown.code]).toEqual([0, 0, 0, 2]);
    });

    it('checks and opens the default models', async () => {
      const { code, stdout } = await likeness('models', 'check', '--json');
      const { ok, models } = JSON.parse(stdout);
      expect(models).toEqual(
        expect.arrayContaining([
          expect.objectContaining({
            name: 'mobilefacenet-512',
            checksum: 'ok',
            loadMs: expect.any(Number),
            problem: null,
          }),
        ]),
      );
      expect(ok).toBe(true);
      expect(code).toBe(0);
    });

    it('exits with 1 for a corrupt file, naming it and both hashes', async () => {
      const compiled = await startCli(['models', 'compile', 'face-expression', '--force', '--json'], {
        FACE_MODEL_DIRS: join(folder, 'corrupt'),
      }).ended;
      const { path } = JSON.parse(compiled.stdout).models[0] as { path: string };
      const bytes = await readFile(path);
      const expected = sha256(bytes);
      bytes[bytes.length >> 1] ^= 1;
      await writeFile(path, bytes);
      const { code, stderr, stdout } = await startCli(['models', 'check'], {
        FACE_MODEL_DIRS: join(folder, 'corrupt'),
      }).ended;
      expect(stdout).toMatch(/^face-expression +wrong +- +MIT +yes +/m);
      for (const part of ['MODEL_CHECKSUM_MISMATCH', path, expected, sha256(bytes)]) {
        expect(stderr).toContain(part);
      }
      expect(code).toBe(1);
    });

    it('exits with 2 where a model of the settings has no file', async () => {
      const { code, stdout } = await startCli(['models', 'check', '--json'], {
        FACE_MODEL_DIRS: join(folder, 'empty'),
        FACE_EMBEDDERS: 'sface',
      }).ended;
      const { ok, models } = JSON.parse(stdout);
      expect(ok).toBe(false);
      expect(models).toContainEqual(
        expect.objectContaining({
          name: 'sface',
          problem: expect.objectContaining({ code: 'MODEL_NOT_FOUND' }),
        }),
      );
      expect(code).toBe(2);
    });
  });

  it('serves until SIGTERM', async () => {
    const args = ['serve', '--port', '0', '--host', '127.0.0.1'];
    // The options take precedence; this port cannot be opened.
    const { child, ended } = startCli(args, { PORT: '99999', HOST: '192.0.2.1', FACE_WORKER_COUNT: '1' });
    const port = await new Promise<string>((resolve) => {
      let log = '';
      child.stdout.on('data', (text: string) => {
        log += text;
        const ready = / on port (\d+)/.exec(log);
        if (ready != null) resolve(ready[1]);
      });
    });
    const { status } = await fetch(`http://127.0.0.1:${port}/health/ready`);
    expect(status).toBe(200);
    const second = await likeness('serve', '--port', port);
    expect([second.code, second.stdout]).toEqual([1, '']);
    expect(second.stderr).toMatch(/^FACE_OPTIONS_INVALID: PORT: port \d+ is in use\..*\n$/);
    child.kill('SIGTERM');
    await ended;
  });

  it('shows its help and its version', async () => {
    const help = await likeness('--help');
    for (const command of [
      'verify',
      'represent',
      'detect',
      'analyze',
      'identify',
      'gallery',
      'models',
      'serve',
    ]) {
      expect(help.stdout).toContain(`  ${command} `);
    }
    const version = await likeness('--version');
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    const none = await likeness();
    expect(none.stderr).toContain('Usage: likeness');
    expect([help.code, version.code, none.code]).toEqual([0, 0, 2]);
  });

  describe('with a running service', () => {
    const ADMIN_KEY = 'a-key-of-the-test-suite';
    let service: RunningService;
    beforeAll(async () => {
      service = await startService({ ADMIN_KEY, FACE_ATTRIBUTE_MODELS: '', FACE_CACHE: 'memory' });
    });
    afterAll(() => service?.stop());

    it('lets it compare two photos, one of them from standard input', async () => {
      const args = ['verify', '-', sample(1), '--server', service.url, '--json'];
      const { child, ended } = startCli(args, { ADMIN_KEY }, 'pipe');
      child.stdin?.end(await readFile(sample(1)));
      const { code, stdout, stderr } = await ended;
      const { requestId, ...answer } = JSON.parse(stdout) as Record<string, unknown>;
      expect(answer).toMatchObject({ verified: true, embedder: 'mobilefacenet-512', images: {} });
      expect([code, stderr, requestId]).toEqual([0, '', undefined]);
      const text = await likeness('verify', sample(1), sample(5), '--server', service.url);
      expect(text.stdout).toMatch(/^not verified\ncosine distance 1\.\d+, over the threshold of 0\.\d+\n/);
      expect([text.code, text.stderr]).toEqual([1, '']);
    });

    it('answers for folders as without one', async () => {
      const photos = join(folder, 'photos');
      await mkdir(photos);
      for (const number of [1, 5]) await symlink(sample(number), join(photos, `${number}.jpg`));
      await writeFile(join(photos, '3.png'), 'no image');
      const png = join(folder, 'remote.png');
      const [here, there, drawn, refused] = await Promise.all([
        likeness('detect', photos, '--json'),
        likeness('detect', photos, '--json', '--server', service.url),
        likeness('detect', sample(1), '--draw', png, '--server', service.url),
        likeness('analyze', sample(1), '--server', service.url),
      ]);
      const withoutTimings = (text: string) => jsonLines(text).map(({ timings: _, ...line }) => line);
      const lines = withoutTimings(there.stdout);
      expect(lines).toMatchObject([
        { file: join(photos, '1.jpg'), faceCount: 3 },
        { file: join(photos, '3.png'), error: { code: 'IMAGE_UNSUPPORTED' } },
        { file: join(photos, '5.jpg'), faceCount: expect.any(Number) },
      ]);
      expect(withoutTimings(here.stdout)).toEqual(lines);
      expect([here.code, there.code, drawn.code, refused.code]).toEqual([2, 2, 0, 2]);
      expect((await sharp(await readFile(png)).metadata()).format).toBe('png');
      expect(refused.stderr).toMatch(/^MODEL_NOT_LOADED: /);
    });

    const models = (...args: string[]) =>
      startCli(['models', ...args], { ADMIN_KEY, LIKENESS_SERVER: service.url }).ended;

    it('lists, loads, warms, swaps and unloads its models', async () => {
      const listed = await startCli(['models', 'list', '--server', service.url], { ADMIN_KEY }).ended;
      expect(listed.stdout).toMatch(/^mobilefacenet-512 +embed +loaded +yes +2 /m);
      expect(listed.stdout).toMatch(/^age-gender +age-gender +available +no +0 /m);
      const outputs = [];
      for (const args of [
        ['load', 'age-gender', '--idle-ttl-ms', '600000'],
        ['warm', 'age-gender'],
        ['swap', 'mobilefacenet-512', 'mobilefacenet-512'],
        ['unload', 'age-gender'],
      ]) {
        const { code, stdout, stderr } = await models(...args);
        outputs.push([code, stdout, stderr.includes('Error')]);
      }
      expect(outputs).toEqual([
        [0, 'age-gender: loaded\n', false],
        [0, 'age-gender: loaded\n', false],
        [0, 'mobilefacenet-512: loaded, default\n', false],
        [0, 'age-gender: available\n', false],
      ]);
    });

    it('reports what it refuses, and that there is none', async () => {
      const refused = await models('unload', 'mobilefacenet-512', '--json');
      expect([refused.code, JSON.parse(refused.stdout).error.code]).toEqual([2, 'MODEL_IN_USE']);
      const unknown = await models('load', 'nobody');
      expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringMatching(/^MODEL_UNKNOWN: /)]);
      const noKey = await startCli(['models', 'warm', 'x', '--server', service.url], { ADMIN_KEY: '' }).ended;
      expect([noKey.code, noKey.stderr]).toEqual([2, expect.stringMatching(/^UNAUTHORIZED: /)]);
      const nobody = await startCli(['models', 'warm', 'x', '--server', 'http://127.0.0.1:9'], { ADMIN_KEY })
        .ended;
      expect([nobody.code, nobody.stderr]).toEqual([
        2,
        'NOT_READY: No service answers at http://127.0.0.1:9. Cause: fetch failed Cause: bad port\n',
      ]);
    });
  });
});
