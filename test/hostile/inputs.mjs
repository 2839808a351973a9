import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import sharp from 'sharp';
import { jsonRequest, multipartRequest, rootDir, samples } from '../../bench/service.mjs';

/*
 * What hurt the service once, one entry for each row of the list of faults that a running service can be sent. Files are those of
 * ../shared/hostile; without that folder there is nothing to send.
 */

const folder = join(rootDir, '..', 'shared', 'hostile');
const file = (name) => readFileSync(join(folder, name));

const BURST = 250;
const UNFINISHED_UPLOADS = 8;
/** As many as fit into a caller's share of the account. */
const TEXT_PARTS = 8;
const UNFINISHED_BYTES = 16 * 1024 * 1024;
const SLOW_CLIENTS = 100;
/** How long connections are held that send nothing, or a byte at a time. */
const HOLD_MS = 1500;
const SLOW_BYTE_EVERY_MS = 100;

/** A photo of 640 pixels with faces, as an honest client sends it. */
export function photo(index = 0) {
  return sharp(samples[index]).resize(640).jpeg().toBuffer();
}

/** An honest verification, with a face in each photo. */
export async function honestRequest(key) {
  const verification = multipartRequest('/v1/verify', { probe: await photo(0), reference: await photo(1) });
  return withHeaders(verification, { 'x-api-key': key });
}

/**
 * The inputs: `name`, `fault` (its row in the list of faults), `expected` (statuses that refuse or serve it as it deserves;
 * codes of connection errors where it may be cut off), and `prepare(key)`, which gives a function that sends it once to a port
 * and gives the statuses.
 */
export const INPUTS = [
  {
    name: 'requests without a key',
    fault: 'B1',
    expected: [401],
    prepare: async () => {
      const body = { probe: 'x', reference: 'x', threshold: 2 };
      const requests = [
        { method: 'DELETE', path: '/v1/galleries/default', headers: {} },
        jsonRequest('/v1/verify', body),
        jsonRequest('/v1/galleries/default/enroll', { items: [] }),
      ];
      return inTurn(requests);
    },
  },
  ...['json-flat-33MB.json.gz', 'json-nested-33MB.json.gz'].flatMap((name) => [
    {
      name: `${name}, packed`,
      fault: 'B2',
      expected: [404, 415],
      prepare: async (key) => inTurn(jsonBodies(file(name), key, { 'content-encoding': 'gzip' })),
    },
    {
      name: `${name}, unpacked`,
      fault: 'B2',
      // It may be cut off while it is sent.
      expected: [400, 404, 413, 'ECONNRESET', 'EPIPE'],
      prepare: async (key) => {
        // Under FACE_MAX_JSON_BYTES, so that it is read and counted.
        const bytes = gunzipSync(file(name));
        return inTurn(jsonBodies(bytes.subarray(0, 31 * 1024 * 1024), key));
      },
    },
  ]),
  {
    name: 'json-depth-2000-gives-500.json',
    fault: 'B3',
    expected: [400, 404],
    prepare: async (key) => inTurn(jsonBodies(file('json-depth-2000-gives-500.json'), key)),
  },
  {
    name: 'keys of prototypes in a filter',
    fault: 'B4',
    expected: [400],
    prepare: async (key) =>
      inTurn(
        ['__proto__', 'constructor', 'prototype'].map((name) =>
          withHeaders(
            { ...jsonRequest('/v1/galleries/default/identify', {}), ...body(`{"filter":{"${name}":"x"}}`) },
            { 'x-api-key': key },
          ),
        ),
      ),
  },
  ...[
    ['bomb-png-1x50000000.png', 'B5'],
    ['bomb-png-50000000x1.png', 'B6'],
    ['bomb-avif-7000.avif', 'B6'],
  ].map(([name, fault]) => ({
    name,
    fault,
    expected: [413],
    prepare: async (key) => inTurn(withTrailingBytes(file(name)).map((image) => detection(image, key))),
  })),
  {
    name: 'the largest image that is allowed',
    fault: 'B6',
    expected: [200, 422, 429, 503],
    prepare: async (key) => {
      const image = await sharp({ create: { width: 7000, height: 7000, channels: 3, background: '#468' } })
        .png({ compressionLevel: 3 })
        .toBuffer();
      return inTurn(withTrailingBytes(image).map((bytes) => detection(bytes, key)));
    },
  },
  {
    name: `${UNFINISHED_UPLOADS} uploads that never finish`,
    fault: 'B7',
    expected: ['held', 429, 503],
    prepare: async (key) => (port) =>
      Promise.all(
        Array.from({ length: UNFINISHED_UPLOADS }, () =>
          hold(port, head('/v1/represent', key, 9 * UNFINISHED_BYTES), async (socket) => {
            socket.write(Buffer.alloc(UNFINISHED_BYTES));
            await sleep(HOLD_MS);
          }),
        ),
      ),
  },
  {
    name: `${TEXT_PARTS} text parts of 14 MB`,
    fault: 'B7',
    expected: [413, 429, 503],
    prepare: async (key) => {
      const content = Buffer.alloc(14_000_000, 'a');
      const parts = Array.from({ length: TEXT_PARTS }, () => [
        Buffer.from('--x\r\ncontent-disposition: form-data; name="image"\r\n\r\n'),
        content,
        Buffer.from('\r\n'),
      ]);
      const bytes = Buffer.concat([...parts.flat(), Buffer.from('--x--\r\n')]);
      const headers = { 'content-type': 'multipart/form-data; boundary=x', 'x-api-key': key };
      return inTurn([{ method: 'POST', path: '/v1/represent', ...body(bytes, headers) }]);
    },
  },
  {
    name: 'pages of other sites, other host names',
    fault: 'B8',
    expected: [403, 421],
    prepare: async (key) => {
      const upload = detection(await photo(), key);
      return inTurn([
        withHeaders(upload, { origin: 'https://evil.example' }),
        withHeaders(upload, { host: 'attacker.example' }),
      ]);
    },
  },
  {
    name: `${2 * BURST} verifications at once`,
    fault: 'B9',
    expected: [200, 429, 503, 504],
    prepare: async (key) => {
      const verification = withHeaders(
        multipartRequest('/v1/verify', { probe: samples[0], reference: samples[1] }),
        { 'x-api-key': key },
      );
      const agent = new Agent({ keepAlive: true });
      return (port) => Promise.all(Array.from({ length: BURST }, () => send(port, verification, agent)));
    },
  },
  {
    name: 'photos without their end, parts without a file name',
    fault: 'B10',
    expected: [200, 422, 429, 503],
    prepare: async (key) => {
      const image = await photo();
      const cut = image.subarray(0, image.length - 2);
      const half = image.subarray(0, image.length >> 1);
      const unnamed = detection(cut, key);
      const text = unnamed.body.toString('latin1').replace('; filename="image"', '');
      return inTurn([
        detection(cut, key),
        detection(half, key),
        { ...unnamed, ...body(Buffer.from(text, 'latin1'), unnamed.headers) },
      ]);
    },
  },
  {
    name: `${2 * SLOW_CLIENTS} clients that send a byte at a time`,
    fault: 'slow clients',
    expected: ['held', 408],
    prepare: async (key) => (port) =>
      Promise.all(
        Array.from({ length: SLOW_CLIENTS }, (_, i) => {
          const whole = head('/v1/detect', key, 1_000_000);
          // Half of them in the headers, half in the body.
          return hold(port, i % 2 === 0 ? whole : whole.slice(0, 40), async (socket) => {
            for (let ms = 0; ms < HOLD_MS; ms += SLOW_BYTE_EVERY_MS) {
              socket.write('a');
              await sleep(SLOW_BYTE_EVERY_MS);
            }
          });
        }),
      ),
  },
];

