import sharp from 'sharp';
import { IMAGE_LIMITS } from '../../test/support/image-fixtures';
import { decodeImage } from './rgb-image';

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
});
