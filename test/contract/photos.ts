import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { rootDir } from '../support/paths';

/** What the cases look at: cut out of the group photos that ship inside the face-api package. */
export interface Photos {
  /** One face, 480 x 560, JPEG. */
  person: Buffer;
  /** The same face: darker, smaller, another cut, PNG. */
  personAgain: Buffer;
  /** One face of somebody else, 480 x 560. */
  stranger: Buffer;
  /** Three faces, the person's and the stranger's among them; 960 x 640. */
  group: Buffer;
  /** The person's face, cut off by the left edge of the image: the person's right eye lies beyond it. */
  cutOff: Buffer;
  /** 320 x 200, nothing on it. */
  blank: Buffer;
  /** The group as PNG without compression, 1.8 MB: more than most body parsers take by default. */
  heavy: Buffer;
}

/** Width and height of `person`. */
export const PERSON_SIZE = { width: 480, height: 560 };
export const CUT_OFF_SIZE = { width: 280, height: 560 };
export const GROUP_SIZE = { width: 960, height: 640 };
export const BLANK_SIZE = { width: 320, height: 200 };

const jpeg = { quality: 95 };

export async function makePhotos(): Promise<Photos> {
  const sample = readFileSync(
    join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', 'sample1.jpg'),
  );
  const cut = (left: number, top: number, width: number, height: number) =>
    sharp(sample).extract({ left, top, width, height });
  const [person, personAgain, stranger, group, cutOff, blank, heavy] = await Promise.all([
    cut(260, 200, PERSON_SIZE.width, PERSON_SIZE.height).jpeg(jpeg).toBuffer(),
    cut(280, 220, 440, 520).resize(330, 390).modulate({ brightness: 0.8 }).png().toBuffer(),
    cut(690, 270, PERSON_SIZE.width, PERSON_SIZE.height).jpeg(jpeg).toBuffer(),
    sharp(sample).resize(GROUP_SIZE).jpeg(jpeg).toBuffer(),
    cut(460, 200, CUT_OFF_SIZE.width, CUT_OFF_SIZE.height).jpeg(jpeg).toBuffer(),
    sharp({ create: { ...BLANK_SIZE, channels: 3, background: '#345' } })
      .png()
      .toBuffer(),
    sharp(sample).resize(GROUP_SIZE).png({ compressionLevel: 0 }).toBuffer(),
  ]);
  return { person, personAgain, stranger, group, cutOff, blank, heavy };
}
