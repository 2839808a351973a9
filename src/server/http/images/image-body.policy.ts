import { FaceError } from '../../../errors';
import type { JsonBodyLimits } from './body-reader';
import { isUrlObject, missingImage } from './parse-image';
import { tooManyImages } from './parse-multipart';
import { LARGE_JSON_TOKENS, parseJson } from '../request/parse-json';
import { invalidParameters } from '../request/validation';

/** Image fields of a route. */
export interface ImageFields {
  /** Names of the image fields, all required. */
  fields: readonly string[];
  /**
   * Whether a field accepts an embedding instead of an image; `beside`: as `embedding` and `contract` among the
   * options, instead of the only field.
   */
  takesEmbeddings?: boolean | 'beside';
  /** Whether a field accepts several images. */
  takesLists?: boolean;
  /** Whether an invalid image of a list fails alone: `ImageField` then contains the FaceError. */
  keepsErrors?: boolean;
  /**
   * Name of a list of objects with one image each: inside the object or, in multipart, as files in the order of the
   * objects without an image. The body keeps the list without its images.
   */
  itemsIn?: string;
  /** Format of the API of the route. @defaultValue {@link LIKENESS_BODY} */
  policy?: ImageBodyPolicy;
}

type Body = Record<string, unknown>;

/** A body before its images are separated from its options. */
export interface ReceivedBody {
  /** Fields of JSON or a form; text parts of multipart. */
  values: Body;
  /** Files of multipart by image field. */
  files: Record<string, Buffer[]>;
  isMultipart: boolean;
}

/** Received values of one image field. */
export interface ReceivedField {
  /** Received name of the field. */
  name: string;
  values: readonly unknown[];
  isList: boolean;
  /** Embedding in place of the images. */
  embedding?: number[];
}

/** Received values of the image fields, and the rest of the body. */
export interface SplitBody {
  images: Record<string, ReceivedField>;
  options: Body;
}

/** Body format of an API. Reading, limits, image validation and fetching are the same for all APIs. */
export interface ImageBodyPolicy {
  /** Content types, for error messages. */
  readonly contentTypes: string;
  /** Whether embeddings are objects instead of an image. */
  readonly takesEmbeddingObjects: boolean;
  /** Maximum number of options in a multipart body; absent: that of `parseMultipart`. */
  readonly maxOptions?: number;
  /** Reads bodies of further content types; absent: they are rejected. */
  readonly text?: {
    readonly types: readonly string[];
    read(bytes: Buffer, route: ImageFields, limits: JsonBodyLimits): Promise<Body>;
  };
  /** Accepted names of an image field. */
  namesOf(field: string): readonly string[];
  /** Separates the images from the options. */
  split(body: ReceivedBody, route: ImageFields): Promise<SplitBody>;
  /** @throws {FaceError} if a field has too few or too many images for its route. */
  checkField(field: string, received: ReceivedField, route: ImageFields, maxImages: number): void;
  /** Converts options for the controller. */
  optionsOf(options: Body): Body;
}

/** Bodies of the /v1 routes. */
export const LIKENESS_BODY: ImageBodyPolicy = {
  contentTypes: 'Content-Type application/json or multipart/form-data',
  takesEmbeddingObjects: true,
  namesOf: (field) => [field],
  async split({ values, files, isMultipart }, route) {
    const { fields, itemsIn, takesLists } = route;
    if (itemsIn != null) {
      const items = isMultipart ? await parseItems(values[itemsIn], itemsIn) : values[itemsIn];
      return splitItems({ ...values, [itemsIn]: items }, fields[0], itemsIn, files[fields[0]] ?? []);
    }
    if (isMultipart) {
      return splitFields(values, fields, (name) => {
        const all = [files[name] ?? [], values[name] ?? []].flat();
        return { name, values: all, isList: all.length > 1 };
      });
    }
    const fieldOf = (name: string, value: unknown): ReceivedField =>
      takesLists && Array.isArray(value)
        ? { name, values: value, isList: true }
        : { name, values: [value], isList: false };
    if (route.takesEmbeddings !== 'beside') {
      return splitFields(values, fields, (name) => fieldOf(name, values[name]));
    }
    const { image, rest } = takeImage(values, fields[0]);
    return { images: { [fields[0]]: fieldOf(fields[0], image) }, options: rest };
  },
  checkField(field, { values }, _route, maxImages) {
    if (values.length === 0) throw missingImage({ field });
    const imageCount = values.filter(
      (value) => typeof value === 'string' || Buffer.isBuffer(value) || isUrlObject(value),
    ).length;
    if (imageCount > maxImages) throw tooManyImages(field, maxImages);
  },
  optionsOf: (options) => options,
};

/** Splits a body whose image fields and options are siblings. */
export function splitFields(
  values: Body,
  fields: readonly string[],
  fieldOf: (field: string) => ReceivedField,
  isImage = (name: string) => fields.includes(name),
): SplitBody {
  return {
    images: Object.fromEntries(fields.map((field) => [field, fieldOf(field)])),
    options: Object.fromEntries(Object.entries(values).filter(([name]) => !isImage(name))),
  };
}

function splitItems(body: Body, field: string, itemsIn: string, files: readonly Buffer[]): SplitBody {
  const { [itemsIn]: list, ...options } = body;
  const taken = objectsOf(list, itemsIn).map((item) => takeImage(item, field));
  const waiting = [...files];
  const values = taken.map(({ image }) => image ?? waiting.shift());
  if (waiting.length > 0) {
    throw invalidParameters({
      [itemsIn]: `must have an item without ${field} for each file; files without an item: ${waiting.length}`,
    });
  }
  return {
    images: { [field]: { name: field, values, isList: true } },
    options: { ...options, [itemsIn]: taken.map(({ rest }) => rest) },
  };
}

/** Extracts the image, or the embedding instead of it, from an object. */
function takeImage(object: Body, field: string): { image: unknown; rest: Body } {
  const { [field]: image, ...rest } = object;
  if (rest.embedding == null) return { image, rest };
  if (image != null) throw invalidParameters({ embedding: `must not be combined with ${field}` });
  const { embedding, contract, embeddingNorm, ...others } = rest;
  return { image: { embedding, contract, embeddingNorm }, rest: others };
}

function objectsOf(value: unknown, name: string): Body[] {
  const isObject = (item: unknown) => typeof item === 'object' && item != null && !Array.isArray(item);
  if (!Array.isArray(value) || value.length === 0 || !value.every(isObject)) {
    throw invalidParameters({ [name]: 'must be a list of at least one object' });
  }
  return value as Body[];
}

/** Parses the list of a form, which is JSON text. */
async function parseItems(text: unknown, name: string): Promise<unknown> {
  if (typeof text !== 'string') return text;
  try {
    return await parseJson(Buffer.from(text), { maxTokens: LARGE_JSON_TOKENS });
  } catch (error) {
    if (error instanceof FaceError && error.code !== 'REQUEST_MALFORMED') throw error;
    throw invalidParameters({ [name]: 'must be valid JSON' });
  }
}
