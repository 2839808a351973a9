import sharp from 'sharp';
import { flatPng, pngText, scanBomb } from '../../../test/support/hostile-images';
import { IMAGE_LIMITS, portraitPixels, PORTRAIT_SIZE } from '../../../test/support/image-fixtures';
import { pngHeader } from '../../../test/support/portrait';
import { FaceError } from '../../errors';
import { DECODE_BASE_BYTES, MAX_IMAGE_SIDE } from './image-limits';
import { MAX_JPEG_SCANS, readJpegScans } from './jpeg-scans';
import { MAX_PNG_TEXT_BYTES } from './png-text';
import { decodeImage, readImage } from './rgb-image';

const portrait = () =>
  sharp(portraitPixels, { raw: { width: PORTRAIT_SIZE, height: PORTRAIT_SIZE, channels: 3 } });

async function refusal(bytes: Uint8Array, limits = IMAGE_LIMITS): Promise<FaceError> {
  const error = await readImage(bytes, limits).catch((reason: unknown) => reason);
  if (error instanceof FaceError) return error;
  throw new Error('The image was read.', { cause: error });
}

describe('limits of images, on the header', () => {
  it('refuse sides that are too long, and not the longest', async () => {
    const wide = { ...IMAGE_LIMITS, maxPixels: 1e9, maxDecodeBytes: 4e9 };
    const error = await refusal(pngHeader(400, MAX_IMAGE_SIDE + 1), wide);
    expect(error).toMatchObject({
      code: 'IMAGE_TOO_LARGE',
      message: `Expected sides of at most ${MAX_IMAGE_SIDE} pixels for the image but received 400 x ${MAX_IMAGE_SIDE + 1}.`,
      details: { maxImageSide: MAX_IMAGE_SIDE, imageWidth: 400, imageHeight: MAX_IMAGE_SIDE + 1 },
    });
    expect(await readImage(pngHeader(400, MAX_IMAGE_SIDE), wide)).toMatchObject({ originalWidth: 400 });
  });

  it.each([
    [1, 101],
    [101, 1],
    [10, 1001],
  ])('refuse a strip of %d x %d', async (width, height) => {
    expect(await refusal(pngHeader(width, height))).toMatchObject({
      code: 'IMAGE_TOO_LARGE',
      message: `Expected sides of at most 100 to 1 for the image but received ${width} x ${height}.`,
      details: { maxSideRatio: 100, imageWidth: width, imageHeight: height },
    });
  });

  it('take a strip of the ratio that is allowed', async () => {
    expect(await readImage(flatPng(100, 1), IMAGE_LIMITS)).toMatchObject({ originalWidth: 100 });
  });

  it.each([
    ['a JPEG', 3, () => portrait().jpeg()],
    ['a JPEG', 1, () => portrait().toColourspace('b-w').jpeg()],
    ['a progressive JPEG', 6, () => portrait().jpeg({ progressive: true, chromaSubsampling: '4:2:0' })],
    ['a progressive JPEG', 9, () => portrait().jpeg({ progressive: true, chromaSubsampling: '4:4:4' })],
    ['a PNG', 3, () => portrait().png()],
    ['a PNG', 6, () => portrait().toColourspace('rgb16').png()],
    ['a PNG', 4, () => portrait().ensureAlpha().png()],
    ['an interlaced PNG', 4.5, () => portrait().png({ progressive: true })],
    ['a WebP', 6, () => portrait().webp()],
    ['a GIF', 6, () => portrait().gif()],
    ['an AVIF of 8 bits', 18.5, () => portrait().avif({ effort: 0 })],
    ['an AVIF of more than 8 bits', 25, () => portrait().avif({ effort: 0, bitdepth: 12 })],
    ['a TIFF', 4.5, () => portrait().tiff({ compression: 'lzw' })],
  ])('give %s %d bytes a pixel', async (format, perPixel, encode) => {
    const bytes = await encode().toBuffer();
    const needed = DECODE_BASE_BYTES + PORTRAIT_SIZE ** 2 * perPixel;
    const error = await refusal(bytes, { ...IMAGE_LIMITS, maxDecodeBytes: needed - perPixel });
    expect(error).toMatchObject({
      code: 'IMAGE_TOO_LARGE',
      message: expect.stringContaining(`pixels for ${format} but received 512 x 512.`),
      details: { maxImagePixels: PORTRAIT_SIZE ** 2 - 1, format },
    });
    expect(await readImage(bytes, { ...IMAGE_LIMITS, maxDecodeBytes: needed })).toMatchObject({
      originalWidth: PORTRAIT_SIZE,
    });
  });

  it('refuse compressed text of a PNG before it is inflated, and take what is common', async () => {
    const half = pngText(MAX_PNG_TEXT_BYTES / 2);
    const error = await refusal(flatPng(64, 64, { texts: [half, half, half] }));
    expect(error).toMatchObject({
      code: 'IMAGE_TOO_LARGE',
      details: { maxTextBytes: MAX_PNG_TEXT_BYTES },
    });
    expect((await refusal(flatPng(64, 64, { texts: Array(65).fill(pngText(1)) }))).code).toBe(
      'IMAGE_TOO_LARGE',
    );
    const common = flatPng(64, 64, { texts: [half, pngText(100)] });
    expect(await decodeImage(common, IMAGE_LIMITS)).toMatchObject({ width: 64, height: 64 });
  });

  it('refuse a JPEG of too many scans, and take one of as many as are allowed', async () => {
    const error = await refusal(scanBomb(64, 64, MAX_JPEG_SCANS));
    expect(error).toMatchObject({ code: 'IMAGE_TOO_LARGE', details: { maxScans: MAX_JPEG_SCANS } });
    const allowed = scanBomb(64, 64, MAX_JPEG_SCANS - 1);
    expect(await decodeImage(allowed, IMAGE_LIMITS)).toMatchObject({ width: 64, height: 64 });
  });
});

