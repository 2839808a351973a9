import { parseMultipart } from './parse-multipart';

const TYPE = 'multipart/form-data; boundary=x';
const rules = { fields: ['image'], maxImages: 2, maxOptionBytes: 1000 };
const jpeg = Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0x0d, 0x0a, 0x2d, 0x2d, 0x79, 0x00]);

/** A form of header lines and contents. */
function form(...parts: [string[], Buffer | string][]): Buffer {
  const pieces = parts.flatMap(([headers, content]) => [
    `--x\r\n${headers.join('\r\n')}\r\n\r\n`,
    content,
    '\r\n',
  ]);
  return Buffer.concat([...pieces, '--x--\r\n'].map((piece) => Buffer.from(piece as string)));
}
const part = (parameters: string) => `Content-Disposition: form-data; ${parameters}`;
const parse = (body: Buffer, type = TYPE) => parseMultipart(body, type, rules);

describe(parseMultipart.name, () => {
  it.each([
    ['a file name', [part('name="image"; filename="a.jpg"'), 'Content-Type: image/jpeg']],
    ['no file name', [part('name="image"'), 'Content-Type: image/jpeg']],
    ['an empty file name', [part('name="image"; filename=""'), 'Content-Type: image/jpeg']],
    [
      'an empty file name, as bytes',
      [part('name="image"; filename=""'), 'Content-Type: application/octet-stream'],
    ],
    ['no content type', [part('name="image"')]],
    [
      'another order, case and no quotes',
      ['content-type: image/png', 'content-disposition: form-data; name=image'],
    ],
  ])('takes an image with %s', (_name, headers) => {
    expect(parse(form([headers, jpeg]))).toEqual({ texts: {}, files: { image: [jpeg] } });
  });

  it('leaves texts of an image field texts', () => {
    const { texts, files } = parse(
      form(
        [[part('name="image"')], 'aGk='],
        [[part('name="image"'), 'Content-Type: text/plain; charset=utf-8'], 'ä'],
      ),
    );
    expect([texts, files]).toEqual([{ image: ['aGk=', 'ä'] }, {}]);
  });

  it('passes over an input of a browser that was left empty, and keeps an empty file', () => {
    const type = 'Content-Type: application/octet-stream';
    expect(parse(form([[part('name="image"; filename=""'), type], '']))).toEqual({ texts: {}, files: {} });
    const { files } = parse(form([[part('name="image"; filename="a.jpg"'), type], '']));
    expect(files.image.map(({ length }) => length)).toEqual([0]);
  });

  it('takes what stands around the parts, and names as clients write them', () => {
    const body = Buffer.concat([
      Buffer.from('preamble\r\n'),
      form([[part('name="a%22b"')], '1'], [[part(String.raw`name="c\"d"`)], '2']),
      Buffer.from('epilogue'),
    ]);
    expect(parse(body, 'multipart/form-data; charset=utf-8; boundary="x"').texts).toEqual({
      'a"b': '1',
      'c"d': '2',
    });
  });

  it('keeps line breaks and what looks like a boundary in contents', () => {
    const content = '\r\n--y\r\n\r\n-x';
    expect(parse(form([[part('name="a"')], content])).texts).toEqual({ a: content });
  });

  it.each([
    ['a file in an option', form([[part('name="a"; filename="f"')], 'x']), 'PARAMETER_INVALID'],
    ['a long option', form([[part('name="a"')], 'x'.repeat(1001)]), 'PARAMETER_INVALID'],
    ['a reserved name', form([[part('name="constructor"')], 'x']), 'PARAMETER_INVALID'],
    ['a nested name', form([[part('name="a[b]"')], 'x']), 'PARAMETER_INVALID'],
    [
      'three images',
      form(...[1, 2, 3].map((): [string[], Buffer] => [[part('name="image"')], jpeg])),
      'REQUEST_TOO_LARGE',
    ],
    [
      'many options',
      form(...Array.from({ length: 9 }, (_, i): [string[], string] => [[part(`name="o${i}"`)], ''])),
      'REQUEST_TOO_LARGE',
    ],
    ['no name', form([['Content-Disposition: form-data'], 'x']), 'REQUEST_MALFORMED'],
    ['no disposition', form([['Content-Type: image/jpeg'], jpeg]), 'REQUEST_MALFORMED'],
    ['no end', form([[part('name="image"')], jpeg]).subarray(0, -8), 'REQUEST_MALFORMED'],
    [
      'an unknown charset',
      form([[part('name="a"'), 'Content-Type: text/plain; charset=klingon'], 'x']),
      'REQUEST_MALFORMED',
    ],
    ['nothing', Buffer.alloc(0), 'REQUEST_MALFORMED'],
  ])('refuses %s', (_name, body, code) => {
    expect(() => parse(body)).toThrow(expect.objectContaining({ code }));
  });

  it.each<[string, Buffer, object]>([
    [
      'a file in an option',
      form([[part('name="a"; filename="f"')], 'x']),
      { fields: { a: expect.any(String) } },
    ],
    ['a long option', form([[part('name="a"')], 'x'.repeat(1001)]), { fields: { a: expect.any(String) } }],
    ['a nested name', form([[part('name="a[b]"')], 'x']), { fields: { 'a[b]': expect.any(String) } }],
    [
      'images and texts of a field over its limit',
      form(
        [[part('name="image"')], jpeg],
        [[part('name="image"')], 'aGk='],
        [[part('name="image"')], 'aGk='],
      ),
      { field: 'image', maxImages: 2 },
    ],
  ])('names the field of %s', (_name, body, details) => {
    expect(() => parse(body)).toThrow(expect.objectContaining({ details }));
  });

  it.each([
    ['no boundary', 'multipart/form-data'],
    ['an empty boundary', 'multipart/form-data; boundary='],
    ['another boundary', 'multipart/form-data; boundary=z'],
    ['a boundary of more than 70 characters', `multipart/form-data; boundary="${'x'.repeat(71)}"`],
  ])('refuses a content type with %s', (_name, type) => {
    const body = form([[part('name="a"')], '1']);
    expect(() => parse(body, type)).toThrow(expect.objectContaining({ code: 'REQUEST_MALFORMED' }));
  });

  it.each([
    ['a name of more than 100 characters', form([[part(`name="${'n'.repeat(101)}"`)], 'x'])],
    ['a part that is no form data', form([['Content-Disposition: attachment; name="a"'], 'x'])],
    ['headers without an end', Buffer.from('--x\r\nContent-Disposition: form-data; name="a"\r\n')],
    ['headers over their limit', form([[part('name="a"'), `X: ${'x'.repeat(17_000)}`], 'x'])],
    ['text right behind the boundary', Buffer.from(form([[part('name="a"')], 'x'])).fill('y', 3, 5)],
  ])('refuses %s', (_name, body) => {
    expect(() => parse(body)).toThrow(expect.objectContaining({ code: 'REQUEST_MALFORMED' }));
  });

  it('accepts as many images, options and bytes as the limits', () => {
    const options = Array.from({ length: 8 }, (_, i): [string[], string] => [
      [part(`name="o${i}"`)],
      'x'.repeat(1000),
    ]);
    const { texts, files } = parse(
      form([[part('name="image"')], jpeg], [[part('name="image"')], jpeg], ...options),
    );
    expect([Object.keys(texts).length, files.image.length]).toEqual([8, 2]);
  });

  it('reads a text in the charset of its part', () => {
    const latin = Buffer.from([0xe4]);
    const type = 'Content-Type: text/plain; charset=iso-8859-1';
    expect(parse(form([[part('name="a"'), type], latin])).texts).toEqual({ a: 'ä' });
  });
});
