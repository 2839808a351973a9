import { describeCauses, redact } from './describe-causes';
import { FaceError } from './errors';
import { CONFIG_VARIABLES } from './server/config/config-variables';

const ADMIN_KEY = 'correct-horse-battery';

const withCause = (cause: unknown) =>
  new FaceError('MODEL_INVALID', 'The model cannot be loaded.', {}, { cause });

describe(describeCauses.name, () => {
  it.each<[string, unknown, string]>([
    ['no cause', undefined, ''],
    ['a cause that is no error', 'out of memory', ' Cause: out of memory'],
    [
      'a chain of causes',
      new Error('The worker failed.', { cause: new Error('no space left') }),
      ' Cause: The worker failed. Cause: no space left',
    ],
    ['a cause that the error repeats', new Error('cannot be loaded'), ''],
    [
      'an absolute path',
      new Error("ENOENT: no such file or directory, open '/srv/my models/arcface.onnx'"),
      " Cause: ENOENT: no such file or directory, open 'arcface.onnx'",
    ],
    [
      'a key of the environment',
      new Error(`The server refused key ${ADMIN_KEY}.`),
      ' Cause: The server refused key [redacted].',
    ],
    [
      'a stack trace',
      new Error(
        'is not a function\n    at load (/srv/dist/main.js:1:2)\n    at main (/srv/dist/main.js:3:4)',
      ),
      ' Cause: is not a function',
    ],
    [
      'a cause without a message',
      Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }),
      ' Cause: ECONNREFUSED',
    ],
  ])('describes %s', (_name, cause, expected) => {
    expect(describeCauses(withCause(cause), { ADMIN_KEY })).toBe(expected);
  });

  it('ends on a chain that leads back to itself', () => {
    const cause = new Error('first');
    cause.cause = new Error('second', { cause });
    expect(describeCauses(withCause(cause))).toBe(' Cause: first Cause: second');
  });
});

describe(redact.name, () => {
  it.each([
    [
      'Load model from /srv/models/arcface.onnx failed:Protobuf parsing failed.',
      'Load model from arcface.onnx failed:Protobuf parsing failed.',
    ],
    ['Cannot find module "C:\\Program Files\\likeness\\worker.js"', 'Cannot find module "worker.js"'],
    ['at \\\\host\\share\\arcface.onnx', 'at arcface.onnx'],
    ['loaded file:///srv/dist/main.js, then ended', 'loaded main.js, then ended'],
    ['(/srv/dist/main.js)', '(main.js)'],
    ['nats://user:pass@10.0.0.1:4222/jobs?token=abc refused', 'nats://10.0.0.1:4222/jobs refused'],
    ['expected image/jpeg and/or 1/2 of models/cards', 'expected image/jpeg and/or 1/2 of models/cards'],
    ['first\r\n  second', 'first second'],
  ])('%j', (text, expected) => {
    expect(redact(text, {})).toBe(expected);
  });

  it.each(Object.entries(CONFIG_VARIABLES).filter(([, { type }]) => type === 'secret'))(
    'hides the value of %s',
    (name) => {
      expect(redact(`It is ${ADMIN_KEY}.`, { [name]: ADMIN_KEY })).toBe('It is [redacted].');
    },
  );

  it('leaves the values of other variables', () => {
    expect(redact('level is warning', { FACE_LOG_LEVEL: 'warning', FACE_GALLERY_KEY_FILE: 'warning' })).toBe(
      'level is warning',
    );
  });
});
