/** Decoding cost of a JPEG in memory and time, from its markers. */
export interface JpegScans {
  /** Scans of the file; counting stops one above {@link MAX_JPEG_SCANS}. */
  count: number;
  /**
   * Bytes per pixel of the coefficients that the decoder holds for the whole image, two bytes each; 0 if a single scan
   * is decoded row by row.
   *
   * @see libjpeg.txt of libjpeg-turbo, "Buffered-image mode" and "Memory management"
   */
  coefficientBytes: number;
}

/**
 * Most scans of a progressive JPEG; encoders write about ten. Every scan is a pass over all coefficients, 15 ms for 48
 * megapixels, and needs as few as 73 bytes of the file: 158 kB kept the decoder busy for 16 s. libtiff has the same
 * limit.
 */
export const MAX_JPEG_SCANS = 100;

const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
const TEM = 0x01;

/**
 * Walks the markers of a JPEG as its decoder does. A damaged file is read as far as possible; the decoder refuses it.
 */
export function readJpegScans(file: Uint8Array): JpegScans {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  let count = 0;
  let components = 0;
  let bytesOfAll = 0;
  let isBuffered = false;
  // Data between a segment and the next marker is entropy-coded, or skipped by the decoder too.
  for (let at = bytes.indexOf(0xff); at >= 0 && at + 4 <= bytes.length; at = bytes.indexOf(0xff, at)) {
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    // 0 is a stuffed byte.
    if (marker === 0 || marker === TEM || (marker >= 0xd0 && marker <= SOI)) {
      at += 2;
      continue;
    }
    if (marker === EOI) break;
    if (isFrame(marker)) {
      components = bytes[at + 9] ?? 0;
      bytesOfAll = coefficientBytesOf(bytes.subarray(at + 10, at + 10 + 3 * components));
      isBuffered = isProgressive(marker);
    }
    if (marker === SOS) {
      count++;
      isBuffered ||= (bytes[at + 4] ?? 0) < components;
      if (!isBuffered || count > MAX_JPEG_SCANS) break;
    }
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  return { count, coefficientBytes: isBuffered ? bytesOfAll : 0 };
}

/** SOF0 to SOF15, except DHT, JPG and DAC in that range. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

/** SOF2 and SOF10. */
function isProgressive(marker: number): boolean {
  return marker === 0xc2 || marker === 0xca;
}

/** @param specifications - three bytes for each component; the second holds its sampling factors. */
function coefficientBytesOf(specifications: Uint8Array): number {
  const factors = Array.from({ length: Math.floor(specifications.length / 3) }, (_, i) => {
    const factor = specifications[3 * i + 1];
    return [factor >> 4, factor & 15];
  });
  const [h, v] = [0, 1].map((axis) => Math.max(1, ...factors.map((factor) => factor[axis])));
  return factors.reduce((sum, [a, b]) => sum + (2 * a * b) / (h * v), 0);
}
