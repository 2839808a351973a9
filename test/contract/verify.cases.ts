import sharp from 'sharp';
import { confidenceOf, DEEPFACE_METRICS, distanceOf, thresholdOf } from './deepface-formulas';
import { BLANK_SIZE, CUT_OFF_SIZE, GROUP_SIZE, PERSON_SIZE } from './photos';
import {
  type Area,
  expectArea,
  hasDecimals,
  NULL_AREA,
  ok,
  type Setup,
  VERIFY_KEYS,
  wholeArea,
} from './shapes';
import { dataUri, ENCODINGS } from './wire';

/** POST /verify: what is sent, what is answered. */
export function verifyCases(setup: () => Setup): void {
  const verify = async (img1: unknown, img2: unknown, fields: object = {}) =>
    ok(await setup().wire.json('/verify', { img1, img2, ...fields }));
  const uri = (name: keyof Setup['photos']) => dataUri(setup().photos[name]);
  const embeddingOf = async (name: keyof Setup['photos'], fields: object = {}): Promise<number[]> =>
    ok(await setup().wire.json('/represent', { img: uri(name), ...fields })).results[0].embedding;

  describe('the answer', () => {
    it('has the keys of DeepFace, in its order', async () => {
      const body = await verify(uri('person'), uri('personAgain'));
      expect(Object.keys(body)).toEqual(VERIFY_KEYS);
      expect(Object.keys(body.facial_areas)).toEqual(['img1', 'img2']);
    });

    it('has the types of DeepFace', async () => {
      expect(await verify(uri('person'), uri('personAgain'))).toEqual({
        verified: expect.any(Boolean),
        distance: expect.any(Number),
        threshold: expect.any(Number),
        confidence: expect.any(Number),
        model: expect.any(String),
        detector_backend: expect.any(String),
        similarity_metric: expect.any(String),
        facial_areas: { img1: expect.any(Object), img2: expect.any(Object) },
        time: expect.any(Number),
      });
    });

    it('names the defaults: cosine, and the models that are loaded where DeepFace has VGG-Face and opencv', async () => {
      const body = await verify(uri('person'), uri('personAgain'));
      expect(body).toMatchObject({
        model: 'Dlib',
        detector_backend: 'rfb-320',
        similarity_metric: 'cosine',
        threshold: 0.07,
      });
    });

    it('rounds the distance to 6 decimals, confidence and time to 2', async () => {
      const { distance, confidence, time } = await verify(uri('person'), uri('personAgain'));
      expect(hasDecimals(distance, 6)).toBe(true);
      expect(hasDecimals(distance, 3)).toBe(false);
      expect(hasDecimals(confidence, 2)).toBe(true);
      expect(hasDecimals(time, 2)).toBe(true);
      expect(time).toBeGreaterThanOrEqual(0);
    });

    it('tells the areas of both faces', async () => {
      const { facial_areas } = await verify(uri('person'), uri('personAgain'));
      expectArea(facial_areas.img1, PERSON_SIZE);
      expectArea(facial_areas.img2, { width: 330, height: 390 });
    });

    it('keeps the area of a face that is cut off inside the image, and an eye outside is null', async () => {
      const { facial_areas } = await verify(uri('cutOff'), uri('person'));
      const { x, y, w, h, left_eye, right_eye } = facial_areas.img1 as Area;
      expect([x, right_eye]).toEqual([0, null]);
      expect(x + w).toBeLessThanOrEqual(CUT_OFF_SIZE.width);
      expect(y + h).toBeLessThanOrEqual(CUT_OFF_SIZE.height);
      expect(left_eye).toEqual([expect.any(Number), expect.any(Number)]);
    });

    it.each([
      ['right', { left: 0, top: 0, width: 330, height: 560 }],
      ['lower', { left: 0, top: 0, width: 480, height: 360 }],
    ])('keeps the area of a face that is cut off by the %s edge inside the image', async (_edge, cut) => {
      const image = await sharp(setup().photos.person).extract(cut).jpeg().toBuffer();
      const { facial_areas } = await verify(dataUri(image), uri('person'));
      expectArea(facial_areas.img1, cut);
    });
  });

  describe('the decision', () => {
    it('verifies a photo with itself, at distance 0 and confidence 100', async () => {
      expect(await verify(uri('person'), uri('person'))).toMatchObject({
        verified: true,
        distance: 0,
        confidence: 100,
      });
    });

    it('verifies two photos of one person, with a confidence of 51 or more', async () => {
      const { verified, distance, threshold, confidence } = await verify(uri('person'), uri('personAgain'));
      expect(verified).toBe(true);
      expect(distance).toBeLessThanOrEqual(threshold);
      expect(confidence).toBeGreaterThanOrEqual(51);
    });

    it('does not verify two people, with a confidence of 49 or less', async () => {
      const { verified, distance, threshold, confidence } = await verify(uri('person'), uri('stranger'));
      expect(verified).toBe(false);
      expect(distance).toBeGreaterThan(threshold);
      expect(confidence).toBeLessThanOrEqual(49);
    });

    it('is the same with the photos exchanged', async () => {
      const [there, back] = await Promise.all([
        verify(uri('person'), uri('stranger')),
        verify(uri('stranger'), uri('person')),
      ]);
      expect(back.distance).toBe(there.distance);
      expect(back.facial_areas).toEqual({
        img1: there.facial_areas.img2,
        img2: there.facial_areas.img1,
      });
    });

    it('takes the closest pair where there are several faces, as DeepFace does', async () => {
      const { results } = ok(await setup().wire.json('/represent', { img: uri('group') }));
      const own = await embeddingOf('person');
      const distances = results.map((face: { embedding: number[] }) =>
        distanceOf('cosine', own, face.embedding),
      );
      const closest = distances.indexOf(Math.min(...distances));
      for (const sides of [
        ['person', 'group'],
        ['group', 'person'],
      ] as const) {
        const body = await verify(uri(sides[0]), uri(sides[1]));
        expect(body.verified).toBe(true);
        expect(body.distance).toBeCloseTo(distances[closest], 5);
        const area = body.facial_areas[sides[0] === 'group' ? 'img1' : 'img2'];
        expect(area).toEqual(results[closest].facial_area);
        expectArea(area, GROUP_SIZE);
      }
    });
  });

  describe('the request', () => {
    it.each(ENCODINGS)('is read from %s', async (encoding) => {
      const { wire, photos } = setup();
      const { time: _time, ...body } = ok(
        await wire.encoded('/verify', encoding, { img1: photos.person, img2: photos.stranger }),
      );
      const { time: _expected, ...expected } = await verify(uri('person'), uri('stranger'));
      expect(body).toEqual(expected);
    });

    it.each(ENCODINGS)('is read with the old names img1_path and img2_path from %s', async (encoding) => {
      const { wire, photos } = setup();
      const images = { img1_path: photos.person, img2_path: photos.personAgain };
      expect(ok(await wire.encoded('/verify', encoding, images)).verified).toBe(true);
    });

    it('may mix a file with a text in multipart', async () => {
      const { wire, photos } = setup();
      const body = ok(await wire.multipart('/verify', { img1: photos.person, img2: uri('personAgain') }));
      expect(body.verified).toBe(true);
    });

    it.each(['json', 'multipart', 'form', 'curl'] as const)('carries every field in %s', async (carrier) => {
      const { wire } = setup();
      const fields = {
        img1: uri('person'),
        img2: uri('personAgain'),
        model_name: 'SFace',
        detector_backend: 'skip',
        distance_metric: 'euclidean_l2',
        align: 'true',
        enforce_detection: 'false',
        anti_spoofing: 'false',
      };
      const send = {
        json: () =>
          wire.json('/verify', { ...fields, align: true, enforce_detection: false, anti_spoofing: false }),
        multipart: () => wire.multipart('/verify', fields),
        form: () => wire.form('/verify', fields),
        curl: () => wire.raw('/verify', JSON.stringify(fields)),
      };
      expect(ok(await send[carrier]())).toMatchObject({
        model: 'SFace',
        detector_backend: 'skip',
        similarity_metric: 'euclidean_l2',
        threshold: 1.055,
        facial_areas: { img1: wholeArea(PERSON_SIZE) },
      });
    });

    it.each([
      'application/json; charset=utf-8',
      'text/plain',
      'text/plain;charset=UTF-8',
      'application/x-www-form-urlencoded; charset=utf-8',
    ])('is JSON also where the content type is %s', async (contentType) => {
      const body = JSON.stringify({ img1: uri('person'), img2: uri('person') });
      expect(ok(await setup().wire.raw('/verify', body, contentType)).verified).toBe(true);
    });

    it('may hold fields that nobody knows', async () => {
      const body = await verify(uri('person'), uri('person'), {
        silent: true,
        color: { of: ['the', 'sky'] },
        n: null,
      });
      expect(body.verified).toBe(true);
    });

    it('takes null for a field that is absent', async () => {
      const nothing = {
        model_name: null,
        detector_backend: null,
        distance_metric: null,
        threshold: null,
        align: null,
      };
      expect(await verify(uri('person'), uri('person'), nothing)).toMatchObject({
        model: 'Dlib',
        similarity_metric: 'cosine',
        threshold: 0.07,
      });
    });

    it('takes the first of a field that a form repeats', async () => {
      const image = encodeURIComponent(uri('person'));
      const fields = 'distance_metric=angular&distance_metric=cosine';
      const answer = await setup().wire.raw('/verify', `img1=${image}&img2=${image}&${fields}`);
      expect(ok(answer).similarity_metric).toBe('angular');
    });

    it('is read from a form whose base64 was not escaped, plus signs and all', async () => {
      const { wire, photos } = setup();
      const base64 = photos.person.toString('base64');
      expect(base64).toContain('+');
      expect(ok(await wire.raw('/verify', `img1=${base64}&img2=${base64}`))).toMatchObject({ distance: 0 });
    });

    it('is answered with an id, as every answer is', async () => {
      const { headers } = await setup().wire.json('/verify', { img1: uri('person'), img2: uri('person') });
      expect(headers.get('x-request-id')).toMatch(/\S+/);
    });
  });

  describe('booleans', () => {
    const blank = () => [uri('blank'), uri('person')] as const;

    it.each([false, 'false', 'False', 'FALSE', '0', 0])('read %j as false, in JSON', async (value) => {
      const [img1, img2] = blank();
      const { facial_areas } = await verify(img1, img2, { enforce_detection: value });
      expect(facial_areas.img1).toEqual(wholeArea(BLANK_SIZE));
    });

    it.each([true, 'true', 'True', '1', 1, null])(
      'read %j as true, or as the default, in JSON',
      async (value) => {
        const [img1, img2] = blank();
        const answer = await setup().wire.json('/verify', { img1, img2, enforce_detection: value });
        expect(answer.status).toBe(400);
      },
    );

    it.each(['form', 'multipart'] as const)(
      'read "false" as false in a %s (DeepFace takes every text for true)',
      async (carrier) => {
        const [img1, img2] = blank();
        const { facial_areas } = ok(
          await setup().wire[carrier]('/verify', { img1, img2, enforce_detection: 'false' }),
        );
        expect(facial_areas.img1).toEqual(wholeArea(BLANK_SIZE));
        const enforced = await setup().wire[carrier]('/verify', { img1, img2, enforce_detection: 'true' });
        expect(enforced.status).toBe(400);
      },
    );

    it('that say nothing are refused, naming the field', async () => {
      const answer = await setup().wire.json('/verify', {
        img1: uri('person'),
        img2: uri('person'),
        align: 'perhaps',
      });
      expect(answer.status).toBe(400);
      expect(answer.body.error).toContain('align');
    });
  });

  describe('threshold', () => {
    it('0 is taken (DeepFace takes its own instead): a photo verifies with itself alone', async () => {
      expect(await verify(uri('person'), uri('person'), { threshold: 0 })).toMatchObject({
        verified: true,
        threshold: 0,
      });
      expect(await verify(uri('person'), uri('personAgain'), { threshold: 0 })).toMatchObject({
        verified: false,
        threshold: 0,
      });
    });

    it('decides, and leaves the confidence to the published one', async () => {
      const plain = await verify(uri('person'), uri('stranger'));
      const wide = await verify(uri('person'), uri('stranger'), { threshold: 2 });
      expect(wide).toMatchObject({ verified: true, threshold: 2, confidence: plain.confidence });
      expect(wide.confidence).toBeLessThanOrEqual(49);
    });

    it.each(['multipart', 'form'] as const)('is read from text in a %s', async (carrier) => {
      const answer = await setup().wire[carrier]('/verify', {
        img1: uri('person'),
        img2: uri('personAgain'),
        threshold: '0.0001',
      });
      expect(ok(answer)).toMatchObject({ verified: false, threshold: 0.0001 });
    });

    it.each(['wide', -1, {}, true])('%j is refused, naming the field', async (threshold) => {
      const answer = await setup().wire.json('/verify', {
        img1: uri('person'),
        img2: uri('person'),
        threshold,
      });
      expect(answer.status).toBe(400);
      expect(answer.body.error).toContain('threshold');
    });
  });

  describe.each(DEEPFACE_METRICS)('metric %s', (metric) => {
    it('is the distance of the embeddings that /represent gives', async () => {
      const [a, b] = await Promise.all([embeddingOf('person'), embeddingOf('stranger')]);
      const body = await verify(uri('person'), uri('stranger'), { distance_metric: metric });
      expect(body.similarity_metric).toBe(metric);
      expect(Math.abs(body.distance - distanceOf(metric, a, b))).toBeLessThan(2e-6);
    });

    it('has its own threshold and confidence', async () => {
      for (const other of ['personAgain', 'stranger'] as const) {
        const body = await verify(uri('person'), uri(other), { distance_metric: metric });
        expect(body.threshold).toBe(thresholdOf('Dlib', metric));
        expect(body.verified).toBe(body.distance <= body.threshold);
        expect(body.confidence).toBeCloseTo(confidenceOf('Dlib', metric, body.distance), 1);
      }
    });

    it('gives 0 for a photo with itself', async () => {
      const body = await verify(uri('person'), uri('person'), { distance_metric: metric });
      expect(body).toMatchObject({ verified: true, distance: 0, confidence: 100 });
    });
  });

  describe('align', () => {
    it('false leaves the face as it stands: another embedding', async () => {
      const [aligned, plain] = await Promise.all([
        embeddingOf('person'),
        embeddingOf('person', { align: false }),
      ]);
      expect(distanceOf('cosine', aligned, plain)).toBeGreaterThan(1e-4);
      const body = await verify(uri('person'), aligned, { align: false });
      expect(body.distance).toBeCloseTo(distanceOf('cosine', aligned, plain), 5);
    });
  });

  describe('detector_backend skip', () => {
    it('takes the whole image for the face, width and height as they are (DeepFace exchanges them)', async () => {
      const body = await verify(uri('person'), uri('stranger'), { detector_backend: 'skip' });
      expect(body.detector_backend).toBe('skip');
      expect(body.facial_areas).toEqual({ img1: wholeArea(PERSON_SIZE), img2: wholeArea(PERSON_SIZE) });
    });

    it('needs no face', async () => {
      const body = await verify(uri('blank'), uri('blank'), { detector_backend: 'skip' });
      expect(body).toMatchObject({ verified: true, distance: 0 });
    });
  });

  describe('enforce_detection false', () => {
    it('takes the whole image where there is no face', async () => {
      const { facial_areas } = await verify(uri('blank'), uri('person'), { enforce_detection: false });
      expect(facial_areas.img1).toEqual(wholeArea(BLANK_SIZE));
      expectArea(facial_areas.img2, PERSON_SIZE);
    });

    it('changes nothing where there is one', async () => {
      const { time: _a, ...enforced } = await verify(uri('person'), uri('stranger'));
      const { time: _b, ...free } = await verify(uri('person'), uri('stranger'), {
        enforce_detection: false,
      });
      expect(free).toEqual(enforced);
    });
  });

  describe('embeddings in place of images', () => {
    it('on both sides: no areas, the same distance', async () => {
      const [a, b] = await Promise.all([embeddingOf('person'), embeddingOf('stranger')]);
      const body = await verify(a, b);
      expect(Object.keys(body)).toEqual(VERIFY_KEYS);
      expect(body.facial_areas).toEqual({ img1: NULL_AREA, img2: NULL_AREA });
      const { distance } = await verify(uri('person'), uri('stranger'));
      expect(Math.abs(body.distance - distance)).toBeLessThan(2e-6);
    });

    it.each(['img1', 'img2'] as const)('as %s, beside an image', async (side) => {
      const own = await embeddingOf('person');
      const [img1, img2] = side === 'img1' ? [own, uri('personAgain')] : [uri('personAgain'), own];
      const body = await verify(img1, img2);
      expect(body.verified).toBe(true);
      expect(body.facial_areas[side]).toEqual(NULL_AREA);
      expectArea(body.facial_areas[side === 'img1' ? 'img2' : 'img1'], { width: 330, height: 390 });
    });

    it.each(['form', 'multipart'] as const)('as text in a %s', async (carrier) => {
      const own = JSON.stringify(await embeddingOf('person'));
      const body = ok(await setup().wire[carrier]('/verify', { img1: own, img2: uri('personAgain') }));
      expect(body.verified).toBe(true);
      expect(body.facial_areas.img1).toEqual(NULL_AREA);
    });

    it('are taken as they are, of any length', async () => {
      const a = await embeddingOf('person');
      const longer = a.map((value) => value * 3);
      expect(await verify(a, longer)).toMatchObject({ verified: true, distance: 0 });
      const { distance } = await verify(a, longer, { distance_metric: 'euclidean' });
      expect(Math.abs(distance - 2 * Math.hypot(...a))).toBeLessThan(1e-5);
    });
  });
}
