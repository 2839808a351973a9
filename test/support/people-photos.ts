import { join } from 'node:path';
import sharp from 'sharp';
import { rootDir } from './paths';

/** Where one face is in photos of groups that a package of the tests brings along, pixels. */
const PLACES = [
  { sample: 1, left: 1341, top: 100 },
  { sample: 2, left: 1305, top: 40 },
  { sample: 3, left: 961, top: 129 },
  { sample: 4, left: 524, top: 0 },
  { sample: 5, left: 239, top: 791 },
  { sample: 6, left: 134, top: 394 },
];
const SIDE = 460;

/** Photos of one person each, of six people: JPEG. */
export function peoplePhotos(): Promise<Buffer[]> {
  return Promise.all(
    PLACES.map(({ sample, left, top }) =>
      sharp(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', `sample${sample}.jpg`))
        .extract({ left, top, width: SIDE, height: SIDE })
        .jpeg({ quality: 95 })
        .toBuffer(),
    ),
  );
}
