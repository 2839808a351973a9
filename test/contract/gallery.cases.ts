import { confidenceOf, DEEPFACE_METRICS, distanceOf, thresholdOf } from './deepface-formulas';
import { GROUP_SIZE } from './photos';
import { hasDecimals, ok, refused, type Setup } from './shapes';
import { dataUri, ENCODINGS } from './wire';

const ROW_KEYS = [
  'id',
  'img_name',
  'model_name',
  'detector_backend',
  'aligned',
  'l2_normalized',
  'search_method',
  'target_x',
  'target_y',
  'target_w',
  'target_h',
  'threshold',
  'distance_metric',
  'distance',
  'confidence',
];

interface Row {
  id: unknown;
  img_name: string;
  distance: number;
  [key: string]: unknown;
}

/** POST /register, /search, /build/index. Every group of cases has a model of its own, and so a gallery of its own. */
export function galleryCases(setup: () => Setup): void {
  const uri = (name: keyof Setup['photos']) => dataUri(setup().photos[name]);
  const register = async (img: unknown, fields: object) =>
    ok(await setup().wire.json('/register', { img, ...fields }));
  const search = async (img: unknown, fields: object): Promise<Row[][]> =>
    ok(await setup().wire.json('/search', { img, ...fields })).results;
  const namesOf = (rows: Row[]) => rows.map(({ img_name }) => img_name);

  describe('with the default models', () => {
    it('search finds nothing to search before the first registration', async () => {
      const text = refused(await setup().wire.json('/search', { img: uri('person') }), 'error', 'searching');
      expect(text).toMatch(/register/);
    });

    it('register counts the face that it inserted', async () => {
      expect(await register(uri('person'), { img_name: 'person.jpg' })).toEqual({ inserted: 1 });
    });

    it('register inserts the same face of the same image once (DeepFace answers with an error)', async () => {
      expect(await register(uri('person'), { img_name: 'person.jpg' })).toEqual({ inserted: 0 });
    });

    it('register inserts every face of an image', async () => {
      expect(await register(uri('group'), { img_name: 'group.jpg' })).toEqual({ inserted: 3 });
    });

    it('search finds the very photo first, at distance 0 and confidence 100', async () => {
      const [[best]] = await search(uri('person'), {});
      expect(best).toMatchObject({ img_name: 'person.jpg', distance: 0, confidence: 100 });
    });

    it('search finds what passes the threshold, in the order of the distance', async () => {
      const [rows] = await search(uri('personAgain'), {});
      // The person alone, and among the three of the group.
      expect(namesOf(rows)).toEqual(['person.jpg', 'group.jpg']);
      const distances = rows.map(({ distance }) => distance);
      expect(distances).toEqual([...distances].sort((a, b) => a - b));
      expect(Math.max(...distances)).toBeLessThanOrEqual(0.07);
    });

    it('search gives the rows of DeepFace: keys in its order, values of its types', async () => {
      const [[row]] = await search(uri('personAgain'), {});
      expect(Object.keys(row)).toEqual(ROW_KEYS);
      expect(row).toMatchObject({
        img_name: 'person.jpg',
        model_name: 'Dlib',
        detector_backend: 'rfb-320',
        aligned: true,
        l2_normalized: false,
        search_method: 'exact',
        threshold: 0.07,
        distance_metric: 'cosine',
      });
      expect(['string', 'number']).toContain(typeof row.id);
      for (const key of ['target_x', 'target_y', 'target_w', 'target_h']) {
        expect(Number.isInteger(row[key])).toBe(true);
      }
      expect(hasDecimals(row.distance, 6)).toBe(true);
      expect(hasDecimals(row.confidence as number, 2)).toBe(true);
      expect(row.confidence).toBeCloseTo(confidenceOf('Dlib', 'cosine', row.distance), 1);
    });

    it('search agrees with /verify', async () => {
      const [[row]] = await search(uri('personAgain'), {});
      const verified = ok(
        await setup().wire.json('/verify', { img1: uri('personAgain'), img2: uri('person') }),
      );
      expect(Math.abs(row.distance - verified.distance)).toBeLessThan(2e-6);
      expect(row.confidence).toBeCloseTo(verified.confidence, 1);
    });

    it('search gives a list per face of the query', async () => {
      const results = await search(uri('group'), {});
      expect(results).toHaveLength(3);
      const { results: faces } = ok(await setup().wire.json('/represent', { img: uri('group') }));
      results.forEach((rows, i) => {
        expect(rows[0]).toMatchObject({ img_name: 'group.jpg', distance: 0 });
        expect(faces[i].facial_area.w).toBeLessThan(GROUP_SIZE.width);
      });
    });

    it('search tells the area of the face that was looked for, as DeepFace does', async () => {
      const [[row]] = await search(uri('personAgain'), {});
      const { results } = ok(await setup().wire.json('/represent', { img: uri('personAgain') }));
      const { x, y, w, h } = results[0].facial_area;
      expect([row.target_x, row.target_y, row.target_w, row.target_h]).toEqual([x, y, w, h]);
    });

    it('search of several images gives a list per face, one image after the other', async () => {
      const results = await search([uri('person'), uri('group')], {});
      expect(results.map((rows) => rows[0]?.img_name)).toEqual([
        'person.jpg',
        'group.jpg',
        'group.jpg',
        'group.jpg',
      ]);
    });

    it('search gives an empty list for a face that nobody registered', async () => {
      expect(await register(uri('stranger'), { img_name: 'stranger.jpg', detector_backend: 'skip' })).toEqual(
        {
          inserted: 1,
        },
      );
      // Registered under another detector only: the criteria of this search find the group, and no stranger.
      const [rows] = await search(uri('stranger'), {});
      expect(namesOf(rows)).toEqual(['group.jpg']);
    });

    it('register and search read no database settings, and refuse what would change the embedding', async () => {
      const ignored = { database_type: 'mongo', connection_details: 'mongodb://x', normalization: 'ArcFace' };
      expect(await search(uri('person'), ignored)).toEqual(await search(uri('person'), {}));
      const answer = await setup().wire.json('/register', { img: uri('person'), expand_percentage: 10 });
      expect(refused(answer, 'error', 'registering')).toContain('expand_percentage');
    });

    it('build/index refuses names that nobody knows', async () => {
      const { wire } = setup();
      for (const fields of [{ model_name: 'GooseFace' }, { detector_backend: 'gooseface' }]) {
        const answer = await wire.json('/build/index', fields);
        expect(refused(answer, 'error', 'building index')).toMatch(/gooseface/i);
      }
    });

    it.each(['json', 'multipart', 'form'] as const)('build/index reads %s', async (carrier) => {
      const fields = { model_name: 'Dlib', align: 'true', l2_normalize: 'false' };
      expect((await setup().wire[carrier]('/build/index', fields)).status).toBe(200);
    });

    it('build/index says that the index is built: there is nothing to build', async () => {
      expect(ok(await setup().wire.json('/build/index', {}))).toEqual({
        message: expect.stringContaining('Index built successfully'),
      });
    });

    it.each(DEEPFACE_METRICS)('search by %s measures as the formula does', async (metric) => {
      const [rows] = await search(uri('stranger'), { distance_metric: metric, similarity_search: true });
      const embed = async (name: keyof Setup['photos']) =>
        ok(await setup().wire.json('/represent', { img: uri(name) })).results[0].embedding;
      const [a, b] = await Promise.all([embed('stranger'), embed('person')]);
      const row = rows.find(({ img_name }) => img_name === 'person.jpg') as Row;
      expect(row).toMatchObject({ distance_metric: metric, threshold: thresholdOf('Dlib', metric) });
      expect(Math.abs(row.distance - distanceOf(metric, a, b))).toBeLessThan(3e-6);
      expect(row.confidence).toBeCloseTo(confidenceOf('Dlib', metric, row.distance), 1);
    });

    it.each(DEEPFACE_METRICS)('search by %s keeps the order of its own distance', async (metric) => {
      const [rows] = await search(uri('personAgain'), { distance_metric: metric, similarity_search: true });
      const distances = rows.map(({ distance }) => distance);
      expect(distances).toHaveLength(4);
      expect(distances).toEqual([...distances].sort((a, b) => a - b));
    });
  });

  describe('k and similarity_search', () => {
    const own = { model_name: 'Facenet' };

    beforeAll(async () => {
      for (const name of ['person', 'stranger', 'group'] as const) {
        await register(uri(name), { ...own, img_name: `${name}.jpg` });
      }
    });

    it('similarity_search gives the nearest whatever the threshold', async () => {
      const [rows] = await search(uri('person'), { ...own, similarity_search: true });
      expect(rows).toHaveLength(5);
      expect(rows[0].img_name).toBe('person.jpg');
    });

    it.each([1, 2, '3'])('k %j gives so many at most, the nearest', async (k) => {
      const [all] = await search(uri('personAgain'), { ...own, similarity_search: true });
      const [some] = await search(uri('personAgain'), { ...own, similarity_search: true, k });
      expect(some).toEqual(all.slice(0, Number(k)));
    });

    it('k that is more than there are gives all', async () => {
      const [rows] = await search(uri('personAgain'), { ...own, similarity_search: true, k: 1000 });
      expect(rows).toHaveLength(5);
    });

    it('k does not bring back what the threshold took', async () => {
      const within = (await search(uri('personAgain'), own))[0];
      const [rows] = await search(uri('personAgain'), { ...own, k: 5 });
      expect(rows).toEqual(within);
    });

    it.each([0, -1])('k %j stands for no limit, as in DeepFace', async (k) => {
      const [rows] = await search(uri('personAgain'), { ...own, similarity_search: true, k });
      expect(rows).toHaveLength(5);
    });

    it.each(['few', 1.5, {}])('k %j is refused, naming the field', async (k) => {
      const answer = await setup().wire.json('/search', { img: uri('person'), ...own, k });
      expect(refused(answer, 'error', 'searching')).toMatch(/\bk\b/);
    });

    it('ann finds what exact finds (DeepFace forces another metric, and needs an index)', async () => {
      for (const fields of [
        own,
        { ...own, similarity_search: true },
        { ...own, similarity_search: true, k: 2 },
      ]) {
        const exact = await search(uri('personAgain'), { ...fields, search_method: 'exact' });
        const ann = await search(uri('personAgain'), { ...fields, search_method: 'ann' });
        expect(ann).toEqual(exact.map((rows) => rows.map((row) => ({ ...row, search_method: 'ann' }))));
      }
    });

    it('another search_method is refused', async () => {
      const answer = await setup().wire.json('/search', {
        img: uri('person'),
        ...own,
        search_method: 'guess',
      });
      expect(refused(answer, 'error', 'searching')).toMatch(/guess|search_method/);
    });
  });

  describe('what was registered', () => {
    it('under one model is not found under another', async () => {
      await register(uri('person'), { model_name: 'GhostFaceNet', img_name: 'ghost.jpg' });
      const [rows] = await search(uri('person'), { model_name: 'GhostFaceNet' });
      expect(namesOf(rows)).toEqual(['ghost.jpg']);
      expect(rows[0].model_name).toBe('GhostFaceNet');
      refused(
        await setup().wire.json('/search', { img: uri('person'), model_name: 'DeepID' }),
        'error',
        'searching',
      );
    });

    it.each([{ detector_backend: 'skip' }, { align: false }, { l2_normalize: true }])(
      'with %j is found with the same setting only',
      async (setting) => {
        const own = { model_name: 'ArcFace' };
        const img_name = `${JSON.stringify(setting)}.jpg`;
        expect(await register(uri('person'), { ...own, ...setting, img_name })).toEqual({ inserted: 1 });
        const [rows] = await search(uri('person'), { ...own, ...setting });
        expect(namesOf(rows)).toEqual([img_name]);
        expect(rows[0]).toMatchObject({
          detector_backend: setting.detector_backend ?? 'rfb-320',
          aligned: setting.align ?? true,
          l2_normalized: setting.l2_normalize ?? false,
          distance: 0,
        });
        refused(await setup().wire.json('/search', { img: uri('person'), ...own }), 'error', 'searching');
      },
    );

    it.each(DEEPFACE_METRICS)(
      'with l2_normalize is measured by %s on vectors of length 1',
      async (metric) => {
        const own = { model_name: 'SFace', l2_normalize: true, distance_metric: metric };
        await register(uri('person'), { ...own, img_name: 'unit.jpg' });
        const [[row]] = await search(uri('stranger'), { ...own, similarity_search: true });
        const embed = async (name: keyof Setup['photos']): Promise<number[]> => {
          const answer = await setup().wire.json('/represent', { img: uri(name), model_name: 'SFace' });
          return ok(answer).results[0].embedding;
        };
        const [a, b] = await Promise.all([embed('stranger'), embed('person')]);
        const expected = distanceOf(metric === 'euclidean' ? 'euclidean_l2' : metric, a, b);
        expect(Math.abs(row.distance - expected)).toBeLessThan(3e-6);
        expect(row).toMatchObject({ l2_normalized: true, distance_metric: metric });
      },
    );

    it('is inserted once, under whatever name, in one call or in several at once', async () => {
      const own = { model_name: 'SFace', detector_backend: 'skip' };
      const calls = Array.from({ length: 6 }, (_, i) =>
        register(uri('person'), { ...own, img_name: `${i}.jpg` }),
      );
      const inserted = (await Promise.all(calls)).map((answer) => answer.inserted);
      expect(inserted.sort()).toEqual([0, 0, 0, 0, 0, 1]);
      expect(await register([uri('person'), uri('person')], own)).toEqual({ inserted: 0 });
      expect(await register([uri('stranger'), uri('stranger')], own)).toEqual({ inserted: 1 });
      const [rows] = await search(uri('person'), { ...own, similarity_search: true });
      expect(rows).toHaveLength(2);
    });

    it('without img_name is given a name of its own', async () => {
      const own = { model_name: 'OpenFace' };
      expect(await register(uri('person'), own)).toEqual({ inserted: 1 });
      const [[row]] = await search(uri('person'), own);
      expect(row.img_name).toMatch(/\S{8}/);
      expect(row.img_name).not.toContain('base64');
    });

    it('is several images where img is a list', async () => {
      const own = { model_name: 'Facenet512', img_name: 'both' };
      expect(await register([uri('person'), uri('group')], own)).toEqual({ inserted: 4 });
      const [rows] = await search(uri('person'), { ...own, similarity_search: true });
      expect(namesOf(rows)).toEqual(['both', 'both', 'both', 'both']);
      expect(new Set(rows.map(({ id }) => id)).size).toBe(4);
    });

    it.each(ENCODINGS)('is read from %s, and so is the search', async (encoding) => {
      const { wire, photos } = setup();
      const fields = { model_name: 'VGG-Face', img_name: encoding, l2_normalize: 'false' };
      await wire.encoded('/register', encoding, { img: photos.person }, fields);
      const { results } = ok(await wire.encoded('/search', encoding, { img: photos.person }, fields));
      expect(results).toHaveLength(1);
      expect(results[0][0]).toMatchObject({ model_name: 'VGG-Face', distance: 0, l2_normalized: false });
    });

    it('is not there where detection failed', async () => {
      const own = { model_name: 'Buffalo_L', img_name: 'blank.png' };
      refused(await setup().wire.json('/register', { img: uri('blank'), ...own }), 'error', 'registering');
      refused(await setup().wire.json('/search', { img: uri('person'), ...own }), 'error', 'searching');
    });
  });
}
