import { applyDecorators, type Type, UseInterceptors } from '@nestjs/common';
import { ApiBody, ApiExtraModels, getSchemaPath } from '@nestjs/swagger';
import { ImageBodyInterceptor, ImageFieldsOf } from './image-body.interceptor';
import type { ImageFields } from './image-body.policy';
import { EmbeddingInputDto } from '../dto/face.dto';
import { type BodyContent, bodySchema, IMAGE_FILE, IMAGE_TEXT } from '../openapi/body-content';
import { ServerTimingInterceptor } from '../request/server-timing';

interface ImageBodyDocs {
  /** DTO of the body without its images. */
  options: Type;
  /** JSON body that can be sent as it is. */
  example: object;
  /** Schema of the multipart body, if it differs from the JSON. */
  form?: object;
}

const EMBEDDING = { $ref: getSchemaPath(EmbeddingInputDto) };

/** Body of a route with images: reads and validates it, times the stages, and documents both content types. */
export function ImageBody(route: ImageFields, docs: ImageBodyDocs): MethodDecorator {
  const json = route.takesEmbeddings === true ? { oneOf: [IMAGE_TEXT, EMBEDDING] } : IMAGE_TEXT;
  const list = (items: object) => ({
    type: 'array',
    minItems: 1,
    items,
    description: 'Several images, with one result each',
  });
  const jsonField = route.takesLists ? { oneOf: [json, list(json)] } : json;
  const formField = route.takesLists ? list(IMAGE_FILE) : IMAGE_FILE;
  const options = { $ref: getSchemaPath(docs.options) };
  const imagesOf = (field: object) => ({
    type: 'object',
    required: [...route.fields],
    properties: Object.fromEntries(route.fields.map((name) => [name, field])),
  });
  const schemaOf = (images: object) => (route.itemsIn == null ? { allOf: [images, options] } : options);
  const jsonImages = imagesOf(jsonField);
  const content: BodyContent = {
    // JSON first: Swagger UI selects it, and its example can be sent as it is.
    'application/json': {
      schema: schemaOf(route.takesEmbeddings === 'beside' ? { oneOf: [jsonImages, EMBEDDING] } : jsonImages),
      example: docs.example,
    },
    'multipart/form-data': { schema: docs.form ?? schemaOf(imagesOf(formField)) },
  };
  return applyDecorators(
    ImageFieldsOf(route),
    UseInterceptors(ServerTimingInterceptor, ImageBodyInterceptor),
    ApiExtraModels(docs.options, EmbeddingInputDto),
    ApiBody({ required: true, schema: bodySchema(content) }),
  );
}
