/** Colorants of sRGB adapted to D50: X, Y, Z of red, green and blue, as profiles store them. */
const SRGB_COLORANTS: Readonly<Record<string, readonly number[]>> = {
  rXYZ: [0.43604, 0.22249, 0.01392],
  gXYZ: [0.38512, 0.71692, 0.09707],
  bXYZ: [0.14307, 0.06061, 0.71394],
};

/** Profiles round and adapt differently; a difference up to this changes no color by a whole level. */
const COLORANT_TOLERANCE = 0.001;

/** Half a level of 8 bits. */
const CURVE_TOLERANCE = 0.5 / 255;

const HEADER_BYTES = 128;
const TAG_BYTES = 12;
/** A real matrix profile has about 17 tags. */
const MAX_TAGS = 100;

/**
 * Whether an ICC profile describes sRGB, so that applying it would change no color.
 *
 * The colors decide, not the description: "sRGB IEC61966-2.1", "c2" and "sRGB built-in" are one color space, while a
 * profile with the colorants of sRGB and a linear curve may have the name, too. A profile with lookup tables is never
 * recognized, nor is a damaged one.
 *
 * @param profile - bytes of the profile as embedded in the file.
 * @see ICC.1:2022 sections 7 (header and tag table), 10.6 (curveType), 10.18 (parametricCurveType), 10.31 (XYZType);
 * IEC 61966-2-1 for the curve.
 */
export function isSrgbProfile(profile: Uint8Array): boolean {
  const view = new DataView(profile.buffer, profile.byteOffset, profile.byteLength);
  try {
    if (signature(view, 16) !== 'RGB ' || signature(view, 20) !== 'XYZ ') return false;
    const tags = readTags(view);
    // Lookup tables take precedence over colorants and curves.
    if (['A2B0', 'A2B1', 'A2B2', 'D2B0'].some((name) => tags.has(name))) return false;
    return (
      Object.entries(SRGB_COLORANTS).every(([name, color]) => isColorant(view, tags.get(name), color)) &&
      ['rTRC', 'gTRC', 'bTRC'].every((name) => isSrgbCurve(readCurve(view, tags.get(name))))
    );
  } catch (error) {
    // An offset outside the profile.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

function readTags(view: DataView): Map<string, number> {
  const count = Math.min(view.getUint32(HEADER_BYTES), MAX_TAGS);
  return new Map(
    Array.from({ length: count }, (_, i) => {
      const entry = HEADER_BYTES + 4 + i * TAG_BYTES;
      return [signature(view, entry), view.getUint32(entry + 4)] as const;
    }),
  );
}

function signature(view: DataView, offset: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(offset + i)));
}

/** s15Fixed16Number. */
function fixed(view: DataView, offset: number): number {
  return view.getInt32(offset) / 65536;
}

function isColorant(view: DataView, tag: number | undefined, expected: readonly number[]): boolean {
  return (
    tag != null &&
    expected.every((value, i) => Math.abs(fixed(view, tag + 8 + 4 * i) - value) <= COLORANT_TOLERANCE)
  );
}

/** Converts an encoded value to linear light, both in [0, 1]. */
type Curve = (encoded: number) => number;

function readCurve(view: DataView, tag: number | undefined): Curve | null {
  if (tag == null) return null;
  switch (signature(view, tag)) {
    case 'curv':
      return readTable(view, tag);
    case 'para':
      return readParametric(view, tag);
    default:
      return null;
  }
}

function readTable(view: DataView, tag: number): Curve | null {
  const count = view.getUint32(tag + 8);
  // Zero entries mean the identity, one entry a gamma: neither is sRGB.
  if (count < 2) return null;
  const entry = (i: number) => view.getUint16(tag + 12 + 2 * i) / 65535;
  return (encoded) => {
    const position = encoded * (count - 1);
    const below = Math.min(Math.floor(position), count - 2);
    return entry(below) + (position - below) * (entry(below + 1) - entry(below));
  };
}

function readParametric(view: DataView, tag: number): Curve | null {
  // Types 0 to 2 are powers without a linear part; type 4 adds offsets that sRGB does not need.
  if (view.getUint16(tag + 8) !== 3) return null;
  const [gamma, a, b, c, d] = [0, 1, 2, 3, 4].map((i) => fixed(view, tag + 12 + 4 * i));
  return (encoded) => (encoded >= d ? (a * encoded + b) ** gamma : c * encoded);
}

/** Compares encoded values, where differences are visible, not linear light. */
function isSrgbCurve(curve: Curve | null): boolean {
  if (curve == null) return false;
  for (let level = 0; level <= 255; level++) {
    const light = Math.min(Math.max(curve(level / 255), 0), 1);
    const encoded = light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055;
    // Written this way so that NaN fails.
    if (!(Math.abs(encoded - level / 255) <= CURVE_TOLERANCE)) return false;
  }
  return true;
}
