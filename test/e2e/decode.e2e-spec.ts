import sharp from 'sharp';
import { FaceError } from '../../src/errors';
import { decodeImage, MAX_DECODED_SIDE } from '../../src/pipeline/rgb-image';
import {
  BAD_IMAGES,
  GOOD_IMAGES,
  hugePng,
  meanDifference,
  plainPng,
  PORTRAIT_SIZE,
  portraitJpeg,
  portraitPixels,
  withOrientation,
} from '../support/image-fixtures';

const MAX_PIXELS = 50_000_000;

async function refusal(bytes: Uint8Array, maxPixels = MAX_PIXELS): Promise<FaceError> {
  const error = await decodeImage(bytes, maxPixels).catch((reason: unknown) => reason);
  if (error instanceof FaceError) return error;
  throw new Error('The image was decoded.', { cause: error });
}

describe(decodeImage.name, () => {
  describe.each(GOOD_IMAGES)('$name', ({ encode, expected, maxMeanDifference }) => {
    it('becomes upright RGB of the right pixels and size', async () => {
      const image = await decodeImage(await encode(), MAX_PIXELS);
      expect(image).toMatchObject({
        width: PORTRAIT_SIZE,
        height: PORTRAIT_SIZE,
        originalWidth: PORTRAIT_SIZE,
        originalHeight: PORTRAIT_SIZE,
      });
      expect(image.data).toHaveLength(PORTRAIT_SIZE * PORTRAIT_SIZE * 3);
      const difference = meanDifference(image.data, expected);
      expect(difference).toBeLessThanOrEqual(maxMeanDifference);
    });
  });

  // What sharp wrote has to be what the names of the fixtures say, or the suite above proves nothing.
  it.each([
    ['PNG of 16 bits', { format: 'png', depth: 'ushort', channels: 3 }],
    ['grey PNG', { format: 'png', channels: 1 }],
    ['grey PNG with alpha', { format: 'png', channels: 2, hasAlpha: true }],
    ['RGBA PNG', { format: 'png', channels: 4, hasAlpha: true }],
    ['animated GIF', { format: 'gif', pages: 2 }],
    ['animated WebP', { format: 'webp', pages: 2 }],
    ['AVIF', { format: 'heif', compression: 'av1' }],
    ['CMYK JPEG', { format: 'jpeg', space: 'cmyk', channels: 4 }],
    ['JPEG with a wide-gamut profile', { format: 'jpeg', icc: expect.any(Buffer) }],
  ])('is given a real %s', async (name, facts) => {
    const fixture = GOOD_IMAGES.find((image) => image.name === name);
    expect(await sharp(await fixture?.encode()).metadata()).toMatchObject(facts);
  });

  it('blends half-transparent pixels with white', async () => {
    const pixel = await sharp(new Uint8Array([200, 100, 0, 128]), {
      raw: { width: 1, height: 1, channels: 4 },
    })
      .png()
      .toBuffer();
    const { data } = await decodeImage(pixel, MAX_PIXELS);
    [200, 100, 0].forEach((value, channel) => {
      expect(Math.abs(data[channel] - (value * 128 + 255 * 127) / 255)).toBeLessThanOrEqual(1);
    });
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('turns EXIF orientation %d upright', async (orientation) => {
    const stored = await withOrientation(await landscape(), orientation);
    expect((await sharp(stored).metadata()).orientation).toBe(orientation);
    const image = await decodeImage(stored, MAX_PIXELS);
    expect(image).toMatchObject({ width: 512, height: 300, originalWidth: 512, originalHeight: 300 });
    const upright = portraitPixels.subarray(0, 512 * 300 * 3);
    expect(meanDifference(image.data, upright)).toBeLessThan(2);
    // Stored pixels are turned or mirrored: without the orientation the picture is another one.
    if (orientation > 1) {
      const { data, info } = await sharp(stored).raw().toBuffer({ resolveWithObject: true });
      const isLikeUpright = info.width === 512 && meanDifference(data, upright) < 2;
      expect(isLikeUpright).toBe(false);
    }
  });

  it.each([
    [4096, 1024, 2048, 512],
    [1000, 3000, 683, 2048],
    [2048, 2048, 2048, 2048],
    [2049, 10, 2048, 10],
  ])('shrinks %d x %d to %d x %d and keeps the size of the file', async (w, h, width, height) => {
    const image = await decodeImage(await plainPng(w, h, '#102030'), MAX_PIXELS);
    expect(image).toMatchObject({ width, height, originalWidth: w, originalHeight: h });
    expect(Math.max(image.width, image.height)).toBeLessThanOrEqual(MAX_DECODED_SIDE);
    expect(image.data).toHaveLength(width * height * 3);
    expect([...image.data.subarray(0, 3)]).toEqual([0x10, 0x20, 0x30]);
  });

  it('gives the size of a turned large photo as it is seen', async () => {
    const stored = await withOrientation(await plainPng(3000, 1500), 6);
    expect(await decodeImage(stored, MAX_PIXELS)).toMatchObject({
      width: 2048,
      height: 1024,
      originalWidth: 3000,
      originalHeight: 1500,
    });
  });

  it('reads an image of one pixel', async () => {
    const image = await decodeImage(await plainPng(1, 1, '#c08040'), MAX_PIXELS);
    expect(image).toMatchObject({ width: 1, height: 1, originalWidth: 1, originalHeight: 1 });
    expect([...image.data]).toEqual([0xc0, 0x80, 0x40]);
  });

  describe('refuses', () => {
    it.each(BAD_IMAGES.filter(({ code }) => code !== 'IMAGE_EMPTY'))(
      '$name with $code',
      async ({ encode, code }) => {
        const error = await refusal(await encode());
        expect(error.code).toBe(code);
        expect(error.message).not.toMatch(/vips|sharp|\n/i);
      },
    );

    it('any other junk of known and unknown beginnings', async () => {
      expect((await refusal(Buffer.from('GIF89a'))).code).toBe('IMAGE_CORRUPT');
      expect((await refusal(Buffer.from([0xff, 0xd8, 0xff]))).code).toBe('IMAGE_CORRUPT');
      expect((await refusal(Buffer.alloc(4096, 7))).code).toBe('IMAGE_UNSUPPORTED');
      expect((await refusal(Buffer.from('%PDF-1.7\n'))).code).toBe('IMAGE_UNSUPPORTED');
    });

    it('too many pixels by the header alone, naming both figures', async () => {
      const error = await refusal(hugePng());
      expect(error.code).toBe('IMAGE_TOO_LARGE');
      expect(error.details).toEqual({
        maxImagePixels: MAX_PIXELS,
        imageWidth: 30_000,
        imageHeight: 30_000,
      });
    });

    it('one pixel more than the limit, and not the limit itself', async () => {
      const image = await plainPng(100, 10);
      expect((await refusal(image, 999)).code).toBe('IMAGE_TOO_LARGE');
      expect(await decodeImage(image, 1000)).toMatchObject({ width: 100, height: 10 });
    });

    it('a JPEG cut anywhere', async () => {
      const whole = await portraitJpeg();
      for (const part of [0.05, 0.3, 0.7, 0.95]) {
        const { code } = await refusal(whole.subarray(0, Math.floor(whole.length * part)));
        expect([part, code]).toEqual([part, 'IMAGE_CORRUPT']);
      }
    });
  });
});

/** The upper 300 rows of the portrait: sides that differ show a wrong turn. */
function landscape(): Promise<Buffer> {
  return sharp(portraitPixels.subarray(0, 512 * 300 * 3), { raw: { width: 512, height: 300, channels: 3 } })
    .png()
    .toBuffer();
}
