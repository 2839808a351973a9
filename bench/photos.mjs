import { existsSync, readdirSync, readFileSync, rmSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { call, multipartRequest, rootDir, samples } from './service.mjs';

const dataDir = join(rootDir, '..', 'shared', 'data');

/** Labeled photos beside the checkout; `null` where they are absent. */
export const sharedData = existsSync(dataDir) ? dataDir : null;

/** Photos of deepface's tests with one face each, 1,500 to 4,350 pixels on their longer side. */
const LARGE = [1, 2, 3, 4, 7, 13, 23, 31, 33, 49].map((i) => `img${i}.jpg`);
const COUNT = LARGE.length;
const QUALITY = 90;
/** Height of a crop around a face, in heights of its box. */
const CROP = 3;

/**
 * Photos with one face each, in three sizes, as JPEG; the two larger ones carry the sRGB profile of 3,144 bytes that cameras and
 * phones write.
 *
 * @param port - of a service that finds the faces to crop where ../shared is absent.
 * @returns `source`, in words, and `sets` of { name, photos }.
 */
export async function photoSets(port) {
  const small = sharedData == null ? await cropFaces(port) : upright(Math.ceil(COUNT / 10)).slice(0, COUNT);
  const large =
    sharedData == null ? small : LARGE.map((name) => readFileSync(join(sharedData, 'deepface', name)));
  const profile = await cameraProfile();
  return {
    source:
      sharedData == null
        ? `${COUNT} crops around faces of the demo photos of face-api`
        : `${COUNT} photos of lfw10 (250 px) and ${COUNT} of the tests of DeepFace (larger ones)`,
    sets: [
      { name: '250 px', photos: sharedData == null ? await resizeAll(small, longerSide(250)) : small },
      { name: '1,920 px', photos: await resizeAll(large, longerSide(1920), profile) },
      { name: '12 megapixels', photos: await resizeAll(large, megapixels(12), profile) },
    ],
  };
}

/** Upright photos of 250 px of ten people; all of them, or so many of each. */
export function upright(perPerson = Infinity) {
  const dir = join(sharedData, 'lfw10');
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) =>
      readdirSync(join(dir, name))
        .sort()
        .slice(0, perPerson)
        .map((file) => readFileSync(join(dir, name, file))),
    );
}

/** A verification of each photo with the next. */
export function pairRequests(photos) {
  return photos.map((probe, i) =>
    multipartRequest('/v1/verify', { probe, reference: photos[(i + 1) % photos.length] }),
  );
}

/** The largest faces of the demo photos, with their surroundings. */
async function cropFaces(port) {
  const crops = [];
  for (const sample of samples) {
    const { method, path, headers, body } = multipartRequest('/v1/detect', { image: sample });
    const answer = await call(port, method, path, headers, body);
    if (answer.status !== 200) throw new Error(`Expected faces but received ${answer.status}.`);
    for (const { box } of JSON.parse(answer.body).faces) crops.push({ sample, box });
  }
  const height = ({ box }) => box.height;
  crops.sort((a, b) => height(b) - height(a));
  return Promise.all(
    crops.slice(0, COUNT).map(async ({ sample, box }) => {
      const image = await sharp(sample).metadata();
      const side = Math.round(Math.min(CROP * box.height, image.width, image.height));
      const start = (middle, limit) => Math.round(Math.min(Math.max(0, middle - side / 2), limit - side));
      const left = start(box.x + box.width / 2, image.width);
      const top = start(box.y + box.height / 2, image.height);
      return sharp(sample).extract({ left, top, width: side, height: side }).jpeg({ quality: 95 }).toBuffer();
    }),
  );
}

const longerSide =
  (pixels) =>
  ({ width, height }) =>
    pixels / Math.max(width, height);
const megapixels =
  (count) =>
  ({ width, height }) =>
    Math.sqrt((count * 1e6) / (width * height));

async function resizeAll(photos, factorOf, profile) {
  return Promise.all(
    photos.map(async (photo) => {
      const upright = (await sharp(photo).metadata()).autoOrient;
      const image = sharp(photo)
        .autoOrient()
        .resize(Math.round(upright.width * factorOf(upright)));
      return (profile == null ? image : image.withIccProfile(profile)).jpeg({ quality: QUALITY }).toBuffer();
    }),
  );
}

/** Path of the sRGB profile (IEC 61966-2.1) that a demo photo carries. */
async function cameraProfile() {
  const { icc } = await sharp(samples[0]).metadata();
  if (icc?.length !== 3144)
    throw new Error('Expected the sRGB profile of 3,144 bytes in the first demo photo.');
  const dir = mkdtempSync(join(tmpdir(), 'likeness-profile-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  writeFileSync(join(dir, 'srgb.icc'), icc);
  return join(dir, 'srgb.icc');
}
