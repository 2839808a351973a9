import sharp from 'sharp';
import { DEFAULT_FACE_OPTIONS, imageLimitsOf } from '../../src/face/face.options';
import { goldenInput } from '../golden/golden-inputs.cjs';
import { pngHeader, withOrientation } from './portrait';

export { withOrientation };

/** Limits of images by the default options. */
export const IMAGE_LIMITS = imageLimitsOf(DEFAULT_FACE_OPTIONS);

/** Side of the drawn portrait in pixels. */
export const PORTRAIT_SIZE = 512;

/** Rows at the lower edge that are transparent in the fixtures with alpha. */
const CLEAR_ROWS = 64;

/** Drawn portrait: `Uint8Array [512 * 512 * 3]` HWC RGB. The default detector finds one face in it. */
export const portraitPixels: Uint8Array = goldenInput('portrait', PORTRAIT_SIZE);

/** An encoded portrait, and what it must be decoded to. */
export interface GoodImage {
  name: string;
  encode: () => Promise<Buffer>;
  /** `Uint8Array [512 * 512 * 3]` HWC RGB. */
  expected: Uint8Array;
  /** Mean absolute difference to `expected` that the coding may cost, in steps of 8 bits. */
  maxMeanDifference: number;
}

/** An image that must be refused, and the code it is refused with. */
export interface BadImage {
  name: string;
  encode: () => Promise<Buffer>;
  code: 'IMAGE_UNSUPPORTED' | 'IMAGE_CORRUPT' | 'IMAGE_TOO_LARGE' | 'IMAGE_EMPTY';
}

const pixelCount = PORTRAIT_SIZE * PORTRAIT_SIZE;
const grayPixels = Uint8Array.from({ length: pixelCount }, (_, i) =>
  Math.round(
    0.299 * portraitPixels[3 * i] + 0.587 * portraitPixels[3 * i + 1] + 0.114 * portraitPixels[3 * i + 2],
  ),
);

/** Value of each pixel and channel, for raw input and for what is expected of it. */
function drawn(channels: number, value: (pixel: number, channel: number) => number): Uint8Array {
  return Uint8Array.from({ length: pixelCount * channels }, (_, i) =>
    value(Math.floor(i / channels), i % channels),
  );
}

function raw(data: Uint8Array, channels: 1 | 2 | 3 | 4): sharp.Sharp {
  return sharp(data, { raw: { width: PORTRAIT_SIZE, height: PORTRAIT_SIZE, channels } });
}

const rgb = () => raw(portraitPixels, 3);
const alphaOf = (pixel: number) => (pixel < pixelCount - CLEAR_ROWS * PORTRAIT_SIZE ? 255 : 0);
const colorOf = (pixel: number, channel: number) => portraitPixels[3 * pixel + channel];

const grayExpected = drawn(3, (pixel) => grayPixels[pixel]);
const onWhite = (expected: Uint8Array) =>
  drawn(3, (pixel, channel) => (alphaOf(pixel) === 0 ? 255 : expected[3 * pixel + channel]));

/** Two frames: the portrait, then plain blue. */
async function frames(): Promise<sharp.Sharp> {
  const blank = { create: { width: PORTRAIT_SIZE, height: PORTRAIT_SIZE, channels: 3, background: '#00f' } };
  const images = [rgb(), sharp(blank as sharp.SharpOptions)];
  return sharp(await Promise.all(images.map((image) => image.png().toBuffer())), {
    join: { animated: true },
  });
}

