import fc from 'fast-check';
import { FuzzImage, imageArbitrary } from './images.mjs';

/** Fields that hold an image or a list of images. */
const IMAGE_FIELDS = ['image', 'probe', 'reference', 'img', 'img1', 'img2'];
/** Names that JavaScript gives a meaning of its own. */
const PROTOTYPE_NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'then',
  'length',
];
/** Few, so that a request often finds what another has made. */
const GALLERIES = ['default', 'fuzz-a', 'fuzz-b'];
const SUBJECTS = ['anna', 'Jose\u0301', 'b/c', '..', '__proto__'];
/** Deeper than any honest body, up to what a parser may recurse into. */
const MAX_DEPTH = 20_000;
const MAX_HUGE = 200_000;
const MAX_PRINTED = 2000;
/** How much more often a route that takes images is drawn than another: most of what can go wrong lies behind those. */
const WEIGHT_OF_IMAGES = 4;

/** JSON text that no value can stand for: arrays or objects nested `depth` deep. */
class Nested {
  constructor(depth, isObject) {
    this.depth = depth;
    this.isObject = isObject;
  }

  toText() {
    const [open, close] = this.isObject ? ['{"a":', '}'] : ['[', ']'];
    return `${open.repeat(this.depth)}1${close.repeat(this.depth)}`;
  }

  toString() {
    return `<${this.depth} nested ${this.isObject ? 'objects' : 'arrays'}>`;
  }
}

/** JSON text as it stands: numbers that no JavaScript number has, and words that are no JSON. */
class RawText {
  constructor(text) {
    this.text = text;
  }

  toText() {
    return this.text;
  }

  toString() {
    return this.text;
  }
}

/** A string too long to be printed or drawn character by character. */
class HugeString {
  constructor(character, length) {
    this.character = character;
    this.length = length;
  }

  toText() {
    return JSON.stringify(this.character.repeat(this.length));
  }

  toString() {
    return `<${JSON.stringify(this.character)} x ${this.length}>`;
  }
}

/**
 * Requests to every operation of an OpenAPI document: mostly as the document says, so that they reach the code behind the
 * checks, each part now and then as it must not be.
 *
 * @param document - as the service gives it.
 * @param bases - see `baseImages`.
 * @param known - what a request must name to be answered with 200: `adminKey`, `models` by task, `contract` and a valid
 * `embedding`.
 */
export function requestArbitrary(document, bases, known) {
  const context = { document, image: imageArbitrary(bases), known };
  const operations = Object.entries(document.paths).flatMap(([route, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      route,
      method: method.toUpperCase(),
      operation,
    })),
  );
  return fc.oneof(
    ...operations.map((one) => ({
      weight: takesFiles(one.operation) ? WEIGHT_OF_IMAGES : 1,
      arbitrary: operationArbitrary(one, context),
    })),
  );
}

function takesFiles({ requestBody }) {
  return requestBody?.content['multipart/form-data'] != null;
}

function operationArbitrary({ route, method, operation }, context) {
  const parameters = (operation.parameters ?? []).map((parameter) => resolve(parameter, context));
  const parametersIn = (place) => parameters.filter((parameter) => parameter.in === place);
  const bodies = Object.entries(operation.requestBody?.content ?? {}).map(([type, { schema }]) =>
    bodyArbitrary(type, schema, context),
  );
  // Where there is no body by the document, one is sent all the same now and then.
  const body =
    bodies.length > 0
      ? fc.oneof(...bodies)
      : rarely(jsonBody(fc.constant({})), fc.constant({ type: null, parts: [] }), 10);
  return fc
    .record({
      route: fc.constant(route),
      method: rarely(
        fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'),
        fc.constant(method),
        30,
      ),
      pathValues: fc.record(
        Object.fromEntries(parametersIn('path').map(({ name }) => [name, pathValue(name, route, context)])),
      ),
      pathEnd: rarely(
        fc.constantFrom('/', '//', '/..', '/%00', '/%', '/%ff', '/a/b', ';x=1', '%2f..'),
        fc.constant(''),
        40,
      ),
      query: queryArbitrary(parametersIn('query'), context),
      headers: headersArbitrary(route, parametersIn('header'), context),
      body,
    })
    .map((request) => new FuzzRequest(request));
}

