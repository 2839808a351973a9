import type { Response } from 'express';
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { seededBytes } from '../../../../test/support/seeded-random';
import { loadAppConfig } from '../../config/load-app-config';
import { FaceError } from '../../../errors';
import { FakeFaceModel } from '../../../testing';
import { BodyReader, MAX_REST_BYTES, MIN_BYTES_PER_WINDOW, WINDOW_MS } from './body-reader';
import type { AppRequest } from '../request/request-id';

describe(BodyReader.name, () => {
  let bodies: BodyReader;
  let model: FakeFaceModel;
  let request: PassThrough & AppRequest;
  let response: Response;

  beforeEach(() => {
    jest.useFakeTimers();
    model = new FakeFaceModel();
    bodies = new BodyReader(loadAppConfig({}), model);
    request = Object.assign(new PassThrough(), { headers: {}, ip: '127.0.0.1' }) as never;
    response = new EventEmitter() as never;
  });
  afterEach(() => jest.useRealTimers());

  const read = (holdsImages = false) => bodies.read(request, response, { maxBytes: 10_000_000, holdsImages });
  const turn = () =>
    new Promise((resolve) =>
      jest.requireActual<typeof import('node:timers')>('node:timers').setImmediate(resolve),
    );

  it('gives up a body of which too little comes in a window, and frees its bytes with the answer', async () => {
    const reading = read();
    const refused = expect(reading).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT', status: 408 });
    request.write(Buffer.alloc(1_000_000));
    jest.advanceTimersByTime(WINDOW_MS);
    request.write(Buffer.alloc(MIN_BYTES_PER_WINDOW - 1));
    expect(bodies.heldBytes).toBeGreaterThanOrEqual(1_000_000);
    jest.advanceTimersByTime(WINDOW_MS);
    await refused;
    response.emit('close');
    expect(bodies.heldBytes).toBe(0);
  });

  it('waits for a body that comes just fast enough', async () => {
    const reading = read();
    for (let window = 0; window < 20; window++) {
      request.write(Buffer.alloc(MIN_BYTES_PER_WINDOW));
      await turn();
      jest.advanceTimersByTime(WINDOW_MS);
    }
    request.end();
    await expect(reading).resolves.toHaveLength(20 * MIN_BYTES_PER_WINDOW);
  });

  it('gives a long body as it was sent', async () => {
    jest.useRealTimers();
    const sent = seededBytes(1, 5 * 1024 * 1024);
    const reading = read();
    request.end(sent);
    expect((await reading).equals(sent)).toBe(true);
  });

  it('reads no more of JSON once it has too many values', async () => {
    request.headers['content-type'] = 'application/json';
    request.headers['transfer-encoding'] = 'chunked';
    const limits = { maxBytes: 10_000_000, maxTokens: 100 };
    const refused = expect(bodies.readJson(request, response, limits)).rejects.toMatchObject({
      code: 'REQUEST_TOO_LARGE',
      details: { maxTokens: 100 },
    });
    request.write(`[${'0,'.repeat(100)}`);
    await refused;
    expect(request.listenerCount('data')).toBe(0);
  });

  it.each<[string, Record<string, string>, string, string]>([
    ['a compressed body', { 'content-encoding': 'gzip' }, '{}', 'CONTENT_TYPE_UNSUPPORTED'],
    ['a body of no type', { 'content-type': '' }, '{}', 'CONTENT_TYPE_UNSUPPORTED'],
    ['a form', { 'content-type': 'multipart/form-data; boundary=x' }, '{}', 'CONTENT_TYPE_UNSUPPORTED'],
    [
      'a charset other than UTF-8',
      { 'content-type': 'application/json; charset=utf-16' },
      '{}',
      'CONTENT_TYPE_UNSUPPORTED',
    ],
    ['an announced length over the limit', { 'content-length': '1001' }, '{}', 'REQUEST_TOO_LARGE'],
    ['a body that grows over the limit', {}, `{"a":"${'b'.repeat(1000)}"}`, 'REQUEST_TOO_LARGE'],
    ['malformed JSON', {}, '{"a":', 'REQUEST_MALFORMED'],
    ['JSON that is a list', {}, '[]', 'REQUEST_MALFORMED'],
    ['JSON that is null', {}, 'null', 'REQUEST_MALFORMED'],
    ['JSON that is nested too deep', {}, '['.repeat(100), 'REQUEST_MALFORMED'],
    ['a reserved key', {}, '{"constructor":1}', 'PARAMETER_INVALID'],
  ])('refuses %s', async (_name, headers, body, code) => {
    Object.assign(
      request.headers,
      { 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
      headers,
    );
    const reading = bodies.readJson(request, response, { maxBytes: 1000, maxTokens: 100 });
    const refused = expect(reading).rejects.toMatchObject({ code });
    request.end(body);
    await refused;
  });

  it('reads no body, and an empty one, as an empty object', async () => {
    const limits = { maxBytes: 1000, maxTokens: 100 };
    expect(await bodies.readJson(request, response, limits)).toEqual({});
    Object.assign(request.headers, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' });
    const reading = bodies.readJson(request, response, limits);
    request.end();
    expect(await reading).toEqual({});
  });

  it('ends with the client that leaves', async () => {
    const reading = read();
    request.destroy();
    await expect(reading).rejects.toMatchObject({ code: 'REQUEST_ABORTED' });
  });

  describe('while the queue is full', () => {
    const full = new FaceError('QUEUE_FULL', 'The queue is full.', { retryAfterSeconds: 7 });
    const announce = (length: number) => (request.headers['content-length'] = String(length));
    beforeEach(() => jest.spyOn(model, 'refusal').mockReturnValue(full));

    it.each(['its length is announced', 'its length is not known'])(
      'refuses images unread where %s',
      async (how) => {
        if (how === 'its length is announced') announce(MAX_REST_BYTES + 1);
        await expect(read(true)).rejects.toBe(full);
        expect(model.refusal).toHaveBeenCalledWith('127.0.0.1');
        expect(request.listenerCount('data')).toBe(0);
        expect(bodies.heldBytes).toBe(0);
      },
    );

    it('refuses images that had room when they began to arrive, and have none now', async () => {
      jest.spyOn(model, 'refusal').mockReturnValueOnce(null).mockReturnValue(full);
      announce(MAX_REST_BYTES + 1);
      const refused = expect(read(true)).rejects.toBe(full);
      request.end(Buffer.alloc(MAX_REST_BYTES + 1));
      await refused;
    });

    it.each([
      ['is small', MAX_REST_BYTES, true],
      ['may hold embeddings', MAX_REST_BYTES + 1, false],
    ])('reads what %s', async (_what, length, holdsImages) => {
      announce(length);
      const reading = read(holdsImages);
      request.end(Buffer.alloc(length));
      await expect(reading).resolves.toHaveLength(length);
    });
  });
});
