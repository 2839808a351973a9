import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { resolveFaceOptions } from '../../src/face/face.options';
import { VerificationService } from '../../src/face/verification.service';
import { WorkerFaceModel } from '../../src/face/worker-face-model';
import type { PresentationAttack } from '../../src/pipeline/face.types';
import { createApp, type TestApp } from '../support/create-app';
import { workerFile } from '../support/paths';
import { describeWithShared, sharedDir } from '../support/shared';
import { startCli } from '../support/start-cli';
import { tempFolders } from '../support/temp-folder';

const alice = Buffer.from('alice herself');
const printed = Buffer.from('a print of alice');
const tight = Buffer.from('too close to alice');
const crowd = Buffer.from('alice, and a print of bob');

const REAL: PresentationAttack = { score: 0.93, label: 'real' };
const PRINT: PresentationAttack = { score: 0.04, label: 'print_or_screen' };
const UNSEEN: PresentationAttack = { score: null, label: 'insufficient_context' };

describe('presentation attacks over HTTP', () => {
  let service: TestApp;

  beforeAll(async () => {
    service = await createApp();
    service.model
      .addImage(alice, { faces: [{ person: 'alice', presentationAttack: REAL }] })
      .addImage(printed, { faces: [{ person: 'alice', presentationAttack: PRINT }] })
      .addImage(tight, { faces: [{ person: 'alice', presentationAttack: UNSEEN }] })
      .addImage(crowd, {
        faces: [
          { person: 'alice', presentationAttack: REAL },
          { person: 'bob', presentationAttack: PRINT },
        ],
      });
    await service.http.post('/v1/galleries').send({ id: 'staff' }).expect(201);
    await service.http
      .post('/v1/galleries/staff/subjects/alice/references')
      .attach('image', alice, 'a')
      .expect(201);
  });
  afterEach(() => {
    service.model.presentationAttack = 'off';
    jest.restoreAllMocks();
  });
  afterAll(() => service.app.close());

  const post = (path: string, images: Record<string, Buffer>, fields: Record<string, string> = {}) => {
    const request = service.http.post(path);
    for (const [name, image] of Object.entries(images)) request.attach(name, image, `${name}.jpg`);
    for (const [name, value] of Object.entries(fields)) request.field(name, value);
    return request;
  };
  const suspected = (field: string, { label, score }: PresentationAttack) => ({
    code: 'PRESENTATION_ATTACK_SUSPECTED',
    message: expect.any(String) as string,
    details: { field, label, score },
  });

  /** Each route: a call with an image, and where its answer has the face. */
  const ROUTES: [
    string,
    (image: Buffer) => Record<string, Buffer>,
    (body: never) => { presentationAttack?: object },
    string,
  ][] = [
    [
      '/v1/verify',
      (image) => ({ probe: image, reference: alice }),
      (body: { probe: object }) => body.probe,
      'probe',
    ],
    [
      '/v1/verify',
      (image) => ({ probe: alice, reference: image }),
      (body: { reference: object }) => body.reference,
      'reference',
    ],
    ['/v1/analyze', (image) => ({ image }), (body: { faces: object[] }) => body.faces[0], 'image'],
    [
      '/v1/galleries/staff/identify',
      (image) => ({ probe: image }),
      (body: { faces: { face: object }[] }) => body.faces[0].face,
      'probe',
    ],
    [
      '/v1/galleries/staff/subjects/alice/verify',
      (image) => ({ probe: image }),
      (body: { face: object }) => body.face,
      'probe',
    ],
  ];

  describe.each(ROUTES)('POST %s (%#)', (path, images, faceOf, field) => {
    it('judges nothing where it is not asked to', async () => {
      for (const fields of [undefined, { presentationAttack: 'off' }]) {
        const { status, body } = await post(path, images(printed), fields);
        expect(status).toBe(200);
        expect(faceOf(body as never)).not.toHaveProperty('presentationAttack');
      }
    });

    it('reports a score and a label', async () => {
      for (const [image, answer] of [
        [alice, REAL],
        [printed, PRINT],
        [tight, UNSEEN],
      ] as const) {
        const { status, body } = await post(path, images(image), { presentationAttack: 'report' });
        expect([status, faceOf(body as never).presentationAttack]).toEqual([200, answer]);
      }
    });

    it('refuses what is not real where that is required, and lets the rest pass', async () => {
      const passing = await post(path, images(alice), { presentationAttack: 'require' });
      expect([passing.status, faceOf(passing.body as never).presentationAttack]).toEqual([200, REAL]);
      for (const [image, answer] of [
        [printed, PRINT],
        [tight, UNSEEN],
      ] as const) {
        const { status, body } = await post(path, images(image), { presentationAttack: 'require' });
        expect([status, body.error]).toEqual([422, suspected(field, answer)]);
      }
    });

    it('does what the service says where the call says nothing', async () => {
      service.model.presentationAttack = 'require';
      expect((await post(path, images(printed))).body.error).toEqual(suspected(field, PRINT));
      expect((await post(path, images(printed), { presentationAttack: 'off' })).status).toBe(200);
    });

    it('refuses what is no policy', async () => {
      const { status, body } = await post(path, images(alice), { presentationAttack: 'maybe' });
      expect([status, body.error.code, Object.keys(body.error.details.fields as object)]).toEqual([
        400,
        'PARAMETER_INVALID',
        ['presentationAttack'],
      ]);
    });

    it('says that a whole image has no context', async () => {
      const fields = { presentationAttack: 'report', wholeImage: 'always' };
      const { body } = await post(path, images(alice), fields);
      expect(faceOf(body as never).presentationAttack).toEqual(UNSEEN);
    });
  });

  it('refuses an image for any of the faces that count, and for no other', async () => {
    const call = (faceSelection: string) =>
      post(
        '/v1/galleries/staff/identify',
        { probe: crowd },
        { presentationAttack: 'require', faceSelection },
      );
    expect((await call('all')).body.error).toEqual(suspected('probe', PRINT));
    expect((await call('best')).status).toBe(200);
  });

  it('looks at no face of an embedding', async () => {
    const { body } = await post('/v1/represent', { image: alice });
    const { embedding } = body.faces[0] as { embedding: number[] };
    const { status, body: answer } = await service.http.post('/v1/verify').send({
      probe: alice.toString('base64'),
      reference: { embedding, contract: body.embedder?.contract ?? body.contract },
      presentationAttack: 'require',
    });
    expect([status, answer.verified, answer.reference]).toEqual([200, true, null]);
  });

  describe('enrollment', () => {
    const references = '/v1/galleries/staff/subjects/eve/references';

    it('stores nothing of a suspected face', async () => {
      const { status, body } = await post(references, { image: printed }, { presentationAttack: 'require' });
      expect([status, body.error]).toEqual([422, suspected('image', PRINT)]);
      expect((await service.http.get('/v1/galleries/staff/subjects/eve')).status).toBe(404);
    });

    it('reports, and refuses in a list one by one', async () => {
      const { body } = await service.http
        .post(references)
        .attach('image', alice, 'a')
        .attach('image', printed, 'b')
        .field('presentationAttack', 'require');
      expect(body.results).toEqual([
        expect.objectContaining({
          status: 'added',
          face: expect.objectContaining({ presentationAttack: REAL }),
        }),
        {
          index: 1,
          error: { ...suspected('image', PRINT), details: { ...PRINT, index: 1 } },
        },
      ]);
    });

    it('does what the service says where the call says nothing', async () => {
      service.model.presentationAttack = 'require';
      const items = [{ subjectId: 'mallory', image: printed.toString('base64') }];
      const { body } = await service.http.post('/v1/galleries/staff/enroll').send({ items });
      expect(body.results[0].error.code).toBe('PRESENTATION_ATTACK_SUSPECTED');
    });
  });

  describe('in the DeepFace dialect', () => {
    const json = (path: string, body: object) => service.http.post(path).send(body);
    const image = (bytes: Buffer) => bytes.toString('base64');

    it.each([
      ['/represent', 'representing', { img: image(printed) }, 'img'],
      ['/analyze', 'analyzing', { img: image(printed), actions: ['age'] }, 'img'],
      ['/verify', 'verifying', { img1: image(alice), img2: image(printed) }, 'img2'],
      ['/register', 'registering', { img: image(printed) }, 'img'],
      ['/search', 'searching', { img: image(printed) }, 'img'],
    ])('%s answers a spoof as DeepFace does', async (path, verb, body, name) => {
      const { status, body: answer } = await json(path, { ...body, anti_spoofing: true });
      expect(status).toBe(400);
      expect(answer.error).toMatch(
        new RegExp(`^Exception while ${verb}: ${name}: Spoof detected in the given image\\.`),
      );
    });

    it('says of genuine faces that they are real', async () => {
      const { body } = await json('/represent', { img: image(alice), anti_spoofing: true });
      expect(body.results[0]).toMatchObject({ is_real: true, antispoof_score: 0.93 });
      const analysis = await json('/analyze', { img: image(alice), actions: ['age'], anti_spoofing: 'True' });
      expect(analysis.body.results[0]).toMatchObject({ is_real: true, antispoof_score: 0.93 });
      const verified = await json('/verify', { img1: image(alice), img2: image(alice), anti_spoofing: true });
      expect(verified.body.verified).toBe(true);
    });

    it('takes what was not asked for as DeepFace does, unless the service says otherwise', async () => {
      const plain = await json('/represent', { img: image(printed) });
      expect(plain.status).toBe(200);
      expect(plain.body.results[0]).not.toHaveProperty('is_real');
      service.model.presentationAttack = 'require';
      expect((await json('/represent', { img: image(printed) })).body.error).toContain('Spoof detected');
      expect((await json('/represent', { img: image(printed), anti_spoofing: false })).status).toBe(200);
    });

    it('says how to load the models where there are none', async () => {
      const models = service.model.models().filter(({ task }) => task !== 'presentation-attack');
      jest.spyOn(service.model, 'models').mockReturnValue(models);
      const { status, body } = await json('/represent', { img: image(alice), anti_spoofing: true });
      expect(status).toBe(400);
      expect(body.error).toContain('anti_spoofing must be false: no presentation attack model is loaded.');
      expect(body.error).toContain('likeness models import minifasnet-v2 ');
      expect(body.error).toContain('FACE_PRESENTATION_ATTACK_MODELS=minifasnet-v2,minifasnet-v1-se');
    });
  });
});

