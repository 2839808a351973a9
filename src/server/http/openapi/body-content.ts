import type { OpenAPIObject } from '@nestjs/swagger';

type Operation = NonNullable<OpenAPIObject['paths'][string]['post']>;
type RequestBody = Extract<NonNullable<Operation['requestBody']>, { content: unknown }>;

/** A request body's schema and example per media type. */
export type BodyContent = RequestBody['content'];

const BODY_CONTENT = 'x-body-content';

/** Schemas of the fields of image routes. */
export const IMAGE_SCHEMAS = {
  Image: {
    type: 'string',
    description:
      'Encoded image as padded base64 or a data URI, or its http(s) URL if the operator allows the host',
  },
  ImageFile: {
    type: 'string',
    format: 'binary',
    description: 'Encoded image as a file, or a text part as in JSON',
  },
} as const;

/** References to {@link IMAGE_SCHEMAS}. */
export const IMAGE_TEXT = { $ref: '#/components/schemas/Image' };
export const IMAGE_FILE = { $ref: '#/components/schemas/ImageFile' };

/** Passes a {@link BodyContent} through `@ApiBody`, which supports one schema for all media types. */
export function bodySchema(content: BodyContent): object {
  return { [BODY_CONTENT]: content };
}

/** Sets the content that {@link bodySchema} passed. */
export function setBodyContent({ requestBody }: Operation): void {
  const body = requestBody as RequestBody | undefined;
  const schema = body?.content['application/json'].schema as Record<string, BodyContent> | undefined;
  if (body != null && schema?.[BODY_CONTENT] != null) body.content = schema[BODY_CONTENT];
}