/** One request. It is printed without the bytes of images and without the admin key. */
class FuzzRequest {
  constructor({ route, method, pathValues, pathEnd, query, headers, body }) {
    const path = route.replace(/\{(\w+)\}/g, (_, name) => pathValues[name]);
    const search = query.map(([name, value]) => `${encodeURI(name)}=${value}`).join('&');
    /** The route as the document names it, for the table. */
    this.route = `${method} ${route}`;
    this.method = method;
    this.path = `${path}${pathEnd}${search === '' ? '' : `?${search}`}`;
    this.headers = body.type == null ? headers : { 'content-type': body.type, ...headers };
    this.body = body;
  }

  toBytes() {
    return Buffer.concat(
      this.body.parts.map((part) => (part instanceof FuzzImage ? part.toBytes() : toBuffer(part))),
    );
  }

  toString() {
    const headers = Object.entries(this.headers).map(([name, value]) =>
      name === 'authorization' ? `${name}: ...` : `${name}: ${value}`,
    );
    const body = this.body.parts.map(printed).join('');
    return [`${this.method} ${this.path}`, ...headers, '', shortened(body)].join('\n');
  }

  /** What fast-check prints. */
  [fc.toStringMethod]() {
    return this.toString();
  }
}

function toBuffer(part) {
  if (Buffer.isBuffer(part)) return part;
  if (typeof part === 'string') return Buffer.from(part);
  return Buffer.from('form' in part ? formText(part.form, base64) : jsonText(part.json, base64));
}

function base64(image) {
  return image.toBytes().toString('base64');
}

function printed(part) {
  if (Buffer.isBuffer(part)) return `<${part.length} bytes>`;
  if (part instanceof FuzzImage || typeof part === 'string') return String(part);
  return 'form' in part
    ? decodeURIComponent(formText(part.form, String))
    : jsonText(part.json, String, String);
}

function shortened(text) {
  return text.length <= MAX_PRINTED ? text : `${text.slice(0, MAX_PRINTED)}... (${text.length} characters)`;
}

/**
 * JSON text of a value that may hold what JSON.stringify does not know.
 *
 * @param imageText - text that stands for an image in a string.
 * @param special - text that stands for another object of the classes above.
 */
function jsonText(value, imageText, special = (one) => one.toText()) {
  if (value instanceof FuzzImage) return JSON.stringify(imageText(value));
  if (value instanceof DataUri) return JSON.stringify(`data:${value.type};base64,${imageText(value.image)}`);
  if (value instanceof Nested || value instanceof RawText || value instanceof HugeString)
    return special(value);
  const inner = (one) => jsonText(one, imageText, special);
  if (Array.isArray(value)) return `[${value.map(inner).join(',')}]`;
  if (value != null && typeof value === 'object') {
    const entries = Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}:${inner(one)}`);
    return `{${entries.join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}

class DataUri {
  constructor(type, image) {
    this.type = type;
    this.image = image;
  }
}

/** `odd` once in `times`, else `usual`. What failed shrinks to the usual. */
function rarely(odd, usual, times) {
  return fc.oneof({ weight: times - 1, arbitrary: usual }, { weight: 1, arbitrary: odd });
}

// ---------------------------------------------------------------------------------------------------------------- values

const oddText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom(
    '',
    ' ',
    '\0',
    '\ufeff',
    '\u202egnp.exe',
    '../../../../etc/passwd',
    '${7*7}{{7*7}}',
    "' OR 1=1 --",
    'http://169.254.169.254/latest/meta-data',
    'file:///etc/passwd',
    '\r\nx-injected: 1',
    'NaN',
    '1e999',
    '-0',
    'null',
    ...PROTOTYPE_NAMES,
  ),
);

const oddNumber = fc.oneof(
  fc.constantFrom(0, -0, -1, 0.5, 1e-320, 1e308, -1e308, 2 ** 31, 2 ** 32, 2 ** 53, Number.MIN_VALUE),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
);

const hugeString = fc
  .tuple(
    fc.constantFrom('a', 'A', '\u0000', '\u{1f600}', '\ud800', '"', '\\'),
    fc.integer({ min: 1000, max: MAX_HUGE }),
  )
  .map(([character, length]) => new HugeString(character, length));

const nested = fc
  .tuple(fc.integer({ min: 2, max: MAX_DEPTH }), fc.boolean())
  .map(([depth, isObject]) => new Nested(depth, isObject));

const rawText = fc
  .constantFrom(
    'NaN',
    'Infinity',
    '1e400',
    '-1e400',
    '01',
    '1e',
    'undefined',
    "'a'",
    '1'.repeat(400),
    '"\\ud800"',
    '"\\x"',
    '',
  )
  .map((text) => new RawText(text));

const prototypeObject = fc.dictionary(
  fc.constantFrom(...PROTOTYPE_NAMES),
  fc.oneof(fc.constant(null), fc.boolean(), fc.constantFrom('x', 1), fc.constant({ polluted: true })),
  { minKeys: 1, maxKeys: 3, noNullPrototype: false },
);

/** What no field asks for. */
const wrongValue = fc.oneof(
  fc.constantFrom(null, true, false, [], {}, [[]], [null]),
  oddNumber,
  oddText,
  hugeString,
  nested,
  rawText,
  prototypeObject,
  fc.jsonValue({ maxDepth: 3 }),
);

/** Values by a schema, now and then wrong ones. */
function valueArbitrary(schema, name, context) {
  return rarely(wrongValue, rightValue(resolve(schema, context), name, context), 25);
}

function rightValue(schema, name, context) {
  if (IMAGE_FIELDS.includes(name) && schema.type === 'string') return imageText(context);
  if (schema.allOf != null) {
    const parts = schema.allOf.map((part) => rightValue(resolve(part, context), name, context));
    // Not Object.assign: a field `__proto__` would become the prototype.
    return fc
      .tuple(...parts)
      .map((objects) => Object.fromEntries(objects.flatMap((one) => Object.entries(one ?? {}))));
  }
  const options = schema.oneOf ?? schema.anyOf;
  if (options != null)
    return fc.oneof(...options.map((option) => rightValue(resolve(option, context), name, context)));
  if (schema.enum != null) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case 'boolean':
      return fc.boolean();
    case 'integer':
    case 'number':
      return numberArbitrary(schema);
    case 'array':
      return arrayArbitrary(schema, name, context);
    case 'object':
      return objectArbitrary(schema, context);
    default:
      return textArbitrary(name, context);
  }
}

