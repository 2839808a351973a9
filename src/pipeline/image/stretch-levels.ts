import type { RgbImage } from './rgb-image';

/** A picture is dark where its 99th percentile of brightness is below this, 0..255. */
const DARK_BELOW = 100;
/** What the 99th percentile becomes. */
const BRIGHT = 230;
/** More than this only makes noise louder. */
const MAX_GAIN = 12;
/** Every so many pixels one is looked at. */
const STEP = 7;

/**
 * The factor that brightens a dark picture; 1 for one that is not dark.
 *
 * Detectors and embedders were trained on well-lit faces (docs/accuracy.md has what it gains).
 */
export function gainOf({ data }: RgbImage): number {
  const histogram = new Uint32Array(256);
  let count = 0;
  for (let i = 0; i + 2 < data.length; i += 3 * STEP, count++) {
    histogram[Math.max(data[i], data[i + 1], data[i + 2])]++;
  }
  let percentile = 255;
  for (let above = 0; percentile > 0; percentile--) {
    above += histogram[percentile];
    if (above > count / 100) break;
  }
  return percentile >= DARK_BELOW || percentile === 0 ? 1 : Math.min(MAX_GAIN, BRIGHT / percentile);
}

/** All levels times one factor. The same picture where that is 1. */
export function stretchLevels<I extends RgbImage>(image: I, gain: number): I {
  if (gain === 1) return image;
  const levels = Uint8Array.from({ length: 256 }, (_, level) => Math.min(255, Math.round(level * gain)));
  return { ...image, data: image.data.map((level) => levels[level]) };
}
