/** Colorants (X, Y, Z of red, green, blue; D50) and tone curve of a matrix profile. */
export interface MatrixProfile {
  description?: string;
  colorants: readonly (readonly number[])[];
  /** Number of table entries that sample `toLight`; 1 with a `gamma` instead. */
  entries?: number;
  gamma?: number;
  /** Names of further tags; their content is empty. */
  furtherTags?: readonly string[];
  colorSpace?: string;
}

export const SRGB_COLORANTS = [
  [0.43607, 0.22249, 0.01392],
  [0.38515, 0.71687, 0.09708],
  [0.14307, 0.06061, 0.7141],
] as const;

export const P3_COLORANTS = [
  [0.51512, 0.2412, -0.00105],
  [0.29198, 0.69225, 0.04189],
  [0.1571, 0.06657, 0.78407],
] as const;

/** Curve of IEC 61966-2-1. */
function toLight(encoded: number): number {
  return encoded <= 0.04045 ? encoded / 12.92 : ((encoded + 0.055) / 1.055) ** 2.4;
}

/** Bytes of an ICC profile of version 2 with colorants and one curve for all channels. */
export function matrixProfile(profile: MatrixProfile): Buffer {
  const { colorants, description = 'test', furtherTags = [], colorSpace = 'RGB ' } = profile;
  const tags: [name: string, data: Buffer][] = [
    ['desc', textTag(description)],
    ['wtpt', xyzTag([0.9505, 1, 1.0891])],
    ...['rXYZ', 'gXYZ', 'bXYZ'].map((name, i): [string, Buffer] => [name, xyzTag(colorants[i])]),
    ...['rTRC', 'gTRC', 'bTRC'].map((name): [string, Buffer] => [name, curveTag(profile)]),
    ...furtherTags.map((name): [string, Buffer] => [name, Buffer.alloc(32)]),
  ];
  const table = Buffer.alloc(4 + 12 * tags.length);
  table.writeUInt32BE(tags.length);
  let offset = 128 + table.length;
  tags.forEach(([name, data], i) => {
    table.write(name, 4 + 12 * i, 'latin1');
    table.writeUInt32BE(offset, 8 + 12 * i);
    table.writeUInt32BE(data.length, 12 + 12 * i);
    offset += data.length;
  });
  const header = Buffer.alloc(128);
  header.writeUInt32BE(offset);
  header.writeUInt32BE(0x02400000, 8);
  header.write(`mntr${colorSpace}XYZ `, 12, 'latin1');
  header.write('acsp', 36, 'latin1');
  // White point of the profile connection space, D50.
  [0.9642, 1, 0.82491].forEach((value, i) => header.writeInt32BE(Math.round(value * 65536), 68 + 4 * i));
  return Buffer.concat([header, table, ...tags.map(([, data]) => data)]);
}

/** Puts a profile into a JPEG that has none; the pixels stay as they are. */
export function withProfile(jpeg: Buffer, profile: Buffer): Buffer {
  const marker = Buffer.from('\xff\xe2\0\0ICC_PROFILE\0\x01\x01', 'latin1');
  marker.writeUInt16BE(marker.length - 2 + profile.length, 2);
  return Buffer.concat([jpeg.subarray(0, 2), marker, profile, jpeg.subarray(2)]);
}

function xyzTag(values: readonly number[]): Buffer {
  const data = Buffer.alloc(20);
  data.write('XYZ ', 'latin1');
  values.forEach((value, i) => data.writeInt32BE(Math.round(value * 65536), 8 + 4 * i));
  return data;
}

function curveTag({ entries = 1024, gamma }: MatrixProfile): Buffer {
  const values =
    gamma == null
      ? Array.from({ length: entries }, (_, i) => Math.round(toLight(i / (entries - 1)) * 65535))
      : [Math.round(gamma * 256)];
  // Tags begin at multiples of 4.
  const data = Buffer.alloc(Math.ceil((12 + 2 * values.length) / 4) * 4);
  data.write('curv', 'latin1');
  data.writeUInt32BE(values.length, 8);
  values.forEach((value, i) => data.writeUInt16BE(value, 12 + 2 * i));
  return data;
}

function textTag(text: string): Buffer {
  const data = Buffer.alloc(Math.ceil((12 + text.length + 1 + 78) / 4) * 4);
  data.write('desc', 'latin1');
  data.writeUInt32BE(text.length + 1, 8);
  data.write(text, 12, 'latin1');
  return data;
}
