import { readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import sharp from 'sharp';
import { DECODE_BASE_BYTES } from '../../src/pipeline/image/image-limits';
import { MAX_DECODED_SIDE } from '../../src/pipeline/image/rgb-image';
import { flatPng, pngText, scanBomb } from '../support/hostile-images';
import { portrait } from '../support/portrait';
import { describeWithShared, sharedDir } from '../support/shared';
import { type RunningService, startService } from '../support/start-service';

interface Answer {
  status: number;
  code: string | undefined;
  faceCount: number | undefined;
  details: Record<string, unknown>;
  retryAfter: string | undefined;
}

/** Finds the faces of an image, from an address of the machine itself. */
async function detect(
  url: string,
  image: Uint8Array,
  localAddress = '127.0.0.1',
  options: { minDetectionScore?: number } = {},
): Promise<Answer> {
  const body = JSON.stringify({ image: Buffer.from(image).toString('base64'), ...options });
  const agent = new Agent({ localAddress });
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const sent = request(`${url}/v1/detect`, { method: 'POST', agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        agent.destroy();
        const { error, faceCount } = JSON.parse(Buffer.concat(chunks).toString()) as {
          faceCount?: number;
          error?: { code: string; details: Record<string, unknown> };
        };
        const { statusCode: status = 0, headers } = response;
        resolve({
          status,
          code: error?.code,
          faceCount,
          details: error?.details ?? {},
          retryAfter: headers['retry-after'],
        });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const workersOf = ({ pid }: RunningService) =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);

const anotherFile = (image: Buffer) => Buffer.concat([image, Buffer.from([0])]);

describe('images that are made to take memory or time', () => {
  let service: RunningService;
  let workers: number[];
  beforeAll(async () => {
    service = await startService({ FACE_WORKER_COUNT: '2' });
    workers = workersOf(service);
  });
  afterAll(() => service?.stop());
  /** The workers are those of before, and serve. */
  afterEach(async () => {
    expect(workersOf(service)).toEqual(workers);
    expect((await detect(service.url, await portrait().jpeg().toBuffer())).status).toBe(200);
  });

  it.each([
    ['a PNG of 1 x 1,000,000', () => flatPng(1, 1_000_000), 'maxImageSide'],
    ['a PNG of 20,000 x 100', () => flatPng(20_000, 100), 'maxSideRatio'],
    [
      'a PNG whose texts inflate to 160 MB',
      () => flatPng(64, 64, { texts: Array(20).fill(pngText(8e6)) }),
      'maxTextBytes',
    ],
    ['a JPEG of 881 scans', () => scanBomb(4000, 4000, 880), 'maxScans'],
    [
      'a PNG of 16 bits that would take 384 MB',
      () => flatPng(6900, 6900, { bits: 16, alpha: true }),
      'maxImagePixels',
    ],
  ])('refuses %s by its header', async (_name, make, limit) => {
    const image = make();
    for (const file of [image, anotherFile(image)]) {
      const { status, code, details } = await detect(service.url, file);
      expect([status, code]).toEqual([413, 'IMAGE_TOO_LARGE']);
      expect(details).toHaveProperty(limit);
    }
  });

  it('finds no more faces with a score near 0 than with 0.1', async () => {
    const image = await portrait().png().toBuffer();
    const withScore = async (minDetectionScore: number) =>
      (await detect(service.url, image, '127.0.0.1', { minDetectionScore })).faceCount;
    const least = await withScore(0.1);
    expect(least).toBeGreaterThan(0);
    expect([await withScore(0), await withScore(1e-280)]).toEqual([least, least]);
  });

  describeWithShared('of ../shared/hostile', () => {
    it.each([
      ['bomb-png-1x50000000.png', { maxImageSide: 32_768, imageWidth: 1, imageHeight: 50_000_000 }],
      ['bomb-png-50000000x1.png', { maxImageSide: 32_768, imageWidth: 50_000_000, imageHeight: 1 }],
      ['bomb-avif-7000.avif', { format: 'an AVIF of 8 bits', imageWidth: 7000, imageHeight: 7000 }],
    ])('%s', async (name, expected) => {
      const image = readFileSync(join(sharedDir as string, 'hostile', name));
      for (const file of [image, anotherFile(image)]) {
        const { status, code, details } = await detect(service.url, file);
        expect([status, code]).toEqual([413, 'IMAGE_TOO_LARGE']);
        expect(details).toMatchObject(expected);
      }
    });
  });
});

describe('the largest image of each format', () => {
  const MAX_DECODE_BYTES = 128 * 2 ** 20;
  /** The decoded picture in its three other turns: they are part of what a worker takes with any photo. */
  const TURNS_BYTES = 3 * 3 * MAX_DECODED_SIDE ** 2;
  let service: RunningService;
  beforeAll(async () => {
    service = await startService({
      FACE_WORKER_COUNT: '1',
      FACE_MAX_DECODE_BYTES: String(MAX_DECODE_BYTES),
      FACE_FEATURES: '-deepface',
    });
    await detect(service.url, await portrait().jpeg().toBuffer());
  });
  afterAll(() => service?.stop());

  it('is part of the plan that the boot tells', () => {
    expect(service.output()).toMatch(
      /about \d+ MiB of a memory budget of \d+ MiB, with up to 128 MiB per worker/,
    );
  });

  const plain = (side: number) =>
    sharp({ create: { width: side, height: side, channels: 3, background: '#468' } });
  const formats: [string, number, (side: number) => Promise<Buffer> | Buffer][] = [
    ['JPEG', 3, (side) => plain(side).jpeg().toBuffer()],
    [
      'progressive JPEG',
      9,
      (side) => plain(side).jpeg({ progressive: true, chromaSubsampling: '4:4:4' }).toBuffer(),
    ],
    ['PNG', 3, (side) => flatPng(side, side)],
    ['PNG of 16 bits with alpha', 8, (side) => flatPng(side, side, { bits: 16, alpha: true })],
    ['interlaced PNG', 4.5, (side) => plain(side).png({ progressive: true }).toBuffer()],
    ['WebP', 6, (side) => plain(side).ensureAlpha(0.5).webp({ effort: 0 }).toBuffer()],
    ['GIF', 6, (side) => plain(side).gif({ effort: 1 }).toBuffer()],
    [
      'AVIF of 8 bits',
      18.5,
      (side) => plain(side).avif({ effort: 0, chromaSubsampling: '4:4:4' }).toBuffer(),
    ],
    [
      'AVIF of 12 bits',
      25,
      (side) => plain(side).avif({ effort: 0, chromaSubsampling: '4:4:4', bitdepth: 12 }).toBuffer(),
    ],
    [
      'TIFF in one tile',
      4.5,
      (side) => {
        const tile = side - (side % 16);
        return plain(side)
          .tiff({ compression: 'deflate', tile: true, tileWidth: tile, tileHeight: tile })
          .toBuffer();
      },
    ],
  ];
  it.each(formats)('%s: a worker takes no more than is planned for it', async (_name, perPixel, encode) => {
    const side = Math.floor(Math.sqrt((MAX_DECODE_BYTES - DECODE_BASE_BYTES) / perPixel));
    const [pid] = workersOf(service);
    const image = await encode(side);
    // Linux: 5 sets the peak back to what is resident now.
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    const before = peakBytes(pid);
    expect((await detect(service.url, image)).status).toBe(200);
    expect(peakBytes(pid) - before).toBeLessThanOrEqual(MAX_DECODE_BYTES + TURNS_BYTES);
    const { status, details } = await detect(service.url, await encode(side + 8));
    expect([status, details]).toEqual([413, expect.objectContaining({ imageWidth: side + 8 })]);
    expect(workersOf(service)).toEqual([pid]);
  });

  /** @see `Documentation/filesystems/proc.rst` of Linux: VmHWM. */
  function peakBytes(pid: number): number {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return 1024 * Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]);
  }
});

describe('a caller whose images stall workers', () => {
  let service: RunningService;
  beforeAll(async () => {
    // Limits that let an image through which no machine decodes in the second that it may take.
    service = await startService({
      FACE_WORKER_COUNT: '1',
      FACE_MAX_IMAGE_PIXELS: String(10 ** 9),
      FACE_MAX_DECODE_BYTES: String(2 ** 31),
      FACE_MEMORY_BUDGET_BYTES: String(2 ** 34),
      FACE_REQUEST_TIMEOUT_MS: '2000',
    });
  });
  afterAll(() => service?.stop());

  it('is refused for a while, and no other caller is', async () => {
    const slow = flatPng(31_000, 31_000, { bits: 1 });
    for (const image of [slow, anotherFile(slow), anotherFile(anotherFile(slow))]) {
      // The decoder is stopped, or on a machine that is too busy for that, the worker is.
      const { code } = await detect(service.url, image);
      expect(['IMAGE_DECODE_TIMEOUT', 'INFERENCE_TIMEOUT']).toContain(code);
    }
    const photo = await portrait().jpeg().toBuffer();
    const refused = await detect(service.url, photo);
    expect([refused.status, refused.code]).toEqual([429, 'CALLER_QUARANTINED']);
    expect(Number(refused.retryAfter)).toBeGreaterThan(0);
    while ((await fetch(`${service.url}/health/ready`)).status !== 200) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect((await detect(service.url, photo, '127.0.0.2')).status).toBe(200);
  });
});
