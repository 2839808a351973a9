import { FaceError, type FaceErrorCode } from '../errors';
import { errorLine } from './report-error';

describe(errorLine.name, () => {
  const cause = new Error("EACCES: permission denied, open '/srv/galleries/log'");
  const error = (code: FaceErrorCode, details = {}) => new FaceError(code, 'It failed.', details, { cause });

  it.each<[string, FaceError, string]>([
    [
      'the cause of a boot error',
      error('GALLERY_STORE_INVALID'),
      "GALLERY_STORE_INVALID: It failed. Cause: EACCES: permission denied, open 'log'",
    ],
    [
      'the cause of a failure of the store',
      error('GALLERY_STORE_FAILED'),
      "GALLERY_STORE_FAILED: It failed. Cause: EACCES: permission denied, open 'log'",
    ],
    ['no cause of a mistake of the caller', error('IMAGE_CORRUPT'), 'IMAGE_CORRUPT: It failed.'],
    ['the file', error('IMAGE_CORRUPT', { file: 'a.jpg' }), 'IMAGE_CORRUPT: It failed. (a.jpg)'],
    [
      'an unexpected error once',
      new FaceError('INTERNAL_ERROR', cause.message, {}, { cause }),
      `INTERNAL_ERROR: ${cause.message}`,
    ],
  ])('has %s', (_name, given, expected) => {
    expect(errorLine(given)).toBe(expected);
  });
});
