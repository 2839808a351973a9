import type { CardInput, DetectionPass } from '../../models/model-card';
import { resizeImage, type RgbImage } from '../image/rgb-image';

/** An image on the canvas of a detector; canvas = image * scale + offset. */
export interface Letterbox extends RgbImage {
  scaleX: number;
  scaleY: number;
  offset: number;
}

/**
 * Fits an image onto the canvas of a detector: a black border around it (a fraction of the longer side), shrunk to the
 * canvas, placed top-left within the border, black to the right and below.
 *
 * @param enlargeFrom - smallest enlargement factor; below it, the image keeps its size. `Infinity`: never enlarge.
 */
export async function letterbox(
  image: RgbImage,
  input: CardInput,
  pass: DetectionPass,
  enlargeFrom: number,
): Promise<Letterbox> {
  const side = pass.inputSide ?? Math.max(input.width, input.height);
  const longer = Math.max(image.width, image.height);
  const wanted = side / (longer * (1 + 2 * pass.border));
  const scale = wanted >= enlargeFrom ? wanted : Math.min(1, wanted);
  const resized = await resizeImage(
    image,
    Math.max(1, Math.round(image.width * scale)),
    Math.max(1, Math.round(image.height * scale)),
  );
  const offset = Math.round(longer * scale * pass.border);
  const { multipleOf } = input;
  const fit = (size: number) => Math.ceil((size + 2 * offset) / (multipleOf ?? 1)) * (multipleOf ?? 1);
  const width = multipleOf == null ? input.width : fit(resized.width);
  const height = multipleOf == null ? input.height : fit(resized.height);
  return {
    data: paste(resized, width, height, offset),
    width,
    height,
    scaleX: resized.width / image.width,
    scaleY: resized.height / image.height,
    offset,
  };
}

function paste(image: RgbImage, width: number, height: number, offset: number): Uint8Array {
  if (image.width === width && image.height === height) return image.data;
  const canvas = new Uint8Array(width * height * 3);
  const rowBytes = Math.min(image.width, width - offset) * 3;
  for (let row = 0; row < Math.min(image.height, height - offset); row++) {
    const from = row * image.width * 3;
    canvas.set(image.data.subarray(from, from + rowBytes), ((row + offset) * width + offset) * 3);
  }
  return canvas;
}
