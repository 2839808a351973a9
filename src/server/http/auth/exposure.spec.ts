import { checkExposure } from './exposure';

const PUBLIC = [
  '0.0.0.0',
  '::',
  '10.0.0.7',
  '192.168.1.2',
  'fe80::1',
  '203.0.113.9',
  'service',
  'localhost.example',
];

describe(checkExposure.name, () => {
  it.each(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', 'localhost'])(
    'lets a service without keys listen on %s',
    (host) => {
      expect(checkExposure({ host, apiKeysFile: null, isAuthRequired: true })).toBeNull();
      expect(checkExposure({ host, apiKeysFile: null, isAuthRequired: false })).toBeNull();
    },
  );

  it.each(PUBLIC)('refuses %s without keys, and says both ways out', (host) => {
    let error: unknown;
    try {
      checkExposure({ host, apiKeysFile: null, isAuthRequired: true });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({
      code: 'FACE_OPTIONS_INVALID',
      message: expect.stringMatching(/FACE_API_KEYS_FILE.*FACE_AUTH=off/),
      details: { variable: 'HOST' },
    });
  });

  it.each(PUBLIC)('warns of %s where FACE_AUTH is off', (host) => {
    const warning = checkExposure({ host, apiKeysFile: null, isAuthRequired: false });
    expect(warning).toContain('FACE_AUTH=off');
  });

  it('takes any host with keys, and refuses keys that would not be asked for', () => {
    expect(checkExposure({ host: '0.0.0.0', apiKeysFile: 'keys.json', isAuthRequired: true })).toBeNull();
    expect(() =>
      checkExposure({ host: '127.0.0.1', apiKeysFile: 'keys.json', isAuthRequired: false }),
    ).toThrow(expect.objectContaining({ code: 'FACE_OPTIONS_INVALID' }));
  });
});
