import { seededRange } from '../../test/support/seeded-random';
import { selectFaces, type SelectOptions } from './select-faces';

const face = (name: string, x: number, y: number, width: number, height = width) => ({
  name,
  box: { x, y, width, height },
});

const ALL: SelectOptions = { selection: 'all', maxFaces: 100, minFaceSize: 0 };
const names = (faces: { name: string }[]) => faces.map(({ name }) => name);
const select = (faces: ReturnType<typeof face>[], options: Partial<SelectOptions> = {}) =>
  names(selectFaces(faces, 640, 480, { ...ALL, ...options }));

const faces = [face('small', 300, 220, 40), face('large', 0, 0, 100), face('medium', 400, 10, 60)];

describe(selectFaces.name, () => {
  it('gives every face, largest first, with all', () => {
    expect(select(faces)).toEqual(['large', 'medium', 'small']);
  });

  it('gives at most maxFaces, the largest ones', () => {
    expect(select(faces, { maxFaces: 2 })).toEqual(['large', 'medium']);
  });

  it('gives the largest with best', () => {
    expect(select(faces, { selection: 'best' })).toEqual(['large']);
  });

  it('ranks by area, not by one side', () => {
    expect(select([face('wide', 0, 0, 200, 10), face('square', 0, 0, 50)], { selection: 'best' })).toEqual([
      'square',
    ]);
  });

  it('weighs area against the distance to the center with centerLargest', () => {
    // large: 10000 - 2 * (270^2 + 190^2) < 0; small lies on the center: 1600.
    expect(select(faces, { selection: 'centerLargest' })).toEqual(['small']);
    // Center of the second face is 20 px off: 1764 - 800 < 1600 - 0.
    expect(
      select([face('center', 300, 220, 40), face('beside', 319, 219, 42)], { selection: 'centerLargest' }),
    ).toEqual(['center']);
    // 5 px off: 1764 - 50 > 1600.
    expect(
      select([face('center', 300, 220, 40), face('beside', 304, 219, 42)], { selection: 'centerLargest' }),
    ).toEqual(['beside']);
  });

  it('gives the only face with single', () => {
    expect(select([faces[0]], { selection: 'single' })).toEqual(['small']);
  });

  it('throws FACE_AMBIGUOUS with the number of faces for several under single', () => {
    expect(() => select(faces, { selection: 'single' })).toThrow(
      expect.objectContaining({ code: 'FACE_AMBIGUOUS', details: { faceCount: 3 } }),
    );
  });

  it('passes over faces whose shorter side is under minFaceSize before anything is counted', () => {
    expect(select(faces, { minFaceSize: 60 })).toEqual(['large', 'medium']);
    expect(select(faces, { minFaceSize: 61, selection: 'single' })).toEqual(['large']);
    expect(select([face('flat', 0, 0, 300, 20)], { minFaceSize: 21 })).toEqual([]);
  });

  it.each(['all', 'best', 'single', 'centerLargest'] as const)(
    'gives an empty list for none with %s',
    (s) => {
      expect(select([], { selection: s })).toEqual([]);
    },
  );

  it('leaves the given list as it was', () => {
    const given = [...faces];
    select(given);
    select(given, { selection: 'centerLargest' });
    expect(names(given)).toEqual(['small', 'large', 'medium']);
  });

  it('gives as best what comes first under all, and as all a list of falling areas', () => {
    const range = seededRange(7);
    for (let round = 0; round < 100; round++) {
      const many = Array.from({ length: 8 }, (_, i) =>
        face(String(i), range(0, 600), range(0, 400), range(5, 200), range(5, 200)),
      );
      const all = selectFaces(many, 640, 480, ALL);
      expect(select(many, { selection: 'best' })).toEqual([all[0].name]);
      const areas = all.map(({ box }) => box.width * box.height);
      expect(areas).toEqual([...areas].sort((a, b) => b - a));
      expect(all).toHaveLength(8);
    }
  });
});
