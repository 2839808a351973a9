import { cardInput } from '../../../test/support/card-input';
import type { BoundingBox, Point } from '../face.types';
import { fiveOf68, findLandmarks68, middle, rollOfEyes } from './landmarks-68';
import type { TensorSession } from '../tensor-session';

const SIZE = 16;
const input = (maxBatch = 8) => cardInput(SIZE, SIZE, { maxBatch });
const black = { data: new Uint8Array(200 * 200 * 3), width: 200, height: 200 };
const radians = (degrees: number) => (degrees * Math.PI) / 180;

/** Points in fractions of a crop, all around its center; the eyes are rolled by these degrees. */
function face(degrees: number): Point[] {
  const points = Array.from({ length: 68 }, (_, i) => ({ x: 0.3 + (i % 8) / 20, y: 0.3 + (i % 9) / 20 }));
  const [dx, dy] = [0.2 * Math.cos(radians(degrees)), 0.2 * Math.sin(radians(degrees))];
  for (let i = 36; i < 42; i++) points[i] = { x: 0.5 - dx, y: 0.4 - dy };
  for (let i = 42; i < 48; i++) points[i] = { x: 0.5 + dx, y: 0.4 + dy };
  return points;
}

/** Returns these faces in turn for the crops of all runs. */
function sessionOf(faces: Point[][]): TensorSession & { batches: number[]; seen: Uint8Array[] } {
  const left = [...faces];
  const crop = SIZE * SIZE * 3;
  return {
    batches: [],
    seen: [],
    async run(data, [batch]) {
      this.batches.push(batch);
      for (let i = 0; i < batch; i++)
        this.seen.push(Uint8Array.from(data.subarray(i * crop, (i + 1) * crop)));
      const values = left.splice(0, batch).flatMap((points) => points.flatMap(({ x, y }) => [x, y]));
      return [{ data: Float32Array.from(values), dims: [batch, 136] }];
    },
    release: async () => undefined,
  };
}

const turn = ({ x, y }: Point, angle: number): Point => ({
  x: x * Math.cos(angle) - y * Math.sin(angle),
  y: x * Math.sin(angle) + y * Math.cos(angle),
});

/** Maps fractions of the first square to the image: 1.2 times the longer side of the box, rotated by these degrees. */
function inBox(box: BoundingBox, points: readonly Point[], degrees = 0): Point[] {
  const side = 1.2 * Math.max(box.width, box.height);
  const center = { x: box.x + box.width / 2 - 0.5, y: box.y + box.height / 2 - 0.5 };
  return points.map(({ x, y }) => {
    const at = turn({ x: (x - 0.5) * side, y: (y - 0.5) * side }, radians(degrees));
    return { x: center.x + at.x, y: center.y + at.y };
  });
}

/** The second square: 1.3 times the extent of the upright points of the first pass, moved up by 0.05 of the extent. */
function secondSquare(first: readonly Point[], degrees: number): { center: Point; side: number } {
  const upright = first.map((point) => turn(point, -radians(degrees)));
  const [xs, ys] = [upright.map(({ x }) => x), upright.map(({ y }) => y)];
  const extent = Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys));
  const x = (Math.max(...xs) + Math.min(...xs)) / 2;
  const y = (Math.max(...ys) + Math.min(...ys)) / 2 - 0.05 * extent;
  return { center: turn({ x, y }, radians(degrees)), side: 1.3 * extent };
}

/** Maps fractions of the second square to the image. */
function inSecond(first: readonly Point[], degrees: number, points: readonly Point[]): Point[] {
  const { center, side } = secondSquare(first, degrees);
  return points.map(({ x, y }) => {
    const at = turn({ x: (x - 0.5) * side, y: (y - 0.5) * side }, radians(degrees));
    return { x: center.x + at.x, y: center.y + at.y };
  });
}

function expectPoints(received: readonly Point[], expected: readonly Point[]): void {
  expect(received).toHaveLength(expected.length);
  received.forEach(({ x, y }, i) => {
    expect(x).toBeCloseTo(expected[i].x, 3);
    expect(y).toBeCloseTo(expected[i].y, 3);
  });
}

