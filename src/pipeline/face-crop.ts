import type { BoundingBox, FaceDetection } from './face.types';
import { around, type Picture } from './image/picture';
import { encodeJpeg, MAX_DECODED_SIDE } from './image/rgb-image';
import { type Rotation, turnImage } from './image/turn-image';

/**
 * Width of a crop as a multiple of the longer side of the face box, and its longest side in pixels: a crop is then
 * processed like a photo. Chosen on 100 photos: embeddings of the crops were more similar to those of the photos than
 * with 2 and 320 pixels, at 20 KB instead of 18 (docs/operations.md).
 */
const CROP_ROOM = 2.4;
const MAX_CROP_SIDE = 400;

/**
 * Crops a face with its surroundings for any later embedder: the square around its box, clipped at the picture, shrunk
 * to {@link MAX_CROP_SIDE} but never enlarged, rotated upright, as bright as the models saw it. If the whole image was
 * taken for the face, the crop is the whole image.
 *
 * @param face - in pixels of the image as the file shows it.
 * @param rotation - rotation of the image that makes its faces upright.
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
  // One less, because the part is rounded outward.
  const wanted = Math.floor((Math.max(width, height) * (MAX_CROP_SIDE - 1)) / Math.max(side, 1));
  const image = await picture.partAt(part, { width, height }, Math.min(MAX_DECODED_SIDE, wanted), 0);
  return encodeJpeg(turnImage(image, rotation));
}
