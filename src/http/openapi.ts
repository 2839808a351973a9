import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';

type RequestBody = Extract<
  NonNullable<OpenAPIObject['paths'][string]['post']>['requestBody'],
  { content: unknown }
>;

/** A request body's schema and examples per media type. */
export type BodyContent = RequestBody['content'];

const BODY_CONTENT = 'x-body-content';

/** Name of the security scheme of the DeepFace routes. */
export const DEEPFACE_AUTH = 'deepface';

/**
 * Carries a {@link BodyContent} through `@ApiBody`, which knows one schema for all media types, to
 * {@link createOpenApiDocument}, which puts it into its place.
 */
export function bodySchema(content: BodyContent): object {
  return { [BODY_CONTENT]: content };
}

/** The OpenAPI document of the service: of the capabilities that are on, and the same whatever the other settings and the machine. */
export function createOpenApiDocument(app: INestApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('Likeness')
    .setDescription(
      'Face verification and identification. Images come as files, base64 or data URIs; coordinates are pixels of the image as the file ' +
        'shows it (EXIF applied), origin top-left. Every answer carries x-request-id, every answer about images also Server-Timing.',
    )
    .setVersion('1')
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'ADMIN_KEY of the service' })
    .addBearerAuth(
      { type: 'http', scheme: 'bearer', description: 'DEEPFACE_AUTH_TOKEN of the service, where it has one' },
      DEEPFACE_AUTH,
    )
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    operationIdFactory: (_controller, method) => method,
  });
  for (const { post } of Object.values(document.paths)) {
    const body = post?.requestBody as RequestBody | undefined;
    const schema = body?.content['application/json'].schema as Record<string, BodyContent> | undefined;
    if (body != null && schema?.[BODY_CONTENT] != null) body.content = schema[BODY_CONTENT];
  }
  return document;
}
