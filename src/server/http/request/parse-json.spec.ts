import type { FaceErrorCode } from '../../../errors';
import { LARGE_JSON_TOKENS, MAX_JSON_DEPTH, JsonScan, parseJson, parseShortJson } from './parse-json';

const limits = { maxTokens: 1000 };
const parse = (text: string) => parseJson(Buffer.from(text), limits);
const refusal = (code: FaceErrorCode) => expect.objectContaining({ code });

describe(parseJson.name, () => {
  it.each([
    ['{}', {}],
    ['{"a":[1,"b",null]}', { a: [1, 'b', null] }],
    ['\uFEFF{"a":"ä"}', { a: 'ä' }],
    // What stands in a text is no token.
    [JSON.stringify({ a: '[{,:'.repeat(1000) }), { a: '[{,:'.repeat(1000) }],
    [String.raw`{"a":"\\","b":"\"[[[","c":"\\\""}`, { a: '\\', b: '"[[[', c: '\\"' }],
  ])('parses %#', async (text, value) => {
    await expect(parse(text)).resolves.toEqual(value);
  });

  it.each(['', '{', '"a', 'nothing', '{"a":"\\"}'])('refuses %j', async (text) => {
    await expect(parse(text)).rejects.toEqual(refusal('REQUEST_MALFORMED'));
  });

  it('takes the deepest that it may, and nothing deeper', async () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    await expect(parse(nested(MAX_JSON_DEPTH))).resolves.toBeInstanceOf(Array);
    for (const depth of [MAX_JSON_DEPTH + 1, 20_000]) {
      await expect(parse(nested(depth))).rejects.toEqual(refusal('REQUEST_MALFORMED'));
    }
  });

  it('takes as many tokens as it may, and no more', async () => {
    const list = (length: number) => JSON.stringify(Array.from({ length }, () => 0));
    // The list itself, and its first value, are two.
    await expect(parse(list(limits.maxTokens - 1))).resolves.toHaveLength(limits.maxTokens - 1);
    await expect(parse(list(limits.maxTokens))).rejects.toEqual(refusal('REQUEST_TOO_LARGE'));
  });

  it('counts across its slices, texts that go over several too', async () => {
    const long = JSON.stringify({ a: 'x'.repeat(3_000_000), b: Array.from({ length: 300_000 }, () => '[') });
    const { a, b } = (await parseJson(Buffer.from(long), { maxTokens: LARGE_JSON_TOKENS })) as Record<
      string,
      string
    >;
    expect([a.length, b.length]).toEqual([3_000_000, 300_000]);
    await expect(parse(long)).rejects.toEqual(refusal('REQUEST_TOO_LARGE'));
  });

  it('lets the event loop turn while it counts', async () => {
    let turns = 0;
    const count = setInterval(() => turns++, 0);
    const commas = Buffer.alloc(16 * 1024 * 1024, ',');
    await expect(parseJson(commas, { maxTokens: Infinity })).rejects.toEqual(refusal('REQUEST_MALFORMED'));
    clearInterval(count);
    expect(turns).toBeGreaterThan(5);
  });

  it.each(['__proto__', 'constructor', 'prototype'])('refuses the key %s, by its place', async (key) => {
    const escaped = key.replace('o', '\\u006f');
    for (const name of [key, escaped]) {
      await expect(parse(`{"a":[{"b":{"${name}":{}}}]}`)).rejects.toMatchObject({
        code: 'PARAMETER_INVALID',
        details: { fields: { [`a.b.${key}`]: 'must not be used as a key' } },
      });
    }
    await expect(parse(`{"a":"${key}"}`)).resolves.toEqual({ a: key });
  });

  it('refuses a key with every character escaped, after other texts', async () => {
    const escaped = [...'constructor']
      .map((character) => `\\u00${character.charCodeAt(0).toString(16)}`)
      .join('');
    await expect(parse(`{"a":"${'x'.repeat(100)}","b":"\\"","${escaped}":1}`)).rejects.toMatchObject({
      details: { fields: { constructor: 'must not be used as a key' } },
    });
  });
});

describe(JsonScan.name, () => {
  it('counts the same wherever the text is cut, between a backslash and what it escapes too', () => {
    const text = Buffer.from(JSON.stringify({ 'a\\"b,': ['\\', '\\\\', '"', { 'c[': '\\"[{,:' }] }));
    // Two objects, one list, two names, three commas, and the text itself.
    const tokens = 9;
    const isTaken = (maxTokens: number, cuts: number[]) => {
      const scan = new JsonScan({ maxTokens });
      try {
        [0, ...cuts].forEach((from, i) => scan.add(text.subarray(from, cuts[i])));
        return true;
      } catch {
        return false;
      }
    };
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second++) {
        const cuts = [first, second];
        expect([cuts, isTaken(tokens, cuts), isTaken(tokens - 1, cuts)]).toEqual([cuts, true, false]);
      }
    }
  });
});

describe(parseShortJson.name, () => {
  it.each([
    ['{"a":[1,2],"b":"proto"}', false],
    [`{"a":"${'\\\\'.repeat(50)}"}`, false],
    ['{"prototype":1}', true],
    [String.raw`{"\u0070rototype":1}`, true],
  ])('finds reserved keys in %s', (text, isFound) => {
    const scan = new JsonScan(limits);
    scan.add(Buffer.from(text));
    expect(scan.mayHaveReservedKeys).toBe(isFound);
  });

  it('finds reserved keys wherever the text is cut', () => {
    const text = Buffer.from('{"a":1,"__proto__":{"b":2}}');
    for (let cut = 0; cut <= text.length; cut++) {
      const scan = new JsonScan(limits);
      scan.add(text.subarray(0, cut));
      scan.add(text.subarray(cut));
      expect(scan.mayHaveReservedKeys).toBe(true);
    }
  });

  it('names the field of what it refuses', () => {
    expect(() => parseShortJson('{"prototype":1}', 'filter')).toThrow('filter.prototype');
    expect(() => parseShortJson(`"${'x'.repeat(300_000)}"`, 'filter')).toThrow(refusal('REQUEST_TOO_LARGE'));
    expect(() => parseShortJson('['.repeat(33), 'filter')).toThrow(refusal('REQUEST_MALFORMED'));
    expect(parseShortJson('{"a":1}', 'filter')).toEqual({ a: 1 });
  });
});