describe(readJpegScans.name, () => {
  it('counts scans as the decoder does, not those of a thumbnail or behind the end', async () => {
    const plain = await portrait().jpeg().toBuffer();
    const bomb = scanBomb(64, 64, 20);
    const thumbnail = Buffer.concat([
      Buffer.from([0xff, 0xe1, (bomb.length + 2) >> 8, (bomb.length + 2) & 255]),
      bomb,
    ]);
    const inside = Buffer.concat([bomb.subarray(0, 2), thumbnail, bomb.subarray(2), bomb]);
    expect(readJpegScans(plain)).toEqual({ count: 1, coefficientBytes: 0 });
    expect(readJpegScans(bomb)).toEqual({ count: 21, coefficientBytes: 2 });
    expect(readJpegScans(inside)).toEqual({ count: 21, coefficientBytes: 2 });
  });

  it('counts the coefficients of a baseline JPEG whose components come one after the other', async () => {
    const plain = await portrait().jpeg({ chromaSubsampling: '4:4:4' }).toBuffer();
    const scan = plain.indexOf(Buffer.from([0xff, 0xda]));
    const apart = Buffer.from(plain);
    apart[scan + 4] = 1;
    expect(readJpegScans(apart).coefficientBytes).toBe(6);
  });

  it('ends on what is cut or damaged', () => {
    const bomb = scanBomb(64, 64, 3);
    for (let length = 0; length < bomb.length; length++) readJpegScans(bomb.subarray(0, length));
    expect(readJpegScans(Buffer.alloc(1000, 0xff)).count).toBe(0);
  });
});

describe('deadline of decoding', () => {
  it('stops the decoder and says so, then goes on with the next image', async () => {
    // A billion pixels take longer on any machine than one second, the shortest timeout of sharp.
    const limits = { maxPixels: 2 ** 30, maxDecodeBytes: 2 ** 32, decodeTimeoutMs: 1 };
    const image = await readImage(flatPng(32_000, 32_000, { bits: 1 }), limits);
    await expect(image.decode()).rejects.toMatchObject({
      code: 'IMAGE_DECODE_TIMEOUT',
      details: { decodeTimeoutMs: 1 },
    });
    expect(await decodeImage(flatPng(64, 64), IMAGE_LIMITS)).toMatchObject({ width: 64 });
  });

  it('counts all decodings of an image together', async () => {
    const image = await readImage(flatPng(64, 64), { ...IMAGE_LIMITS, decodeTimeoutMs: Number.MIN_VALUE });
    await image.decode();
    await expect(image.decode()).rejects.toMatchObject({ code: 'IMAGE_DECODE_TIMEOUT' });
  });
});
