import { applyDecorators, type Type, UseInterceptors } from '@nestjs/common';
import { ApiBody, ApiExtraModels, getSchemaPath } from '@nestjs/swagger';
import { ImageBodyInterceptor, ImageFieldsOf } from './image-body.interceptor';
import type { ImageFields } from './image-body.policy';
import { EmbeddingInputDto } from '../dto/face.dto';
import { type BodyContent, bodySchema } from '../openapi/openapi';
import { ServerTimingInterceptor } from '../request/server-timing';

interface ImageBodyDocs {
  /** DTO of the body without its images. */
  options: Type;
  /** Example JSON bodies that can be sent as they are. */
  examples: Record<string, { summary: string; value: object }>;
  /** Multipart body, if it differs from the JSON. */
  form?: Media;
}

interface Media {
  schema: object;
  examples: ImageBodyDocs['examples'];
}

const FILE = { type: 'string', format: 'binary', description: 'Encoded image, or a text part as in JSON' };
const BASE64 = {
  type: 'string',
  description:
    'Encoded image as padded base64 or a data URI, or its http(s) URL if the operator allows the host',
};
const EMBEDDING = { $ref: getSchemaPath(EmbeddingInputDto) };

/** Body of a route with images: reads and validates it, times the stages, and documents both content types. */
export function ImageBody(route: ImageFields, docs: ImageBodyDocs): MethodDecorator {
  const json = route.takesEmbeddings === true ? { oneOf: [BASE64, EMBEDDING] } : BASE64;
  const list = (items: object) => ({
    type: 'array',
    minItems: 1,
    items,
    description: 'Several images, with one result each',
  });
  const jsonField = route.takesLists ? { oneOf: [json, list(json)] } : json;
  const formField = route.takesLists ? list(FILE) : FILE;
  const options = { $ref: getSchemaPath(docs.options) };
  const imagesOf = (field: object) => ({
    type: 'object',
    required: [...route.fields],
    properties: Object.fromEntries(route.fields.map((name) => [name, field])),
  });
  const media = (field: object, examples: ImageBodyDocs['examples']): Media => ({
    schema: route.itemsIn == null ? { allOf: [imagesOf(field), options] } : options,
    examples,
  });
  const jsonMedia: Media = media(jsonField, docs.examples);
  if (route.takesEmbeddings === 'beside') {
    jsonMedia.schema = { allOf: [{ oneOf: [imagesOf(jsonField), EMBEDDING] }, options] };
  }
  const content: BodyContent = {
    // JSON first: Swagger UI selects it, and its examples can be sent as they are.
    'application/json': jsonMedia,
    'multipart/form-data': docs.form ?? media(formField, formExamples(docs.examples, route.takesLists)),
  };
  return applyDecorators(
    ImageFieldsOf(route),
    UseInterceptors(ServerTimingInterceptor, ImageBodyInterceptor),
    ApiExtraModels(docs.options, EmbeddingInputDto),
    ApiBody({ required: true, schema: bodySchema(content) }),
  );
}

/** The first example, whose values can also be sent as text parts. */
function formExamples(examples: ImageBodyDocs['examples'], takesLists = false): ImageBodyDocs['examples'] {
  const [name, { summary, value }] = Object.entries(examples)[0];
  const parts = Object.entries(value).map(([field, text]) => [field, takesLists ? [text] : text]);
  return {
    [name]: {
      summary: `${summary}, as text parts; images are usually sent as files`,
      value: Object.fromEntries(parts),
    },
  };
}
