import { IsIn, Max, Min } from 'class-validator';
import { FaceError } from '../../../errors';
import {
  createValidationPipe,
  invalidParameters,
  IsDecimal,
  Satisfies,
  IsJson,
  IsNameList,
  IsTrueOrFalse,
  OptionalField,
} from './validation';

class Options {
  @OptionalField() @IsDecimal() @Min(0) @Max(2) threshold?: number;
  @OptionalField() @IsTrueOrFalse() align?: boolean;
  @OptionalField() @IsNameList() @IsIn(['age', 'gender'], { each: true }) attributes?: string[];
  @OptionalField() @IsIn(['one', 'all']) selection?: string;
  @OptionalField()
  @IsJson()
  @Satisfies((value) => (typeof value === 'object' ? null : 'must be an object'))
  metadata?: unknown;
}

class Required {
  @IsDecimal() count!: number;
}

const accept = (value: unknown, metatype: new () => object = Options): Promise<unknown> =>
  createValidationPipe().transform(value, { type: 'body', metatype }) as Promise<unknown>;

/** Code and fields of the refusal. */
async function refusal(value: unknown, metatype?: new () => object) {
  const error: unknown = await accept(value, metatype).then(
    () => new Error('The value was accepted.'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof FaceError)) throw error as Error;
  return { code: error.code, message: error.message, fields: error.details.fields as object };
}

describe(createValidationPipe.name, () => {
  it.each<[string, object, object]>([
    ['nothing', {}, {}],
    ['undefined', { threshold: undefined }, { threshold: undefined }],
    ['a number', { threshold: 0.5 }, { threshold: 0.5 }],
    ['the text of a number', { threshold: '1.25' }, { threshold: 1.25 }],
    ['the text of a number with an exponent', { threshold: '5e-1' }, { threshold: 0.5 }],
    ['both ends of a range', { threshold: 2 }, { threshold: 2 }],
    ['true', { align: true }, { align: true }],
    ['the text true', { align: 'true' }, { align: true }],
    ['the text false', { align: 'false' }, { align: false }],
    ['a list', { attributes: ['age'] }, { attributes: ['age'] }],
    ['text with commas', { attributes: 'age, gender' }, { attributes: ['age', 'gender'] }],
    ['an object', { metadata: { a: [1] } }, { metadata: { a: [1] } }],
    ['the text of an object', { metadata: '{"a":[1]}' }, { metadata: { a: [1] } }],
  ])('accepts %s', async (_name, sent, expected) => {
    expect(await accept(sent)).toEqual(expected);
  });

  it.each<[string, object, string]>([
    ['null', { threshold: null }, 'threshold'],
    ['text', { threshold: 'low' }, 'threshold'],
    ['an empty text', { threshold: '' }, 'threshold'],
    ['text with a space', { threshold: ' 1' }, 'threshold'],
    ['a hexadecimal number', { threshold: '0x1' }, 'threshold'],
    ['a number without its zero', { threshold: '.5' }, 'threshold'],
    ['the text of infinity', { threshold: 'Infinity' }, 'threshold'],
    ['a number that overflows', { threshold: '1e999' }, 'threshold'],
    ['NaN', { threshold: NaN }, 'threshold'],
    ['a boolean for a number', { threshold: true }, 'threshold'],
    ['two values for one', { threshold: ['1', '1'] }, 'threshold'],
    ['a number under the range', { threshold: -0.01 }, 'threshold'],
    ['a number over the range', { threshold: '2.01' }, 'threshold'],
    ['1 for true', { align: 1 }, 'align'],
    ['the text 1 for true', { align: '1' }, 'align'],
    ['TRUE in capitals', { align: 'TRUE' }, 'align'],
    ['null for false', { align: null }, 'align'],
    ['an empty text for false', { align: '' }, 'align'],
    ['a number for a list', { attributes: 1 }, 'attributes'],
    ['an object for a list', { attributes: { 0: 'age' } }, 'attributes'],
    ['an unknown name in a list', { attributes: ['age', 'height'] }, 'attributes'],
    ['an unknown name in text', { attributes: 'age,height' }, 'attributes'],
    ['an empty name in text', { attributes: 'age,' }, 'attributes'],
    ['a word that is not allowed', { selection: 'some' }, 'selection'],
    ['a list for a word', { selection: ['one', 'all'] }, 'selection'],
    ['text that is no JSON', { metadata: '{"a":' }, 'metadata'],
    ['the JSON of a number', { metadata: '7' }, 'metadata'],
    ['an unknown parameter', { treshold: 1 }, 'treshold'],
  ])('refuses %s, and names the field', async (_name, sent, field) => {
    expect(await refusal(sent)).toMatchObject({
      code: 'PARAMETER_INVALID',
      message: expect.stringContaining(`${field} `) as string,
      fields: { [field]: expect.any(String) as string },
    });
  });

  it('refuses a required parameter that is absent', async () => {
    expect(await refusal({}, Required)).toMatchObject({ fields: { count: 'must be a number' } });
  });

  it('lists every wrong field at once, with every rule that each breaks', async () => {
    const { fields } = await refusal({ threshold: 'x', align: 'x', other: 1 });
    expect(Object.keys(fields).sort()).toEqual(['align', 'other', 'threshold']);
    expect(fields).toMatchObject({ threshold: expect.stringContaining('must be a number; ') as string });
  });

  it('refuses a reserved key in JSON text, by its path', async () => {
    const { code, message } = await refusal({ metadata: '{"a":{"__proto__":1}}' });
    expect([code, message]).toEqual(['PARAMETER_INVALID', expect.stringContaining('metadata.a.__proto__')]);
  });

  it('refuses JSON text over its limit', async () => {
    const { code } = await refusal({ metadata: JSON.stringify({ a: 'b'.repeat(300_000) }) });
    expect(code).toBe('REQUEST_TOO_LARGE');
  });

  it('repeats few of many wrong names, and no more than the start of a long one', async () => {
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`${i}${'n'.repeat(5000)}`, 1]));
    const { fields, message } = await refusal(many);
    const names = Object.keys(fields);
    expect(names).toHaveLength(20);
    expect(Math.max(...names.map((name) => name.length))).toBe(100);
    expect(message.length).toBeLessThan(4000);
  });

  it('repeats no value', async () => {
    const sent = { threshold: 'secret', align: 'secret', attributes: ['secret'], metadata: 'secret' };
    expect(JSON.stringify(await refusal(sent))).not.toContain('secret');
  });
});

describe(invalidParameters.name, () => {
  it('puts the fields beside further details', () => {
    const { code, status, details } = invalidParameters({ a: 'is wrong', b: 'is too' }, { index: 1 });
    expect([code, status]).toEqual(['PARAMETER_INVALID', 400]);
    expect(details).toEqual({ index: 1, fields: { a: 'is wrong', b: 'is too' } });
  });
});
