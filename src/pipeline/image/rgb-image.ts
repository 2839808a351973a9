import sharp from 'sharp';
import { FaceError } from '../../errors';
import type { BoundingBox } from '../face.types';
import { isSrgbProfile } from './icc-profile';
import { assertReadable, assertWithinLimits, type ImageLimits } from './image-limits';

/** `Uint8Array [H * W * 3]` HWC RGB, 0..255, upright (EXIF applied). */
export interface RgbImage {
  data: Uint8Array;
  width: number;
  height: number;
}

/** A decoded image, possibly smaller than its file, or a part of one. */
export interface DecodedImage extends RgbImage {
  /** Width in pixels of the upright image in the file. */
  originalWidth: number;
  originalHeight: number;
  /**
   * Position of the whole image, in pixels of this one: `{ x: 0, y: 0, width, height }` for a whole image, further up
   * and to the left for a part.
   */
  frame: BoundingBox;
}

/** An image file with an accepted header. Decoding it twice reads the header once. */
export interface EncodedImage {
  /** Width in pixels of the upright image in the file. */
  originalWidth: number;
  originalHeight: number;
  /**
   * Decodes the image upright into RGB: EXIF orientation applied, first frame, alpha flattened on white, 8 bits, sRGB
   * (gray, CMYK and embedded ICC profiles converted).
   *
   * A file larger than `maxSide` shrinks, antialiased and without a shift: the point `x` of the file is at
   * `x * width / originalWidth`. The only exception is a JPEG with sides that are not multiples of 8: libvips drops the
   * incomplete column and row of blocks that shrink on load, which moves points by at most 0.8 pixels at the right and
   * lower edge, and not at all at the origin.
   *
   * @param maxSide - longest side of the whole image in pixels. @defaultValue {@link MAX_DECODED_SIDE}
   * @param part - part to decode, in fractions of the sides; rounded outward to whole pixels, and clipped at the edges.
   * Its pixels equal those of the whole. It takes about half the time, because nothing below it is decoded.
   * @defaultValue the whole
   * @throws {FaceError} IMAGE_CORRUPT if the decoder refuses the file; IMAGE_DECODE_TIMEOUT if this and earlier
   * decodings of the image took longer than {@link ImageLimits.decodeTimeoutMs}.
   */
  decode(maxSide?: number, part?: BoundingBox): Promise<DecodedImage>;
}

/**
 * Default longest side of a decoded image. At this size, a face that fills a tenth of a 12-megapixel photo still has
 * more pixels than any aligned face needs.
 */
export const MAX_DECODED_SIDE = 2048;

/**
 * Catmull-Rom is close to averaging the area of each pixel: a photo shrunk by 2 differs by 0.6 levels on average, by 0.8
 * with Lanczos (the default of sharp) and by 1.4 with linear, which is 5 % faster.
 */
const SHRINK_KERNEL = 'cubic';

// Decoders of other formats (SVG, PDF, camera raw and more) are disabled in libvips.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: [
    'VipsForeignLoadJpeg',
    'VipsForeignLoadPng',
    'VipsForeignLoadWebp',
    'VipsForeignLoadNsgif',
    'VipsForeignLoadHeif',
    'VipsForeignLoadTiff',
  ],
});
// One image at a time per worker: more threads only compete for the same core.
sharp.concurrency(1);
// Requests do not repeat operations; the cache would only hold memory.
sharp.cache(false);

/**
 * Reads and decodes an image in one call; see {@link readImage} for repeated decoding.
 *
 * @throws {FaceError} as {@link readImage} and {@link EncodedImage.decode}.
 */
export async function decodeImage(
  bytes: Uint8Array,
  limits: ImageLimits,
  maxSide = MAX_DECODED_SIDE,
): Promise<DecodedImage> {
  const image = await readImage(bytes, limits);
  return image.decode(maxSide);
}

/**
 * Reads and checks the header of an image; decodes no pixel.
 *
 * @param bytes - must not change or be detached before the last `decode` ends.
 * @throws {FaceError} IMAGE_UNSUPPORTED for other formats, IMAGE_TOO_LARGE over a limit, IMAGE_CORRUPT for a damaged
 * header.
 */
