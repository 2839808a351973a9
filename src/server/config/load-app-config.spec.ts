import { delimiter } from 'node:path';
import { FaceError } from '../../errors';
import {
  DECISION_RANGES,
  DEFAULT_FACE_OPTIONS,
  FACE_OPTION_RANGES,
  IDLE_TTL_RANGE,
} from '../../face/face.options';
import { GALLERY_STORES } from '../../gallery/gallery.options';
import { CONFIG_VARIABLES } from './config-variables';
import { ALL_FEATURES } from './features';
import { loadAppConfig } from './load-app-config';

function refusal(env: NodeJS.ProcessEnv): FaceError {
  try {
    loadAppConfig(env);
  } catch (error) {
    if (error instanceof FaceError) return error;
    throw error;
  }
  throw new Error('The environment was accepted.');
}

describe(loadAppConfig.name, () => {
  it('takes every default from the table and the options of FaceModule', () => {
    const config = loadAppConfig({ HOME: '/root', FACEBOOK: 'no variable of ours' });
    const { workerFile: _workerFile, ...face } = DEFAULT_FACE_OPTIONS;
    expect(config).toEqual({
      port: 3000,
      host: '127.0.0.1',
      adminKey: null,
      apiKeysFile: null,
      apiKeys: null,
      isAuthRequired: true,
      logLevel: 'log',
      audit: { file: null, key: null, subjects: 'hashed', onFailure: 'refuse', maxBytes: 104_857_600 },
      receiptKeyFile: null,
      features: ALL_FEATURES,
      maxImages: 16,
      healthPort: 0,
      shutdownDelayMs: 0,
      maxJsonBytes: 33_554_432,
      uploadBytes: 268_435_456,
      modelMirrorUrl: null,
      imageUrlHosts: [],
      imageUrlTimeoutMs: 10_000,
      allowedHosts: [],
      corsOrigins: [],
      trustProxy: [],
      requestsPerMinute: 0,
      face,
      gallery: {
        store: 'memory',
        identification: true,
        dir: 'data/gallery',
        key: null,
        acceptDamage: false,
        nats: {
          servers: [],
          caFile: null,
          certFile: null,
          keyFile: null,
          credentialsFile: null,
          user: null,
          password: null,
          token: null,
          namespace: 'likeness',
          replicas: 3,
          timeoutMs: 15_000,
        },
        precision: 'float32',
        scanThreads: 'auto',
        maxBytes: 'auto',
        maxGalleries: 100_000,
        defaultGallery: {
          capacity: 100_000,
          maxSubjects: null,
          maxReferencesPerSubject: 20,
          keepCrops: false,
        },
      },
      deepface: { authToken: null, aliases: {}, hasSubstitutes: true },
    });
  });

  it('is frozen, defaults of FaceModule included', () => {
    const config = loadAppConfig({});
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.face)).toBe(true);
    expect(Object.isFrozen(config.gallery)).toBe(true);
    config.face.detectors.push('changed');
    expect(loadAppConfig({}).face.detectors).toEqual(DEFAULT_FACE_OPTIONS.detectors);
  });

  it('reads every variable of the table', () => {
    const env: Record<string, string> = {};
    for (const [name, variable] of Object.entries(CONFIG_VARIABLES)) {
      if (variable.type === 'integer') env[name] = String(variable.range[1]);
      if (variable.type === 'list') env[name] = ' one , two';
      if (variable.type === 'folders') env[name] = ['first', 'second'].join(delimiter);
      if (variable.type === 'decimal') env[name] = String(variable.range[1]);
      if (variable.type === 'text') env[name] = '127.0.0.1';
      if (variable.type === 'url') env[name] = ' https://mirror.example/models ';
      if (variable.type === 'choice') env[name] = variable.choices[variable.choices.length - 1];
      if (variable.type === 'secret') env[name] = 'k'.repeat(variable.range[0]);
      if (variable.type === 'durations')
        env[name] = ` one = 1000 , two=${variable.range[1]}`.replace(' = ', '=');
      if (variable.type === 'hosts') env[name] = 'Face.example, *.example';
      if (variable.type === 'origins') env[name] = 'https://app.example, http://LOCALHOST:5173/';
      if (variable.type === 'networks') env[name] = ' 10.0.0.0/8 , ::1';
      if (variable.type === 'features') env[name] = ' verify , galleries';
      if (variable.type === 'names') env[name] = 'opencv=yunet, VGG-Face=sface';
    }
    const names = ['one', 'two'];
    const largest = Object.fromEntries(
      Object.entries({ ...FACE_OPTION_RANGES, ...DECISION_RANGES }).map(([option, [, max]]) => [option, max]),
    );
    expect(loadAppConfig(env)).toEqual({
      port: 65_535,
      host: '127.0.0.1',
      adminKey: 'k'.repeat(16),
      apiKeysFile: '127.0.0.1',
      apiKeys: null,
      isAuthRequired: false,
      logLevel: 'fatal',
      audit: {
        file: '127.0.0.1',
        key: 'k'.repeat(32),
        subjects: 'plain',
        onFailure: 'continue',
        maxBytes: 1024 ** 4,
      },
      receiptKeyFile: '127.0.0.1',
      features: new Set(['verify', 'galleries']),
      maxImages: 256,
      healthPort: 65_535,
      shutdownDelayMs: 600_000,
      maxJsonBytes: 536_870_912,
      uploadBytes: 64 * 1024 ** 3,
      modelMirrorUrl: 'https://mirror.example/models/',
      imageUrlHosts: names,
      imageUrlTimeoutMs: 120_000,
      allowedHosts: ['face.example', '*.example'],
      corsOrigins: ['https://app.example', 'http://localhost:5173'],
      trustProxy: ['10.0.0.0/8', '::1'],
      requestsPerMinute: 1_000_000,
      face: {
        ...largest,
        prepareModels: false,
        idleTtlsMs: { one: 1000, two: IDLE_TTL_RANGE[1] },
        cache: 'memory',
        detectors: names,
        embedders: names,
        attributeModels: names,
        attributes: [],
        attackModels: names,
        presentationAttack: 'require',
        modelDirs: ['first', 'second'],
        cacheDir: '127.0.0.1',
      },
      gallery: {
        store: 'jetstream',
        identification: false,
        dir: '127.0.0.1',
        key: 'k'.repeat(32),
        acceptDamage: true,
        nats: {
          servers: names,
          caFile: '127.0.0.1',
          certFile: '127.0.0.1',
          keyFile: '127.0.0.1',
          credentialsFile: '127.0.0.1',
          user: '127.0.0.1',
          password: 'k',
          token: 'k',
          namespace: '127.0.0.1',
          replicas: 5,
          timeoutMs: 60_000,
        },
        precision: 'int8',
        scanThreads: 64,
        maxBytes: 1024 ** 4,
        maxGalleries: 1_000_000,
        defaultGallery: {
          capacity: 100_000_000,
          maxSubjects: 100_000_000,
          maxReferencesPerSubject: 1000,
          keepCrops: true,
        },
      },
      deepface: { authToken: 'k', aliases: { opencv: 'yunet', 'VGG-Face': 'sface' }, hasSubstitutes: false },
    });
  });

  it('asks for the key of the audit stream where subjects are hashed with it', () => {
    const file = { FACE_AUDIT_FILE: 'audit.jsonl' };
    expect(refusal({ FACE_RECEIPT_KEY_FILE: 'key.pem' })).toMatchObject({
      message: expect.stringContaining('by FACE_RECEIPT_KEY_FILE'),
      details: { variable: 'FACE_AUDIT_KEY' },
    });
    expect(refusal(file)).toMatchObject({
      code: 'FACE_OPTIONS_INVALID',
      details: { variable: 'FACE_AUDIT_KEY' },
    });
    expect(loadAppConfig({ ...file, FACE_AUDIT_SUBJECTS: 'plain' }).audit.key).toBeNull();
  });

  it('takes capabilities to offer, or to leave out', () => {
    expect(loadAppConfig({ FACE_FEATURES: 'verify' })).toMatchObject({
      features: new Set(['verify']),
      face: { attributes: [] },
      gallery: { store: 'memory', identification: false },
    });
    const { features, face } = loadAppConfig({ FACE_FEATURES: '-expression, -deepface' });
    expect(features).toEqual(
      new Set(['verify', 'identify', 'galleries', 'embeddings', 'detect', 'attributes']),
    );
    expect(face.attributes).toEqual(['age', 'gender', 'race']);
  });

  it('opens no folder of galleries where they are left out', () => {
    const env = { FACE_GALLERY_STORE: 'durable', FACE_FEATURES: 'verify,detect' };
    expect(loadAppConfig(env).gallery.store).toBe('memory');
  });

  it('takes error rates in either notation', () => {
    const { face } = loadAppConfig({
      FACE_TARGET_FMR: '1e-4',
      FACE_TARGET_FPIR: ' 0.02 ',
      FACE_REVIEW_MARGIN: '0',
    });
    expect(face).toMatchObject({ targetFmr: 0.0001, targetFpir: 0.02, reviewMargin: 0 });
  });

  it('leaves auto to the machine, and takes an empty key for none', () => {
    const config = loadAppConfig({
      FACE_WORKER_COUNT: 'auto',
      FACE_INTRA_OP_THREADS: '3',
      ADMIN_KEY: '',
      FACE_GALLERY_KEY: '',
    });
    expect(config.face).toMatchObject({ workerCount: 'auto', intraOpThreads: 3, memoryBudgetBytes: 'auto' });
    expect(config.adminKey).toBeNull();
    expect(config.gallery).toMatchObject({ key: null, scanThreads: 'auto' });
  });

  it('takes port 0 and an empty list of attribute models', () => {
    const config = loadAppConfig({ PORT: '0', FACE_ATTRIBUTE_MODELS: '' });
    expect(config.port).toBe(0);
    expect(config.face.attributeModels).toEqual([]);
  });

  it.each(['FACE_WORKERCOUNT', 'FACE_'])('refuses %s, which is not a variable', (name) => {
    expect(refusal({ [name]: '2' })).toMatchObject({
      code: 'FACE_OPTIONS_INVALID',
      details: { variable: name },
    });
  });

  it('refuses one secret for both keys of the environment', () => {
    const secret = 'one-secret-for-both';
    const error = refusal({ ADMIN_KEY: secret, DEEPFACE_AUTH_TOKEN: secret });
    expect([error.code, error.details]).toEqual([
      'FACE_OPTIONS_INVALID',
      { variable: 'DEEPFACE_AUTH_TOKEN' },
    ]);
    expect(error.message).not.toContain(secret);
  });

  it.each([
    [{ FACE_GALLERY_STORE: 'lancedb' }, 'FACE_GALLERY_STORE'],
    [{ FACE_GALLERY_STORE: 'lancedb', FACE_GALLERY_URI: 's3://faces' }, 'FACE_GALLERY_STORE'],
    [{ FACE_GALLERY_URI: '' }, 'FACE_GALLERY_URI'],
  ])('explains the removal of the LanceDB store: %j', (env, variable) => {
    const error = refusal(env);
    expect(error).toMatchObject({ code: 'FACE_OPTIONS_INVALID', details: { variable } });
    for (const store of GALLERY_STORES) expect(error.message).toContain(store);
    expect(error.message).toContain('likeness gallery export');
    expect(error.message).not.toContain('s3://faces');
  });
});
