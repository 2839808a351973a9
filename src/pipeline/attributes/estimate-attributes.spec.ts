import { cardInput } from '../../../test/support/card-input';
import type { ModelCard } from '../../models/model-card';
import { type AttributeModel, estimateAttributes } from './estimate-attributes';
import { EXPRESSIONS, type FaceDetection, type Landmarks } from '../face.types';
import type { TensorSession } from '../tensor-session';
import { cropUpright } from '../align/upright-crop';

const SIZE = 10;
const cardOf = (task: string, maxBatch = 16) =>
  ({
    name: task,
    task,
    family: 'box-crop',
    input: cardInput(SIZE, SIZE, { maxBatch }),
  }) as unknown as ModelCard;

/** A network that returns these rows of each output in turn for the crops of all runs. */
function network(name: string, rows: number[][][], maxBatch?: number, side = SIZE) {
  const batches: number[] = [];
  const seen: Uint8Array[] = [];
  const crop = side * side * 3;
  const session: TensorSession = {
    async run(data, [batch]) {
      const from = seen.length;
      batches.push(batch);
      for (let i = 0; i < batch; i++) seen.push(Uint8Array.from(data.subarray(i * crop, (i + 1) * crop)));
      return rows.map((output) => ({
        data: Float32Array.from(output.slice(from, from + batch).flat()),
        dims: [batch, output[0].length],
      }));
    },
    release: async () => undefined,
  };
  return { card: cardOf(name, maxBatch), session, batches, seen };
}

/** Red encodes the column, green the row. */
const ramp = { data: new Uint8Array(250 * 250 * 3), width: 250, height: 250 };
for (let y = 0; y < 250; y++) {
  for (let x = 0; x < 250; x++) ramp.data.set([x, y, 0], (y * 250 + x) * 3);
}

/** Eyes 40 apart, 40 above the mouth. */
const faceAt = (x: number, y: number): FaceDetection => ({
  box: { x, y, width: 1, height: 1 },
  landmarks: [
    { x: x - 20, y },
    { x: x + 20, y },
    { x, y: y + 20 },
    { x: x - 15, y: y + 40 },
    { x: x + 15, y: y + 40 },
  ],
  detectionScore: 0.9,
  alignmentScore: 0.9,
});
const one = (index: number) => EXPRESSIONS.map((_, i) => (i === index ? 0.7 : 0.05));
const ageGender = (ages: number[], genders: number[][], maxBatch?: number) =>
  network('age-gender', [ages.map((age) => [age]), genders], maxBatch);
const expression = (rows: number[][], maxBatch?: number) => network('expression', [rows], maxBatch);

/** Attributes of the default models. */
const all = (ages: AttributeModel, expressions: AttributeModel) =>
  [
    ['age', ages],
    ['gender', ages],
    ['expression', expressions],
  ] as const;

