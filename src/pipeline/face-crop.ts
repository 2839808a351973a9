import type { BoundingBox, FaceDetection } from './face.types';
import { around, type Picture } from './image/picture';
import { encodeJpeg, MAX_DECODED_SIDE } from './image/rgb-image';
import { type Rotation, turnImage } from './image/turn-image';

/**
 * How many times the longer side of the face box a crop is wide, and its longest side in pixels: a crop is then looked at as a
 * photo is. Settled on 100 photos: embeddings of the crops were more like those of the photos than with 2 and 320 pixels, at
 * 20 KB in place of 18 (docs/operations.md).
 */
const CROP_ROOM = 2.4;
const MAX_CROP_SIDE = 400;

/**
 * Cuts a face out with its surroundings, so that any embedder can be put to it later: the square around its box, less what
 * leaves the picture, shrunk to {@link MAX_CROP_SIDE} and never enlarged, turned upright, as bright as the models saw it. Where
 * the whole image was taken for the face, it is the whole image.
 *
 * @param face - in pixels of the image as the file shows it.
 * @param rotation - by which the image is turned to have its faces upright.
 * @returns an encoded JPEG without metadata.
 * @throws {FaceError} IMAGE_CORRUPT, IMAGE_DECODE_TIMEOUT.
 */
export async function cropFace(
  picture: Picture,
  { box, landmarks }: FaceDetection,
  rotation: Rotation,
): Promise<Uint8Array> {
  const { originalWidth: width, originalHeight: height } = picture;
  const part: BoundingBox = landmarks == null ? box : around(box, CROP_ROOM);
  const side = Math.max(part.width, part.height);
  // One less: what is cut out is rounded outward.
  const wanted = Math.floor((Math.max(width, height) * (MAX_CROP_SIDE - 1)) / Math.max(side, 1));
  const image = await picture.partAt(part, { width, height }, Math.min(MAX_DECODED_SIDE, wanted), 0);
  return encodeJpeg(turnImage(image, rotation));
}
