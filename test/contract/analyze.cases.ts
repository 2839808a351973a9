import { BLANK_SIZE, GROUP_SIZE, PERSON_SIZE } from './photos';
import { expectArea, ok, type Setup, wholeArea } from './shapes';
import { dataUri, ENCODINGS } from './wire';

const EMOTIONS = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];
/** Keys that an action adds, in their order. */
const KEYS_OF: Record<string, string[]> = {
  age: ['age'],
  gender: ['gender', 'dominant_gender'],
  emotion: ['emotion', 'dominant_emotion'],
};
const THREE = ['age', 'gender', 'emotion'];

/** POST /analyze: what is sent, what is answered. The default set has age, gender and emotion. */
export function analyzeCases(setup: () => Setup): void {
  const uri = (name: keyof Setup['photos']) => dataUri(setup().photos[name]);
  const analyze = async (img: unknown, fields: object = { actions: THREE }) =>
    ok(await setup().wire.json('/analyze', { img, ...fields })).results;
  const largestOf = (percentages: Record<string, number>) =>
    Object.entries(percentages).reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0];
  const sumOf = (percentages: Record<string, number>) =>
    Object.values(percentages).reduce((sum, value) => sum + value, 0);

  describe('the answer', () => {
    it('has the keys of DeepFace, in its order', async () => {
      const body = ok(await setup().wire.json('/analyze', { img: uri('person'), actions: THREE }));
      expect(Object.keys(body)).toEqual(['results']);
      expect(body.results).toHaveLength(1);
      expect(Object.keys(body.results[0])).toEqual([
        'age',
        'gender',
        'dominant_gender',
        'emotion',
        'dominant_emotion',
        'region',
        'face_confidence',
      ]);
    });

    it('gives the age in whole years', async () => {
      const [{ age }] = await analyze(uri('person'));
      expect(Number.isInteger(age)).toBe(true);
      expect(age).toBeGreaterThan(0);
      expect(age).toBeLessThan(120);
    });

    it('gives the gender as Woman and Man, in percent that sum to 100', async () => {
      const [{ gender, dominant_gender }] = await analyze(uri('person'));
      expect(Object.keys(gender)).toEqual(['Woman', 'Man']);
      expect(sumOf(gender)).toBeCloseTo(100, 3);
      expect(dominant_gender).toBe(largestOf(gender));
      expect(gender[dominant_gender]).toBeGreaterThan(50);
    });

    it('gives the seven emotions of DeepFace by its names, in percent that sum to 100', async () => {
      const [{ emotion, dominant_emotion }] = await analyze(uri('person'));
      expect(Object.keys(emotion)).toEqual(EMOTIONS);
      expect(sumOf(emotion)).toBeCloseTo(100, 3);
      expect(dominant_emotion).toBe(largestOf(emotion));
    });

    it('calls the area of the face "region", and its confidence as /represent does', async () => {
      const [face] = await analyze(uri('person'));
      expectArea(face.region, PERSON_SIZE);
      const { results } = ok(await setup().wire.json('/represent', { img: uri('person') }));
      expect(face.region).toEqual(results[0].facial_area);
      expect(face.face_confidence).toBe(results[0].face_confidence);
    });

    it('has every face of the image', async () => {
      const faces = await analyze(uri('group'));
      expect(faces).toHaveLength(3);
      for (const { region } of faces) expectArea(region, GROUP_SIZE);
    });
  });

  describe('actions', () => {
    it.each([
      [['age']],
      [['gender']],
      [['emotion']],
      [['age', 'gender']],
      [['emotion', 'age']],
      [['gender', 'emotion', 'age']],
    ])('%j: no more than these, in this order', async (actions) => {
      const [face] = await analyze(uri('person'), { actions });
      expect(Object.keys(face)).toEqual([
        ...actions.flatMap((action) => KEYS_OF[action]),
        'region',
        'face_confidence',
      ]);
    });

    const forms = [
      '[age, gender]',
      '["age", "gender"]',
      "['age', 'gender']",
      "('age', 'gender')",
      'age,gender',
      'age, gender',
    ];
    it.each(forms)('may be the text %s in JSON', async (actions) => {
      const [face] = await analyze(uri('person'), { actions });
      expect(Object.keys(face)).toEqual(['age', 'gender', 'dominant_gender', 'region', 'face_confidence']);
    });

    it.each(forms)('may be the text %s in multipart', async (actions) => {
      const { wire, photos } = setup();
      const [face] = ok(await wire.multipart('/analyze', { img: photos.person, actions })).results;
      expect(Object.keys(face)).toEqual(['age', 'gender', 'dominant_gender', 'region', 'face_confidence']);
    });

    it('may be one word', async () => {
      const [face] = await analyze(uri('person'), { actions: 'age' });
      expect(Object.keys(face)).toEqual(['age', 'region', 'face_confidence']);
    });

    it.each([{}, { actions: null }, { actions: '' }])(
      'that are not given (%j) are all that the loaded models serve (DeepFace: race too)',
      async (fields) => {
        const [face] = await analyze(uri('person'), fields);
        expect(Object.keys(face)).toEqual([
          ...THREE.flatMap((action) => KEYS_OF[action]),
          'region',
          'face_confidence',
        ]);
      },
    );

    it('may be a field that multipart repeats', async () => {
      const { wire, photos } = setup();
      const answer = await wire.multipart('/analyze', { img: photos.person, actions: ['age', 'gender'] });
      expect(Object.keys(ok(answer).results[0])).toEqual([
        'age',
        'gender',
        'dominant_gender',
        'region',
        'face_confidence',
      ]);
    });

    it('give the same face values whether asked for together or alone', async () => {
      const [[all], [age], [gender], [emotion]] = await Promise.all([
        analyze(uri('person')),
        ...THREE.map((action) => analyze(uri('person'), { actions: [action] })),
      ]);
      expect(all).toEqual({ ...age, ...gender, ...emotion });
    });
  });

  describe('the request', () => {
    it.each(ENCODINGS)('is read from %s', async (encoding) => {
      const { wire, photos } = setup();
      const { results } = ok(
        await wire.encoded(
          '/analyze',
          encoding,
          { img: photos.person },
          { actions: '[age, gender, emotion]' },
        ),
      );
      expect(results).toEqual(await analyze(uri('person')));
    });

    it('is read with the old name img_path', async () => {
      const answer = await setup().wire.json('/analyze', { img_path: uri('person'), actions: THREE });
      expect(ok(answer).results).toHaveLength(1);
    });
  });

  it('of several images gives a list per image', async () => {
    const results = await analyze([uri('person'), uri('group')]);
    expect(results.map((faces: unknown[]) => faces.length)).toEqual([1, 3]);
    expect(results[0]).toEqual(await analyze(uri('person')));
  });

  it('of repeated files in multipart gives a list per image', async () => {
    const { wire, photos } = setup();
    const answer = await wire.multipart('/analyze', {
      img: [photos.person, photos.stranger],
      actions: 'age',
    });
    expect(ok(answer).results.map((faces: unknown[]) => faces.length)).toEqual([1, 1]);
  });

  it.each([{ detector_backend: 'skip' }, { enforce_detection: false }])(
    'with %j takes the whole image for the face where there is none',
    async (fields) => {
      const [face] = await analyze(uri('blank'), { actions: THREE, ...fields });
      expect(face).toMatchObject({ region: wholeArea(BLANK_SIZE), face_confidence: 0 });
      expect(sumOf(face.emotion)).toBeCloseTo(100, 3);
    },
  );
}
