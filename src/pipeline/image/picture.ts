import type { BoundingBox } from '../face.types';
import type { DecodedImage, EncodedImage } from './rgb-image';
import { gainOf, stretchLevels } from './stretch-levels';
import { type Rotation, turnBox, turnBoxBack, turnImage } from './turn-image';

/** A file decoded in each required size once, brightened if dark, and rotated. */
export class Picture {
  private readonly decoded = new Map<number, Promise<DecodedImage>>();
  /** Brightening factor of the first decoded whole picture. */
  private gain?: number;

  /** @param time - measures the decoding. */
  constructor(
    private readonly file: EncodedImage,
    private readonly time: (decode: () => Promise<DecodedImage>) => Promise<DecodedImage>,
  ) {}

  get originalWidth(): number {
    return this.file.originalWidth;
  }

  get originalHeight(): number {
    return this.file.originalHeight;
  }

  /**
   * The picture, upright by its EXIF orientation and then rotated.
   *
   * @param maxSide - longest side in pixels.
   * @throws {FaceError} IMAGE_CORRUPT, IMAGE_DECODE_TIMEOUT.
   */
  async at(maxSide: number, rotation: Rotation): Promise<DecodedImage> {
    const side = Math.min(maxSide, Math.max(this.originalWidth, this.originalHeight));
    const known = this.decoded.get(side) ?? this.decode(side);
    this.decoded.set(side, known);
    return turn(await known, rotation);
  }

  /**
   * A part of the picture in higher resolution, as bright as the whole.
   *
   * @param part - in pixels of `whole`.
   * @param whole - the picture as returned by {@link at}.
   * @param maxSide - longest side of the whole in pixels.
   * @throws {FaceError} as {@link at}.
   */
  async partAt(
    part: BoundingBox,
    { width, height }: Pick<DecodedImage, 'width' | 'height'>,
    maxSide: number,
    rotation: Rotation,
  ): Promise<DecodedImage> {
    const fractions = {
      x: part.x / width,
      y: part.y / height,
      width: part.width / width,
      height: part.height / height,
    };
    return turn(
      await this.decode(maxSide, turnBoxBack(fractions, rotation, { width: 1, height: 1 })),
      rotation,
    );
  }

  private decode(maxSide: number, part?: BoundingBox): Promise<DecodedImage> {
    return this.time(async () => {
      const image = await this.file.decode(maxSide, part);
      this.gain ??= gainOf(image);
      return stretchLevels(image, this.gain);
    });
  }
}

function turn(image: DecodedImage, rotation: Rotation): DecodedImage {
  return { ...image, ...turnImage(image, rotation), frame: turnBox(image.frame, rotation, image) };
}

/** The square around the center of a box, as a multiple of its longer side. */
export function around({ x, y, width, height }: BoundingBox, room: number): BoundingBox {
  const side = Math.max(width, height) * room;
  return { x: x + (width - side) / 2, y: y + (height - side) / 2, width: side, height: side };
}
