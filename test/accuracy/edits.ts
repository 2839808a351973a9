import sharp from 'sharp';
import type { FaceDetection, Landmarks, Point } from '../../src/pipeline/face.types';

/** What is done to a photo before it is represented. */
export interface Edit {
  /** How the tables call it. */
  name: string;
  /**
   * @param photo - encoded, without EXIF orientation.
   * @param face - the face of the untouched photo: where masks and glasses are drawn. Other edits do not read it.
   * @returns an encoded photo without metadata.
   */
  apply: (photo: Buffer, face: Pick<FaceDetection, 'landmarks'>) => Promise<Buffer>;
}

/** An edit that only the pixels decide. */
function ofPixels(name: string, change: (image: sharp.Sharp) => sharp.Sharp): Edit {
  return { name, apply: (photo) => encode(change(sharp(photo))) };
}

/** An edit that draws SVG shapes over the face, in the coordinates of {@link faceFrame}. */
function drawn(name: string, shapes: string): Edit {
  return {
    name,
    apply: async (photo, { landmarks }) => {
      if (landmarks == null) throw new Error('Drawing on a face needs its landmarks.');
      const { width, height } = await sharp(photo).metadata();
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><g transform="${faceFrame(landmarks)}">${shapes}</g></svg>`;
      return encode(sharp(photo).composite([{ input: Buffer.from(svg) }]));
    },
  };
}

/**
 * The SVG transform from a frame of the face to the pixels of the photo: the origin is midway between the eyes, the eyes are
 * at x = -0.5 and 0.5, and the mouth is at y = 1.
 */
function faceFrame([leftEye, rightEye, , leftMouth, rightMouth]: Landmarks): string {
  const eyes = middle(leftEye, rightEye);
  const mouth = middle(leftMouth, rightMouth);
  const columns = [rightEye.x - leftEye.x, rightEye.y - leftEye.y, mouth.x - eyes.x, mouth.y - eyes.y];
  return `matrix(${[...columns, eyes.x, eyes.y].map((value) => value.toFixed(3)).join(' ')})`;
}

function middle(a: Point, b: Point): Point {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}

function encode(image: sharp.Sharp): Promise<Buffer> {
  return image.jpeg({ quality: 95 }).toBuffer();
}

/** In the pixels: nothing says how the photo has to be turned back. */
const turned = (degrees: number) => ofPixels(`turned by ${degrees}°`, (image) => image.rotate(degrees));
/** With a black border that keeps the whole photo. */
const rolled = (degrees: number) =>
  ofPixels(`rolled by ${degrees}°`, (image) => image.rotate(degrees, { background: '#000000' }));
const darkened = (factor: number) => ofPixels(`brightness x ${factor}`, (image) => image.linear(factor, 0));

export const TURNS: readonly Edit[] = [turned(90), turned(180), turned(270)];
export const DARK = darkened(0.3);
const DARKER = darkened(0.1);
export const SMALL = ofPixels('shrunk to 110 px', (image) => image.resize(110, 110, { fit: 'inside' }));
export const ROLLED_45 = rolled(45);
const JPEG_10: Edit = {
  name: 'JPEG quality 10',
  apply: (photo) => sharp(photo).jpeg({ quality: 10 }).toBuffer(),
};
/** From the tip of the nose to below the chin, as a surgical mask covers it. */
const MASKED = drawn(
  'lower half masked',
  '<rect x="-1.05" y="0.5" width="2.1" height="1.4" rx="0.4" fill="#a9c3d6"/>',
);
const SUNGLASSES = drawn(
  'sunglasses',
  '<g fill="#101010"><ellipse cx="-0.5" cy="0.05" rx="0.42" ry="0.36"/>' +
    '<ellipse cx="0.5" cy="0.05" rx="0.42" ry="0.36"/>' +
    '<rect x="-1" y="-0.12" width="2" height="0.1"/></g>',
);

/** Every edit of the table of robustness, in its order. */
export const EDITS: readonly Edit[] = [
  ...TURNS,
  DARK,
  DARKER,
  SMALL,
  rolled(15),
  rolled(30),
  ROLLED_45,
  MASKED,
  SUNGLASSES,
  JPEG_10,
];
