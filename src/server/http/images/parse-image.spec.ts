import { FaceError } from '../../../errors';
import { parseImage } from './parse-image';

const MAX_BYTES = 120;
const images = { maxImageBytes: MAX_BYTES, takesEmbeddings: false };
const both = { maxImageBytes: MAX_BYTES, takesEmbeddings: true };
const bytes = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 1, 2]);
const base64 = bytes.toString('base64');
const embedding = { embedding: [0.5, -1], contract: 'abc' };

const parse = (value: unknown, rules = both) => parseImage(value, { field: 'image' }, rules);

/** Code and details of the refusal. */
function refusal(
  value: unknown,
  rules = both,
  place: { field: string; index?: number } = { field: 'image' },
) {
  try {
    parseImage(value, place, rules);
  } catch (error) {
    if (!(error instanceof FaceError)) throw error;
    return { code: error.code, message: error.message, details: error.details };
  }
  throw new Error('The value was accepted.');
}

describe(parseImage.name, () => {
  it.each([
    ['bytes of a file', bytes],
    ['base64', base64],
    ['base64 in lines', `${base64.slice(0, 4)}\r\n${base64.slice(4)}\n`],
    ['a data URI', `data:image/jpeg;base64,${base64}`],
    ['a data URI in capitals, with a parameter', `DATA:image/png;name=a.png;BASE64,${base64}`],
    ['a data URI without a media type', `data:;base64,${base64}`],
  ])('accepts %s', (_name, value) => {
    for (const rules of [images, both]) expect(Buffer.from(parse(value, rules) as Buffer)).toEqual(bytes);
  });

  it.each([1, 2, 3].map((length) => [length]))('accepts base64 of %i bytes, with its padding', (length) => {
    const sent = Buffer.alloc(length, 7);
    expect(parse(sent.toString('base64'))).toEqual(sent);
  });

  it.each([
    ['an http address', 'http://photos.example/a.jpg'],
    ['an https address in capitals, with spaces around it', '  HTTPS://photos.example/a.jpg '],
    ['the address as an object', { url: 'https://photos.example/a.jpg' }],
  ])('accepts %s', (_name, value) => {
    const { url } = parse(value, images) as { url: URL };
    expect([url.host, url.pathname]).toEqual(['photos.example', '/a.jpg']);
  });

  it.each([
    ['an object', embedding],
    ['JSON text', ` ${JSON.stringify(embedding)}`],
  ])('accepts an embedding as %s', (_name, value) => {
    expect(parse(value)).toEqual(embedding);
  });

  it('keeps the norm of an embedding', () => {
    expect(parse({ ...embedding, embeddingNorm: 12.5 })).toEqual({ ...embedding, embeddingNorm: 12.5 });
  });

  it.each<[string, unknown, string]>([
    ['nothing', undefined, 'IMAGE_MISSING'],
    ['null', null, 'IMAGE_MISSING'],
    ['an empty file', Buffer.alloc(0), 'IMAGE_EMPTY'],
    ['an empty text', '', 'IMAGE_EMPTY'],
    ['a text of spaces', ' \n', 'IMAGE_EMPTY'],
    ['a data URI without content', 'data:image/png;base64,', 'IMAGE_EMPTY'],
    ['a file over the limit', Buffer.alloc(MAX_BYTES + 1), 'IMAGE_TOO_LARGE'],
    ['base64 over the limit', Buffer.alloc(MAX_BYTES + 1).toString('base64'), 'IMAGE_TOO_LARGE'],
  ])('refuses %s, with the field and its index', (_name, value, code) => {
    expect(refusal(value, images)).toMatchObject({ code, details: { field: 'image' } });
    const inList = refusal(value, images, { field: 'images', index: 2 });
    expect(inList).toMatchObject({ code, details: { field: 'images', index: 2 } });
    expect(inList.message).toContain('images[2]');
  });

  it('accepts as many bytes as the limit, and names the limit above it', () => {
    expect(parse(Buffer.alloc(MAX_BYTES))).toHaveLength(MAX_BYTES);
    expect(parse(Buffer.alloc(MAX_BYTES).toString('base64'))).toHaveLength(MAX_BYTES);
    expect(refusal(Buffer.alloc(MAX_BYTES + 1)).details).toMatchObject({ maxImageBytes: MAX_BYTES });
  });

  it.each<[string, unknown]>([
    ['base64 without its padding', 'aGk'],
    ['base64 with a letter too many', 'aGkhh'],
    ['base64 with a foreign character', 'aG*h'],
    ['padding alone', '===='],
    ['padding in the middle', 'aG==aGkh'],
    ['a path', '/etc/passwd'],
    ['a path that is as long as base64', '../a.jpg'],
    ['the address of a file', 'file:///a/b/c.jpg'],
    ['the address of another protocol', 'ftp://a.example/b'],
    ['a data URI that is not base64', 'data:image/png,abcd'],
    ['an address without a host', 'http://'],
    ['an address with a wrong port', 'https://a.example:99999/'],
    ['an object with a wrong address', { url: 'photo' }],
    ['an object with a number as its address', { url: 7 }],
    ['a number', 7],
    ['a boolean', true],
    ['a list', [base64]],
  ])('refuses %s as a wrong parameter', (_name, value) => {
    for (const rules of [images, both]) {
      const { code, details } = refusal(value, rules);
      expect(code).toBe('PARAMETER_INVALID');
      expect(details).toEqual({ field: 'image', fields: { image: expect.any(String) } });
    }
    expect(refusal(value, both, { field: 'images', index: 0 }).details).toEqual({
      field: 'images',
      index: 0,
      fields: { 'images[0]': expect.any(String) },
    });
  });

  it.each<[string, unknown, string]>([
    ['an object without an embedding', { contract: 'abc' }, 'PARAMETER_INVALID'],
    ['an empty object', {}, 'PARAMETER_INVALID'],
    ['an embedding that is no list', { ...embedding, embedding: base64 }, 'PARAMETER_INVALID'],
    ['no contract', { embedding: [1] }, 'PARAMETER_INVALID'],
    ['an empty contract', { ...embedding, contract: '' }, 'PARAMETER_INVALID'],
    ['a contract that is no text', { ...embedding, contract: 3 }, 'PARAMETER_INVALID'],
    ['an unknown property', { ...embedding, model: 'x' }, 'PARAMETER_INVALID'],
    ['an address beside an embedding', { ...embedding, url: 'https://a.example/' }, 'PARAMETER_INVALID'],
    ['a norm of 0', { ...embedding, embeddingNorm: 0 }, 'PARAMETER_INVALID'],
    ['a negative norm', { ...embedding, embeddingNorm: -1 }, 'PARAMETER_INVALID'],
    ['a norm that is null', { ...embedding, embeddingNorm: null }, 'PARAMETER_INVALID'],
    ['a norm as text', { ...embedding, embeddingNorm: '1' }, 'PARAMETER_INVALID'],
    ['null among the numbers', { ...embedding, embedding: [1, null] }, 'EMBEDDING_INVALID'],
    ['text among the numbers', { ...embedding, embedding: [1, '2'] }, 'EMBEDDING_INVALID'],
    ['a list among the numbers', { ...embedding, embedding: [[1]] }, 'EMBEDDING_INVALID'],
  ])('refuses an embedding with %s, as an object and as text', (_name, value, code) => {
    for (const sent of [value, JSON.stringify(value)])
      expect(refusal(sent)).toMatchObject({ code, details: { field: 'image' } });
  });

  it.each([
    ['JSON that ends early', '{"embedding":[1', 'PARAMETER_INVALID'],
    ['JSON with text behind it', `${JSON.stringify(embedding)}x`, 'PARAMETER_INVALID'],
    ['a reserved key', '{"__proto__":{},"embedding":[1],"contract":"a"}', 'PARAMETER_INVALID'],
    ['more JSON than an embedding has', `{"a":"${'b'.repeat(300_000)}"}`, 'REQUEST_TOO_LARGE'],
    ['more numbers than an embedding has', `{"a":[${'1,'.repeat(20_000)}1]}`, 'REQUEST_TOO_LARGE'],
  ])('refuses %s', (_name, value, code) => {
    expect(refusal(value)).toMatchObject({ code, details: { field: 'image' } });
  });

  it('refuses an embedding where the route takes images only', () => {
    for (const value of [embedding, JSON.stringify(embedding)])
      expect(refusal(value, images)).toMatchObject({
        code: 'PARAMETER_INVALID',
        details: { field: 'image' },
      });
  });

  it('repeats nothing of what was sent', () => {
    for (const value of ['/etc/x/secret-name.txt', 'https://secret-name:99999/', '{"secret-name":'])
      expect(JSON.stringify(refusal(value))).not.toContain('secret-name');
  });
});