function numberArbitrary({ type, minimum = 0, maximum = 10_000 }) {
  const range =
    type === 'integer'
      ? fc.integer({ min: minimum, max: maximum })
      : fc.double({ min: minimum, max: maximum, noNaN: true });
  return rarely(oddNumber, range, 6);
}

function arrayArbitrary({ items = {}, minItems = 0 }, name, context) {
  if (name === 'embedding' || (['img1', 'img2'].includes(name) && items.type === 'number'))
    return embeddingArbitrary(context);
  const item = valueArbitrary(items, name, context);
  return rarely(fc.array(item, { maxLength: 40 }), fc.array(item, { minLength: minItems, maxLength: 3 }), 10);
}

function embeddingArbitrary({ known }) {
  return fc.oneof(
    fc.constant(known.embedding),
    fc
      .tuple(fc.nat(known.embedding.length - 1), oddNumber)
      .map(([at, value]) => known.embedding.with(at, value)),
    fc.array(oddNumber, { maxLength: 8 }),
    fc.integer({ min: 0, max: 1100 }).map((length) => Array(length).fill(0)),
  );
}

function objectArbitrary({ properties = {}, required = [], additionalProperties }, context) {
  const fields = Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name, valueArbitrary(schema, name, context)]),
  );
  const optional = Object.keys(fields).filter((name) => !required.includes(name));
  // Few options at a time: with all of them, one that is wrong would nearly always be among them.
  const chosen = fc.subarray(optional, { maxLength: Math.min(3, optional.length) });
  const extra = additionalProperties
    ? fc.dictionary(oddText, valueArbitrary(additionalProperties, '', context), {
        maxKeys: 4,
        noNullPrototype: true,
      })
    : rarely(
        fc.dictionary(oddText, wrongValue, { minKeys: 1, maxKeys: 2, noNullPrototype: true }),
        fc.constant({}),
        15,
      );
  const dropped = rarely(fc.subarray([...required]), fc.constant([]), 20);
  return fc.tuple(fc.record(fields), chosen, dropped, extra).map(([all, some, without, more]) => {
    const names = [...required.filter((name) => !without.includes(name)), ...some].filter(
      (name) => name in all,
    );
    const entries = [...names.map((name) => [name, all[name]]), ...Object.entries(more)];
    return Object.fromEntries(entries);
  });
}

