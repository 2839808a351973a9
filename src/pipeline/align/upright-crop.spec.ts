import type { BoundingBox, Landmarks, Point } from '../face.types';
import type { RgbImage } from '../image/rgb-image';
import { cropUpright } from './upright-crop';

type Channels = (x: number, y: number) => [red: number, green: number, blue: number];

function paint(width: number, height: number, color: Channels): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data.set(color(x, y).map(Math.round), (y * width + x) * 3);
  }
  return { data, width, height };
}

function crop(
  image: RgbImage,
  box: BoundingBox,
  landmarks: Landmarks | null,
  [width, height]: [number, number],
): { at: (x: number, y: number) => number[]; red: (y: number) => number[]; bytes: Uint8Array } {
  const bytes = new Uint8Array(width * height * 3);
  cropUpright(image, box, landmarks, width, height, bytes, 0);
  const at = (x: number, y: number) =>
    Array.from(bytes.subarray((y * width + x) * 3, (y * width + x) * 3 + 3));
  return { at, red: (y) => Array.from({ length: width }, (_, x) => at(x, y)[0]), bytes };
}

const gray =
  (value: (x: number, y: number) => number): Channels =>
  (x, y) => [value(x, y), value(x, y), value(x, y)];
const box = (x: number, y: number, width: number, height: number): BoundingBox => ({ x, y, width, height });

/** Eyes at an angle, clockwise on the screen, 20 on either side of a point, in whole pixels. */
function eyesAt({ x, y }: Point, angle: number): Landmarks {
  const eye = (side: number) => ({
    x: Math.round(x + side * 20 * Math.cos(angle)),
    y: Math.round(y + side * 20 * Math.sin(angle)),
  });
  return [eye(-1), eye(1), { x, y }, { x, y }, { x, y }];
}

