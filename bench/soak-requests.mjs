import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import sharp from 'sharp';
import { call, jsonRequest, multipartRequest, samples } from './service.mjs';

const { goldenInput } = createRequire(import.meta.url)('../test/golden/golden-inputs.cjs');

/** Limits that make what is too large small enough to be sent often. */
export const SOAK_SETTINGS = { FACE_MAX_IMAGE_PIXELS: '4000000', FACE_MAX_JSON_BYTES: '2000000' };

const FORMATS = ['jpeg', 'png', 'webp', 'gif', 'avif', 'tiff'];
/** Longer side of the photos, pixels. */
const PHOTO_SIDES = [320, 640, 1024];
/** Side of the drawn portraits, pixels. */
const PORTRAIT_SIDES = [200, 320, 512];
const MAX_IMAGES = 16;

/**
 * The mix of a soak run: every route, format and way to send an image, every error that a request can bring about, clients
 * that leave. About a quarter of them run models: the others cost little, so that the run has many of every kind.
 *
 * @returns requests with `name`, `weight` (how often, relative to the others) and `expected`: status, or error code, or
 * `left`.
 */
export async function soakRequests(port) {
  const photos = await inFormats(
    samples.flatMap((path) =>
      PHOTO_SIDES.map((side) => sharp(path).resize({ width: side, height: side, fit: 'inside' })),
    ),
  );
  const portraits = await inFormats(PORTRAIT_SIDES.map(portrait));
  const large = samples.map((path) => readFileSync(path));
  const small = portraits[0];
  const noise = await draw('noise', 320).png().toBuffer();
  const embedding = await embeddingOf(port, portraits.at(-1));
  const base64 = (image) => image.toString('base64');
  const dataUri = (image) => `data:image/any;base64,${base64(image)}`;

  const requests = [];
  /** Several requests share the weight of their kind. */
  const add = (name, weight, expected, some) => {
    for (const request of [some].flat()) {
      requests.push({ ...request, name, expected, weight: weight / [some].flat().length });
    }
  };

  add(
    'detect, file',
    12,
    200,
    [...photos, ...portraits].map((image) => file('/v1/detect', { image })),
  );
  add(
    'represent, file',
    8,
    200,
    portraits.map((image) => file('/v1/represent', { image })),
  );
  add(
    'represent, large file',
    2,
    200,
    large.map((image) => file('/v1/represent', { image })),
  );
  add('represent, list', 1, 200, file('/v1/represent', { image: portraits.slice(0, 3) }));
  add(
    'analyze, file',
    3,
    200,
    portraits.map((image) => file('/v1/analyze', { image })),
  );
  add(
    'detect, base64',
    6,
    200,
    portraits.map((image) => json('/v1/detect', { image: base64(image) })),
  );
  add(
    'represent, data URI',
    4,
    200,
    portraits.map((image) => json('/v1/represent', { image: dataUri(image) })),
  );
  add('verify, files', 3, 200, [
    file('/v1/verify', { probe: large[0], reference: large[1] }),
    ...portraits.map((probe) => file('/v1/verify', { probe, reference: small })),
  ]);
  add(
    'verify, image and embedding',
    5,
    200,
    portraits.map((image) => json('/v1/verify', { probe: base64(image), reference: embedding })),
  );
  add('verify, embeddings', 60, 200, json('/v1/verify', { probe: embedding, reference: embedding }));
  add('models, health', 30, 200, ['/v1/models', '/health/live', '/health/ready'].map(get));

  add('leaves during the upload', 3, 'left', {
    ...file('/v1/detect', { image: large[2] }),
    leave: 'uploading',
  });
  add('leaves while it waits', 3, 'left', {
    ...file('/v1/verify', { probe: large[3], reference: large[4] }),
    leave: 'waiting',
  });

  const detect = (image, options) => file('/v1/detect', { image }, options);
  add('no image', 4, 'IMAGE_MISSING', json('/v1/verify', { probe: base64(small) }));
  add('empty image', 4, 'IMAGE_EMPTY', detect(Buffer.alloc(0)));
  add('wrong parameter', 6, 'PARAMETER_INVALID', [
    detect(small, { maxFaces: 'many' }),
    json('/v1/detect', { image: 'no base64!' }),
  ]);
  add(
    'malformed body',
    4,
    'REQUEST_MALFORMED',
    [{ ...json('/v1/detect', {}), body: Buffer.from('}{') }, withoutEnd(detect(small))].map(withLength),
  );
  add('unknown model', 4, 'MODEL_UNKNOWN', detect(small, { detector: 'no-such-model' }));
  add('unknown route', 4, 'NOT_FOUND', get('/v1/no-such-route'));
  add('model that is not loaded', 4, 'MODEL_NOT_LOADED', detect(small, { detector: 'yunet' }));
  add(
    'another contract',
    4,
    'EMBEDDING_CONTRACT_MISMATCH',
    json('/v1/verify', {
      probe: embedding,
      reference: { ...embedding, contract: 'another' },
    }),
  );
  add(
    'embedding of another length',
    4,
    'EMBEDDING_INVALID',
    json('/v1/verify', {
      probe: embedding,
      reference: { ...embedding, embedding: [1, 2, 3] },
    }),
  );
  add('too many pixels', 4, 'IMAGE_TOO_LARGE', detect(await plain(2400, 1800)));
  add(
    'too many images',
    2,
    'REQUEST_TOO_LARGE',
    file('/v1/represent', { image: Array(MAX_IMAGES + 1).fill(small) }),
  );
  add('too much JSON', 1, 'REQUEST_TOO_LARGE', json('/v1/detect', { image: 'A'.repeat(2_100_000) }));
  add('no image format', 4, 'IMAGE_UNSUPPORTED', detect(Buffer.from('no picture, only words')));
  add('another content type', 4, 'CONTENT_TYPE_UNSUPPORTED', {
    ...json('/v1/detect', {}),
    headers: { 'content-type': 'text/plain', 'content-length': '2' },
  });
  add(
    'damaged image',
    4,
    'IMAGE_CORRUPT',
    large.map((image) => detect(image.subarray(0, image.length >> 1))),
  );
  add('no face', 2, 'FACE_NOT_DETECTED', file('/v1/represent', { image: noise }));
  add('several faces', 2, 'FACE_AMBIGUOUS', detect(large[5], { faceSelection: 'single' }));
  add('deadline', 4, 'INFERENCE_TIMEOUT', withHeader(detect(small), 'x-request-timeout-ms', '1'));
  return requests;
}