function imageText({ image }) {
  const dataUri = fc
    .tuple(rarely(oddText, fc.constantFrom('image/jpeg', 'image/png'), 20), image)
    .map(([type, one]) => new DataUri(type, one));
  const noImage = fc.oneof(oddText, fc.base64String({ maxLength: 60 }), fc.webUrl());
  return rarely(noImage, fc.oneof(image, dataUri), 15);
}

function textArbitrary(name, { known }) {
  const values = {
    detector: known.models.detect,
    embedder: known.models.embed,
    contract: [known.contract],
    id: GALLERIES,
    subjectId: SUBJECTS,
    newSubjectId: SUBJECTS,
  }[name];
  return values == null || values.length === 0 ? oddText : rarely(oddText, fc.constantFrom(...values), 8);
}

/** A schema or parameter, which the document may only refer to. */
function resolve(part, { document }) {
  if (part?.$ref == null) return part ?? {};
  return part.$ref
    .split('/')
    .slice(1)
    .reduce((parent, name) => parent[name], document);
}

function isPlainObject(value) {
  return value != null && typeof value === 'object' && !Array.isArray(value);
}

// ---------------------------------------------------------------------------------------------------------------- bodies

function bodyArbitrary(type, schema, context) {
  const right = rightValue(resolve(schema, context), '', context);
  if (type === 'application/json') return jsonBody(rarely(wrongValue, right, 25));
  if (type === 'multipart/form-data') return multipartBody(right, context);
  if (type === 'application/x-www-form-urlencoded') {
    return right.map((form) => ({ type, parts: [{ form }] }));
  }
  const line = fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.stringify(value));
  return fc
    .oneof(
      fc.array(line, { maxLength: 5 }).map((lines) => lines.join('\n')),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    )
    .map((part) => ({ type, parts: [part] }));
}

/** JSON, whole or cut off, under its type or another. */
function jsonBody(value) {
  const types = fc.constantFrom(
    'application/json; charset=utf-8',
    'application/json; charset=utf-16',
    'application/json; charset=no-such',
    'APPLICATION/JSON',
    'application/vnd.api+json',
    'text/plain',
    'text/html',
    'multipart/form-data',
    'application/x-www-form-urlencoded',
    ';',
  );
  return fc
    .record({
      value,
      type: rarely(types, fc.constant('application/json'), 30),
      damage: rarely(
        fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 30 }), fc.constantFrom('{', '}', ',', '\ufeff')),
        fc.constant(null),
        30,
      ),
    })
    .map(({ value, type, damage }) => {
      const parts = [{ json: value }];
      if (damage != null) parts.push(typeof damage === 'string' ? damage : Buffer.from(damage));
      return { type, parts };
    });
}

/** @param imageText - text that stands for an image. */
function formText(form, imageText) {
  if (!isPlainObject(form)) return '';
  const text = (one) => (one instanceof FuzzImage ? imageText(one) : fieldText(one, imageText));
  return new URLSearchParams(Object.entries(form).map(([name, one]) => [name, text(one)])).toString();
}

/** How a value is written into a field of a form. */
function fieldText(value, imageText = base64) {
  return typeof value === 'string' ? value : jsonText(value, imageText);
}

function multipartBody(value, { image }) {
  const boundary = 'fuzz-boundary';
  const type = rarely(
    fc.constantFrom(
      'multipart/form-data',
      'multipart/form-data; boundary=',
      'multipart/form-data; boundary=other',
      'multipart/mixed; boundary=fuzz-boundary',
      `multipart/form-data; boundary="${'b'.repeat(300)}"`,
    ),
    fc.constant(`multipart/form-data; boundary=${boundary}`),
    30,
  );
  const fileHead = rarely(
    fc.constantFrom(
      '',
      '; filename=""',
      '; filename="../../x.jpg"',
      "; filename*=UTF-8''%ff",
      '; filename="a";filename="b"',
      '; filename="\u0000\u202e.jpg"',
    ),
    fc.constant('; filename="image.jpg"'),
    5,
  );
  const fileType = rarely(
    fc.constantFrom('', 'text/plain', 'multipart/mixed', ';;', 'application/json'),
    fc.constant('application/octet-stream'),
    8,
  );
  const end = rarely(
    fc.constantFrom('', `--${boundary}`, `\r\n--${boundary}--\r\nafter`, '\0'),
    fc.constant(`--${boundary}--\r\n`),
    20,
  );
  const more = rarely(
    fc.record({ name: oddText, count: fc.integer({ min: 1, max: 300 }), value: oddText }),
    fc.constant(null),
    20,
  );
  // A drawn data URI or text is no file: the image drawn beside it goes instead.
  return fc
    .record({ value, image, type, fileHead, fileType, end, more })
    .map(({ value, image, type, fileHead, fileType, end, more }) => {
      const parts = [];
      const add = (name, head, mediaType, content) =>
        parts.push(
          `--${boundary}\r\nContent-Disposition: form-data; name="${name.replace(/["\r\n]/g, '_')}"${head}\r\n` +
            (mediaType === '' ? '\r\n' : `Content-Type: ${mediaType}\r\n\r\n`),
          content,
          '\r\n',
        );
      for (const [name, content] of Object.entries(isPlainObject(value) ? value : {})) {
        if (!IMAGE_FIELDS.includes(name)) add(name, '', '', fieldText(content));
        else
          for (const one of [content].flat())
            add(name, fileHead, fileType, one instanceof FuzzImage ? one : image);
      }
      for (let i = 0; i < (more?.count ?? 0); i++) add(more.name, '', '', more.value);
      return { type, parts: [...parts, end] };
    });
}

