import { FaceError } from '../../../errors';
import type { JsonBodyLimits } from './body-reader';
import { isUrlObject, missingImage } from './parse-image';
import { tooManyImages } from './parse-multipart';
import { LARGE_JSON_TOKENS, parseJson } from '../request/parse-json';
import { invalidParameters } from '../request/validation';

/** Images of a route. */
export interface ImageFields {
  /** Names of the image fields; all are required. */
  fields: readonly string[];
  /**
   * True where a field takes an embedding instead of an image; `beside` where `embedding` and `contract` stand beside the
   * options, in the place of the one field.
   */
  takesEmbeddings?: boolean | 'beside';
  /** True where a field takes several images. */
  takesLists?: boolean;
  /** True where an unreadable image of a list is a failure of its own: `ImageField` has the FaceError. */
  keepsErrors?: boolean;
  /**
   * Name of a list of objects to which the images belong, one each: in the object, or, in multipart, among the files, in
   * the order of the objects without one. The list, without the images, is left in the body.
   */
  itemsIn?: string;
  /** The API that the route belongs to. @defaultValue {@link LIKENESS_BODY} */
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

/** Values of one image field as received. */
export interface ReceivedField {
  /** Name that the field came under. */
  name: string;
  values: readonly unknown[];
  isList: boolean;
  /** Embedding in place of the images. */
  embedding?: number[];
}

/** Values of the image fields as received, and the rest of the body. */
export interface SplitBody {
  images: Record<string, ReceivedField>;
  options: Body;
}

/** How an API spells its bodies. Reading, limits, checks of each image and fetching are the same for all APIs. */
export interface ImageBodyPolicy {
  /** Content types as an error names them. */
  readonly contentTypes: string;
  /** True where embeddings are objects in the place of an image. */
  readonly takesEmbeddingObjects: boolean;
  /** Most options of a multipart body; absent: that of `parseMultipart`. */
  readonly maxOptions?: number;
  /** Reads bodies of further content types; absent: they are refused. */
  readonly text?: {
    readonly types: readonly string[];
    read(bytes: Buffer, route: ImageFields, limits: JsonBodyLimits): Promise<Body>;
  };
  /** Names under which an image field may come. */
  namesOf(field: string): readonly string[];
  /** Separates the images from the options. */
  split(body: ReceivedBody, route: ImageFields): Promise<SplitBody>;
  /** @throws {FaceError} where a field has too few or too many images for its route. */
  checkField(field: string, received: ReceivedField, route: ImageFields, maxImages: number): void;
  /** Options as the controller takes them. */
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

/** A body whose image fields and options stand side by side. */
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
      [itemsIn]: `must have an item without ${field} for each file, but ${waiting.length} are left over`,
    });
  }
  return {
    images: { [field]: { name: field, values, isList: true } },
    options: { ...options, [itemsIn]: taken.map(({ rest }) => rest) },
  };
}

/** Takes the image out of an object, or the embedding in its place. */
function takeImage(object: Body, field: string): { image: unknown; rest: Body } {
  const { [field]: image, ...rest } = object;
  if (rest.embedding == null) return { image, rest };
  if (image != null) throw invalidParameters({ embedding: `must not stand beside ${field}` });
  const { embedding, contract, embeddingNorm, ...others } = rest;
  return { image: { embedding, contract, embeddingNorm }, rest: others };
}

function objectsOf(value: unknown, name: string): Body[] {
  const isObject = (item: unknown) => typeof item === 'object' && item != null && !Array.isArray(item);
  if (!Array.isArray(value) || value.length === 0 || !value.every(isObject)) {
    throw invalidParameters({ [name]: 'must be a list of objects, one at least' });
  }
  return value as Body[];
}

/** The list of a form, where it is JSON text. */
async function parseItems(text: unknown, name: string): Promise<unknown> {
  if (typeof text !== 'string') return text;
  try {
    return await parseJson(Buffer.from(text), { maxTokens: LARGE_JSON_TOKENS });
  } catch (error) {
    if (error instanceof FaceError && error.code !== 'REQUEST_MALFORMED') throw error;
    throw invalidParameters({ [name]: 'is malformed JSON' });
  }
}
