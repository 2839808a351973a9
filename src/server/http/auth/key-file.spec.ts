import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempFolders } from '../../../../test/support/temp-folder';
import { FaceError } from '../../../errors';
import { generateKey, isGeneratedKey, parseKeyFile, readKeyFile, sha256 } from './key-file';

const HASH = sha256(generateKey()).toString('hex');
const ENTRY = { name: 'door', sha256: HASH, scopes: ['verify'] };

function refusal(work: () => unknown): FaceError {
  try {
    work();
  } catch (error) {
    if (error instanceof FaceError) return error;
    throw error;
  }
  throw new Error('Expected a refusal.');
}

describe(generateKey.name, () => {
  it('makes keys of 256 bits behind a prefix, each another', () => {
    const keys = Array.from({ length: 100 }, generateKey);
    expect(new Set(keys).size).toBe(100);
    for (const key of keys) {
      expect(isGeneratedKey(key)).toBe(true);
      expect(Buffer.from(key.slice('likeness_'.length), 'base64url')).toHaveLength(32);
    }
  });
});

describe(parseKeyFile.name, () => {
  const wrong: [problem: string, entry: unknown, message: string][] = [
    ['no object', 'key', 'it must be an object'],
    ['a list', [], 'it must be an object'],
    ['a field that is unknown', { ...ENTRY, scope: 'verify' }, '`scope` is not a known field'],
    ['no name', { ...ENTRY, name: undefined }, '`name`'],
    ['a name in upper case', { ...ENTRY, name: 'ADMIN_KEY' }, '`name`'],
    ['a name with a line break', { ...ENTRY, name: 'door\n' }, '`name`'],
    ['the key itself for its hash', { ...ENTRY, sha256: generateKey() }, '`sha256`'],
    ['a hash in upper case', { ...ENTRY, sha256: HASH.toUpperCase() }, '`sha256`'],
    ['no scopes', { ...ENTRY, scopes: [] }, '`scopes`'],
    ['a scope that is unknown', { ...ENTRY, scopes: ['verify', 'everything'] }, '`scopes`'],
    ['a scope twice', { ...ENTRY, scopes: ['verify', 'verify'] }, '`scopes`'],
    ['a text for a list', { ...ENTRY, scopes: 'verify' }, '`scopes`'],
    ['no gallery', { ...ENTRY, galleries: [] }, '`galleries`'],
    ['an impossible gallery', { ...ENTRY, galleries: ['../staff'] }, '`galleries`'],
    ['no request a minute', { ...ENTRY, requestsPerMinute: 0 }, '`requestsPerMinute`'],
    ['half a request a minute', { ...ENTRY, requestsPerMinute: 0.5 }, '`requestsPerMinute`'],
    ['null for a limit', { ...ENTRY, requestsPerMinute: null }, '`requestsPerMinute`'],
    ['a day for a time', { ...ENTRY, expiresAt: '2027-01-31' }, '`expiresAt`'],
    ['a time without its zone', { ...ENTRY, expiresAt: '2027-01-31T00:00:00' }, '`expiresAt`'],
    ['a month too many', { ...ENTRY, expiresAt: '2027-13-31T00:00:00Z' }, '`expiresAt`'],
    ['null for an end', { ...ENTRY, expiresAt: null }, '`expiresAt`'],
    ['a text for a switch', { ...ENTRY, maySeeDistances: 'no' }, '`maySeeDistances`'],
    ['a number for a switch', { ...ENTRY, maySetThresholds: 0 }, '`maySetThresholds`'],
  ];
  it.each(wrong)('refuses an entry with %s, naming the entry and the field', (_problem, entry, message) => {
    const first = { ...ENTRY, name: 'first', sha256: sha256('first').toString('hex') };
    const error = refusal(() => parseKeyFile(JSON.stringify({ keys: [first, entry] })));
    expect(error.code).toBe('API_KEYS_INVALID');
    expect(error.message).toContain(message);
    expect(error.details.entry).toMatch(/^2( \("door"\))?$/);
    expect(error.message).not.toContain(HASH);
    expect(error.message).not.toContain('likeness_');
  });

  it('refuses two entries of one name, and two of one key', () => {
    const other = { ...ENTRY, name: 'gate' };
    for (const [second, field] of [
      [{ ...other, name: 'door', sha256: sha256('other').toString('hex') }, 'name'],
      [other, 'sha256'],
    ]) {
      const error = refusal(() => parseKeyFile(JSON.stringify({ keys: [ENTRY, second] })));
      expect(error.message).toContain(`another entry has the same \`${field as string}\``);
    }
  });

  it.each([
    ['', 'not valid JSON'],
    ['{"keys": [', 'not valid JSON'],
    ['[]', 'a single field `keys`'],
    ['{}', 'a single field `keys`'],
    ['{"keys": {}}', 'a single field `keys`'],
    ['{"keys": [], "version": 1}', 'a single field `keys`'],
    [JSON.stringify({ keys: Array.from({ length: 1001 }, () => ENTRY) }), 'at most 1000'],
  ])('refuses %.20j', (text, message) => {
    const error = refusal(() => parseKeyFile(text));
    expect([error.code, error.message]).toEqual(['API_KEYS_INVALID', expect.stringContaining(message)]);
  });

  it('takes a file without keys: that is how the last one is revoked', () => {
    expect(parseKeyFile('{"keys": []}')).toEqual({ keys: [] });
  });
});

describe(readKeyFile.name, () => {
  const makeFolder = tempFolders();

  it('gives limits their defaults', () => {
    const file = join(makeFolder(), 'keys.json');
    writeFileSync(file, JSON.stringify({ keys: [ENTRY] }));
    expect(readKeyFile(file)).toEqual([
      {
        digest: Buffer.from(HASH, 'hex'),
        apiKey: {
          name: 'door',
          scopes: new Set(['verify']),
          galleries: undefined,
          expiresAt: undefined,
          requestsPerMinute: undefined,
          maySetThresholds: true,
          maySeeDistances: true,
        },
      },
    ]);
  });

  it('lets a key that may not see distances set no thresholds, unless the entry says so', () => {
    const file = join(makeFolder(), 'keys.json');
    const blind = { ...ENTRY, maySeeDistances: false };
    const other = {
      ...blind,
      name: 'other',
      sha256: sha256('other').toString('hex'),
      maySetThresholds: true,
    };
    writeFileSync(file, JSON.stringify({ keys: [blind, other] }));
    expect(readKeyFile(file).map(({ apiKey }) => apiKey)).toMatchObject([
      { maySeeDistances: false, maySetThresholds: false },
      { maySeeDistances: false, maySetThresholds: true },
    ]);
  });

  it('says why a file cannot be read, and not where it is', () => {
    const folder = makeFolder();
    const error = refusal(() => readKeyFile(join(folder, 'absent.json')));
    expect([error.code, error.message]).toEqual([
      'API_KEYS_INVALID',
      'The API key file cannot be read: ENOENT.',
    ]);
  });
});
