import sharp from 'sharp';
import type { BoundingBox, FaceDetection, Landmarks, Point } from '../face.types';
import type { ImageLimits } from './image-limits';
import { decodeImage, type RgbImage } from './rgb-image';

type Color = readonly [red: number, green: number, blue: number];

const BOX_COLOR: Color = [0, 230, 90];
const LANDMARK_COLOR: Color = [255, 0, 170];
const TEXT_COLOR: Color = [0, 0, 0];

/** Line width as a fraction of the box: visible on large faces without covering small ones. */
const BOX_WIDTHS_PER_LINE = 80;

/**
 * Digits of the detection score, 3 x 5 cells each, a string per row. Drawn here instead of by SVG: the decoder refuses
 * SVG for security (rgb-image.ts), and SVG text needs fonts that a server may lack.
 */
const GLYPHS: Readonly<Record<string, readonly string[]>> = {
  '0': ['###', '# #', '# #', '# #', '###'],
  '1': [' # ', '## ', ' # ', ' # ', '###'],
  '2': ['###', '  #', '###', '#  ', '###'],
  '3': ['###', '  #', '###', '  #', '###'],
  '4': ['# #', '# #', '###', '  #', '  #'],
  '5': ['###', '#  ', '###', '  #', '###'],
  '6': ['###', '#  ', '###', '# #', '###'],
  '7': ['###', '  #', '  #', '  #', '  #'],
  '8': ['###', '# #', '###', '# #', '###'],
  '9': ['###', '# #', '###', '  #', '###'],
  '.': ['   ', '   ', '   ', '   ', ' # '],
};
const GLYPH_ROWS = 5;
/** Three cells of a glyph and one between it and the next. */
const GLYPH_PITCH = 4;

/**
 * Draws box, landmarks and detection score of every face over an image.
 *
 * @param bytes - encoded image, as for {@link decodeImage}.
 * @param faces - in pixels of the upright image.
 * @returns a PNG of the upright image, shrunk to MAX_DECODED_SIDE if larger.
 * @throws {FaceError} as {@link decodeImage}.
 */
export async function drawFaces(
  bytes: Uint8Array,
  faces: readonly FaceDetection[],
  limits: ImageLimits,
): Promise<Buffer> {
  const image = await decodeImage(bytes, limits);
  const scaleX = image.width / image.originalWidth;
  const scaleY = image.height / image.originalHeight;
  paintFaces(
    image,
    faces.map((face) => scaled(face, scaleX, scaleY)),
  );
  const { data, width, height } = image;
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** Draws into the pixels of `image`, clipped at its edges. */
export function paintFaces(image: RgbImage, faces: readonly FaceDetection[]): void {
  for (const { box, landmarks, detectionScore } of faces) {
    const line = Math.max(1, Math.round(box.width / BOX_WIDTHS_PER_LINE));
    paintFrame(image, box, line);
    for (const point of landmarks ?? []) paintDisc(image, point, line + 1);
    paintLabel(image, detectionScore.toFixed(2), box, line + 1);
  }
}

function scaled(face: FaceDetection, sx: number, sy: number): FaceDetection {
  const { box, landmarks } = face;
  return {
    ...face,
    box: { x: box.x * sx, y: box.y * sy, width: box.width * sx, height: box.height * sy },
    landmarks: landmarks && (landmarks.map(({ x, y }) => ({ x: x * sx, y: y * sy })) as unknown as Landmarks),
  };
}

/** Draws four lines inside the box. */
function paintFrame(image: RgbImage, { x, y, width, height }: BoundingBox, line: number): void {
  fill(image, { x, y, width, height: line }, BOX_COLOR);
  fill(image, { x, y: y + height - line, width, height: line }, BOX_COLOR);
  fill(image, { x, y, width: line, height }, BOX_COLOR);
  fill(image, { x: x + width - line, y, width: line, height }, BOX_COLOR);
}

function paintDisc(image: RgbImage, { x, y }: Point, radius: number): void {
  for (let dy = -radius; dy <= radius; dy++) {
    const half = Math.sqrt(radius * radius - dy * dy);
    fill(image, { x: x - half, y: y + dy, width: 2 * half + 1, height: 1 }, LANDMARK_COLOR);
  }
}

/** Draws text on a plate above the box, or at the top of the image if there is no room. */
function paintLabel(image: RgbImage, text: string, box: BoundingBox, cell: number): void {
  const width = (text.length * GLYPH_PITCH + 1) * cell;
  const height = (GLYPH_ROWS + 2) * cell;
  const left = Math.max(0, Math.min(Math.round(box.x), image.width - width));
  const top = Math.max(0, Math.round(box.y) - height);
  fill(image, { x: left, y: top, width, height }, BOX_COLOR);
  [...text].forEach((character, index) => {
    const x = left + (index * GLYPH_PITCH + 1) * cell;
    GLYPHS[character]?.forEach((row, r) => {
      [...row].forEach((mark, c) => {
        if (mark !== '#') return;
        fill(image, { x: x + c * cell, y: top + (r + 1) * cell, width: cell, height: cell }, TEXT_COLOR);
      });
    });
  });
}

/** Fills the part of a rectangle inside the image; edges are rounded to whole pixels. */
function fill({ data, width, height }: RgbImage, area: BoundingBox, color: Color): void {
  const left = Math.max(0, Math.round(area.x));
  const right = Math.min(width, Math.round(area.x + area.width));
  const top = Math.max(0, Math.round(area.y));
  const bottom = Math.min(height, Math.round(area.y + area.height));
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) data.set(color, (y * width + x) * 3);
  }
}
