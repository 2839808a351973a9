import sharp from 'sharp';
import { FaceError } from '../../src/errors';
import { decodeImage, MAX_DECODED_SIDE, readImage, type RgbImage } from '../../src/pipeline/image/rgb-image';
import { matrixProfile, SRGB_COLORANTS, withProfile } from '../support/icc-profiles';
import {
  BAD_IMAGES,
  GOOD_IMAGES,
  hugePng,
  IMAGE_LIMITS,
  meanDifference,
  plainPng,
  PORTRAIT_SIZE,
  portraitJpeg,
  portraitPixels,
  withOrientation,
} from '../support/image-fixtures';

async function refusal(bytes: Uint8Array, limits = IMAGE_LIMITS): Promise<FaceError> {
  const error = await decodeImage(bytes, limits).catch((reason: unknown) => reason);
  if (error instanceof FaceError) return error;
  throw new Error('The image was decoded.', { cause: error });
}

describe(decodeImage.name, () => {
  describe.each(GOOD_IMAGES)('$name', ({ encode, expected, maxMeanDifference }) => {
    it('becomes upright RGB of the right pixels and size', async () => {
      const image = await decodeImage(await encode(), IMAGE_LIMITS);
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
    ['gray PNG', { format: 'png', channels: 1 }],
    ['gray PNG with alpha', { format: 'png', channels: 2, hasAlpha: true }],
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
    const { data } = await decodeImage(pixel, IMAGE_LIMITS);
    [200, 100, 0].forEach((value, channel) => {
      expect(Math.abs(data[channel] - (value * 128 + 255 * 127) / 255)).toBeLessThanOrEqual(1);
    });
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('turns EXIF orientation %d upright', async (orientation) => {
    const stored = await withOrientation(await landscape(), orientation);
    expect((await sharp(stored).metadata()).orientation).toBe(orientation);
    const image = await decodeImage(stored, IMAGE_LIMITS);
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
    [2049, 30, 2048, 30],
  ])('shrinks %d x %d to %d x %d and keeps the size of the file', async (w, h, width, height) => {
    const image = await decodeImage(await plainPng(w, h, '#102030'), IMAGE_LIMITS);
    expect(image).toMatchObject({ width, height, originalWidth: w, originalHeight: h });
    expect(Math.max(image.width, image.height)).toBeLessThanOrEqual(MAX_DECODED_SIDE);
    expect(image.data).toHaveLength(width * height * 3);
    expect([...image.data.subarray(0, 3)]).toEqual([0x10, 0x20, 0x30]);
  });

  it('gives the size of a turned large photo as it is seen', async () => {
    const stored = await withOrientation(await plainPng(3000, 1500), 6);
    expect(await decodeImage(stored, IMAGE_LIMITS)).toMatchObject({
      width: 2048,
      height: 1024,
      originalWidth: 3000,
      originalHeight: 1500,
    });
  });

  describe('with a smaller longest side', () => {
    // A shrink of 8; for JPEG also 4 and 16: sharp lets libjpeg shrink by 2, 4 and 8 and resizes the rest.
    it.each([
      ...GOOD_IMAGES.map((image) => ({ ...image, side: 64 })),
      ...GOOD_IMAGES.filter(({ name }) => name === 'JPEG').flatMap((image) => [
        { ...image, side: 128 },
        { ...image, side: 32 },
      ]),
    ])('averages the area of each pixel of a $name at $side', async ({ encode, side }) => {
      const file = await encode();
      const image = await decodeImage(file, IMAGE_LIMITS, side);
      expect(image).toMatchObject({
        width: side,
        height: side,
        originalWidth: PORTRAIT_SIZE,
        originalHeight: PORTRAIT_SIZE,
      });
      const expected = areaAverage(await decodeImage(file, IMAGE_LIMITS), PORTRAIT_SIZE / side);
      expect(meanDifference(image.data, expected)).toBeLessThan(2);
    });

    // One shrink for each factor of libjpeg (1, 2, 4, 8), on either side of where the next one begins.
    it.each([1100, 780, 580, 460, 310, 250, 180])('moves no point at %d', async (side) => {
      for (const [x, y] of [
        [0.5, 0.5],
        [0.1, 0.15],
        [0.9, 0.85],
      ]) {
        const file = await discJpeg(2400, 1672, x * 2400, y * 1672);
        const image = await decodeImage(file, IMAGE_LIMITS, side);
        expect(Math.max(image.width, image.height)).toBe(side);
        const center = centerOf(image);
        expect(Math.abs(center.x - x * image.width)).toBeLessThan(0.3);
        expect(Math.abs(center.y - y * image.height)).toBeLessThan(0.3);
      }
    });

    it('moves no point by more than 0.8 pixels where the sides are no multiples of 8', async () => {
      for (const side of [780, 310, 250]) {
        const image = await decodeImage(await discJpeg(2407, 1679, 2200, 1500), IMAGE_LIMITS, side);
        const center = centerOf(image);
        expect(Math.abs(center.x - (2200 * image.width) / 2407)).toBeLessThan(0.8);
        expect(Math.abs(center.y - (1500 * image.height) / 1679)).toBeLessThan(0.8);
      }
    });

    it.each([1, 2, 3, 4, 5, 6, 7, 8])('turns EXIF orientation %d upright', async (orientation) => {
      const stored = await withOrientation(await landscape(), orientation);
      const image = await decodeImage(stored, IMAGE_LIMITS, 128);
      expect(image).toMatchObject({ width: 128, height: 75, originalWidth: 512, originalHeight: 300 });
      const upright = { data: portraitPixels.subarray(0, 512 * 300 * 3), width: 512, height: 300 };
      expect(meanDifference(image.data, areaAverage(upright, 4))).toBeLessThan(3);
    });

    it('does not enlarge, and keeps one pixel of the shorter side', async () => {
      expect(await decodeImage(await plainPng(30, 20), IMAGE_LIMITS, 640)).toMatchObject({
        width: 30,
        height: 20,
      });
      expect(await decodeImage(await plainPng(200, 2), IMAGE_LIMITS, 100)).toMatchObject({
        width: 100,
        height: 1,
      });
    });

    it('refuses a JPEG cut in half', async () => {
      const whole = await portraitJpeg();
      const image = await readImage(whole.subarray(0, whole.length >> 1), IMAGE_LIMITS);
      await expect(image.decode(64)).rejects.toMatchObject({ code: 'IMAGE_CORRUPT' });
    });
  });

  it('decodes one file at several sizes', async () => {
    const file = await portraitJpeg();
    const image = await readImage(file, IMAGE_LIMITS);
    expect(image).toMatchObject({ originalWidth: PORTRAIT_SIZE, originalHeight: PORTRAIT_SIZE });
    expect(await image.decode(64)).toEqual(await decodeImage(file, IMAGE_LIMITS, 64));
    expect(await image.decode()).toEqual(await decodeImage(file, IMAGE_LIMITS));
  });

  describe('color profiles', () => {
    it.each([
      ['as sharp writes it', null],
      ['with a table of 1,024 entries', matrixProfile({ colorants: SRGB_COLORANTS })],
    ])('changes nothing for sRGB %s', async (_, profile) => {
      const tagged =
        profile == null
          ? await portraitPng().withIccProfile('srgb').toBuffer()
          : withProfile(await portraitJpeg(), profile);
      const untagged = profile == null ? await portraitPng().toBuffer() : await portraitJpeg();
      expect((await sharp(tagged).metadata()).icc).toBeInstanceOf(Buffer);
      for (const side of [MAX_DECODED_SIDE, 100]) {
        const [a, b] = await Promise.all(
          [tagged, untagged].map((file) => decodeImage(file, IMAGE_LIMITS, side)),
        );
        expect(maxDifference(a.data, b.data)).toBeLessThanOrEqual(1);
      }
    });

    it('changes nothing for sRGB in a PNG of 16 bits', async () => {
      const file = await portraitPng().toColourspace('rgb16').withIccProfile('srgb').toBuffer();
      expect(await sharp(file).metadata()).toMatchObject({ depth: 'ushort', icc: expect.any(Buffer) });
      const { data } = await decodeImage(file, IMAGE_LIMITS);
      expect(maxDifference(data, portraitPixels)).toBeLessThanOrEqual(1);
    });

    it.each([
      ['JPEG', () => portraitPng().jpeg({ quality: 100, chromaSubsampling: '4:4:4' })],
      ['PNG', () => portraitPng()],
      ['PNG with alpha', () => portraitPng().ensureAlpha()],
      ['PNG of 16 bits', () => portraitPng().toColourspace('rgb16')],
    ])('converts a shrunk Display P3 %s as the full one', async (_, encode) => {
      const file = await encode().withIccProfile('p3').toBuffer();
      const full = await decodeImage(file, IMAGE_LIMITS);
      for (const side of [128, 64]) {
        const shrunk = await decodeImage(file, IMAGE_LIMITS, side);
        expect(meanDifference(shrunk.data, areaAverage(full, PORTRAIT_SIZE / side))).toBeLessThan(2);
        const plain = areaAverage(
          { data: portraitPixels, width: PORTRAIT_SIZE, height: PORTRAIT_SIZE },
          PORTRAIT_SIZE / side,
        );
        expect(meanDifference(shrunk.data, plain)).toBeLessThan(2);
      }
    });

    it('converts a plain Display P3 color within 2 levels', async () => {
      const color = [200, 90, 60];
      const image = () =>
        sharp({ create: { width: 400, height: 300, channels: 3, background: '#c85a3c' } }).withIccProfile(
          'p3',
        );
      for (const file of [
        await image().png().toBuffer(),
        await image().jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer(),
      ]) {
        // Without its profile the file holds another color.
        const stored = await sharp(file, { ignoreIcc: true }).raw().toBuffer();
        expect(maxDifference(stored.subarray(0, 3), color)).toBeGreaterThan(8);
        for (const side of [MAX_DECODED_SIDE, 60]) {
          const { data } = await decodeImage(file, IMAGE_LIMITS, side);
          expect(maxDifference(data.subarray(0, 3), color)).toBeLessThanOrEqual(2);
        }
      }
    });

    it('applies a profile that is named sRGB and has another curve', async () => {
      const profile = matrixProfile({ colorants: SRGB_COLORANTS, gamma: 1.8, description: 'sRGB' });
      const file = withProfile(await portraitJpeg(), profile);
      const applied = await sharp(file).raw().toBuffer();
      const { data } = await decodeImage(file, IMAGE_LIMITS);
      expect(meanDifference(data, applied)).toBeLessThan(1);
      expect(meanDifference(data, portraitPixels)).toBeGreaterThan(5);
    });

    it('ignores a profile that cannot be read', async () => {
      const file = withProfile(await portraitJpeg(), Buffer.alloc(600, 7));
      for (const side of [MAX_DECODED_SIDE, 128]) {
        const { data } = await decodeImage(file, IMAGE_LIMITS, side);
        expect(data).toEqual((await decodeImage(await portraitJpeg(), IMAGE_LIMITS, side)).data);
      }
    });

    it.each([
      ['CMYK', () => portraitPng().toColourspace('cmyk').jpeg({ quality: 95 })],
      ['CMYK with its profile', () => portraitPng().withIccProfile('cmyk').jpeg({ quality: 95 })],
      ['gray', () => portraitPng().toColourspace('b-w').jpeg({ quality: 95 })],
    ])('leaves the conversion of %s to sharp', async (_, encode) => {
      const file = await encode().toBuffer();
      const { data } = await decodeImage(file, IMAGE_LIMITS);
      expect(Buffer.from(data)).toEqual(await sharp(file).toColourspace('srgb').raw().toBuffer());
    });
  });

  it('reads an image of one pixel', async () => {
    const image = await decodeImage(await plainPng(1, 1, '#c08040'), IMAGE_LIMITS);
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
        maxImagePixels: IMAGE_LIMITS.maxPixels,
        imageWidth: 30_000,
        imageHeight: 30_000,
      });
    });

    it('one pixel more than the limit, and not the limit itself', async () => {
      const image = await plainPng(100, 10);
      expect((await refusal(image, { ...IMAGE_LIMITS, maxPixels: 999 })).code).toBe('IMAGE_TOO_LARGE');
      expect(await decodeImage(image, { ...IMAGE_LIMITS, maxPixels: 1000 })).toMatchObject({
        width: 100,
        height: 10,
      });
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

function portraitPng(): sharp.Sharp {
  return sharp(portraitPixels, { raw: { width: PORTRAIT_SIZE, height: PORTRAIT_SIZE, channels: 3 } }).png();
}

/** Mean of each block of `factor` x `factor` pixels. */
function areaAverage({ data, width, height }: RgbImage, factor: number): Uint8Array {
  const [columns, rows] = [width / factor, height / factor];
  const sums = new Float64Array(columns * rows * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const block = (Math.floor(y / factor) * columns + Math.floor(x / factor)) * 3;
      for (let c = 0; c < 3; c++) sums[block + c] += data[(y * width + x) * 3 + c];
    }
  }
  return Uint8Array.from(sums, (sum) => Math.round(sum / factor ** 2));
}

function maxDifference(a: Uint8Array, b: ArrayLike<number>): number {
  expect(a).toHaveLength(b.length);
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i])), 0);
}

const DISC = { background: 32, color: 224, radius: 80 };

/** A bright disc with a smooth edge on a dark ground; the middle of the first pixel lies at (0.5, 0.5). */
function discJpeg(width: number, height: number, x: number, y: number): Promise<Buffer> {
  const { background, color, radius } = DISC;
  const pixels = new Uint8Array(width * height * 3).fill(background);
  for (let row = Math.floor(y - radius - 1); row <= y + radius; row++) {
    for (let column = Math.floor(x - radius - 1); column <= x + radius; column++) {
      const inside = radius + 0.5 - Math.hypot(column + 0.5 - x, row + 0.5 - y);
      const value = background + (color - background) * Math.min(1, Math.max(0, inside));
      pixels.fill(value, (row * width + column) * 3, (row * width + column + 1) * 3);
    }
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 95 })
    .toBuffer();
}

/** Center of the disc by brightness. */
function centerOf({ data, width, height }: RgbImage): { x: number; y: number } {
  let [sum, sumX, sumY] = [0, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const weight = data[(y * width + x) * 3] - DISC.background;
      // Traces of the coding far away from the disc would pull at the center.
      if (weight < 8) continue;
      sum += weight;
      sumX += weight * (x + 0.5);
      sumY += weight * (y + 0.5);
    }
  }
  return { x: sumX / sum, y: sumY / sum };
}
