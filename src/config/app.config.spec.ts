import { delimiter } from 'node:path';
import { FaceError } from '../errors';
import { DEFAULT_FACE_OPTIONS, FACE_OPTION_RANGES } from '../face/face.options';
import { APP_CONFIG, loadAppConfig } from './app.config';

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
      host: '0.0.0.0',
      logLevel: 'log',
      maxImages: 16,
      maxJsonBytes: 33_554_432,
      face,
    });
  });

  it('is frozen, defaults of FaceModule included', () => {
    const config = loadAppConfig({});
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.face)).toBe(true);
    config.face.detectors.push('changed');
    expect(loadAppConfig({}).face.detectors).toEqual(DEFAULT_FACE_OPTIONS.detectors);
  });

  it('reads every variable of the table', () => {
    const env: Record<string, string> = {};
    for (const [name, variable] of Object.entries(APP_CONFIG)) {
      if (variable.type === 'integer') env[name] = String(variable.range[1]);
      if (variable.type === 'list') env[name] = ' one , two';
      if (variable.type === 'folders') env[name] = ['first', 'second'].join(delimiter);
      if (variable.type === 'text') env[name] = '127.0.0.1';
      if (variable.type === 'level') env[name] = 'warn';
    }
    const names = ['one', 'two'];
    const largest = Object.fromEntries(
      Object.entries(FACE_OPTION_RANGES).map(([option, [, max]]) => [option, max]),
    );
    expect(loadAppConfig(env)).toEqual({
      port: 65_535,
      host: '127.0.0.1',
      logLevel: 'warn',
      maxImages: 256,
      maxJsonBytes: 536_870_912,
      face: {
        ...largest,
        detectors: names,
        embedders: names,
        attributeModels: names,
        modelDirs: ['first', 'second'],
      },
    });
  });

  it('takes port 0 and an empty list of attribute models', () => {
    const config = loadAppConfig({ PORT: '0', FACE_ATTRIBUTE_MODELS: '' });
    expect(config.port).toBe(0);
    expect(config.face.attributeModels).toEqual([]);
  });

  it.each([
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', '0x10'],
    ['PORT', '80.5'],
    ['PORT', ''],
    ['HOST', ' '],
    ['LOG_LEVEL', 'loud'],
    ['FACE_DETECTORS', ''],
    ['FACE_EMBEDDERS', 'secret-a,,secret-b'],
    ['FACE_MODEL_DIRS', ''],
    ['FACE_WORKER_COUNT', '0'],
    ['FACE_MAX_IMAGES', '0'],
    ['FACE_QUEUE_SIZE', 'many'],
    ['FACE_WORKERCOUNT', '2'],
  ])('refuses %s=%j, naming the variable and not its value', (name, value) => {
    const error = refusal({ [name]: value });
    expect(error.code).toBe('FACE_OPTIONS_INVALID');
    expect(error.details).toEqual({ variable: name });
    expect(error.message).toContain(` ${name} `);
    if (/[a-z]/.test(value)) expect(error.message).not.toContain(value);
  });

  it('describes every variable in the table', () => {
    for (const [name, variable] of Object.entries(APP_CONFIG)) {
      expect([name, variable.doc.length]).toEqual([name, expect.any(Number)]);
      expect(variable.doc).not.toBe('');
      if (variable.type === 'integer') {
        expect(variable.default).toBeGreaterThanOrEqual(variable.range[0]);
        expect(variable.default).toBeLessThanOrEqual(variable.range[1]);
      }
    }
  });
});