export async function readImage(bytes: Uint8Array, limits: ImageLimits): Promise<EncodedImage> {
  assertReadable(bytes);
  const metadata = await readMetadata(bytes);
  assertWithinLimits(bytes, metadata, limits);
  const { width, height } = metadata.autoOrient;
  const profile = profileOf(metadata);
  let leftMs = limits.decodeTimeoutMs;
  return {
    originalWidth: width,
    originalHeight: height,
    decode: async (maxSide = MAX_DECODED_SIDE, part) => {
      const scale = Math.min(1, maxSide / Math.max(width, height));
      const size = {
        width: Math.max(1, Math.round(width * scale)),
        height: Math.max(1, Math.round(height * scale)),
      };
      if (leftMs <= 0) throw decodeTimeout(limits);
      const area = part == null ? { left: 0, top: 0, ...size } : areaOf(part, size);
      const startedAt = performance.now();
      const data = await decodePixels(bytes, size, area, profile, leftMs, 'truncated')
        .catch((error: unknown) => {
          if (isTimeout(error) || !lacksEndMarker(bytes)) throw error;
          // Some cameras omit the end marker of a JPEG. With it, a file that lacks more than its last lines is only a
          // warning.
          const left = leftMs - (performance.now() - startedAt);
          return decodePixels(Buffer.concat([bytes, JPEG_END]), size, area, profile, left, 'warning');
        })
        .catch((error: unknown) => {
          throw isTimeout(error)
            ? decodeTimeout(limits)
            : new FaceError('IMAGE_CORRUPT', 'The image could not be decoded.', {}, { cause: error });
        });
      leftMs -= performance.now() - startedAt;
      return {
        data,
        width: area.width,
        height: area.height,
        originalWidth: width,
        originalHeight: height,
        frame: { x: 0 - area.left, y: 0 - area.top, ...size },
      };
    },
  };
}

async function readMetadata(bytes: Uint8Array): Promise<sharp.Metadata> {
  let metadata: sharp.Metadata;
  try {
    metadata = await sharp(bytes, { limitInputPixels: false }).metadata();
  } catch (error) {
    // A known signature with a broken header is a damaged image; anything else is another file type.
    throw hasKnownSignature(bytes)
      ? new FaceError('IMAGE_CORRUPT', 'The image header could not be read.', {}, { cause: error })
      : unsupported(error);
  }
  if (metadata.format === 'heif' && metadata.compression !== 'av1') throw unsupported();
  return metadata;
}

/**
 * Handling of the color profile of a file. `srgb`: none, because applying it would change no pixel and take as long as
 * decoding. `rgb`: applied after shrinking, to as few pixels as possible. `default`: left to sharp, which converts CMYK
 * and gray before it shrinks.
 */
type ColorProfile = 'srgb' | 'rgb' | 'default';

function profileOf({ icc, space }: sharp.Metadata): ColorProfile {
  if (icc == null || (space !== 'srgb' && space !== 'rgb16')) return 'default';
  return isSrgbProfile(icc) ? 'srgb' : 'rgb';
}

interface Size {
  width: number;
  height: number;
}

/** Pixels touched by a part of an image. */
function areaOf(part: BoundingBox, { width, height }: Size): sharp.Region {
  const [left, right] = span(part.x, part.width, width);
  const [top, bottom] = span(part.y, part.height, height);
  return { left, top, width: right - left, height: bottom - top };
}

/** First pixel and the one after the last; at least one pixel. */
function span(start: number, length: number, pixels: number): [from: number, to: number] {
  const from = Math.min(pixels - 1, Math.max(0, Math.floor(start * pixels)));
  return [from, Math.max(from + 1, Math.min(pixels, Math.ceil((start + length) * pixels)))];
}

