import sharp from 'sharp';
import { withOrientation } from '../support/portrait';
import { distanceOf } from './deepface-formulas';
import { BLANK_SIZE, GROUP_SIZE, PERSON_SIZE } from './photos';
import { type Area, expectArea, hasDecimals, ok, type Setup, wholeArea } from './shapes';
import { SMALL_DIMENSIONS } from './small-embedders';
import { dataUri, ENCODINGS } from './wire';

interface Represented {
  embedding: number[];
  facial_area: Area;
  face_confidence: number;
}

/** POST /represent: what is sent, what is answered. */
export function representCases(setup: () => Setup): void {
  const uri = (name: keyof Setup['photos']) => dataUri(setup().photos[name]);
  const represent = async (img: unknown, fields: object = {}) =>
    ok(await setup().wire.json('/represent', { img, ...fields })).results;

  describe('the answer', () => {
    it('has the keys of DeepFace, in its order', async () => {
      const body = ok(await setup().wire.json('/represent', { img: uri('person') }));
      expect(Object.keys(body)).toEqual(['results']);
      expect(body.results).toHaveLength(1);
      expect(Object.keys(body.results[0])).toEqual(['embedding', 'facial_area', 'face_confidence']);
    });

    it('gives the vector of the network as it is, not at unit length', async () => {
      const [{ embedding }] = await represent(uri('person'));
      expect(embedding).toHaveLength(128);
      expect(embedding.every(Number.isFinite)).toBe(true);
      // The lengths that this network gives lie between 1.2 and 1.5.
      expect(Math.hypot(...embedding)).toBeGreaterThan(1.2);
    });

    it('tells the area of the face', async () => {
      const [{ facial_area }] = await represent(uri('person'));
      expectArea(facial_area, PERSON_SIZE);
    });

    it('rounds face_confidence to 2 decimals of a fraction', async () => {
      const [{ face_confidence }] = await represent(uri('person'));
      expect(hasDecimals(face_confidence, 2)).toBe(true);
      expect(face_confidence).toBeGreaterThan(0.5);
      expect(face_confidence).toBeLessThanOrEqual(1);
    });

    it('is the same twice', async () => {
      expect(await represent(uri('person'))).toEqual(await represent(uri('person')));
    });

    it('agrees with /verify to 6 decimals', async () => {
      const [[a], [b]] = await Promise.all([represent(uri('person')), represent(uri('personAgain'))]);
      const { distance } = ok(
        await setup().wire.json('/verify', { img1: uri('person'), img2: uri('personAgain') }),
      );
      expect(Math.abs(distance - distanceOf('cosine', a.embedding, b.embedding))).toBeLessThan(1e-6);
    });
  });

  describe('the request', () => {
    it.each(ENCODINGS)('is read from %s', async (encoding) => {
      const { wire, photos } = setup();
      const { results } = ok(await wire.encoded('/represent', encoding, { img: photos.person }));
      expect(results).toEqual(await represent(uri('person')));
    });

    it.each(ENCODINGS)('is read with the old name img_path from %s', async (encoding) => {
      const { wire, photos } = setup();
      const { results } = ok(await wire.encoded('/represent', encoding, { img_path: photos.person }));
      expect(results).toHaveLength(1);
    });

    it.each(ENCODINGS)('is read from %s where the photo is large', async (encoding) => {
      const { wire, photos } = setup();
      expect(photos.heavy.length).toBeGreaterThan(1.8e6);
      const { results } = ok(await wire.encoded('/represent', encoding, { img: photos.heavy }));
      expect(results).toHaveLength(3);
    });

    it.each([0, 1, 2])(
      'is JSON that curl sends as a form, with %i signs of base64 padding',
      async (padding) => {
        const { wire, photos } = setup();
        // Bytes after the end of a JPEG are no part of the picture.
        const spare = (6 - padding - (photos.person.length % 3)) % 3;
        const photo = Buffer.concat([photos.person, Buffer.alloc(spare)]);
        const base64 = photo.toString('base64');
        expect([base64.includes('+'), base64.length - base64.replace(/=/g, '').length]).toEqual([
          true,
          padding,
        ]);
        const body = JSON.stringify({ img: base64, model_name: 'Dlib' });
        expect(ok(await wire.raw('/represent', body)).results).toHaveLength(1);
      },
    );

    it.each(['png', 'webp'] as const)('may hold a photo as %s', async (format) => {
      const image = await sharp(setup().photos.person).toFormat(format, { lossless: true }).toBuffer();
      expect(await represent(`data:image/${format};base64,${image.toString('base64')}`)).toHaveLength(1);
    });

    it('may hold base64 with line breaks, as many encoders write it', async () => {
      const lines = setup()
        .photos.person.toString('base64')
        .replace(/(.{76})/g, '$1\n');
      expect(await represent(lines)).toEqual(await represent(uri('person')));
    });

    it('may hold a photo that lies on its side: EXIF says how it stands', async () => {
      const turned = await withOrientation(setup().photos.person, 6);
      const [{ facial_area }] = await represent(dataUri(turned));
      expectArea(facial_area, PERSON_SIZE);
    });

    it('names a model: its own embedding', async () => {
      const [{ embedding }] = await represent(uri('person'), { model_name: 'SFace' });
      expect(embedding).toHaveLength(SMALL_DIMENSIONS);
      expect(await represent(uri('person'), { model_name: 'Dlib' })).toEqual(await represent(uri('person')));
    });
  });

  describe('several faces', () => {
    it('are all answered', async () => {
      const results: Represented[] = await represent(uri('group'));
      expect(results).toHaveLength(3);
      for (const { facial_area } of results) expectArea(facial_area, GROUP_SIZE);
    });

    it.each([1, 2, '1', '2'])('are cut down by max_faces %j, the largest first', async (max_faces) => {
      const all: Represented[] = await represent(uri('group'));
      const some: Represented[] = await represent(uri('group'), { max_faces });
      expect(some).toHaveLength(Number(max_faces));
      const areaOf = ({ facial_area: { w, h } }: Represented) => w * h;
      const left = all.filter((face) => !some.some((other) => other.facial_area.x === face.facial_area.x));
      expect(left).toHaveLength(3 - some.length);
      // Boxes are rounded on the wire: two that are as large to a few percent may come in either order.
      expect(Math.min(...some.map(areaOf))).toBeGreaterThan(0.95 * Math.max(...left.map(areaOf)));
      for (const face of some) expect(all).toContainEqual(face);
    });

    it.each([null, 3, 50])('are all answered with max_faces %j', async (max_faces) => {
      expect(await represent(uri('group'), { max_faces })).toHaveLength(3);
    });

    it.each(['many', 1.5, -1, {}])('are refused with max_faces %j, naming the field', async (max_faces) => {
      const answer = await setup().wire.json('/represent', { img: uri('group'), max_faces });
      expect(answer.status).toBe(400);
      expect(answer.body.error).toContain('max_faces');
    });

    it('are cut down by max_faces in multipart', async () => {
      const { wire, photos } = setup();
      const { results } = ok(await wire.multipart('/represent', { img: photos.group, max_faces: '1' }));
      expect(results).toHaveLength(1);
    });
  });

  describe('several images', () => {
    it('give a list per image, in the order of the images', async () => {
      const results: Represented[][] = await represent([uri('person'), uri('group'), uri('stranger')]);
      expect(results.map((faces) => faces.length)).toEqual([1, 3, 1]);
      const [person] = await represent(uri('person'));
      expect(distanceOf('cosine', results[0][0].embedding, person.embedding)).toBeLessThan(1e-6);
      expect(results[0][0].facial_area).toEqual(person.facial_area);
    });

    it('give a list of one list where the list has one', async () => {
      const results: Represented[][] = await represent([uri('person')]);
      expect(results.map((faces) => faces.length)).toEqual([1]);
    });

    it('may be repeated files in multipart', async () => {
      const { wire, photos } = setup();
      const { results } = ok(await wire.multipart('/represent', { img: [photos.group, photos.person] }));
      expect(results.map((faces: Represented[]) => faces.length)).toEqual([3, 1]);
    });

    it('may be raw base64 and data URIs side by side', async () => {
      const results: Represented[][] = await represent([
        setup().photos.person.toString('base64'),
        uri('person'),
      ]);
      expect(results[0]).toEqual(results[1]);
    });

    it('keep max_faces for each', async () => {
      const results: Represented[][] = await represent([uri('group'), uri('group')], { max_faces: 2 });
      expect(results.map((faces) => faces.length)).toEqual([2, 2]);
    });

    it('are refused together where one has no face, unless detection is not enforced', async () => {
      const img = [uri('person'), uri('blank')];
      expect((await setup().wire.json('/represent', { img })).status).toBe(400);
      const results: Represented[][] = await represent(img, { enforce_detection: false });
      expect(results[1][0].facial_area).toEqual(wholeArea(BLANK_SIZE));
    });
  });

  describe.each([{ detector_backend: 'skip' }, { enforce_detection: false }])('%j', (fields) => {
    it('takes the whole image for the face where there is none: confidence 0, no eyes', async () => {
      const results: Represented[] = await represent(uri('blank'), fields);
      expect(results).toHaveLength(1);
      expect(results[0]).toMatchObject({ facial_area: wholeArea(BLANK_SIZE), face_confidence: 0 });
      expect(results[0].embedding).toHaveLength(128);
    });
  });

  it('with skip looks for no face even where there are some', async () => {
    const results: Represented[] = await represent(uri('group'), { detector_backend: 'skip' });
    expect(results).toHaveLength(1);
    expect(results[0].facial_area).toEqual(wholeArea(GROUP_SIZE));
  });

  it('with enforce_detection false answers the faces it found', async () => {
    expect(await represent(uri('group'), { enforce_detection: false })).toEqual(
      await represent(uri('group')),
    );
  });

  it('with align false keeps area and confidence, and gives another embedding', async () => {
    const [[aligned], [plain]] = await Promise.all([
      represent(uri('person')),
      represent(uri('person'), { align: false }),
    ]);
    expect(plain.facial_area).toEqual(aligned.facial_area);
    expect(plain.face_confidence).toBe(aligned.face_confidence);
    expect(distanceOf('cosine', aligned.embedding, plain.embedding)).toBeGreaterThan(1e-4);
  });
}
