import type { RgbImage } from './rgb-image';

/** A picture with a 99th percentile of brightness below this is dark, 0..255. */
const DARK_BELOW = 100;
/** Target of the 99th percentile. */
const BRIGHT = 230;
/** Largest factor: more only amplifies noise. */
const MAX_GAIN = 12;
/** Sampling interval in pixels. */
const STEP = 7;

/**
 * Factor that brightens a dark picture; 1 for any other.
 *
 * Detectors and embedders were trained on well-lit faces (the gain is in docs/accuracy.md).
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

/** Multiplies all levels by one factor; returns the same picture for 1. */
export function stretchLevels<I extends RgbImage>(image: I, gain: number): I {
  if (gain === 1) return image;
  const levels = Uint8Array.from({ length: 256 }, (_, level) => Math.min(255, Math.round(level * gain)));
  return { ...image, data: image.data.map((level) => levels[level]) };
}