async function decodePixels(
  bytes: Uint8Array,
  size: Size,
  area: sharp.Region,
  profile: ColorProfile,
  timeoutMs: number,
  failOn: 'truncated' | 'warning',
): Promise<Uint8Array> {
  // libvips checks its clock between rows: a decoder that returns the whole image in one call is stopped after that
  // call.
  const seconds = Math.max(1, Math.ceil(timeoutMs / 1000));
  let image = sharp(bytes, {
    failOn,
    limitInputPixels: false,
    pages: 1,
    ignoreIcc: profile !== 'default',
  })
    .autoOrient()
    // "inside" scales both sides by one factor, so rounding a side moves its points by a fraction of a pixel.
    .resize({ ...size, fit: 'fill', kernel: SHRINK_KERNEL })
    .extract(area)
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .timeout({ seconds });
  // sharp applies a profile before it resizes. An uncompressed TIFF carries pixels and profile into a second pass.
  if (profile === 'rgb') {
    const tiff = await image.keepIccProfile().tiff({ compression: 'none' }).toBuffer();
    image = sharp(tiff, { failOn: 'truncated', limitInputPixels: false });
  }
  return image.raw({ depth: 'uchar' }).toBuffer();
}

/** By message, because errors of sharp have no code. */
function isTimeout(error: unknown): boolean {
  return error instanceof Error && /timeout: \d+% complete/.test(error.message);
}

function decodeTimeout({ decodeTimeoutMs }: ImageLimits): FaceError {
  return new FaceError('IMAGE_DECODE_TIMEOUT', `The image was not decoded within ${decodeTimeoutMs} ms.`, {
    decodeTimeoutMs,
  });
}

const JPEG_END = Buffer.from([0xff, 0xd9]);

function lacksEndMarker(bytes: Uint8Array): boolean {
  const isJpeg = bytes[0] === 0xff && bytes[1] === 0xd8;
  return isJpeg && !JPEG_END.equals(bytes.subarray(-JPEG_END.length));
}

function unsupported(cause?: unknown): FaceError {
  return new FaceError(
    'IMAGE_UNSUPPORTED',
    'Expected a JPEG, PNG, WebP, GIF, AVIF or TIFF image.',
    {},
    { cause },
  );
}

/** Magic bytes of the supported formats; AVIF is identified by its brand at offset 4. */
const SIGNATURES: readonly { offset: number; bytes: readonly number[] }[] = [
  { offset: 0, bytes: [0xff, 0xd8, 0xff] },
  { offset: 0, bytes: [0x89, 0x50, 0x4e, 0x47] },
  { offset: 8, bytes: [0x57, 0x45, 0x42, 0x50] },
  { offset: 0, bytes: [0x47, 0x49, 0x46, 0x38] },
  { offset: 0, bytes: [0x49, 0x49, 0x2a, 0x00] },
  { offset: 0, bytes: [0x4d, 0x4d, 0x00, 0x2a] },
  { offset: 4, bytes: [0x66, 0x74, 0x79, 0x70, 0x61, 0x76, 0x69, 0x66] },
];

function hasKnownSignature(data: Uint8Array): boolean {
  return SIGNATURES.some(({ offset, bytes }) => bytes.every((byte, i) => data[offset + i] === byte));
}

/** Resizes to exactly `width` x `height`, antialiased when shrinking. */
export async function resizeImage(image: RgbImage, width: number, height: number): Promise<RgbImage> {
  if (width === image.width && height === image.height) return image;
  const data = await sharp(image.data, { raw: { width: image.width, height: image.height, channels: 3 } })
    .resize(width, height, { fit: 'fill', kernel: 'linear' })
    .raw()
    .toBuffer();
  return { data, width, height };
}

/** Quality of {@link encodeJpeg}, 1 to 100; colors in all pixels (4:4:4). */
const JPEG_QUALITY = 92;

/** @returns a JPEG without metadata, in separate memory. */
export async function encodeJpeg({ data, width, height }: RgbImage): Promise<Uint8Array> {
  const bytes = await sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: JPEG_QUALITY, chromaSubsampling: '4:4:4' })
    .toBuffer();
  return new Uint8Array(bytes);
}