function detection(image, key) {
  return withHeaders(multipartRequest('/v1/detect', { image }), { 'x-api-key': key });
}

/** One byte more makes another file of an image, which no quarantine and no cache knows. */
function withTrailingBytes(image) {
  return Array.from({ length: 16 }, (_, i) => Buffer.concat([image, Buffer.from([i])]));
}

function jsonBodies(bytes, key, headers = {}) {
  return ['/v1/no-such-route', '/v1/detect', '/v1/galleries', '/v1/distances'].map((path) => {
    const { headers: own, ...rest } = jsonRequest(path, {});
    return { ...rest, ...body(bytes, { ...own, 'x-api-key': key, ...headers }) };
  });
}

function body(content, headers = { 'content-type': 'application/json' }) {
  const bytes = Buffer.from(content);
  return { headers: { ...headers, 'content-length': String(bytes.length) }, body: bytes };
}

function withHeaders(plain, headers) {
  return { ...plain, headers: { ...plain.headers, ...headers } };
}

/** Sends one of the requests each time. */
function inTurn(requests) {
  const agent = new Agent({ keepAlive: true });
  let turn = 0;
  return async (port) => [await send(port, requests[turn++ % requests.length], agent)];
}

/** Status of the answer, or the code of the error; a refusal must say when to come again. */
function send(port, { method, path, headers, body }, agent) {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers, agent }, (response) => {
      response.on('error', ({ code }) => resolve(code)).resume();
      const { statusCode, headers } = response;
      const isSilent = [429, 503].includes(statusCode) && headers['retry-after'] == null;
      response.once('close', () => resolve(isSilent ? `${statusCode} without Retry-After` : statusCode));
    });
    // More than one may come where the connection ends while the body is sent.
    sent.on('error', ({ code }) => resolve(code));
    sent.end(body);
  });
}

function head(path, key, length) {
  const lines = ['host: localhost', 'content-type: multipart/form-data; boundary=x', `x-api-key: ${key}`];
  return `POST ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\ncontent-length: ${length}\r\n\r\n`;
}

/** Status that a connection gets which does not finish its request; `held` where it gets none. */
async function hold(port, first, go) {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => (answer += chunk));
  socket.write(first);
  await go(socket);
  socket.destroy();
  return Number(/^HTTP\/1.1 (\d+)/.exec(answer)?.[1]) || 'held';
}
