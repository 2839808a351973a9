import { measureFaces, measureSquare } from './face-quality';
import type { BoundingBox, Landmarks } from './face.types';
import type { RgbImage } from './image/rgb-image';

const SIZE = 112;

function square(gray: (x: number, y: number) => number): Uint8Array {
  const pixels = new Uint8Array(SIZE * SIZE * 3);
  for (let i = 0; i < SIZE * SIZE; i++) {
    pixels.fill(gray(i % SIZE, Math.floor(i / SIZE)), i * 3, i * 3 + 3);
  }
  return pixels;
}

describe(measureSquare.name, () => {
  it('finds no detail in an even square and in an even slope', () => {
    expect(measureSquare(square(() => 51))).toEqual({
      sharpness: expect.closeTo(0),
      brightness: expect.closeTo(0.2),
    });
    expect(measureSquare(square((x) => 2 * x)).sharpness).toBeCloseTo(0);
  });

  it('is the variance of the Laplacian', () => {
    // Of a chequerboard of 100 and 140 the Laplacian is 4 * 40 and -4 * 40 in turn.
    const { sharpness, brightness } = measureSquare(square((x, y) => ((x + y) % 2 === 0 ? 100 : 140)));
    expect(sharpness).toBeCloseTo(160 ** 2);
    expect(brightness).toBeCloseTo(120 / 255);
  });

  it('does not look at what is around the face', () => {
    const face = (x: number, y: number) => x >= 20 && x < 92 && y >= 32 && y < 104;
    const framed = measureSquare(square((x, y) => (face(x, y) ? 128 : (x * 37 + y * 91) % 256)));
    expect(framed).toEqual({ sharpness: expect.closeTo(0), brightness: expect.closeTo(128 / 255) });
  });

  it('weighs colors as the eye does', () => {
    const green = new Uint8Array(SIZE * SIZE * 3);
    for (let i = 1; i < green.length; i += 3) green[i] = 255;
    expect(measureSquare(green).brightness).toBeCloseTo(0.587);
  });
});

describe(measureFaces.name, () => {
  /** Black on the left half, a chequerboard of 4-pixel fields on the right. */
  const image: RgbImage = {
    width: 600,
    height: 300,
    data: Uint8Array.from({ length: 600 * 300 * 3 }, (_, i) => {
      const x = Math.floor(i / 3) % 600;
      const y = Math.floor(i / 3 / 600);
      return x < 300 ? 0 : ((x >> 2) + (y >> 2)) % 2 === 0 ? 60 : 200;
    }),
  };
  const at = (dx: number): { box: BoundingBox; landmarks: Landmarks } => ({
    box: { x: dx, y: 0, width: 112, height: 112 },
    landmarks: [
      { x: dx + 38, y: 80 },
      { x: dx + 74, y: 80 },
      { x: dx + 56, y: 100 },
      { x: dx + 41, y: 121 },
      { x: dx + 71, y: 121 },
    ],
  });

  it('measures each face by itself, in order', () => {
    const [dark, detailed] = measureFaces(image, [at(80), at(400)]);
    expect(dark).toEqual({ sharpness: 0, brightness: 0 });
    expect(detailed?.brightness).toBeCloseTo(130 / 255, 1);
    expect(detailed?.sharpness).toBeGreaterThan(1000);
    expect(measureFaces(image, [])).toEqual([]);
    // Without landmarks, the position of the face is unknown; the other faces are still measured.
    const unlocated = { ...at(80), landmarks: null };
    expect(measureFaces(image, [unlocated, at(80)])).toEqual([null, dark]);
  });
});