describe(findLandmarks68.name, () => {
  it.each([
    ['square', { x: 40, y: 60, width: 50, height: 50 }],
    ['tall', { x: 40, y: 60, width: 30, height: 50 }],
    ['wide', { x: 40, y: 60, width: 70.5, height: 21 }],
    ['outside the image', { x: -70, y: 180, width: 64, height: 60 }],
  ])('maps the fractions of the crops into the image for a box that is %s', async (_, box) => {
    const [points] = await findLandmarks68(black, [box], sessionOf([face(0), face(4)]), input());
    expectPoints(points, inSecond(inBox(box, face(0)), 0, face(4)));
  });

  it('shows the network a square around the box', async () => {
    // The left half of the image is red, the right half blue; the box lies across, higher than wide.
    const image = { data: new Uint8Array(200 * 200 * 3), width: 200, height: 200 };
    for (let i = 0; i < 200 * 200; i++) image.data[i * 3 + (i % 200 < 100 ? 0 : 2)] = 255;
    const session = sessionOf([face(0), face(0)]);
    // 16 pixels square around it: from 96 to 112.
    await findLandmarks68(image, [{ x: 100, y: 50, width: 8, height: 16 / 1.2 }], session, input());
    const row = Array.from({ length: SIZE }, (_, x) =>
      Array.from(session.seen[0].subarray(x * 3, x * 3 + 3)),
    );
    expect(row).toEqual([...Array(4).fill([255, 0, 0]), ...Array(12).fill([0, 0, 255])]);
  });

  it.each([0, 9.5, -40, 90, 180])(
    'maps the second look back through the turned square around the points of the first (%d degrees)',
    async (degrees) => {
      const box = { x: 30, y: 50, width: 80, height: 60 };
      const session = sessionOf([face(degrees), face(3)]);
      const [points] = await findLandmarks68(black, [box], session, input());
      expect(session.batches).toEqual([1, 1]);
      expectPoints(points, inSecond(inBox(box, face(degrees)), degrees, face(3)));
    },
  );

  it('cuts the first square out turned, where the roll is known', async () => {
    const box = { x: 60, y: 50, width: 80, height: 60 };
    const session = sessionOf([face(0), face(3)]);
    const [points] = await findLandmarks68(black, [box], session, input(), radians(-70));
    expectPoints(points, inSecond(inBox(box, face(0), -70), -70, face(3)));
  });

  it('shows the rolled face upright on the second look', async () => {
    // White above a line at 30 degrees through the center of the second square; black below.
    const box = { x: 60, y: 60, width: 80, height: 80 };
    const { center } = secondSquare(inBox(box, face(30)), 30);
    const image = { data: new Uint8Array(200 * 200 * 3), width: 200, height: 200 };
    for (let y = 0; y < 200; y++) {
      for (let x = 0; x < 200; x++) {
        const below = -Math.sin(radians(30)) * (x - center.x) + Math.cos(radians(30)) * (y - center.y);
        if (below < 0) image.data.fill(255, (y * 200 + x) * 3, (y * 200 + x) * 3 + 3);
      }
    }
    const session = sessionOf([face(30), face(0)]);
    await findLandmarks68(image, [box], session, input());
    const [first, second] = session.seen;
    for (let x = 0; x < SIZE; x++) {
      const at = (y: number) => second[(y * SIZE + x) * 3];
      expect([at(0), at(6), at(9), at(15)]).toEqual([255, 255, 0, 0]);
    }
    // In the first pass, the line was not level.
    expect(new Set(Array.from({ length: SIZE }, (_, x) => first[(5 * SIZE + x) * 3])).size).toBeGreaterThan(
      1,
    );
  });

  it.each([1, 3, 8])('keeps every face in its place, in batches of %d', async (maxBatch) => {
    const boxes = [0, 1, 2, 3].map((i) => ({ x: 10 + 40 * i, y: 20, width: 40, height: 40 }));
    const rolls = [0, 25, 2, -60];
    const second = [face(0), face(1), face(-3), face(4)];
    const session = sessionOf([...rolls.map(face), ...second]);
    const found = await findLandmarks68(black, boxes, session, input(maxBatch));
    expect(session.seen).toHaveLength(8);
    boxes.forEach((box, i) =>
      expectPoints(found[i], inSecond(inBox(box, face(rolls[i])), rolls[i], second[i])),
    );
  });
});

describe(fiveOf68.name, () => {
  it('takes the middles of the eyes, the tip of the nose and the corners of the mouth', () => {
    const points = Array.from({ length: 68 }, (_, i) => ({ x: i, y: 100 - i }));
    expect(fiveOf68(points).map(({ x }) => x)).toEqual([38.5, 44.5, 30, 48, 54]);
    expect(fiveOf68(points).map(({ y }) => y)).toEqual([61.5, 55.5, 70, 52, 46]);
  });
});

describe(rollOfEyes.name, () => {
  it.each([
    [10, 0, 0],
    [0, 10, 90],
    [-10, 0, 180],
    [5, -5, -45],
  ])('is the angle of the line to the other eye, clockwise: (%d, %d) %d degrees', (x, y, degrees) => {
    expect(rollOfEyes({ x: 3, y: 4 }, { x: 3 + x, y: 4 + y })).toBeCloseTo(radians(degrees));
  });
});

describe(middle.name, () => {
  it('gives the mean of the points', () => {
    const points = [
      { x: 0, y: 9 },
      { x: 3, y: -3 },
      { x: 6, y: 0 },
    ];
    expect(middle(points)).toEqual({ x: 3, y: 2 });
  });
});
