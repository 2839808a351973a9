import { PassThrough } from 'node:stream';
import type { Response } from 'express';
import { answerEarly } from './answer-early';
import type { AppRequest } from './request-id';

describe(answerEarly.name, () => {
  const requestOf = () =>
    Object.assign(new PassThrough(), { headers: {}, socket: { destroySoon: () => undefined } });
  /** Answers whatever it is asked with itself. */
  const responseOf = () => {
    const ended = jest.fn();
    const response: object = new Proxy({}, { get: (_, name) => (name === 'end' ? ended : () => response) });
    return { response: response as Response, ended };
  };

  it('throws the rest of a body away with a pause after each piece beyond 1 MiB, and ends with it', async () => {
    const request = requestOf();
    const { response, ended } = responseOf();
    answerEarly(request as unknown as AppRequest, response, 429, {});
    const pieces: boolean[] = [];
    request.on('data', () => pieces.push(request.isPaused()));
    for (let i = 0; i < 5; i++) request.write(Buffer.alloc(400_000));
    request.end();
    expect(ended).not.toHaveBeenCalled();
    await new Promise((resolve) => request.once('close', resolve));
    expect(pieces).toEqual([false, false, true, true, true]);
    expect(ended).toHaveBeenCalled();
  });
});