describe(cropUpright.name, () => {
  const numbered = paint(20, 20, (x, y) => [x * 10, y * 10, x + y]);

  it('cuts out the pixels of a box as they are where it has the size of the output', () => {
    const { at } = crop(numbered, box(3, 5, 4, 6), null, [4, 6]);
    for (let y = 0; y < 6; y++) {
      for (let x = 0; x < 4; x++) expect(at(x, y)).toEqual([(x + 3) * 10, (y + 5) * 10, x + y + 8]);
    }
  });

  it('takes whole pixels of the box, cut off', () => {
    const whole = crop(numbered, box(3, 5, 4, 6), null, [8, 12]);
    expect(crop(numbered, box(3.9, 5.99, 4.9, 6.5), null, [8, 12]).bytes).toEqual(whole.bytes);
    expect(crop(numbered, box(2.9, 5, 4, 6), null, [8, 12]).bytes).not.toEqual(whole.bytes);
  });

  it('enlarges with pixel centers at halves, and the edge for what is outside', () => {
    const image = paint(
      2,
      2,
      gray((x, y) => 100 * x + 40 * y),
    );
    const { red } = crop(image, box(0, 0, 2, 2), null, [4, 4]);
    // Output 0 to 3 lies at -0.25, 0.25, 0.75 and 1.25: weights of the second pixel 0, 1/4, 3/4, 1.
    expect([0, 1, 2, 3].map(red)).toEqual([
      [0, 25, 75, 100],
      [10, 35, 85, 110],
      [30, 55, 105, 130],
      [40, 65, 115, 140],
    ]);
  });

  it('shrinks without antialiasing: of three pixels it reads the middle one', () => {
    const image = paint(
      6,
      6,
      gray((x, y) => [10, 20, 200, 40, 50, 250][x] + (y === 1 || y === 4 ? 0 : 5)),
    );
    // Output 0 and 1 lie at 1 and 4.
    const { red } = crop(image, box(0, 0, 6, 6), null, [2, 2]);
    expect([red(0), red(1)]).toEqual([
      [20, 50],
      [20, 50],
    ]);
  });

  it('halves by the mean of four pixels', () => {
    const image = paint(4, 4, (x, y) => [x * 20 + y * 4, 0, 0]);
    const { red } = crop(image, box(0, 0, 4, 4), null, [2, 2]);
    expect([red(0), red(1)]).toEqual([
      [12, 52],
      [20, 60],
    ]);
  });

  describe('letterboxes', () => {
    const white = paint(
      300,
      300,
      gray(() => 255),
    );
    /** First and last white column and row. */
    const extent = (size: [number, number], output: [number, number]) => {
      const { at } = crop(white, box(10, 10, ...size), null, output);
      const [width, height] = output;
      const columns = [...Array(width).keys()].filter((x) => at(x, height >> 1)[0] === 255);
      const rows = [...Array(height).keys()].filter((y) => at(width >> 1, y)[0] === 255);
      const white255 = (list: number[]) => [list[0], list.at(-1), list.length];
      return { columns: white255(columns), rows: white255(rows) };
    };

    it.each<[string, [number, number], [number, number], { columns: number[]; rows: number[] }]>([
      ['a tall face', [50, 100], [224, 224], { columns: [56, 167, 112], rows: [0, 223, 224] }],
      ['a wide face', [100, 50], [224, 224], { columns: [0, 223, 224], rows: [56, 167, 112] }],
      // 100 * 55 / 130 is 42.3; 47 - 42 is 5, of which 2 are on the left.
      ['on a tall input', [100, 130], [47, 55], { columns: [2, 43, 42], rows: [0, 54, 55] }],
      // 70 * 47 / 60 is 54.8; one row is left, and it is at the bottom.
      ['by the width', [60, 70], [47, 55], { columns: [0, 46, 47], rows: [0, 53, 54] }],
      // In double precision, 55 * (112 / 55) is slightly below 112, so truncation loses a pixel of either side.
      ['a product cut off', [55, 55], [112, 112], { columns: [0, 110, 111], rows: [0, 110, 111] }],
    ])('%s', (_, size, output, expected) => {
      expect(extent(size, output)).toEqual(expected);
    });

    it('keeps a pixel of a face that is as thin as a line', () => {
      expect(extent([0.4, 250], [40, 40]).columns[2]).toBe(1);
    });
  });

  it('is black outside the image, and starts at the given position', () => {
    const white = paint(
      30,
      30,
      gray(() => 255),
    );
    const { red } = crop(white, box(-4, 24, 10, 10), null, [10, 10]);
    expect(red(0)).toEqual([0, 0, 0, 0, 255, 255, 255, 255, 255, 255]);
    expect(red(5)).toEqual(red(0));
    expect(red(6)).toEqual(Array(10).fill(0));
    expect(new Set(crop(white, box(100, 100, 8, 8), null, [8, 8]).bytes)).toEqual(new Set([0]));
    const output = new Uint8Array(3 * 12);
    cropUpright(white, box(0, 0, 2, 2), null, 2, 2, output, 12);
    expect(Array.from(output)).toEqual([...Array(12).fill(0), ...Array(12).fill(255), ...Array(12).fill(0)]);
  });

  it('turns by a quarter exactly where the eyes stand one above the other', () => {
    // The image-right eye is below: the face lies on its side, and is rotated back, counter-clockwise.
    const down = eyesAt({ x: 10, y: 10 }, Math.PI / 2);
    const { at } = crop(numbered, box(6, 6, 7, 7), down, [7, 7]);
    // Its center is pixel (9, 9). Pixels right of it on the crop are below it in the image.
    for (let y = 0; y < 7; y++) {
      for (let x = 0; x < 7; x++) {
        const source = { x: 9 - (y - 3), y: 9 + (x - 3) };
        expect(at(x, y)).toEqual([source.x * 10, source.y * 10, source.x + source.y]);
      }
    }
  });

  it('stands a face on its head upright', () => {
    const { at } = crop(numbered, box(6, 6, 7, 7), eyesAt({ x: 10, y: 10 }, Math.PI), [7, 7]);
    expect([at(0, 0), at(6, 0), at(3, 3)]).toEqual([
      [120, 120, 24],
      [60, 120, 18],
      [90, 90, 18],
    ]);
  });

  it.each([-170, -120, -75, -30, -8, 8, 30, 75, 120, 170])(
    'makes the eyes level that are at %d degrees',
    (roll) => {
      const middle = { x: 80, y: 75 };
      const landmarks = eyesAt(middle, (roll * Math.PI) / 180);
      const [left, right] = landmarks;
      const near = (a: Point, x: number, y: number) => Math.max(0, 255 - 60 * Math.hypot(x - a.x, y - a.y));
      const image = paint(160, 160, (x, y) => [near(left, x, y), near(right, x, y), 0]);
      const { at } = crop(image, box(50, 50, 60, 60), landmarks, [120, 120]);
      const center = (channel: number) => {
        let [sum, sumX, sumY] = [0, 0, 0];
        for (let y = 0; y < 120; y++) {
          for (let x = 0; x < 120; x++) {
            const value = at(x, y)[channel];
            sum += value;
            sumX += x * value;
            sumY += y * value;
          }
        }
        return { x: sumX / sum, y: sumY / sum };
      };
      // Enlarged twice.
      expect(Math.abs(center(0).y - center(1).y)).toBeLessThan(0.2);
      const distance = 2 * Math.hypot(right.x - left.x, right.y - left.y);
      expect(Math.abs(center(1).x - center(0).x - distance)).toBeLessThan(0.4);
    },
  );

  /** Expected value by formula: cubic convolution over the neighboring whole pixels. */
  function reference(image: RgbImage, face: BoundingBox, angle: number, a: number) {
    const kernel = (d: number) => {
      const t = Math.abs(d);
      if (t >= 2) return 0;
      return t <= 1
        ? (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1
        : a * t ** 3 - 5 * a * t ** 2 + 8 * a * t - 4 * a;
    };
    const middle = { x: face.x + face.width / 2, y: face.y + face.height / 2 };
    return (x: number, y: number) => {
      const dx = face.x + x - middle.x;
      const dy = face.y + y - middle.y;
      const to32nd = (value: number) => Math.round(value * 32) / 32;
      const sx = to32nd(middle.x + Math.cos(angle) * dx - Math.sin(angle) * dy);
      const sy = to32nd(middle.y + Math.sin(angle) * dx + Math.cos(angle) * dy);
      let sum = 0;
      for (let v = 0; v < image.height; v++) {
        if (Math.abs(v - sy) >= 2) continue;
        for (let u = 0; u < image.width; u++) {
          sum += kernel(u - sx) * kernel(v - sy) * image.data[(v * image.width + u) * 3];
        }
      }
      return Math.min(255, Math.max(0, sum));
    };
  }

  it('turns by cubic convolution with a of -0.75', () => {
    // Fine enough to distinguish kernels, coarse enough to ignore a 32nd of a pixel.
    const image = paint(
      80,
      80,
      gray((x, y) => 128 + 60 * Math.sin(x * 1.1) + 60 * Math.cos(y * 0.9)),
    );
    const face = box(20, 22, 40, 36);
    // 28 right and 11 down, both whole: the angle is exact.
    const landmarks: Landmarks = [
      { x: 26, y: 30 },
      { x: 54, y: 41 },
      { x: 0, y: 0 },
      { x: 0, y: 0 },
      { x: 0, y: 0 },
    ];
    const { at } = crop(image, face, landmarks, [40, 36]);
    // Fills the width; 36 rows of 36 and 40 columns of 40: no resize.
    const meanDifference = (a: number) => {
      const expected = reference(image, face, Math.atan2(11, 28), a);
      let sum = 0;
      for (let y = 0; y < 36; y++) {
        for (let x = 0; x < 40; x++) sum += Math.abs(at(x, y)[0] - expected(x, y));
      }
      return sum / (36 * 40);
    };
    expect(meanDifference(-0.75)).toBeLessThan(0.5);
    expect(meanDifference(-0.5)).toBeGreaterThan(1.5);
  });

  it('does not look at pixels further from the box than half of its size', () => {
    const face = box(100, 100, 20, 80);
    const landmarks = eyesAt({ x: 110, y: 130 }, Math.PI / 2);
    const inside = (x: number, y: number) => x >= 90 && x < 130 && y >= 60 && y < 220;
    const all = paint(
      300,
      300,
      gray(() => 255),
    );
    const part = paint(
      300,
      300,
      gray((x, y) => (inside(x, y) ? 255 : 0)),
    );
    const turned = crop(all, face, landmarks, [20, 80]);
    expect(turned.bytes).toEqual(crop(part, face, landmarks, [20, 80]).bytes);
    // Sideways, it is wider than the rotated part: black above and below.
    expect([turned.at(10, 0)[0], turned.at(10, 40)[0], turned.at(10, 79)[0]]).toEqual([0, 255, 0]);
  });
});
