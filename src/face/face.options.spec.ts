import { isAbsolute, join, resolve } from 'node:path';
import {
  DECISION_RANGES,
  DEFAULT_FACE_OPTIONS,
  defaultModelDirs,
  FACE_OPTION_RANGES,
  type FaceModuleOptions,
  PACKAGE_MODELS_DIR,
  resolveFaceOptions,
} from './face.options';

const LISTS = ['detectors', 'embedders', 'attributeModels', 'attackModels', 'modelDirs'] as const;
const refuses = (options: object, option: string) =>
  expect(() => resolveFaceOptions(options)).toThrow(
    expect.objectContaining({
      code: 'FACE_OPTIONS_INVALID',
      message: expect.stringContaining(`Option ${option} `),
      details: { option },
    }),
  );

describe(defaultModelDirs.name, () => {
  it('is the folder of the checkout, and never one inside an installed package', () => {
    expect(defaultModelDirs('/cache', false)).toEqual([PACKAGE_MODELS_DIR]);
    expect(defaultModelDirs('/cache', true)).toEqual([join('/cache', 'models')]);
    // Files are then read from the package; the commands that write refuse.
    expect(defaultModelDirs(null, true)).toEqual([PACKAGE_MODELS_DIR]);
  });
});

describe(resolveFaceOptions.name, () => {
  it('gives the defaults where nothing is given', () => {
    expect(resolveFaceOptions()).toEqual(DEFAULT_FACE_OPTIONS);
    expect(resolveFaceOptions({})).toEqual(DEFAULT_FACE_OPTIONS);
  });

  it('takes undefined of any option as not given', () => {
    const all = Object.fromEntries(Object.keys(DEFAULT_FACE_OPTIONS).map((name) => [name, undefined]));
    expect(resolveFaceOptions({ ...all, onProgress: undefined })).toEqual(DEFAULT_FACE_OPTIONS);
  });

  it('has defaults that are within their ranges, and read the models of this package', () => {
    for (const [name, [min, max]] of Object.entries(FACE_OPTION_RANGES)) {
      const value = DEFAULT_FACE_OPTIONS[name as keyof typeof FACE_OPTION_RANGES];
      if (value === 'auto') continue;
      expect(value).toBeGreaterThanOrEqual(min);
      expect(value).toBeLessThanOrEqual(max);
    }
    expect(DEFAULT_FACE_OPTIONS.modelDirs).toEqual([PACKAGE_MODELS_DIR]);
    expect(PACKAGE_MODELS_DIR).toBe(resolve(__dirname, '..', '..', 'models'));
  });

  it('has a range for every numeric option', () => {
    const numeric = Object.entries(DEFAULT_FACE_OPTIONS).filter(
      ([, value]) => typeof value === 'number' || value === 'auto',
    );
    const ranges = Object.keys({ ...FACE_OPTION_RANGES, ...DECISION_RANGES });
    expect(numeric.map(([name]) => name).sort()).toEqual(ranges.sort());
  });

  it('keeps every value that is given', () => {
    const nothing = () => undefined;
    const given = {
      detectors: ['yunet', 'scrfd-10g'],
      embedders: ['sface'],
      attributeModels: [],
      attributes: [],
      attackModels: ['minifasnet-v2'],
      presentationAttack: 'report',
      modelDirs: [join(PACKAGE_MODELS_DIR, 'mine'), PACKAGE_MODELS_DIR],
      cacheDir: resolve('cache'),
      workerCount: 3,
      intraOpThreads: 2,
      maxImageBytes: 11,
      maxImagePixels: 12,
      maxDecodeBytes: 64 * 1024 ** 2,
      maxFaces: 13,
      queueSize: 14,
      queueBytes: 15,
      requestTimeoutMs: 16,
      bootTimeoutMs: 17,
      memoryBudgetBytes: 2 ** 30,
      prepareModels: false,
      idleTtlsMs: { 'scrfd-10g': 5000 },
      cache: 'memory',
      cacheBytes: 4096,
      cacheTtlMs: 18,
      targetFmr: 1e-4,
      targetFpir: 0.05,
      reviewMargin: 0.1,
      workerFile: 'worker.js',
      onProgress: nothing,
      onImage: nothing,
      onNotice: nothing,
    } satisfies Required<FaceModuleOptions>;
    expect(resolveFaceOptions(given)).toEqual(given);
  });

  describe.each(Object.entries(FACE_OPTION_RANGES))('%s', (name, [min, max]) => {
    const takesAuto = DEFAULT_FACE_OPTIONS[name as keyof typeof FACE_OPTION_RANGES] === 'auto';
    it(takesAuto ? 'takes auto' : 'refuses auto', () => {
      if (takesAuto) expect(resolveFaceOptions({ [name]: 'auto' })).toMatchObject({ [name]: 'auto' });
      else refuses({ [name]: 'auto' }, name);
    });

    it.each([min, max])('takes %d', (value) => {
      expect(resolveFaceOptions({ [name]: value })).toMatchObject({ [name]: value });
    });

    it.each([min - 1, max + 1, -1, min + 0.5, NaN, Infinity, String(min), null, [min]])(
      'refuses %p',
      (value) => {
        refuses({ [name]: value }, name);
      },
    );
  });

  describe.each(Object.entries(DECISION_RANGES))('%s', (name, [min, max]) => {
    it.each([min, max, (min + max) / 2])('takes %d', (value) => {
      expect(resolveFaceOptions({ [name]: value })).toMatchObject({ [name]: value });
    });

    it.each([min - 1e-9, max + 1e-9, -1, NaN, Infinity, String(max), null, [max], 'auto'])(
      'refuses %p',
      (value) => {
        refuses({ [name]: value }, name);
      },
    );
  });

  it.each(LISTS)('refuses what is no list of names for %s', (name) => {
    for (const value of ['yunet', null, 3, {}, [''], ['yunet', 3], [null], new Set(['yunet'])]) {
      refuses({ [name]: value }, name);
    }
  });

  it.each(LISTS.filter((name) => name !== 'attributeModels' && name !== 'attackModels'))(
    'refuses an empty list for %s',
    (name) => {
      refuses({ [name]: [] }, name);
    },
  );

  it('refuses what is no policy, and one that no model could follow', () => {
    const attackModels = ['minifasnet-v2'];
    for (const presentationAttack of ['on', true, null, '']) {
      refuses({ attackModels, presentationAttack }, 'presentationAttack');
    }
    refuses({ presentationAttack: 'report' }, 'presentationAttack');
    refuses({ presentationAttack: 'require', attackModels: [] }, 'presentationAttack');
    expect(resolveFaceOptions({ presentationAttack: 'require', attackModels })).toMatchObject({
      attackModels,
    });
  });

  it('refuses what is no cache, no switch and no time to idle', () => {
    for (const cache of ['disk', true, null, '']) refuses({ cache }, 'cache');
    for (const prepareModels of ['on', 1, null]) refuses({ prepareModels }, 'prepareModels');
    for (const ms of [0, 999, 1e12, '5000', NaN, null]) refuses({ idleTtlsMs: { yunet: ms } }, 'idleTtlsMs');
    refuses({ idleTtlsMs: null }, 'idleTtlsMs');
  });

  it('names an unknown option, but ignores undefined', () => {
    refuses({ workers: 3 }, 'workers');
    refuses({ workerCount: 2, max_faces: null }, 'max_faces');
    expect(resolveFaceOptions({ workers: undefined } as FaceModuleOptions)).toEqual(DEFAULT_FACE_OPTIONS);
  });

  it('makes folders absolute, in their order', () => {
    const { modelDirs } = resolveFaceOptions({ modelDirs: ['mine', join('..', 'other')] });
    expect(modelDirs).toEqual([resolve('mine'), resolve('..', 'other')]);
    expect(modelDirs.every(isAbsolute)).toBe(true);
  });

  it('takes a cache folder or null, and makes it absolute', () => {
    expect(resolveFaceOptions({ cacheDir: 'cache' })).toMatchObject({
      cacheDir: resolve('cache'),
      modelDirs: [PACKAGE_MODELS_DIR],
    });
    expect(resolveFaceOptions({ cacheDir: null }).cacheDir).toBeNull();
    for (const cacheDir of ['', 5, false]) refuses({ cacheDir }, 'cacheDir');
  });

  it('changes neither what is given nor the defaults', () => {
    const given = { modelDirs: ['mine'], workerCount: 2 };
    const before = JSON.stringify(DEFAULT_FACE_OPTIONS);
    resolveFaceOptions(given);
    expect(given).toEqual({ modelDirs: ['mine'], workerCount: 2 });
    expect(JSON.stringify(DEFAULT_FACE_OPTIONS)).toBe(before);
  });
});
