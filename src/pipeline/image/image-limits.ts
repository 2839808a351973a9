import type { Metadata } from 'sharp';
import { FaceError } from '../../errors';
import { MAX_JPEG_SCANS, readJpegScans } from './jpeg-scans';
import { isPngTextBounded, MAX_PNG_TEXT_BYTES } from './png-text';

/** Limits of an image, checked on its header before any pixel is decoded. */
export interface ImageLimits {
  /** Width times height, for any format. */
  maxPixels: number;
  /** Decoding memory in bytes, by {@link bytesPerPixel}: a pixel limit for each format. */
  maxDecodeBytes: number;
  /** Total time of all decodings of one image in milliseconds; counted in whole seconds. */
  decodeTimeoutMs: number;
}

/** Longest side of an image in pixels. Each row and column costs time and memory, even if almost empty. */
export const MAX_IMAGE_SIDE = 32_768;
/**
 * Longest side over shortest. At the largest decoded size, the short side then has 20 pixels, too few for any detector.
 */
const MAX_SIDE_RATIO = 100;

/** Decoding memory in bytes beyond the pixels of the file: the result of up to 2048 x 2048, row buffers. */
export const DECODE_BASE_BYTES = 24 * 1024 * 1024;

/**
 * Refuses an image with a header that takes too much memory.
 *
 * @throws {FaceError} IMAGE_TOO_LARGE.
 */
export function assertReadable(bytes: Uint8Array): void {
  if (isPngTextBounded(bytes)) return;
  throw tooLarge(`at most ${MAX_PNG_TEXT_BYTES} bytes of text in the PNG but received more`, {
    maxTextBytes: MAX_PNG_TEXT_BYTES,
  });
}

/**
 * Refuses an image that would take too much memory or time, by its header.
 *
 * @throws {FaceError} IMAGE_TOO_LARGE with the limit and the received value.
 */
export function assertWithinLimits(bytes: Uint8Array, metadata: Metadata, limits: ImageLimits): void {
  const { width, height } = metadata.autoOrient;
  const received = `received ${width} x ${height}`;
  const size = { imageWidth: width, imageHeight: height };
  const { maxPixels } = limits;
  if (width * height > maxPixels) {
    throw tooLarge(`at most ${maxPixels} pixels for the image but ${received}`, {
      maxImagePixels: maxPixels,
      ...size,
    });
  }
  if (Math.max(width, height) > MAX_IMAGE_SIDE) {
    throw tooLarge(`sides of at most ${MAX_IMAGE_SIDE} pixels for the image but ${received}`, {
      maxImageSide: MAX_IMAGE_SIDE,
      ...size,
    });
  }
  if (Math.max(width, height) > MAX_SIDE_RATIO * Math.min(width, height)) {
    throw tooLarge(`sides of at most ${MAX_SIDE_RATIO} to 1 for the image but ${received}`, {
      maxSideRatio: MAX_SIDE_RATIO,
      ...size,
    });
  }
  const { format, perPixel } = bytesPerPixel(bytes, metadata);
  const maxOfFormat = Math.floor((limits.maxDecodeBytes - DECODE_BASE_BYTES) / perPixel);
  if (width * height > maxOfFormat) {
    throw tooLarge(`at most ${maxOfFormat} pixels for ${format} but ${received}`, {
      maxImagePixels: maxOfFormat,
      format,
      ...size,
    });
  }
}

/**
 * Decoding memory per pixel of the file, in bytes, as a safe upper bound, and the kind of image.
 *
 * Measured as the growth of the peak of a worker's resident memory with sharp 0.35.5 (libvips 8.18.7), 16 to 49
 * megapixels, decoded to 2048 pixels (table in docs/security-images.md).
 */
function bytesPerPixel(bytes: Uint8Array, metadata: Metadata): { format: string; perPixel: number } {
  const { format, channels, depth, isProgressive } = metadata;
  const samples = channels * (BYTES_PER_SAMPLE[depth] ?? 16);
  switch (format) {
    case 'jpeg': {
      const { count, coefficientBytes } = readJpegScans(bytes);
      if (count > MAX_JPEG_SCANS) {
        throw tooLarge(`at most ${MAX_JPEG_SCANS} scans in the JPEG but received more`, {
          maxScans: MAX_JPEG_SCANS,
        });
      }
      // Coefficients of all scans are held at once, in addition to the decoded rows.
      return {
        format: coefficientBytes > 0 ? 'a progressive JPEG' : 'a JPEG',
        perPixel: samples + coefficientBytes,
      };
    }
    case 'png':
      // Interlaced: all rows are held until the last pass. Others: as many rows as shrinking needs, at most all.
      return isProgressive
        ? { format: 'an interlaced PNG', perPixel: 1.5 * samples }
        : { format: 'a PNG', perPixel: samples };
    case 'tiff':
      // One tile or strip may hold the whole image.
      return { format: 'a TIFF', perPixel: 1.5 * samples };
    case 'heif':
      // The decoder's planes, its references, and two conversions, all of the whole image.
      return depth === 'uchar'
        ? { format: 'an AVIF of 8 bits', perPixel: 18.5 }
        : { format: 'an AVIF of more than 8 bits', perPixel: 25 };
    default:
      // WebP and GIF: one or two canvases of four bytes.
      return { format: format === 'gif' ? 'a GIF' : 'a WebP', perPixel: 6 };
  }
}

/** Bytes of a sample by the libvips name of its type. */
const BYTES_PER_SAMPLE: Partial<Record<string, number>> = {
  uchar: 1,
  char: 1,
  ushort: 2,
  short: 2,
  uint: 4,
  int: 4,
  float: 4,
  complex: 8,
  double: 8,
};

function tooLarge(expectation: string, details: Record<string, unknown>): FaceError {
  return new FaceError('IMAGE_TOO_LARGE', `Expected ${expectation}.`, details);
}
