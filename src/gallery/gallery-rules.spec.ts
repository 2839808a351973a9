import {
  assertValid,
  galleryIdProblem,
  metadataProblem,
  settingsProblems,
  subjectIdProblem,
} from './gallery-rules';
import { DEFAULT_GALLERY_SETTINGS } from './gallery.options';

describe(galleryIdProblem.name, () => {
  it.each(['default', 'a', '0', 'Staff.2026_v1-b', 'x'.repeat(64)])('takes %j', (id) => {
    expect(galleryIdProblem(id)).toBeNull();
  });

  it.each(['', '.', '..', '-a', '_a', 'a/b', 'a b', 'ä', 'a\n', 'x'.repeat(65), 7, null])(
    'refuses %j',
    (id) => {
      expect(galleryIdProblem(id)).toContain('1 to 64');
    },
  );
});

describe(subjectIdProblem.name, () => {
  it.each(['a', 'Ada Lovelace', 'ä/ö?#%', '…', '👩🏽‍🔬', "'; DROP TABLE", '...', 'x'.repeat(256)])(
    'takes %j',
    (id) => {
      expect(subjectIdProblem(id)).toBeNull();
    },
  );

  it.each(['', '.', '..', 'a\u0000', 'a\nb', '\u007f', '\u0085', '\ud800', 'x'.repeat(257), 7, undefined])(
    'refuses %j',
    (id) => {
      expect(subjectIdProblem(id)).toContain('1 to 256');
    },
  );
});

describe(metadataProblem.name, () => {
  it.each([
    {},
    { team: 'blue', level: -1.5, active: false, empty: '' },
    Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`k${i}`, i])),
    { ['k'.repeat(64)]: 'v'.repeat(1024) },
  ])('takes what is within the limits (%#)', (metadata) => {
    expect(metadataProblem(metadata)).toBeNull();
  });

  it.each([
    null,
    'text',
    ['a'],
    { '': 1 },
    { ['k'.repeat(65)]: 1 },
    { a: 'v'.repeat(1025) },
    { a: NaN },
    { a: Infinity },
    { a: null },
    { a: { b: 1 } },
    { a: ['b'] },
    Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, i])),
  ])('refuses what is not (%#)', (metadata) => {
    expect(metadataProblem(metadata)).toMatch(/^must /);
  });
});

describe(settingsProblems.name, () => {
  it('has none with the defaults, with a threshold, with rates, and with what is absent', () => {
    for (const settings of [
      DEFAULT_GALLERY_SETTINGS,
      { threshold: 0 },
      { threshold: 2 },
      { targetFmr: 1e-6 },
      { targetFpir: 0.5 },
      { maxSubjects: 1 },
      { maxSubjects: null },
      { keepCrops: true },
      { maxAgeSeconds: 1 },
      { maxAgeSeconds: null },
      {},
    ]) {
      expect(Object.values(settingsProblems(settings)).filter((problem) => problem != null)).toEqual([]);
    }
  });

  it('names every setting that is wrong', () => {
    const wrong = {
      threshold: 2.1,
      targetFmr: 0.6,
      targetFpir: 0,
      capacity: 1.5,
      maxSubjects: 0,
      keepCrops: 'yes' as unknown as boolean,
      maxReferencesPerSubject: 0,
      enrollmentGate: 'lax' as 'off',
      maxAgeSeconds: 0.5,
      sinceLastMatchSeconds: 0,
      metadata: { a: NaN },
    };
    expect(Object.values(settingsProblems(wrong))).not.toContain(null);
    expect(() => assertValid(settingsProblems(wrong))).toThrow(
      expect.objectContaining({
        code: 'PARAMETER_INVALID',
        details: { fields: Object.fromEntries(Object.keys(wrong).map((name) => [name, expect.any(String)])) },
      }),
    );
    expect(settingsProblems({ threshold: NaN }).threshold).toMatch(/number/);
  });
});