describe(estimateAttributes.name, () => {
  it('runs nothing for no faces', async () => {
    const networks = [ageGender([1], [[1, 0]]), expression([one(0)])] as const;
    expect(await estimateAttributes(ramp, [], all(...networks))).toEqual([]);
    expect(networks.map(({ batches }) => batches)).toEqual([[], []]);
  });

  it('gives age, gender and expression as the networks said them', async () => {
    const [face] = await estimateAttributes(
      ramp,
      [faceAt(120, 100)],
      all(
        ageGender([41.5], [[0.25, 0.75]]),
        expression([[0.125, 0.5, 0.0625, 0.0625, 0.125, 0.0625, 0.0625]]),
      ),
    );
    expect(face).toEqual({
      age: 41.5,
      gender: 'female',
      genderScores: { male: 0.25, female: 0.75 },
      expression: 'happy',
      expressionScores: {
        neutral: 0.125,
        happy: 0.5,
        sad: 0.0625,
        angry: 0.0625,
        fearful: 0.125,
        disgusted: 0.0625,
        surprised: 0.0625,
      },
    });
  });

  it.each([...['neutral', 'happy', 'sad', 'angry', 'fearful', 'disgusted', 'surprised'].entries()])(
    'reads output %d of the network as %s',
    async (index, name) => {
      const networks = [ageGender([30], [[1, 0]]), expression([one(index)])] as const;
      const [face] = await estimateAttributes(ramp, [faceAt(120, 100)], all(...networks));
      expect(face.expression).toBe(name);
      expect(face.gender).toBe('male');
    },
  );

  it.each([16, 2])('keeps every face with its own numbers in batches of up to %d', async (maxBatch) => {
    const faces = [faceAt(100, 90), faceAt(120, 100), faceAt(140, 110)];
    const ages = ageGender(
      [10, 20, 30],
      [
        [1, 0],
        [0, 1],
        [0.75, 0.25],
      ],
      maxBatch,
    );
    const expressions = expression([one(6), one(3), one(0)], maxBatch);
    const found = await estimateAttributes(ramp, faces, all(ages, expressions));
    expect(found.map(({ age, gender, expression: name }) => [age, gender, name])).toEqual([
      [10, 'male', 'surprised'],
      [20, 'female', 'angry'],
      [30, 'male', 'neutral'],
    ]);
    expect(ages.batches).toEqual(maxBatch === 2 ? [2, 1] : [3]);
    expect(expressions.batches).toEqual(ages.batches);
    // Crops in the order of the faces: their middles move by 20 to the right and 10 down.
    const middles = ages.seen.map((crop) => Array.from(crop.subarray(165, 167)));
    expect(middles[1][0] - middles[0][0]).toBe(20);
    expect(middles[2][1] - middles[1][1]).toBe(10);
  });

  it('shows both networks the upright square about eyes and mouth', async () => {
    const networks = [ageGender([30], [[1, 0]]), expression([one(0)])] as const;
    await estimateAttributes(ramp, [faceAt(120, 100)], all(...networks));
    // Each eye is sqrt(20² + 40²) from the middle of the mouth; eyes and mouth have their middle at (120, 113.3).
    const side = Math.hypot(20, 40) / 0.45;
    const center = { x: 120, y: 340 / 3 + 0.07 * side };
    for (const { seen } of networks) {
      for (const [column, row] of [
        [0, 0],
        [9, 0],
        [0, 9],
        [9, 9],
        [4, 6],
      ]) {
        const at = (row * SIZE + column) * 3;
        const expected = [column, row].map((value) => ((value - 4.5) * side) / SIZE);
        expect(Math.abs(seen[0][at] - (center.x + expected[0]))).toBeLessThanOrEqual(1.6);
        expect(Math.abs(seen[0][at + 1] - (center.y + expected[1]))).toBeLessThanOrEqual(1.6);
      }
    }
  });

  it('does not look at the box or at the nose', async () => {
    const [plain, moved] = [ageGender([30], [[1, 0]]), ageGender([30], [[1, 0]])];
    const face = faceAt(120, 100);
    const [leftEye, rightEye, , leftMouth, rightMouth] = face.landmarks as Landmarks;
    const landmarks: Landmarks = [leftEye, rightEye, { x: 0, y: 0 }, leftMouth, rightMouth];
    await estimateAttributes(ramp, [face], all(plain, expression([one(0)])));
    const other = { ...face, landmarks, box: { x: 0, y: 0, width: 250, height: 250 } };
    await estimateAttributes(ramp, [other], all(moved, expression([one(0)])));
    expect(moved.seen).toEqual(plain.seen);
  });

  it('shows the square around the box where there are no landmarks', async () => {
    const ages = ageGender([30], [[1, 0]]);
    const box = { x: 40, y: 60, width: 100, height: 80 };
    const face = { box, landmarks: null, detectionScore: 0, alignmentScore: null };
    await estimateAttributes(ramp, [face], [['age', ages]]);
    // 100 wide around (90, 100): ten pixels each, the first has its middle at 44.5.
    expect(Math.abs(ages.seen[0][0] - 44.5)).toBeLessThanOrEqual(1);
    expect(Math.abs(ages.seen[0][1] - 54.5)).toBeLessThanOrEqual(1);
  });

  describe('by networks of one attribute', () => {
    /** A network with one output for upright crops. */
    const upright = (task: string, rows: number[][], card: object = {}, side = 224) => {
      const made = network(task, [rows], 16, side);
      const input = cardInput(side, side, { maxBatch: 16 });
      return { ...made, card: { ...made.card, family: 'upright-crop', input, ...card } as ModelCard };
    };
    const box = { x: 0, y: 0, width: 250, height: 250 };
    const whole = { box, landmarks: null, detectionScore: 0, alignmentScore: null };
    const years = (scores: Record<number, number>) => Array.from({ length: 101 }, (_, i) => scores[i] ?? 0);

    it('gives the expected value over the classes as age, to the fraction', async () => {
      const age = upright('age', [years({ 20: 0.5, 30: 0.25, 100: 0.25 }), years({ 0: 1 })]);
      const found = await estimateAttributes(ramp, [whole, faceAt(120, 100)], [['age', age]]);
      expect(found).toEqual([{ age: 42.5 }, { age: 0 }]);
    });

    it('names classes as the labels of the card do', async () => {
      const labels = ['angry', 'disgusted', 'fearful', 'happy', 'sad', 'surprised', 'neutral'];
      const races = ['asian', 'indian', 'black'];
      const [face] = await estimateAttributes(
        ramp,
        [whole],
        [
          ['gender', upright('gender', [[0.75, 0.25]], { labels: ['female', 'male'] })],
          ['expression', upright('expression', [[0, 0, 0.125, 0, 0, 0.25, 0.625]], { labels })],
          ['race', upright('race', [[0.25, 0.5, 0.25]], { labels: races })],
        ],
      );
      expect(face).toEqual({
        gender: 'female',
        genderScores: { male: 0.25, female: 0.75 },
        expression: 'neutral',
        expressionScores: {
          angry: 0,
          disgusted: 0,
          fearful: 0.125,
          happy: 0,
          sad: 0,
          surprised: 0.25,
          neutral: 0.625,
        },
        race: 'indian',
        raceScores: { asian: 0.25, indian: 0.5, black: 0.25 },
      });
    });

    it('gives what was asked for and runs nothing else, and no network twice', async () => {
      const [both, mood] = [ageGender([41], [[0, 1]]), expression([one(0)])];
      const [face] = await estimateAttributes(ramp, [faceAt(120, 100)], [['gender', both]]);
      expect(face).toEqual({ gender: 'female', genderScores: { male: 0, female: 1 } });
      expect(mood.batches).toEqual([]);
      const again = ageGender([41], [[0, 1]]);
      await estimateAttributes(ramp, [faceAt(120, 100)], all(again, mood));
      expect([again.batches, mood.batches]).toEqual([[1], [1]]);
    });

    it('shows the aligned face at 224, and to a smaller input what is left of that when it shrinks', async () => {
      const [large, small] = [upright('age', [years({ 1: 1 })]), upright('expression', [one(0)], {}, 48)];
      const landmarks = faceAt(120, 100).landmarks as Landmarks;
      const [left, right, ...rest] = landmarks;
      const rolled = [left, { x: right.x, y: right.y + 40 }, ...rest] as unknown as Landmarks;
      const box = { x: 70, y: 60, width: 100, height: 100 };
      const face = { box, landmarks: rolled, detectionScore: 1, alignmentScore: 1 };
      await estimateAttributes(
        ramp,
        [face],
        [
          ['age', large],
          ['expression', small],
        ],
      );
      const cut = new Uint8Array(224 * 224 * 3);
      cropUpright(ramp, face.box, rolled, 224, 224, cut, 0);
      expect(large.seen[0]).toEqual(cut);
      // Of 14 pixels there are 3: the first has its middle at 14 / 6 - 1 / 2, between the second and the third.
      const at = 14 / 6 - 0.5;
      const pixel = (x: number, y: number) => cut[(y * 224 + x) * 3];
      const mix = (a: number, b: number) => a * (2 - at) + b * (at - 1);
      const expected = mix(mix(pixel(1, 1), pixel(2, 1)), mix(pixel(1, 2), pixel(2, 2)));
      expect(Math.abs(small.seen[0][0] - expected)).toBeLessThanOrEqual(0.5);
      expect(small.seen[0]).toHaveLength(48 * 48 * 3);
    });
  });
});
