import { crc32 } from 'node:zlib';
import sharp from 'sharp';
import { goldenInput } from '../golden/golden-inputs.cjs';

const SIZE = 512;
const pixels = Buffer.from(goldenInput('portrait', SIZE));

/** A drawn face that the default detector finds, as pixels: encoders follow. */
export function portrait(): sharp.Sharp {
  return sharp(pixels, {
    raw: { width: SIZE, height: SIZE, channels: 3 },
  });
}

/** Two of them side by side. */
export async function couple(): Promise<Buffer> {
  const one = await portrait().png().toBuffer();
  return sharp({ create: { width: 2 * SIZE, height: SIZE, channels: 3, background: '#777' } })
    .composite([
      { input: one, left: 0, top: 0 },
      { input: one, left: SIZE, top: 0 },
    ])
    .jpeg({ quality: 95 })
    .toBuffer();
}

/**
 * What has to be done to an upright picture so that the EXIF orientation 1 to 8 brings it back. sharp mirrors before it
 * turns, whatever the order of the calls.
 */
const UNDO: readonly ((image: sharp.Sharp) => sharp.Sharp)[] = [
  (image) => image,
  (image) => image.flop(),
  (image) => image.rotate(180),
  (image) => image.flip(),
  (image) => image.flop().rotate(270),
  (image) => image.rotate(270),
  (image) => image.flop().rotate(90),
  (image) => image.rotate(90),
];

/** The same picture, stored turned or mirrored, with the EXIF orientation that says so. */
export async function withOrientation(photo: Buffer, orientation: number): Promise<Buffer> {
  const upright = await sharp(photo).autoOrient().png().toBuffer();
  const turned = await UNDO[orientation - 1](sharp(upright)).png().toBuffer();
  return sharp(turned)
    .withMetadata({ orientation })
    .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
    .toBuffer();
}

/** A PNG of a few bytes whose header promises `width` x `height` pixels. */
export function pngHeader(width: number, height: number): Buffer {
  const data = Buffer.alloc(13);
  data.writeUInt32BE(width, 0);
  data.writeUInt32BE(height, 4);
  data.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', data),
    chunk('IDAT', Buffer.from([0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01])),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}
