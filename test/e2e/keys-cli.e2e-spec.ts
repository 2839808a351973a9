import { chmodSync, chownSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readKeyFileContent, sha256 } from '../../src/server/http/auth/key-file';
import { createApp } from '../support/create-app';
import { startCli } from '../support/start-cli';
import { tempFolders } from '../support/temp-folder';

describe('likeness keys', () => {
  const makeFolder = tempFolders();
  const likeness = (args: string[], env: NodeJS.ProcessEnv = {}) => startCli(args, env).ended;

  it('makes keys that a service takes, and lists them without hashes', async () => {
    const file = join(makeFolder(), 'keys.json');
    const door = await likeness(['keys', 'create', 'door', '--scopes', 'verify, read', '--file', file]);
    expect([door.code, door.stderr]).toEqual([0, expect.stringContaining('door: added to')]);
    const key = door.stdout.trim();
    expect(key).toMatch(/^likeness_[\w-]{43}$/);
    const limits = ['--galleries', 'staff,guests', '--requests-per-minute', '60', '--no-distances'];
    const gate = await likeness(['keys', 'create', 'gate', '--scopes', 'identify', ...limits], {
      FACE_API_KEYS_FILE: file,
    });
    expect(gate.code).toBe(0);
    const text = readFileSync(file, 'utf8');
    for (const secret of [key, gate.stdout.trim()]) {
      expect(text).not.toContain(secret);
      expect(text).toContain(sha256(secret).toString('hex'));
    }

    const service = await createApp({ FACE_API_KEYS_FILE: file });
    const url = await service.app.getUrl();
    try {
      expect((await service.http.get('/v1/galleries').set('x-api-key', key)).status).toBe(200);
      const identify = ['gallery', 'import', makeFolder(), '--server', url];
      const withoutKey = await likeness(identify, { ADMIN_KEY: '' });
      expect([withoutKey.code, withoutKey.stderr]).toEqual([2, expect.stringContaining('UNAUTHORIZED')]);
      for (const [args, env] of [
        [['--api-key', key], {}],
        [[], { FACE_API_KEY: key, ADMIN_KEY: 'wrong-key-of-the-suite' }],
      ] as const) {
        const { stderr } = await likeness([...identify, ...args], env);
        expect(stderr).not.toContain('UNAUTHORIZED');
      }
      const unfit = await likeness([...identify, '--api-key', 'not a key']);
      expect([unfit.code, unfit.stderr]).toEqual([2, expect.stringContaining('PARAMETER_INVALID')]);
      expect(unfit.stderr).not.toContain('not a key');
    } finally {
      await service.app.close();
    }

    const table = await likeness(['keys', 'list', '--file', file]);
    expect(table.stdout.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['name', 'scopes', 'galleries', 'requests/min', 'thresholds', 'distances', 'expires'],
      ['door', 'verify,read', 'all', '-', 'yes', 'yes', 'never'],
      ['gate', 'identify', 'staff,guests', '60', 'no', 'no', 'never'],
      [''],
    ]);
    const json = await likeness(['keys', 'list', '--file', file, '--json']);
    expect(JSON.parse(json.stdout)).toEqual({
      keys: [
        { name: 'door', scopes: ['verify', 'read'] },
        {
          name: 'gate',
          scopes: ['identify'],
          galleries: ['staff', 'guests'],
          requestsPerMinute: 60,
          maySeeDistances: false,
        },
      ],
    });
  });

  const itOnPosix = process.platform === 'win32' ? it.skip : it;
  itOnPosix(
    'makes a file for its owner only, and keeps owner and permissions of one that is there',
    async () => {
      const file = join(makeFolder(), 'keys.json');
      const create = (name: string) =>
        likeness(['keys', 'create', name, '--scopes', 'verify', '--file', file]);
      const permissions = () => statSync(file).mode & 0o777;
      await create('door');
      expect(permissions()).toBe(0o600);
      chmodSync(file, 0o640);
      // Only root may give a file to another user.
      if (process.getuid?.() === 0) chownSync(file, 12_345, 23_456);
      const { uid, gid } = statSync(file);
      expect((await create('gate')).code).toBe(0);
      expect([permissions(), statSync(file).uid, statSync(file).gid]).toEqual([0o640, uid, gid]);
    },
  );

  it('makes keys that end, says when, and revokes them', async () => {
    const file = join(makeFolder(), 'keys.json');
    const create = (name: string, expires: string) =>
      likeness(['keys', 'create', name, '--scopes', 'read', '--expires', expires, '--file', file]);
    expect((await create('guest', '2999-01-31T01:00:00+01:00')).code).toBe(0);
    const before = Date.now();
    expect((await create('visitor', '30d')).code).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const read = () => readKeyFileContent(file).keys;
    const [guest, visitor] = read();
    expect(guest.expiresAt).toBe('2999-01-31T00:00:00.000Z');
    const days = (Date.parse(visitor.expiresAt as string) - before) / 86_400_000;
    expect(Math.floor(days)).toBe(30);

    const past = { ...visitor, expiresAt: '2020-01-01T00:00:00Z' };
    writeFileSync(file, JSON.stringify({ keys: [guest, past] }), { mode: 0o640 });
    chmodSync(file, 0o640);
    const table = await likeness(['keys', 'list', '--file', file]);
    expect(table.stdout).toMatch(/^guest .*2999-01-31T00:00:00.000Z$/m);
    expect(table.stdout).toMatch(/^visitor .*2020-01-01T00:00:00Z \(expired\)$/m);

    const unknown = await likeness(['keys', 'revoke', 'nobody', '--file', file]);
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('no key named nobody')]);
    const revoked = await likeness(['keys', 'revoke', 'visitor', '--file', file]);
    expect([revoked.code, revoked.stdout]).toEqual([0, 'visitor: revoked. Remaining keys: 1.\n']);
    expect(read()).toEqual([guest]);
    // As the operator had it.
    expect(statSync(file).mode & 0o777).toBe(0o640);
    expect((await likeness(['keys', 'revoke', 'guest', '--file', file])).code).toBe(0);
    expect(read()).toEqual([]);
  });

  it('prints the entry where there is no file', async () => {
    const { code, stdout } = await likeness(
      ['keys', 'create', 'door', '--scopes', 'verify', '--no-thresholds', '--json'],
      { FACE_API_KEYS_FILE: '' },
    );
    const { key, entry } = JSON.parse(stdout) as { key: string; entry: object };
    expect([code, entry]).toEqual([
      0,
      { name: 'door', sha256: sha256(key).toString('hex'), scopes: ['verify'], maySetThresholds: false },
    ]);
  });

  it.each([
    [['create', 'Door', '--scopes', 'verify'], 'lower-case'],
    [['create', 'door'], '--scopes'],
    [['create', 'door', '--scopes', 'verify,all'], 'Expected scopes among'],
    [['create', 'door', '--scopes', 'verify', '--galleries', 'a b'], 'letters, digits'],
    [['create', 'door', '--scopes', 'verify', '--requests-per-minute', '0'], 'Expected an integer'],
    [
      ['create', 'door', '--scopes', 'verify', '--expires', '2020-01-01T00:00:00Z'],
      'Expected a time in the future',
    ],
    [['create', 'door', '--scopes', 'verify', '--expires', '2999-01-01'], 'Expected a time such as'],
    [['create', 'door', '--scopes', 'verify', '--expires', '0d'], 'Expected a time in the future'],
    [['create', 'door', '--scopes', 'verify', '--expires', '9999d'], 'Expected a time in the future'],
    [['revoke', 'door'], '--file or FACE_API_KEYS_FILE is required'],
    [['list'], '--file or FACE_API_KEYS_FILE is required'],
  ])('refuses %j', async (args, message) => {
    const { code, stderr, stdout } = await likeness(['keys', ...args], { FACE_API_KEYS_FILE: '' });
    expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining(message)]);
    expect(stderr).toMatch(/^PARAMETER_INVALID: /);
  });

  it('refuses a name twice, and leaves a file alone that is broken', async () => {
    const file = join(makeFolder(), 'keys.json');
    const create = () => likeness(['keys', 'create', 'door', '--scopes', 'verify', '--file', file]);
    expect((await create()).code).toBe(0);
    const text = readFileSync(file, 'utf8');
    const again = await create();
    expect([again.code, again.stdout, readFileSync(file, 'utf8')]).toEqual([2, '', text]);
    writeFileSync(file, '{"keys": [');
    const broken = await create();
    expect([broken.code, broken.stderr]).toEqual([2, expect.stringContaining('API_KEYS_INVALID')]);
    expect(readFileSync(file, 'utf8')).toBe('{"keys": [');
  });
});
