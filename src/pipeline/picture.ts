import type { DecodedImage, EncodedImage } from './rgb-image';
import { stretchLevels } from './stretch-levels';
import { type Rotation, turnImage } from './turn-image';

/** A file that is decoded as large as it is needed, brightened where it is dark, and turned; each size once. */
export class Picture {
  private readonly decoded = new Map<number, Promise<DecodedImage>>();

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
   * The picture, upright by its file and then turned.
   *
   * @param maxSide - longest side in pixels.
   * @throws {FaceError} IMAGE_CORRUPT, IMAGE_DECODE_TIMEOUT.
   */
  async at(maxSide: number, rotation: Rotation): Promise<DecodedImage> {
    const side = Math.min(maxSide, Math.max(this.originalWidth, this.originalHeight));
    const known =
      this.decoded.get(side) ?? this.time(async () => stretchLevels(await this.file.decode(side)));
    this.decoded.set(side, known);
    const image = await known;
    return { ...image, ...turnImage(image, rotation) };
  }
}
