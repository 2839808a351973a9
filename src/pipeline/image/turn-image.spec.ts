import type { BoundingBox, Point } from '../face.types';
import { ROTATIONS, type Rotation, turnBox, turnBoxBack, turnImage, turnLandmarkBack } from './turn-image';

/** 4 x 3 pixels, each with its own red. */
const image = {
  data: Uint8Array.from({ length: 4 * 3 * 3 }, (_, i) => (i % 3 === 0 ? i / 3 : 200 + (i % 3))),
  width: 4,
  height: 3,
};

/** Rows of the red channel. */
function reds({ data, width, height }: typeof image): number[][] {
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => data[(y * width + x) * 3]),
  );
}

describe(turnImage.name, () => {
  it.each<[Rotation, number[][]]>([
    [
      0,
      [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
      ],
    ],
    [
      90,
      [
        [8, 4, 0],
        [9, 5, 1],
        [10, 6, 2],
        [11, 7, 3],
      ],
    ],
    [
      180,
      [
        [11, 10, 9, 8],
        [7, 6, 5, 4],
        [3, 2, 1, 0],
      ],
    ],
    [
      270,
      [
        [3, 7, 11],
        [2, 6, 10],
        [1, 5, 9],
        [0, 4, 8],
      ],
    ],
  ])('turns clockwise by %d degrees', (rotation, expected) => {
    const turned = turnImage(image, rotation);
    expect(reds(turned as typeof image)).toEqual(expected);
    expect(Array.from(turned.data.slice(1, 3))).toEqual([201, 202]);
  });

  it('leaves the given picture as it is', () => {
    const before = image.data.slice();
    for (const rotation of ROTATIONS) turnImage(image, rotation);
    expect(image.data).toEqual(before);
  });
});

describe.each(ROTATIONS)('turning back by %d degrees', (rotation) => {
  const turned = turnImage(image, rotation);

  it('finds the pixel that a landmark lies on', () => {
    for (let y = 0; y < turned.height; y++) {
      for (let x = 0; x < turned.width; x++) {
        const at: Point = turnLandmarkBack({ x, y }, rotation, image);
        expect(image.data[(at.y * image.width + at.x) * 3]).toBe(turned.data[(y * turned.width + x) * 3]);
      }
    }
  });

  it('finds the pixels that a box covers', () => {
    const box = { x: 1, y: 0, width: 2, height: 1 };
    const pixels = ({ x, y, width, height }: BoundingBox, of: typeof image) =>
      reds(of)
        .slice(y, y + height)
        .flatMap((row) => row.slice(x, x + width))
        .sort((a, b) => a - b);
    const back = turnBoxBack(box, rotation, image);
    expect(pixels(back, image)).toEqual(pixels(box, turned as typeof image));
  });

  it('is undone by turning the box again', () => {
    const box = { x: 1, y: 0, width: 2, height: 1 };
    expect(turnBox(turnBoxBack(box, rotation, image), rotation, image)).toEqual(box);
  });

  it('takes the whole picture for the whole picture', () => {
    const whole = { x: 0, y: 0, width: turned.width, height: turned.height };
    expect(turnBoxBack(whole, rotation, image)).toEqual({ x: 0, y: 0, width: 4, height: 3 });
  });
});
