import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { couple, pngHeader, portrait, withOrientation } from '../support/portrait';
import { rootDir } from '../support/paths';
import { type RunningService, startService } from '../support/start-service';

interface Answer {
  status: number;
  body: {
    error?: { code: string; message: string; details: Record<string, unknown> };
    faces: {
      box: { x: number; y: number; width: number; height: number };
      embedding: number[];
      embeddingNorm: number;
    }[];
    imageWidth: number;
    imageHeight: number;
    contract: string;
    verified: boolean;
    distance: number;
  };
}

const photo = (i: number) =>
  readFileSync(join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', `sample${i}.jpg`));

describe('real images through real models', () => {
  let service: RunningService;
  beforeAll(async () => (service = await startService()));
  afterAll(() => service?.stop());

  async function post(path: string, fields: Record<string, Buffer | string>): Promise<Answer> {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) {
      if (typeof value === 'string') form.append(name, value);
      else form.append(name, new Blob([new Uint8Array(value)]), 'holiday-at-home.jpg');
    }
    const response = await fetch(service.url + path, { method: 'POST', body: form });
    return { status: response.status, body: (await response.json()) as Answer['body'] };
  }

  it.each([
    [1, 3],
    // One of three is seen from above and from the side: it is not aligned.
    [2, 2],
    [3, 3],
    [4, 4],
    [5, 5],
    [6, 4],
  ])('represents the aligned faces of the group photo sample%d.jpg: %d', async (i, count) => {
    const { status, body } = await post('/v1/represent', { image: photo(i) });
    expect(status).toBe(200);
    expect(body.faces).toHaveLength(count);
    for (const { box, embedding, embeddingNorm } of body.faces) {
      expect(embedding).toHaveLength(512);
      expect(Math.hypot(...embedding)).toBeCloseTo(1, 5);
      expect(embeddingNorm).toBeGreaterThan(1.7);
      expect(embeddingNorm).toBeLessThan(7);
      expect(box.x + box.width).toBeLessThanOrEqual(body.imageWidth + 1);
      expect(box.y + box.height).toBeLessThanOrEqual(body.imageHeight + 1);
      expect(Math.min(box.x, box.y)).toBeGreaterThanOrEqual(-1);
    }
  });

  it('gives a face the same embedding alone and among others', async () => {
    const all = await post('/v1/represent', { image: photo(6) });
    const best = await post('/v1/represent', { image: photo(6), maxFaces: '1' });
    expect(best.body.faces).toHaveLength(1);
    const [a, b] = [all.body.faces[0].embedding, best.body.faces[0].embedding];
    expect(Math.max(...a.map((value, i) => Math.abs(value - b[i])))).toBeLessThan(1e-4);
  });

  it('takes back the embedding it gave, at distance 0 of its photo', async () => {
    const { body } = await post('/v1/represent', { image: photo(6), faceSelection: 'best' });
    const [{ embedding, embeddingNorm }] = body.faces;
    for (const metric of ['cosine', 'euclidean', 'euclidean_l2', 'angular']) {
      const { status, body: verified } = await post('/v1/verify', {
        probe: photo(6),
        reference: JSON.stringify({ embedding, contract: body.contract, embeddingNorm }),
        metric,
        // The card of the default embedder has no threshold for it.
        ...(metric === 'euclidean' ? { threshold: '1' } : {}),
      });
      expect([metric, status, verified.verified]).toEqual([metric, 200, true]);
      expect(verified.distance).toBeLessThan(1e-3);
    }
  });

  it('sees the same in all eight EXIF orientations', async () => {
    const upright = await withOrientation(photo(4), 1);
    const first = (await post('/v1/represent', { image: upright })).body;
    for (let orientation = 2; orientation <= 8; orientation++) {
      const turned = await withOrientation(photo(4), orientation);
      expect((await sharp(turned).metadata()).orientation).toBe(orientation);
      const { body } = await post('/v1/represent', { image: turned });
      expect([body.imageWidth, body.imageHeight]).toEqual([first.imageWidth, first.imageHeight]);
      expect(body.faces).toHaveLength(first.faces.length);
      body.faces.forEach(({ box, embedding }, i) => {
        const cosine = embedding.reduce((sum, value, k) => sum + value * first.faces[i].embedding[k], 0);
        // Files of other orientations are encoded again: their pixels differ a little.
        expect(cosine).toBeGreaterThanOrEqual(0.995);
        for (const side of ['x', 'y', 'width', 'height'] as const) {
          expect(Math.abs(box[side] - first.faces[i].box[side])).toBeLessThan(5);
        }
      });
    }
  });

  describe('refuses, naming the field', () => {
    const good = () => portrait().jpeg().toBuffer();
    const bad: [string, () => Promise<Buffer> | Buffer, number, string][] = [
      ['text as .jpg', () => Buffer.from('This is no photo.'), 415, 'IMAGE_UNSUPPORTED'],
      [
        'SVG',
        () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
        415,
        'IMAGE_UNSUPPORTED',
      ],
      ['PDF', () => Buffer.from('%PDF-1.4\n1 0 obj\n<<>>\nendobj\n'), 415, 'IMAGE_UNSUPPORTED'],
      ['an empty file', () => Buffer.alloc(0), 400, 'IMAGE_EMPTY'],
      ['a truncated JPEG', async () => photo(1).subarray(0, 50_000), 422, 'IMAGE_CORRUPT'],
      ['the first bytes of a JPEG', async () => photo(1).subarray(0, 100), 422, 'IMAGE_CORRUPT'],
      [
        'a truncated PNG',
        async () => (await portrait().png().toBuffer()).subarray(0, 5000),
        422,
        'IMAGE_CORRUPT',
      ],
      ['a header of 30,000 x 30,000', () => pngHeader(30_000, 30_000), 413, 'IMAGE_TOO_LARGE'],
      [
        '1 x 1',
        () =>
          sharp({ create: { width: 1, height: 1, channels: 3, background: '#fff' } })
            .png()
            .toBuffer(),
        422,
        'FACE_NOT_DETECTED',
      ],
      [
        'a photo without a face',
        () =>
          sharp({ create: { width: 640, height: 480, channels: 3, background: '#357' } })
            .jpeg()
            .toBuffer(),
        422,
        'FACE_NOT_DETECTED',
      ],
    ];
    it.each(bad)('%s', async (_name, make, status, code) => {
      const image = await make();
      for (const [probe, reference, field] of [
        [image, await good(), 'probe'],
        [await good(), image, 'reference'],
      ] as const) {
        const answer = await post('/v1/verify', { probe, reference });
        expect([answer.status, answer.body.error?.code]).toEqual([status, code]);
        expect(answer.body.error?.details.field).toBe(field);
        expect(JSON.stringify(answer.body)).not.toMatch(/holiday|\/|node_modules|at \w+ \(/);
      }
      expect((await post('/v1/verify', { probe: await good(), reference: await good() })).status).toBe(200);
    });

    it('two faces with single', async () => {
      const { status, body } = await post('/v1/verify', {
        probe: await good(),
        reference: await couple(),
        faceSelection: 'single',
      });
      expect([status, body.error?.code]).toEqual([422, 'FACE_AMBIGUOUS']);
      expect(body.error?.details).toEqual({ field: 'reference', faceCount: 2 });
    });

    it.each([
      [{ detector: 'mtcnn' }, 400, 'MODEL_UNKNOWN', { field: 'detector' }],
      [{ detector: 'mobilefacenet-512' }, 400, 'MODEL_UNKNOWN', { field: 'detector' }],
      [{ detector: 'yunet' }, 409, 'MODEL_NOT_LOADED', { field: 'detector' }],
      [{ embedder: 'sface' }, 409, 'MODEL_NOT_LOADED', { field: 'embedder' }],
      [{ threshold: 'abc' }, 400, 'PARAMETER_INVALID', { fields: { threshold: expect.any(String) } }],
      [{ metric: 'manhattan' }, 400, 'PARAMETER_INVALID', { fields: { metric: expect.any(String) } }],
    ])('%j', async (options, status, code, details) => {
      const answer = await post('/v1/verify', { probe: await good(), reference: await good(), ...options });
      expect([answer.status, answer.body.error?.code]).toEqual([status, code]);
      expect(answer.body.error?.details).toMatchObject(details);
    });

    it.each([
      [
        'of the wrong length',
        (contract: string) => ({ embedding: [1, 2, 3], contract }),
        422,
        'EMBEDDING_INVALID',
      ],
      [
        'of another contract',
        () => ({ embedding: Array(512).fill(1), contract: '0123456789ab' }),
        409,
        'EMBEDDING_CONTRACT_MISMATCH',
      ],
      [
        'of zeros',
        (contract: string) => ({ embedding: Array(512).fill(0), contract }),
        422,
        'EMBEDDING_INVALID',
      ],
    ] as const)('an embedding %s', async (_name, make, status, code) => {
      const { body } = await post('/v1/represent', { image: await good() });
      const answer = await post('/v1/verify', {
        probe: await good(),
        reference: JSON.stringify(make(body.contract)),
      });
      expect([answer.status, answer.body.error?.code]).toEqual([status, code]);
      expect(answer.body.error?.details.field).toBe('reference');
    });
  });
});
