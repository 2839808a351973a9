import sharp from 'sharp';
import { IMAGE_LIMITS } from '../../../test/support/image-fixtures';
import { type DecodedImage, decodeImage, readImage } from './rgb-image';

describe(decodeImage.name, () => {
  let jpeg: Buffer;
  beforeAll(async () => {
    const data = Buffer.from(Array.from({ length: 256 * 256 * 3 }, (_, i) => (i * 7919) % 251));
    jpeg = await sharp(data, { raw: { width: 256, height: 256, channels: 3 } })
      .jpeg()
      .toBuffer();
    expect(jpeg.subarray(-2)).toEqual(Buffer.from([0xff, 0xd9]));
  });

  it('decodes a JPEG without its end marker as the whole one', async () => {
    const whole = await decodeImage(jpeg, IMAGE_LIMITS);
    await expect(decodeImage(jpeg.subarray(0, -2), IMAGE_LIMITS)).resolves.toEqual(whole);
  });

  it.each([0.25, 0.5, 0.75])('throws IMAGE_CORRUPT for %d of a JPEG', async (share) => {
    const part = jpeg.subarray(0, jpeg.length * share);
    await expect(decodeImage(part, IMAGE_LIMITS)).rejects.toMatchObject({ code: 'IMAGE_CORRUPT' });
  });

  describe('of a part', () => {
    /** Pixels of the part in the whole. */
    const cut = ({ data, width }: DecodedImage, { frame, ...part }: DecodedImage) =>
      Uint8Array.from({ length: part.data.length }, (_, i) => {
        const x = (Math.floor(i / 3) % part.width) - frame.x;
        const y = Math.floor(i / 3 / part.width) - frame.y;
        return data[(y * width + x) * 3 + (i % 3)];
      });
    const part = { x: 0.3, y: 0.1, width: 0.4, height: 0.25 };

    it.each([
      ['as large as the file', 1, 256],
      ['shrunk', 1, 100],
      ['turned by its EXIF', 6, 256],
      ['mirrored and shrunk', 5, 100],
    ])('gives its pixels of the whole, %s', async (_, orientation, side) => {
      const bytes = await sharp(jpeg).resize(256, 192).withMetadata({ orientation }).jpeg().toBuffer();
      const file = await readImage(bytes, IMAGE_LIMITS);
      const whole = await file.decode(side);
      const image = await file.decode(side, part);
      expect(whole.frame).toEqual({ x: 0, y: 0, width: whole.width, height: whole.height });
      expect(image.frame).toEqual({
        x: 0 - Math.floor(0.3 * whole.width),
        y: -Math.floor(0.1 * whole.height),
        width: whole.width,
        height: whole.height,
      });
      expect(image.width).toBe(Math.ceil(0.7 * whole.width) + image.frame.x);
      expect(image.height).toBe(Math.ceil(0.35 * whole.height) + image.frame.y);
      expect(image.data).toEqual(Buffer.from(cut(whole, image)));
    });

    it.each([
      [{ x: -1, y: -1, width: 3, height: 3 }, { x: 0, y: 0 }, [256, 256]],
      [{ x: 0.9, y: 0.9, width: 2, height: 2 }, { x: -230, y: -230 }, [26, 26]],
      [{ x: 1.5, y: -2, width: 0, height: 0 }, { x: -255, y: 0 }, [1, 1]],
    ])('is cut off at the edges: %o', async (outside, at, size) => {
      const file = await readImage(jpeg, IMAGE_LIMITS);
      const { frame, width, height } = await file.decode(256, outside);
      expect(frame).toMatchObject(at);
      expect([width, height]).toEqual(size);
    });
  });
});