describeWithShared('real presentation attack models', () => {
  jest.setTimeout(300_000);
  const folder = tempFolders()();
  const photo = (name: string) =>
    readFileSync(join(sharedDir as string, 'data', 'antispoof', `image_${name}.jpg`));
  const weights = {
    'minifasnet-v2': '2.7_80x80_MiniFASNetV2.pth',
    'minifasnet-v1-se': '4_0_0_80x80_MiniFASNetV1SE.pth',
  };
  const PAIR = Object.keys(weights);
  let engine: WorkerFaceModel;

  beforeAll(async () => {
    const env = { FACE_MODEL_DIRS: folder };
    for (const [name, file] of Object.entries(weights)) {
      const path = join(sharedDir as string, 'models', file);
      const imported = await startCli(['models', 'import', name, path, '--models-dir', folder], env).ended;
      expect(imported).toMatchObject({ code: 0 });
    }
    const compiled = [
      'models',
      'compile',
      'minifasnet-v2-se',
      'rfb-320',
      'face-landmark-68',
      'mobilefacenet-512',
    ];
    expect(await startCli(compiled, env).ended).toMatchObject({ code: 0 });
    engine = await WorkerFaceModel.load(
      resolveFaceOptions({
        workerFile,
        workerCount: 1,
        detectors: ['rfb-320'],
        embedders: ['mobilefacenet-512'],
        attributeModels: [],
        attackModels: PAIR,
        modelDirs: [folder],
        cache: 'memory',
      }),
    );
  });
  afterAll(() => engine.close());

  const judge = async (name: string) => {
    const { faces, timings } = await engine.detect(photo(name), {
      presentationAttack: 'report',
      faceSelection: 'best',
    });
    // What the cache answers was judged before, and never without being asked to.
    expect(timings.presentationAttackMs > 0).toBe(timings.cache !== 'hit');
    return faces[0].presentationAttack as PresentationAttack;
  };
  const tellsApart = async () => {
    expect(await judge('F1')).toMatchObject({ label: 'print_or_screen' });
    expect(await judge('F2')).toMatchObject({ label: 'print_or_screen' });
    expect(await judge('T1')).toMatchObject({ label: 'real' });
  };

  it('tells the three photos apart with the two networks of DeepFace', tellsApart);

  it('runs them where they are asked for alone, and keeps such answers apart', async () => {
    const runs = () => PAIR.map((name) => engine.models().find((model) => model.name === name)?.runs);
    const before = runs();
    const { faces, timings } = await engine.detect(photo('T1'), { faceSelection: 'best' });
    expect(faces[0]).not.toHaveProperty('presentationAttack');
    expect(timings).toMatchObject({ cache: 'miss', presentationAttackMs: 0 });
    expect(runs()).toEqual(before);
    await expect(judge('T1')).resolves.toMatchObject({ label: 'real' });
  });

  it('refuses a verification with a photo of a photo, and says which', async () => {
    const verify = new VerificationService(engine).verify(photo('T1'), photo('F2'), {
      presentationAttack: 'require',
    });
    await expect(verify).rejects.toMatchObject({
      code: 'PRESENTATION_ATTACK_SUSPECTED',
      details: { field: 'reference', label: 'print_or_screen' },
    });
  });

  it('changes them at run time, and refuses what no model is there for', async () => {
    await engine.swapModel('minifasnet-v2', 'minifasnet-v2-se');
    await engine.unloadModel('minifasnet-v1-se');
    const status = engine.models().find(({ name }) => name === 'minifasnet-v2-se');
    expect(status).toMatchObject({ state: 'loaded', task: 'presentation-attack', family: 'context-crop' });
    await tellsApart();
    await engine.unloadModel('minifasnet-v2-se');
    await expect(engine.detect(photo('T1'), { presentationAttack: 'report' })).rejects.toMatchObject({
      code: 'MODEL_NOT_LOADED',
      details: { field: 'presentationAttack' },
    });
  });

  it('answers on the command line', async () => {
    const env = {
      FACE_MODEL_DIRS: folder,
      FACE_DETECTORS: 'rfb-320',
      FACE_EMBEDDERS: 'mobilefacenet-512',
      FACE_ATTRIBUTE_MODELS: '',
      FACE_PRESENTATION_ATTACK_MODELS: 'minifasnet-v2-se',
    };
    const files = ['T1', 'F1'].map((name) =>
      join(sharedDir as string, 'data', 'antispoof', `image_${name}.jpg`),
    );
    const report = await startCli(['verify', ...files, '--presentation-attack', 'report', '--json'], env)
      .ended;
    expect(JSON.parse(report.stdout)).toMatchObject({
      probe: { presentationAttack: { label: 'real' } },
      reference: { presentationAttack: { label: 'print_or_screen' } },
    });
    const refused = await startCli(['verify', ...files, '--presentation-attack', 'require'], env).ended;
    expect(refused).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^PRESENTATION_ATTACK_SUSPECTED: /m) as string,
    });
    const without = { ...env, FACE_PRESENTATION_ATTACK_MODELS: '' };
    const missing = await startCli(['verify', ...files, '--presentation-attack', 'report'], without).ended;
    expect(missing).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^MODEL_NOT_LOADED: /m) as string,
    });
  });
});