// ------------------------------------------------------------------------------------------------- paths, queries, headers

function pathValue(name, route, { known }) {
  if (name === 'name' && route.startsWith('/admin/models/')) {
    // Never the name of a model that is there: a run that unloads or swaps models would test another service than it began with.
    return oddText.map(segment).filter((text) => !known.modelNames.includes(text));
  }
  const values = { galleryId: GALLERIES, subjectId: SUBJECTS }[name] ?? ['0'.repeat(32), 'f'.repeat(64), '1'];
  return rarely(oddText.map(segment), fc.constantFrom(...values).map(segment), 8);
}

function segment(text) {
  // A lone surrogate has no UTF-8.
  return encodeURIComponent(Buffer.from(text).toString()) || '%20';
}

function queryArbitrary(parameters, context) {
  const known = parameters.map(({ name, schema }) =>
    valueArbitrary(schema, name, context).map((value) => [name, segment(fieldText(value))]),
  );
  const odd = fc.tuple(
    fc.constantFrom(
      'limit',
      'cursor',
      'filter',
      'limit[]',
      'limit[a][b]',
      '__proto__[x]',
      'constructor',
      'a'.repeat(500),
    ),
    fc.oneof(fc.constantFrom('%', '%ff', '%00', '1&limit=2', '{}', '[[[['), oddText.map(segment)),
  );
  const usual =
    known.length === 0 ? fc.constant([]) : fc.tuple(...known).chain((pairs) => fc.subarray(pairs));
  return rarely(fc.array(odd, { minLength: 1, maxLength: 3 }), usual, known.length === 0 ? 20 : 4);
}

function headersArbitrary(route, parameters, { known }) {
  const visible = fc
    .string({
      unit: fc
        .integer({ min: 0x20, max: 0xff })
        .filter((code) => code < 0x7f || code > 0x9f)
        .map((code) => String.fromCharCode(code)),
      maxLength: 60,
    })
    .map((text) => text.trim());
  const odd = fc.record(
    {
      'x-request-id': visible,
      'x-request-timeout-ms': fc.constantFrom('0', '-1', '1', '1e9', 'soon', '', '00010'),
      authorization: fc.oneof(
        visible,
        fc.constantFrom('Bearer', 'Bearer ', 'Basic Og==', 'bearer x', `Bearer ${'x'.repeat(8000)}`),
      ),
      accept: fc.constantFrom('text/html', '*/*;q=2', '', ','),
      'accept-encoding': fc.constantFrom('gzip', 'identity;q=0', '*'),
      'content-encoding': fc.constantFrom('gzip', 'deflate', 'br', 'none', 'gzip, gzip'),
      'x-forwarded-for': fc.constantFrom('1.2.3.4', '::1', 'unknown', `${'1.1.1.1,'.repeat(200)}`),
      'x-http-method-override': fc.constant('DELETE'),
      expect: fc.constant('100-continue'),
      ...Object.fromEntries(parameters.map(({ name }) => [name.toLowerCase(), visible])),
    },
    { requiredKeys: [] },
  );
  const isAdmin = route.startsWith('/admin');
  const usual = fc.constant(isAdmin ? { authorization: `Bearer ${known.adminKey}` } : {});
  return rarely(odd, usual, 5);
}
