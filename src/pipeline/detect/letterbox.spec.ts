import { cardInput } from '../../../test/support/card-input';
import { seededRange } from '../../../test/support/seeded-random';
import type { CardInput, DetectionPass } from '../../models/model-card';
import type { RgbImage } from '../image/rgb-image';
import { type Letterbox, letterbox } from './letterbox';

const input = (extra: Partial<CardInput> = {}) => cardInput(64, 64, extra);
const pass = (border: number, inputSide?: number): DetectionPass => ({
  border,
  minDetectionScore: 0.5,
  inputSide,
});
/** Red encodes the column, green the row. */
function ramp(width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data.set([x, y, 255], (y * width + x) * 3);
  }
  return { data, width, height };
}
const pixel = ({ data, width }: RgbImage, x: number, y: number) =>
  Array.from(data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3));
const sizes = ({ width, height, offset }: Letterbox) => [width, height, offset];

describe(letterbox.name, () => {
  it('hands on the very pixels of an image that fills the canvas', async () => {
    const image = ramp(64, 64);
    const canvas = await letterbox(image, input(), pass(0), 1);
    expect(canvas).toEqual({ data: image.data, width: 64, height: 64, scaleX: 1, scaleY: 1, offset: 0 });
    expect(canvas.data).toBe(image.data);
  });

  it('copies a small image unscaled to the top left, black to the right and below, without enlarging', async () => {
    const image = ramp(20, 10);
    const canvas = await letterbox(image, input(), pass(0), Infinity);
    for (let y = 0; y < 64; y++) {
      for (let x = 0; x < 64; x++) {
        expect(pixel(canvas, x, y)).toEqual(x < 20 && y < 10 ? [x, y, 255] : [0, 0, 0]);
      }
    }
  });

  it('shrinks a large image even where it may not enlarge', async () => {
    const [may, mayNot] = await Promise.all(
      [1, Infinity].map((enlargeFrom) => letterbox(ramp(128, 96), input(), pass(0), enlargeFrom)),
    );
    expect(mayNot).toEqual(may);
    expect([may.scaleX, may.scaleY]).toEqual([0.5, 0.5]);
  });

  it('makes the border a fraction of the longer side, on both axes', async () => {
    // 64 / (100 * 2) = 0.32: 32 x 16 pixels, and a border of half of 32.
    const canvas = await letterbox(ramp(100, 50), input(), pass(0.5), 1);
    expect(sizes(canvas)).toEqual([64, 64, 16]);
    const isBlack = (x: number, y: number) => pixel(canvas, x, y).every((value) => value === 0);
    expect([isBlack(15, 20), isBlack(20, 15), isBlack(48, 20), isBlack(20, 32)]).toEqual(Array(4).fill(true));
    expect([isBlack(16, 16), isBlack(47, 16), isBlack(16, 31), isBlack(47, 31)]).toEqual(
      Array(4).fill(false),
    );
  });

  it.each([
    [ramp(100, 50), 16],
    [ramp(50, 100), 16],
    [ramp(100, 100), 16],
  ])('takes the longer side for the border, be it the width or the height (%#)', async (image, offset) => {
    const canvas = await letterbox(image, input(), pass(0.5), 1);
    expect(sizes(canvas)).toEqual([64, 64, offset]);
    expect(pixel(canvas, offset, offset)[2]).toBe(255);
    expect(pixel(canvas, offset - 1, offset)).toEqual([0, 0, 0]);
  });

  it('keeps small images their size with a border, without enlarging', async () => {
    const canvas = await letterbox(ramp(20, 10), input(), pass(0.3), Infinity);
    expect(canvas).toMatchObject({ scaleX: 1, scaleY: 1, offset: 6 });
    expect(pixel(canvas, 6, 6)).toEqual([0, 0, 255]);
    expect(pixel(canvas, 25, 15)).toEqual([19, 9, 255]);
  });

  it.each([
    // Image, requested longest side, minimum enlargement, canvas.
    [ramp(64, 32), undefined, Infinity, [64, 32, 0]],
    [ramp(64, 33), undefined, Infinity, [64, 64, 0]],
    [ramp(65, 10), undefined, Infinity, [64, 32, 0]],
    [ramp(16, 8), undefined, 1, [64, 32, 0]],
    [ramp(16, 8), undefined, Infinity, [32, 32, 0]],
    [ramp(160, 40), 128, Infinity, [128, 32, 0]],
    [ramp(16, 8), 96, 1, [96, 64, 0]],
    [ramp(8, 16), 96, 1, [64, 96, 0]],
    [ramp(72, 32), 96, 4 / 3, [96, 64, 0]],
    [ramp(73, 32), 96, 4 / 3, [96, 32, 0]],
  ] as const)(
    'takes the next multiple of 32 on each axis where the size is open (%#)',
    async (image, side, enlargeFrom, expected) => {
      const canvas = await letterbox(image, input({ multipleOf: 32 }), pass(0, side), enlargeFrom);
      expect(sizes(canvas)).toEqual(expected);
      expect(canvas.data).toHaveLength(expected[0] * expected[1] * 3);
    },
  );

  it('counts the border on both sides of an open size', async () => {
    // 40 x 20 kept, with 20 on each side: 80 and 60, up to 96 and 64.
    const canvas = await letterbox(ramp(40, 20), input({ multipleOf: 32, width: 320 }), pass(0.5), Infinity);
    expect(sizes(canvas)).toEqual([96, 64, 20]);
  });

  it('puts what a pass makes smaller than a fixed canvas to its top left', async () => {
    const canvas = await letterbox(ramp(64, 64), input(), pass(0, 32), 1);
    expect(canvas).toMatchObject({ width: 64, height: 64, scaleX: 0.5, scaleY: 0.5 });
    expect(pixel(canvas, 31, 31)[2]).toBe(255);
    expect(pixel(canvas, 32, 31)).toEqual([0, 0, 0]);
  });

  it('keeps at least one row of a very flat image', async () => {
    const canvas = await letterbox(ramp(200, 1), input(), pass(0), 1);
    expect(canvas.scaleY).toBe(1);
    expect(pixel(canvas, 30, 0)[2]).toBe(255);
    expect(pixel(canvas, 30, 1)[2]).toBe(0);
  });

  it('shows at canvas = image * scale + offset what the image has there', async () => {
    const range = seededRange(11);
    for (let round = 0; round < 20; round++) {
      const image = ramp(Math.round(range(30, 250)), Math.round(range(30, 250)));
      const canvas = await letterbox(
        image,
        input(round % 2 === 0 ? {} : { multipleOf: 16 }),
        pass(range(0, 1)),
        1,
      );
      const { scaleX, scaleY, offset } = canvas;
      // Both axes have the same scale except for the rounding to whole pixels.
      expect(Math.abs(scaleX - scaleY) * Math.min(image.width, image.height)).toBeLessThanOrEqual(1.01);
      for (const fraction of [0.3, 0.5, 0.8]) {
        const [x, y] = [
          Math.floor(image.width * fraction * scaleX + offset),
          Math.floor(image.height * fraction * scaleY + offset),
        ];
        const [red, green, blue] = pixel(canvas, x, y);
        expect(blue).toBe(255);
        // Pixel centers, mapped back to the image; a ramp keeps its values when resized.
        expect(Math.abs(red - ((x + 0.5 - offset) / scaleX - 0.5))).toBeLessThanOrEqual(2);
        expect(Math.abs(green - ((y + 0.5 - offset) / scaleY - 0.5))).toBeLessThanOrEqual(2);
      }
    }
  });
});
