import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { API_KEY_HEADER } from '../auth/authenticate';
import { SCOPES_EXTENSION } from '../auth/scopes.decorator';
import { errorResponse } from '../errors/api-errors.decorator';
import type { RequestErrorCode } from '../errors/error-examples';
import { MIN_REVISION_HEADER, REVISION_HEADERS } from '../request/gallery-revision';

type RequestBody = Extract<
  NonNullable<OpenAPIObject['paths'][string]['post']>['requestBody'],
  { content: unknown }
>;

/** A request body's schema and examples per media type. */
export type BodyContent = RequestBody['content'];

const BODY_CONTENT = 'x-body-content';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;

/** Errors of every route with scopes, besides its own. */
const KEY_ERRORS: readonly RequestErrorCode[] = [
  'UNAUTHORIZED',
  'API_KEY_EXPIRED',
  'FORBIDDEN',
  'AUTH_ATTEMPTS_EXCEEDED',
];

/**
 * Passes a {@link BodyContent} through `@ApiBody`, which supports one schema for all media types, to {@link
 * createOpenApiDocument}.
 */
export function bodySchema(content: BodyContent): object {
  return { [BODY_CONTENT]: content };
}

/** Creates the OpenAPI document of the service. It depends on the enabled features only. */
export function createOpenApiDocument(app: INestApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle('Likeness')
    .setDescription(
      'Face verification and identification. Images are sent as files, base64 or data URIs. Coordinates are pixels of the upright image (EXIF applied), origin top-left. Every response has x-request-id, responses about images also have Server-Timing.',
    )
    .setVersion('1')
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'API key, if the service has keys' })
    .addApiKey(
      {
        type: 'apiKey',
        in: 'header',
        name: API_KEY_HEADER,
        description: 'The same key in a separate header',
      },
      API_KEY_HEADER,
    )
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    operationIdFactory: (_controller, method) => method,
  });
  for (const operation of Object.values(document.paths).flatMap(
    (path) => Object.values(path) as Operation[],
  )) {
    addKeyDocs(operation);
    addRevisionDocs(operation);
  }
  document.components = { ...document.components, headers: REVISION_HEADERS };
  for (const { post } of Object.values(document.paths)) {
    const body = post?.requestBody as RequestBody | undefined;
    const schema = body?.content['application/json'].schema as Record<string, BodyContent> | undefined;
    if (body != null && schema?.[BODY_CONTENT] != null) body.content = schema[BODY_CONTENT];
  }
  return document;
}

/**
 * Documents the revision headers of gallery routes. Errors have them too; documenting that would add thousands of
 * lines.
 */
function addRevisionDocs({ parameters = [], responses }: Operation): void {
  if (!parameters.some((parameter) => 'name' in parameter && parameter.name === MIN_REVISION_HEADER)) return;
  for (const [status, response] of Object.entries(responses)) {
    if (!status.startsWith('2') || !response || '$ref' in response) continue;
    const names = Object.keys(REVISION_HEADERS);
    const references = names.map((name) => [name, { $ref: `#/components/headers/${name}` }]);
    response.headers = { ...response.headers, ...Object.fromEntries(references) } as typeof response.headers;
  }
}

/** Documents the scopes of an operation and its authentication errors. */
function addKeyDocs(operation: Operation): void {
  const scopes = (operation as unknown as Record<string, unknown>)[SCOPES_EXTENSION] as string[] | undefined;
  if (scopes == null) return;
  const list = scopes.map((scope) => `\`${scope}\``).join(' and ');
  const needed = scopes.length === 0 ? 'Any key is accepted' : `Scope of the key: ${list}`;
  operation.description = `${operation.description}\n\n${needed}.`;
  // A dialect has its own error format.
  if (operation.tags?.includes('DeepFace API')) return;
  for (const code of KEY_ERRORS) {
    const { status, ...response } = errorResponse([code]);
    const present = operation.responses[status] as typeof response | undefined;
    const media = present?.content['application/json'];
    if (present == null || media == null) operation.responses[status] = response;
    else if (media.examples[code] == null) {
      present.description = `${response.description}. ${present.description}`;
      present.headers ??= response.headers;
      Object.assign(media.examples, response.content['application/json'].examples);
    }
  }
}