const file = multipartRequest;
const json = jsonRequest;

function get(path) {
  return { method: 'GET', path, headers: {} };
}

function withHeader(request, name, value) {
  return { ...request, headers: { ...request.headers, [name]: value } };
}

function withLength(request) {
  return withHeader(request, 'content-length', String(request.body.length));
}

/** Cut off before the closing boundary. */
function withoutEnd(request) {
  return { ...request, body: request.body.subarray(0, request.body.length - 60) };
}

function inFormats(images) {
  return Promise.all(images.map((image, i) => image.toFormat(FORMATS[i % FORMATS.length]).toBuffer()));
}

/** A drawn face that the default detector finds. */
function portrait(side) {
  return draw('portrait', 512).resize(side, side);
}

function draw(kind, side) {
  return sharp(goldenInput(kind, side), { raw: { width: side, height: side, channels: 3 } });
}

function plain(width, height) {
  return sharp({ create: { width, height, channels: 3, background: '#357' } })
    .png()
    .toBuffer();
}

async function embeddingOf(port, image) {
  const { method, path, headers, body } = file('/v1/represent', { image });
  const answer = JSON.parse((await call(port, method, path, headers, body)).body);
  const [{ embedding, embeddingNorm }] = answer.faces;
  return { embedding, embeddingNorm, contract: answer.contract };
}
