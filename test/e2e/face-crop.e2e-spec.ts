import { join } from 'node:path';
import sharp from 'sharp';
import { resolveFaceOptions } from '../../src/face/face.options';
import { WorkerFaceModel } from '../../src/face/worker-face-model';
import type { RepresentedFace } from '../../src/pipeline/face.types';
import { rootDir } from '../support/paths';
import { peoplePhotos } from '../support/people-photos';
import { withOrientation } from '../support/portrait';
import { cosine } from '../support/random-unit';

const EMBEDDERS = ['mobilefacenet-512', 'face-resnet-128'];
/** Two photos of one person are far less alike. */
const SAME_PHOTO = 0.95;

describe('crops of faces', () => {
  let model: WorkerFaceModel;
  let photos: Buffer[];

  beforeAll(async () => {
    photos = await peoplePhotos();
    const workerFile = join(rootDir, 'dist', 'inference', 'worker-main.js');
    model = await WorkerFaceModel.load(
      resolveFaceOptions({
        workerFile,
        workerCount: 1,
        embedders: EMBEDDERS,
        attributeModels: [],
        cache: 'memory',
      }),
    );
  });
  afterAll(() => model.close());

  async function cropped(photo: Uint8Array): Promise<RepresentedFace & { crop: Uint8Array }> {
    const { faces } = await model.represent(photo, { faceSelection: 'best', crop: true });
    expect(faces[0].crop).toBeInstanceOf(Uint8Array);
    return faces[0] as RepresentedFace & { crop: Uint8Array };
  }

  it.each(EMBEDDERS)('are embedded as the photo is, by %s', async (embedder) => {
    for (const photo of photos) {
      const { crop } = await cropped(photo);
      const options = { embedder, faceSelection: 'best' } as const;
      const [{ embedding }] = (await model.represent(photo, options)).faces;
      const [again] = (await model.represent(crop, { ...options, faceSelection: 'centerLargest' })).faces;
      expect(cosine(embedding, again.embedding)).toBeGreaterThan(SAME_PHOTO);
    }
  });

  it('are JPEGs of at most 400 pixels a side, without metadata', async () => {
    const { width, height, format, exif, icc, xmp } = await sharp((await cropped(photos[0])).crop).metadata();
    expect({ format, exif, icc, xmp }).toEqual({ format: 'jpeg' });
    expect(Math.max(width, height)).toBeGreaterThan(200);
    expect(Math.max(width, height)).toBeLessThanOrEqual(400);
  });

  it('are upright, whatever the photo and its file say', async () => {
    const { embedding } = await cropped(photos[0]);
    const turned = await sharp(photos[0]).rotate(90).jpeg({ quality: 95 }).toBuffer();
    for (const photo of [turned, await withOrientation(photos[0], 6)]) {
      const { crop } = await cropped(photo);
      const { faces } = await model.represent(crop, { autoRotate: false, faceSelection: 'centerLargest' });
      expect(cosine(embedding, faces[0].embedding)).toBeGreaterThan(SAME_PHOTO);
    }
  });

  it('are never enlarged', async () => {
    const small = await sharp(photos[0]).resize(200).jpeg({ quality: 95 }).toBuffer();
    const { box, crop } = await cropped(small);
    const { width } = await sharp(crop).metadata();
    expect(width).toBeLessThanOrEqual(Math.ceil(Math.max(box.width, box.height) * 2.4) + 1);
  });

  it('are the whole image where that is taken for the face', async () => {
    const { faces } = await model.represent(photos[0], { wholeImage: 'always', crop: true });
    const [photo, crop] = await Promise.all(
      [photos[0], faces[0].crop as Uint8Array].map((image) => sharp(image).metadata()),
    );
    expect(crop.width / crop.height).toBeCloseTo(photo.width / photo.height, 1);
    expect(Math.max(crop.width, crop.height)).toBeGreaterThan(390);
  });

  it('come from no cache, and leave nothing there', async () => {
    const photo = await sharp(photos[1]).resize(300).jpeg().toBuffer();
    const first = await model.represent(photo, { crop: true });
    const second = await model.represent(photo, { crop: true });
    const third = await model.represent(photo, { cache: false });
    for (const { timings } of [first, second, third]) expect(timings.cache).toBeUndefined();
    const fourth = await model.represent(photo);
    expect(fourth.timings.cache).toBe('miss');
    expect(fourth.faces[0]).not.toHaveProperty('crop');
  });
});
