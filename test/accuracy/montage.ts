import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import type { BoundingBox } from '../../src/pipeline/face.types';
import { seededRange } from '../support/seeded-random';
import type { PhotoFaces } from './measure';

/** A large picture with many faces, and where they are. */
export interface Montage {
  /** JPEG. */
  image: Buffer;
  /** Boxes of the pasted faces, as the detector that placed them draws boxes. */
  boxes: readonly BoundingBox[];
}

/** What a detector made of a {@link Montage}. */
export interface MontageCounts {
  /** Pasted faces with a box. */
  found: number;
  /** Boxes of faces that have one already. */
  doubles: number;
  /** Boxes where no face was pasted. */
  falseFaces: number;
}

const MONTAGE_WIDTH = 4000;
const MONTAGE_HEIGHT = 3000;

/** Side of the square that is cut out around a face, in longer sides of its box: hair and shoulders stay. */
const CONTEXT = 2;
/** Boxes of one face by different detectors overlap by at least this much (intersection over union), and by 0 with others. */
const MIN_IOU = 0.3;

/**
 * Pastes faces of a size onto gray, each somewhere in its own cell of a grid.
 *
 * @param faces - one for each cell, of untouched photos.
 * @param faceSize - shorter side of the boxes, in pixels.
 * @param arrangement - another number puts the faces elsewhere in their cells.
 */
export async function makeMontage(
  faces: PhotoFaces,
  {
    columns,
    rows,
    faceSize,
    arrangement = 0,
  }: { columns: number; rows: number; faceSize: number; arrangement?: number },
): Promise<Montage> {
  const range = seededRange(columns * rows + arrangement);
  const cell = { width: MONTAGE_WIDTH / columns, height: MONTAGE_HEIGHT / rows };
  const found = [...faces].flatMap(([path, face]) =>
    face == null ? [] : [{ path, box: face.detection.box }],
  );
  if (found.length < columns * rows) throw new Error('There are fewer faces than cells.');
  const cuts = await Promise.all(
    found.slice(0, columns * rows).map(({ path, box }) => cutFace(readFileSync(path), box, faceSize)),
  );
  // Not beside the cutting: places would follow from which cut is done first, and differ from run to run.
  const parts = cuts.map((cut, i) => {
    const left = Math.floor((i % columns) * cell.width + range(0, cell.width - cut.width));
    const top = Math.floor(Math.floor(i / columns) * cell.height + range(0, cell.height - cut.height));
    return {
      layer: { input: cut.image, left, top },
      box: { ...cut.box, x: left + cut.box.x, y: top + cut.box.y },
    };
  });
  const background = {
    width: MONTAGE_WIDTH,
    height: MONTAGE_HEIGHT,
    channels: 3,
    background: '#808080',
  } as const;
  const image = await sharp({ create: background })
    .composite(parts.map(({ layer }) => layer))
    .jpeg({ quality: 95 })
    .toBuffer();
  return { image, boxes: parts.map(({ box }) => box) };
}

/** Which pasted faces the boxes of a detector found. */
export function countFound({ boxes }: Montage, detected: readonly BoundingBox[]): MontageCounts {
  const found = new Set<BoundingBox>();
  const counts = { doubles: 0, falseFaces: 0 };
  for (const box of detected) {
    const match = boxes.find((pasted) => intersectionOverUnion(pasted, box) >= MIN_IOU);
    if (match == null) counts.falseFaces++;
    else if (found.has(match)) counts.doubles++;
    else found.add(match);
  }
  return { found: found.size, ...counts };
}

/** Cuts a face out of its photo, with what of the square around it the photo has, and scales it to a size. */
async function cutFace(photo: Buffer, box: BoundingBox, faceSize: number) {
  const { width, height } = await sharp(photo).metadata();
  const half = (CONTEXT * Math.max(box.width, box.height)) / 2;
  const left = Math.max(0, Math.round(box.x + box.width / 2 - half));
  const top = Math.max(0, Math.round(box.y + box.height / 2 - half));
  const region = {
    left,
    top,
    width: Math.min(width, Math.round(box.x + box.width / 2 + half)) - left,
    height: Math.min(height, Math.round(box.y + box.height / 2 + half)) - top,
  };
  const scale = faceSize / Math.min(box.width, box.height);
  const size = { width: Math.round(region.width * scale), height: Math.round(region.height * scale) };
  const image = await sharp(photo)
    .extract(region)
    .resize(size.width, size.height, { fit: 'fill' })
    .png()
    .toBuffer();
  return {
    image,
    ...size,
    box: {
      x: (box.x - left) * scale,
      y: (box.y - top) * scale,
      width: box.width * scale,
      height: box.height * scale,
    },
  };
}

function intersectionOverUnion(a: BoundingBox, b: BoundingBox): number {
  const overlap = (startA: number, lengthA: number, startB: number, lengthB: number) =>
    Math.max(0, Math.min(startA + lengthA, startB + lengthB) - Math.max(startA, startB));
  const both = overlap(a.x, a.width, b.x, b.width) * overlap(a.y, a.height, b.y, b.height);
  return both / (a.width * a.height + b.width * b.height - both);
}
