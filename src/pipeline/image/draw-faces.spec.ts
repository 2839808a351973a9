import sharp from 'sharp';
import { IMAGE_LIMITS } from '../../../test/support/image-fixtures';
import { drawFaces, paintFaces } from './draw-faces';
import type { FaceDetection } from '../face.types';
import { MAX_DECODED_SIDE, type RgbImage } from './rgb-image';

const GRAY = 128;

function grayImage(width: number, height: number): RgbImage {
  return { data: new Uint8Array(width * height * 3).fill(GRAY), width, height };
}

function faceAt(x: number, y: number, size: number): FaceDetection {
  const point = (fx: number, fy: number) => ({ x: x + fx * size, y: y + fy * size });
  return {
    box: { x, y, width: size, height: size },
    landmarks: [point(0.3, 0.4), point(0.7, 0.4), point(0.5, 0.6), point(0.35, 0.8), point(0.65, 0.8)],
    detectionScore: 0.98,
    alignmentScore: 0.9,
  };
}

function isPainted({ data, width }: RgbImage, x: number, y: number): boolean {
  return [0, 1, 2].some((channel) => data[(y * width + x) * 3 + channel] !== GRAY);
}

function paintedCount(image: RgbImage): number {
  let count = 0;
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++) if (isPainted(image, x, y)) count++;
  }
  return count;
}

describe(paintFaces.name, () => {
  it('paints the edges of the box and the landmarks, and nothing between or far away', () => {
    const image = grayImage(200, 160);
    paintFaces(image, [faceAt(60, 50, 80)]);
    for (const [x, y] of [
      [60, 50],
      [139, 50],
      [60, 129],
      [139, 129],
      [100, 50],
      [60, 90],
      [139, 90],
      [84, 82],
      [100, 98],
    ]) {
      expect([x, y, isPainted(image, x, y)]).toEqual([x, y, true]);
    }
    for (const [x, y] of [
      [59, 90],
      [140, 90],
      [100, 130],
      [100, 70],
      [5, 5],
      [195, 155],
    ]) {
      expect([x, y, isPainted(image, x, y)]).toEqual([x, y, false]);
    }
  });

  it('writes the detection score above the box, and inside where there is no room above', () => {
    const withRoom = grayImage(200, 160);
    paintFaces(withRoom, [faceAt(60, 50, 80)]);
    expect(isPainted(withRoom, 62, 45)).toBe(true);
    const withoutRoom = grayImage(200, 160);
    paintFaces(withoutRoom, [faceAt(60, 0, 80)]);
    expect(isPainted(withoutRoom, 64, 4)).toBe(true);
  });

  it('writes different scores differently', () => {
    const [high, low] = [0.98, 0.5].map((detectionScore) => {
      const image = grayImage(100, 100);
      paintFaces(image, [{ ...faceAt(20, 40, 50), detectionScore }]);
      return image;
    });
    expect(Buffer.compare(high.data, low.data)).not.toBe(0);
  });

  it('keeps to the image where a face leaves it', () => {
    const image = grayImage(100, 100);
    paintFaces(image, [faceAt(-40, -40, 80), faceAt(70, 70, 80)]);
    expect(image.data).toHaveLength(100 * 100 * 3);
    expect(isPainted(image, 39, 20)).toBe(true);
    expect(isPainted(image, 70, 90)).toBe(true);
    // A box that leaves the image on the right must not come in again on the left.
    expect(isPainted(image, 0, 90)).toBe(false);
    const outside = grayImage(100, 100);
    paintFaces(outside, [faceAt(-300, 300, 80)]);
    expect(paintedCount(outside)).toBeLessThan(500);
  });
});

describe(drawFaces.name, () => {
  const jpeg = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: { r: GRAY, g: GRAY, b: GRAY } } }).jpeg();
  const decode = async (png: Buffer): Promise<RgbImage> => {
    const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    return { data, width: info.width, height: info.height };
  };

  it('keeps the size of the image', async () => {
    const image = await decode(
      await drawFaces(await jpeg(120, 90).toBuffer(), [faceAt(30, 20, 50)], IMAGE_LIMITS),
    );
    expect([image.width, image.height]).toEqual([120, 90]);
    expect(isPainted(image, 30, 40)).toBe(true);
    expect(isPainted(image, 110, 80)).toBe(false);
  });

  it('draws over the upright image', async () => {
    const onItsSide = await jpeg(120, 90).withMetadata({ orientation: 6 }).toBuffer();
    const { width, height } = await decode(await drawFaces(onItsSide, [], IMAGE_LIMITS));
    expect([width, height]).toEqual([90, 120]);
  });

  it('scales the faces where the image is decoded smaller', async () => {
    const side = 2 * MAX_DECODED_SIDE;
    const bytes = await jpeg(side, 200).toBuffer();
    const image = await decode(await drawFaces(bytes, [faceAt(side - 200, 60, 100)], IMAGE_LIMITS));
    expect([image.width, image.height]).toEqual([MAX_DECODED_SIDE, 100]);
    expect(isPainted(image, MAX_DECODED_SIDE - 100, 55)).toBe(true);
    expect(isPainted(image, MAX_DECODED_SIDE - 40, 55)).toBe(false);
  });
});
