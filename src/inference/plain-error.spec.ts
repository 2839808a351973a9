import { FaceError } from '../errors';
import { toPlainError, toReason } from './plain-error';

describe(toPlainError.name, () => {
  it('keeps what a caller may see, and the cause as text', () => {
    const error = new FaceError(
      'MODEL_INVALID',
      'It is broken.',
      { model: 'a' },
      { cause: new TypeError('why') },
    );
    expect(toPlainError(error)).toEqual({
      code: 'MODEL_INVALID',
      message: 'It is broken.',
      details: { model: 'a' },
      cause: 'TypeError: why',
    });
  });

  it.each([
    [new Error('secret'), 'Error: secret'],
    ['secret', 'secret'],
    [undefined, undefined],
  ])('says of anything else only that the worker failed: %p', (thrown, cause) => {
    expect(toPlainError(thrown)).toEqual({
      code: 'INFERENCE_FAILED',
      message: 'The worker failed.',
      details: {},
      cause,
    });
  });
});

describe(toReason.name, () => {
  it('is one line, with the causes and without the folder', () => {
    const cause = new Error("EACCES: permission denied,\n  mkdir '/srv/models/prepared'");
    const error = new FaceError('MODEL_INVALID', 'It is broken.', {}, { cause });
    expect(toReason(error, '/srv/models')).toBe(
      "It is broken. EACCES: permission denied, mkdir './prepared'",
    );
  });

  it.each([
    ['text', 'text'],
    [7, '7'],
    [null, ''],
  ])('takes %p, which is no error', (thrown, expected) => {
    expect(toReason(thrown, '/srv/models')).toBe(expected);
  });
});
