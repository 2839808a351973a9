import { cardInput } from '../../test/support/card-input';
import type { BoundingBox, Point } from './face.types';
import { findLandmarks68, middle } from './landmarks-68';
import type { TensorSession } from './tensor-session';

const SIZE = 16;
const input = (maxBatch = 8) => cardInput(SIZE, SIZE, { maxBatch });
const black = { data: new Uint8Array(200 * 200 * 3), width: 200, height: 200 };
const radians = (degrees: number) => (degrees * Math.PI) / 180;

/** Points in fractions of a crop, all about the middle of it; the eyes are rolled by so many degrees. */
function face(degrees: number): Point[] {
  const points = Array.from({ length: 68 }, (_, i) => ({ x: 0.3 + (i % 8) / 20, y: 0.3 + (i % 9) / 20 }));
  const [dx, dy] = [0.2 * Math.cos(radians(degrees)), 0.2 * Math.sin(radians(degrees))];
  for (let i = 36; i < 42; i++) points[i] = { x: 0.5 - dx, y: 0.4 - dy };
  for (let i = 42; i < 48; i++) points[i] = { x: 0.5 + dx, y: 0.4 + dy };
  return points;
}

/** Answers the crops, over all runs, with these faces in turn. */
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

/** Where fractions of the square around a box lie in the image. */
function inBox(box: BoundingBox, points: readonly Point[]): Point[] {
  const side = Math.max(box.width, box.height);
  return points.map(({ x, y }) => ({
    x: box.x + box.width / 2 + (x - 0.5) * side - 0.5,
    y: box.y + box.height / 2 + (y - 0.5) * side - 0.5,
  }));
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
  ])('maps the fractions of the crop into the image for a box that is %s', async (_, box) => {
    const [points] = await findLandmarks68(black, [box], sessionOf([face(0)]), input());
    expectPoints(points, inBox(box, face(0)));
  });

  it('shows the network the square around the box', async () => {
    // The left half of the image is red, the right half blue; the box lies across, higher than wide.
    const image = { data: new Uint8Array(200 * 200 * 3), width: 200, height: 200 };
    for (let i = 0; i < 200 * 200; i++) image.data[i * 3 + (i % 200 < 100 ? 0 : 2)] = 255;
    const session = sessionOf([face(0)]);
    // 16 pixels square around it: from 96 to 112.
    await findLandmarks68(image, [{ x: 100, y: 50, width: 8, height: 16 }], session, input());
    const row = Array.from({ length: SIZE }, (_, x) =>
      Array.from(session.seen[0].subarray(x * 3, x * 3 + 3)),
    );
    expect(row).toEqual([...Array(4).fill([255, 0, 0]), ...Array(12).fill([0, 0, 255])]);
  });

  it.each([
    [9.5, 1],
    [-9.5, 1],
    [10.5, 2],
    [-10.5, 2],
    [90, 2],
    [180, 2],
  ])('looks at a face rolled by %d degrees %d time(s)', async (degrees, runs) => {
    const session = sessionOf([face(degrees), face(0)]);
    await findLandmarks68(black, [{ x: 50, y: 50, width: 60, height: 60 }], session, input());
    expect(session.batches).toEqual(Array(runs).fill(1));
  });

  it('maps the second look back through the turned square around the points of the first', async () => {
    const box = { x: 30, y: 50, width: 80, height: 60 };
    const [points] = await findLandmarks68(black, [box], sessionOf([face(40), face(3)]), input());
    const center = middle(inBox(box, face(40)));
    const [cos, sin] = [Math.cos(radians(40)), Math.sin(radians(40))];
    expectPoints(
      points,
      face(3).map(({ x, y }) => ({
        x: center.x + 80 * (cos * (x - 0.5) - sin * (y - 0.5)),
        y: center.y + 80 * (sin * (x - 0.5) + cos * (y - 0.5)),
      })),
    );
  });

  it('shows the rolled face upright on the second look', async () => {
    // White above a line that is turned by 30 degrees through the middle of the points; black below.
    const box = { x: 60, y: 60, width: 80, height: 80 };
    const center = middle(inBox(box, face(30)));
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
    // On the first look the line was not level.
    expect(new Set(Array.from({ length: SIZE }, (_, x) => first[(5 * SIZE + x) * 3])).size).toBeGreaterThan(
      1,
    );
  });

  it('looks again at the rolled faces only, and keeps every face in its place', async () => {
    const boxes = [0, 1, 2, 3].map((i) => ({ x: 10 + 40 * i, y: 20, width: 40, height: 40 }));
    const first = [face(0), face(25), face(2), face(-60)];
    for (const maxBatch of [1, 3, 8]) {
      const session = sessionOf([...first, face(1), face(4)]);
      const found = await findLandmarks68(black, boxes, session, input(maxBatch));
      expect(session.seen).toHaveLength(6);
      expectPoints(found[0], inBox(boxes[0], face(0)));
      expectPoints(found[2], inBox(boxes[2], face(2)));
      // The middle of a second look lies where the network saw it in the square around the first look's middle.
      [
        { at: 1, roll: 25, seen: face(1) },
        { at: 3, roll: -60, seen: face(4) },
      ].forEach(({ at, roll, seen }) => {
        const center = middle(inBox(boxes[at], face(roll)));
        const { x, y } = middle(seen);
        const [cos, sin] = [Math.cos(radians(roll)), Math.sin(radians(roll))];
        expectPoints(
          [middle(found[at])],
          [
            {
              x: center.x + 40 * (cos * (x - 0.5) - sin * (y - 0.5)),
              y: center.y + 40 * (sin * (x - 0.5) + cos * (y - 0.5)),
            },
          ],
        );
      });
    }
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
