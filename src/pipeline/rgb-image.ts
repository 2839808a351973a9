import sharp from 'sharp';
import { FaceError } from '../errors';

/** `Uint8Array [H * W * 3]` HWC RGB, 0..255, upright (EXIF applied). */
export interface RgbImage {
  data: Uint8Array;
  width: number;
  height: number;
}

/** A decoded image, possibly smaller than its file. */
export interface DecodedImage extends RgbImage {
  /** Width in pixels of the upright image in the file; `width` is at most this. */
  originalWidth: number;
  originalHeight: number;
}

/**
 * Longest side that is decoded. Larger images shrink on load (a JPEG then skips most of its work). At this size a face
 * that fills a tenth of a 12-megapixel photo still has more pixels than any aligned face needs.
 */
export const MAX_DECODED_SIDE = 2048;

// Decoders of other formats (SVG, PDF, camera raw and more) never see a byte: libvips is told to refuse them.
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
// One image at a time per worker: more threads only fight for the same core.
sharp.concurrency(1);
// Requests are not repeated operations; the cache would only hold memory.
sharp.cache(false);

/**
 * Decodes an image upright into RGB: EXIF orientation applied, first frame, alpha flattened on white, 8 bits, sRGB
 * (grey, CMYK and embedded ICC profiles converted).
 *
 * @throws {FaceError} IMAGE_UNSUPPORTED for other formats, IMAGE_TOO_LARGE over `maxPixels` (read from the header,
 * before decoding), IMAGE_CORRUPT where the decoder refuses.
 */
export async function decodeImage(bytes: Uint8Array, maxPixels: number): Promise<DecodedImage> {
  const { width, height } = await readHeader(bytes, maxPixels);
  try {
    const { data, info } = await sharp(bytes, { failOn: 'truncated', limitInputPixels: false, pages: 1 })
      .autoOrient()
      .resize({ width: MAX_DECODED_SIDE, height: MAX_DECODED_SIDE, fit: 'inside', withoutEnlargement: true })
      .flatten({ background: '#ffffff' })
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return { data, width: info.width, height: info.height, originalWidth: width, originalHeight: height };
  } catch (error) {
    throw new FaceError('IMAGE_CORRUPT', 'The image could not be decoded.', {}, { cause: error });
  }
}

async function readHeader(bytes: Uint8Array, maxPixels: number): Promise<{ width: number; height: number }> {
  let metadata: sharp.Metadata;
  try {
    metadata = await sharp(bytes, { limitInputPixels: false }).metadata();
  } catch (error) {
    // A known signature with a broken header is a damaged image; anything else is another kind of file.
    throw hasKnownSignature(bytes)
      ? new FaceError('IMAGE_CORRUPT', 'The image header could not be read.', {}, { cause: error })
      : unsupported(error);
  }
  if (metadata.format === 'heif' && metadata.compression !== 'av1') throw unsupported();
  const { width, height } = metadata.autoOrient;
  if (width * height > maxPixels) {
    throw new FaceError(
      'IMAGE_TOO_LARGE',
      `Expected at most ${maxPixels} pixels for the image but received ${width} x ${height}.`,
      { maxImagePixels: maxPixels, imageWidth: width, imageHeight: height },
    );
  }
  return { width, height };
}

function unsupported(cause?: unknown): FaceError {
  return new FaceError(
    'IMAGE_UNSUPPORTED',
    'Expected a JPEG, PNG, WebP, GIF, AVIF or TIFF image.',
    {},
    { cause },
  );
}

/** First bytes of the formats that are decoded; AVIF is told by its brand at offset 4. */
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

/** Resizes to exactly `width` x `height`, antialiased where it shrinks. */
export async function resizeImage(image: RgbImage, width: number, height: number): Promise<RgbImage> {
  if (width === image.width && height === image.height) return image;
  const data = await sharp(image.data, { raw: { width: image.width, height: image.height, channels: 3 } })
    .resize(width, height, { fit: 'fill', kernel: 'linear' })
    .raw()
    .toBuffer();
  return { data, width, height };
}
