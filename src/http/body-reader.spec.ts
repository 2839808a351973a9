import type { Response } from 'express';
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { loadAppConfig } from '../config/app.config';
import { BodyReader, MIN_BYTES_PER_WINDOW, WINDOW_MS } from './body-reader';
import type { AppRequest } from './request-id';

describe(BodyReader.name, () => {
  let bodies: BodyReader;
  let request: PassThrough & AppRequest;
  let response: Response;

  beforeEach(() => {
    jest.useFakeTimers();
    bodies = new BodyReader(loadAppConfig({}));
    request = Object.assign(new PassThrough(), { headers: {}, ip: '127.0.0.1' }) as never;
    response = new EventEmitter() as never;
  });
  afterEach(() => jest.useRealTimers());

  const read = () => bodies.read(request, response, 10_000_000);
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

  it('ends with the client that leaves', async () => {
    const reading = read();
    request.destroy();
    await expect(reading).rejects.toMatchObject({ code: 'REQUEST_ABORTED' });
  });
});
