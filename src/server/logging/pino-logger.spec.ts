import { Logger } from '@nestjs/common';
import { FaceError } from '../../errors';
import { PinoLogger } from './pino-logger';

describe(PinoLogger.name, () => {
  let lines: Record<string, unknown>[];
  const stream = { write: (text: string) => void lines.push(JSON.parse(text) as Record<string, unknown>) };

  beforeEach(() => (lines = []));
  afterAll(() => Logger.overrideLogger(true));

  it('writes what is logged through Nest, with level, context and stack', () => {
    Logger.overrideLogger(new PinoLogger('log', stream));
    const logger = new Logger('Models');
    logger.log('loaded');
    logger.error('failed', 'Error: at line 1');
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string;
    expect(lines).toEqual([
      { level: 'info', time, context: 'Models', msg: 'loaded' },
      { level: 'error', time, context: 'Models', stack: 'Error: at line 1', msg: 'failed' },
    ]);
  });

  it.each([
    ['verbose', ['verbose', 'debug', 'log', 'warn', 'error', 'fatal']],
    ['log', ['log', 'warn', 'error', 'fatal']],
    ['error', ['error', 'fatal']],
  ] as const)('of level %s writes %j', (level, written) => {
    const logger = new PinoLogger(level, stream);
    for (const name of ['verbose', 'debug', 'log', 'warn', 'error', 'fatal'] as const) logger[name](name);
    expect(lines.map(({ msg }) => msg)).toEqual(written);
  });

  it('writes the fields of a request and no others', () => {
    const line = { requestId: 'r-1', route: '/v1/verify', status: 200, key: null };
    new PinoLogger('log', stream).log({ ...line, subjectId: 'ada', body: [1, 2], url: '/x?y' }, 'Request');
    expect(lines[0]).toEqual({
      level: 'info',
      time: expect.any(String),
      context: 'Request',
      requestId: 'r-1',
      route: '/v1/verify',
      status: 200,
      msg: 'request',
    });
  });

  it('leaves an error that ends the boot to main.ts', () => {
    new PinoLogger('log', stream).error(new FaceError('FACE_OPTIONS_INVALID', 'x'), 'ExceptionHandler');
    expect(lines).toEqual([]);
  });
});