/** Every format that is read. */
export const GOOD_IMAGES: readonly GoodImage[] = [
  good('JPEG', 3, () => rgb().jpeg({ quality: 90 })),
  good('progressive JPEG', 3, () => rgb().jpeg({ quality: 90, progressive: true })),
  good('PNG of 8 bits', 0, () => rgb().png()),
  good('PNG of 16 bits', 0.5, () => rgb().toColourspace('rgb16').png()),
  good('gray PNG', 0, () => raw(grayPixels, 1).toColourspace('b-w').png(), grayExpected),
  good(
    'gray PNG with alpha',
    0,
    () =>
      raw(
        drawn(2, (pixel, channel) => (channel === 0 ? grayPixels[pixel] : alphaOf(pixel))),
        2,
      )
        .toColourspace('b-w')
        .png(),
    onWhite(grayExpected),
  ),
  good(
    'RGBA PNG',
    0,
    () =>
      raw(
        drawn(4, (pixel, channel) => (channel < 3 ? colorOf(pixel, channel) : alphaOf(pixel))),
        4,
      ).png(),
    onWhite(portraitPixels),
  ),
  good('WebP', 3, () => rgb().webp({ quality: 90 })),
  good('GIF', 4, () => rgb().gif()),
  good('animated GIF', 4, async () => (await frames()).gif()),
  good('animated WebP', 3, async () => (await frames()).webp({ quality: 90 })),
  good('AVIF', 3, () => rgb().avif({ quality: 80 })),
  good('TIFF', 0, () => rgb().tiff({ compression: 'lzw' })),
  good('CMYK JPEG', 8, () => rgb().toColourspace('cmyk').jpeg({ quality: 95 })),
  // Read without its profile, this one differs by more than 2.
  good('JPEG with a wide-gamut profile', 1.2, () =>
    rgb().withIccProfile('p3').jpeg({ quality: 100, chromaSubsampling: '4:4:4' }),
  ),
];

function good(
  name: string,
  maxMeanDifference: number,
  make: () => sharp.Sharp | Promise<sharp.Sharp>,
  expected: Uint8Array = portraitPixels,
): GoodImage {
  return { name, maxMeanDifference, expected, encode: async () => (await make()).toBuffer() };
}

/** Everything that is refused. */
export const BAD_IMAGES: readonly BadImage[] = [
  { name: 'text', code: 'IMAGE_UNSUPPORTED', encode: async () => Buffer.from('No picture, only words.\n') },
  {
    name: 'SVG',
    code: 'IMAGE_UNSUPPORTED',
    encode: async () =>
      Buffer.from(
        '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="64" height="64"/></svg>',
      ),
  },
  { name: 'a single byte', code: 'IMAGE_UNSUPPORTED', encode: async () => Buffer.from([0]) },
  { name: 'no byte at all', code: 'IMAGE_EMPTY', encode: async () => Buffer.alloc(0) },
  {
    name: 'a JPEG cut in half',
    code: 'IMAGE_CORRUPT',
    encode: async () => firstHalf(await rgb().jpeg({ quality: 90 }).toBuffer()),
  },
  {
    name: 'a PNG cut in half',
    code: 'IMAGE_CORRUPT',
    encode: async () => firstHalf(await rgb().png().toBuffer()),
  },
  { name: 'a PNG of 30,000 x 30,000', code: 'IMAGE_TOO_LARGE', encode: async () => hugePng() },
];

function firstHalf(file: Buffer): Buffer {
  return file.subarray(0, file.length >> 1);
}

/** A few bytes whose header, with a valid checksum, promises 900 megapixels. */
export function hugePng(): Buffer {
  return pngHeader(30_000, 30_000);
}

/** A PNG of one color. */
export function plainPng(width: number, height: number, background = '#357'): Promise<Buffer> {
  return sharp({ create: { width, height, channels: 3, background } })
    .png()
    .toBuffer();
}

/** The portrait as JPEG, near enough to lossless. */
export function portraitJpeg(): Promise<Buffer> {
  return rgb().jpeg({ quality: 100, chromaSubsampling: '4:4:4' }).toBuffer();
}

/** Mean absolute difference of two images of the same size, in steps of 8 bits. */
export function meanDifference(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) throw new Error(`Expected ${b.length} values but received ${a.length}`);
  return a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0) / a.length;
}
