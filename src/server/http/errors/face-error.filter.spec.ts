import { type ArgumentsHost, Logger } from '@nestjs/common';
import { firstValueFrom } from 'rxjs';
import { FaceError } from '../../../errors';
import { FaceErrorFilter } from './face-error.filter';

describe(FaceErrorFilter.name, () => {
  const filter = new FaceErrorFilter();
  const notDetected = new FaceError('FACE_NOT_DETECTED', 'No face was found.', { field: 'probe' });

  /** A context of this type, and what is answered in it. */
  function contextOf(type: string, state: object = {}) {
    const answer: { status?: number; body?: unknown; headers: Record<string, string> } = { headers: {} };
    const response = {
      ...state,
      status: (status: number) => Object.assign(response, void (answer.status = status)),
      header: (name: string, value: string) => Object.assign(response, void (answer.headers[name] = value)),
      send: (body: unknown) => void (answer.body = body),
    };
    const host = { getType: () => type, switchToHttp: () => ({ getResponse: () => response }) };
    return { host: host as unknown as ArgumentsHost, answer };
  }

  it('answers the code with its status', () => {
    const { host, answer } = contextOf('http');
    filter.catch(notDetected, host);
    const error = { code: 'FACE_NOT_DETECTED', message: 'No face was found.', details: { field: 'probe' } };
    expect(answer).toEqual({ status: 422, body: { error }, headers: {} });
  });

  it('says when to try again', () => {
    const { host, answer } = contextOf('http');
    filter.catch(new FaceError('QUEUE_FULL', 'The queue is full.', { retryAfterSeconds: 7 }), host);
    expect(answer).toMatchObject({ status: 503, headers: { 'Retry-After': '7' } });
  });

  it('hides errors that are not meant for callers, and logs them', () => {
    const log = jest.spyOn(Logger.prototype, 'error').mockImplementation();
    const { host, answer } = contextOf('http');
    filter.catch(new FaceError('FACE_OPTIONS_INVALID', 'Environment variable ADMIN_KEY is short.', {}), host);
    expect(answer.status).toBe(500);
    expect(JSON.stringify(answer.body)).toContain('INTERNAL_ERROR');
    expect(JSON.stringify(answer.body)).not.toContain('ADMIN_KEY');
    expect(log).toHaveBeenCalledTimes(1);
    log.mockRestore();
  });

  it.each([{ headersSent: true }, { sent: true }])('answers only once: %j', (state) => {
    const { host, answer } = contextOf('http', state);
    filter.catch(notDetected, host);
    expect(answer).toEqual({ headers: {} });
  });

  it('passes errors on outside HTTP', async () => {
    await expect(firstValueFrom(filter.catch(notDetected, contextOf('rpc').host)!)).rejects.toBe(notDetected);
    expect(() => filter.catch(notDetected, contextOf('graphql').host)).toThrow(notDetected);
  });
});
