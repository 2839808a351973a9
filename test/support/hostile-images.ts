import { crc32, deflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

export interface FlatPng {
  /** Bits of a sample; 1 bit is gray, the others RGB. @defaultValue 8 */
  bits?: 1 | 8 | 16;
  /** @defaultValue false */
  alpha?: boolean;
  /** Keywords and values that inflate from a few bytes. @defaultValue none */
  texts?: Buffer[];
}

/** A black PNG of any size in a few bytes. */
export function flatPng(
  width: number,
  height: number,
  { bits = 8, alpha, texts = [] }: FlatPng = {},
): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  const isGray = bits === 1;
  header.set([bits, isGray ? 0 : alpha ? 6 : 2], 8);
  const samples = isGray ? 1 : alpha ? 4 : 3;
  const rowBytes = 1 + Math.ceil((width * samples * bits) / 8);
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    ...texts.map((data) => chunk('zTXt', data)),
    chunk('IDAT', deflateSync(Buffer.alloc(rowBytes * height))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A compressed text chunk of a PNG that inflates to `length` letters. */
export function pngText(length: number): Buffer {
  return Buffer.concat([Buffer.from('Comment\0\0'), deflateSync(Buffer.alloc(length, 'A'), { level: 9 })]);
}

function chunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const bytes = Buffer.alloc(named.length + 8);
  bytes.writeUInt32BE(data.length, 0);
  named.copy(bytes, 4);
  bytes.writeUInt32BE(crc32(named), named.length + 4);
  return bytes;
}

/**
 * A valid gray progressive JPEG of black pixels: one scan of the mean values, then `scans` of single coefficients that are
 * all zero, each of which the decoder takes over the whole image.
 *
 * @see ITU-T T.81, annex G: a first scan of a coefficient with the point transform 13, then refinements down to 0.
 */
export function scanBomb(width: number, height: number, scans: number): Buffer {
  const blocks = Math.ceil(width / 8) * Math.ceil(height / 8);
  const size = [height >> 8, height & 255, width >> 8, width & 255];
  const table = (kind: number, symbol: number) =>
    segment(0xc4, [kind, 1, ...Array<number>(15).fill(0), symbol]);
  const parts = [
    Buffer.from([0xff, 0xd8]),
    segment(0xdb, [0, ...Array<number>(64).fill(16)]),
    segment(0xc2, [8, ...size, 1, 1, 0x11, 0]),
    table(0x00, 0),
    // Ends of blocks, 2^14 and a number of 14 bits together.
    table(0x10, 0xe0),
    segment(0xda, [1, 1, 0, 0, 0, 0]),
    Buffer.alloc(Math.ceil(blocks / 8)),
  ];
  const empty = emptyScan(blocks);
  let count = 0;
  for (let bit = 13; bit >= 0; bit--) {
    for (let k = 1; k < 64 && count < scans; k++, count++) {
      parts.push(segment(0xda, [1, 1, 0, k, k, bit === 13 ? 13 : ((bit + 1) << 4) | bit]), empty);
    }
  }
  return Buffer.concat([...parts, Buffer.from([0xff, 0xd9])]);
}

function emptyScan(blocks: number): Buffer {
  let bits = '';
  for (let left = blocks; left > 0;) {
    const run = Math.max(16_384, Math.min(left, 32_767));
    bits += `0${(run - 16_384).toString(2).padStart(14, '0')}`;
    left -= run;
  }
  const bytes = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1').match(/.{8}/g) ?? [];
  return Buffer.from(bytes.flatMap((byte) => (byte === '11111111' ? [255, 0] : [parseInt(byte, 2)])));
}

function segment(marker: number, data: number[]): Buffer {
  return Buffer.from([0xff, marker, (data.length + 2) >> 8, (data.length + 2) & 255, ...data]);
}
