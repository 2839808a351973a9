import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DetectorOptionsDto } from '../dto/face-options.dto';
import { API_KEY_HEADER } from '../auth/authenticate';
import { SCOPES_EXTENSION } from '../auth/scopes.decorator';
import { ErrorEnvelopeDto } from '../errors/error.dto';
import { MIN_REVISION_HEADER, REVISION_HEADERS } from '../request/gallery-revision';
import { type BodyContent, IMAGE_SCHEMAS, setBodyContent } from './body-content';
import { addErrorDocs, DeepfaceErrorDto, ERROR_RESPONSES, errorOverview } from './error-docs';
import { shareParameters, shareSchemas } from './shared-components';
import { DEEPFACE_TAG, TAGS } from './tags';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;

const { version } = JSON.parse(
  readFileSync(join(__dirname, '..', '..', '..', '..', 'package.json'), 'utf8'),
) as { version: string };

/** Creates the OpenAPI document of the service. It depends on the version and the enabled features only. */
export function createOpenApiDocument(app: INestApplication): OpenAPIObject {
  const created = SwaggerModule.createDocument(app, documentSettings(), {
    operationIdFactory: (_controller, method) => method,
    extraModels: [ErrorEnvelopeDto, DeepfaceErrorDto, DetectorOptionsDto],
  });
  // The objects of decorators are in every document that is created.
  const document = structuredClone(created);
  delete document.info.contact;
  for (const [path, method, operation] of operationsOf(document)) {
    setBodyContent(operation);
    addErrorDocs(operation);
    addKeyDocs(operation, path);
    addRevisionDocs(operation);
    operation.parameters?.sort((a, b) => placeOf(a) - placeOf(b));
    if (changesMuch(operation, method, path)) removeExamples(operation);
  }
  const used = new Set(operationsOf(document).flatMap(([, , { tags = [] }]) => tags));
  document.tags = TAGS.filter(({ name }) => used.has(name));
  const { schemas, ...components } = document.components ?? {};
  document.components = {
    ...components,
    responses: ERROR_RESPONSES,
    headers: REVISION_HEADERS,
    schemas: { ...IMAGE_SCHEMAS, ...schemas },
  };
  shareSchemas(document);
  shareParameters(document);
  return document;
}

function documentSettings() {
  return new DocumentBuilder()
    .setTitle('Likeness')
    .setDescription(
      [
        'Face verification and identification. Images are sent as files, base64 or data URIs. Coordinates are pixels of the upright image (EXIF applied), origin top-left. Every response has the header `x-request-id`, responses about images `Server-Timing`, and responses about galleries `x-likeness-revision` where replicas share them.',
        errorOverview(),
      ].join('\n\n'),
    )
    .setVersion(version)
    .setLicense('MIT', 'https://opensource.org/license/mit')
    .addServer('/')
    .addBearerAuth(
      { type: 'http', scheme: 'bearer', description: 'API key, if the service has keys' },
      'apiKey',
    )
    .addApiKey(
      {
        type: 'apiKey',
        in: 'header',
        name: API_KEY_HEADER,
        description: 'The same key in a header of its own',
      },
      'apiKeyHeader',
    )
    .addBearerAuth(
      {
        type: 'http',
        scheme: 'bearer',
        description: 'ADMIN_KEY of the service, for the routes under /admin',
      },
      'adminKey',
    )
    .addBearerAuth(
      {
        type: 'http',
        scheme: 'bearer',
        description: 'DEEPFACE_AUTH_TOKEN of the service, for the DeepFace API',
      },
      'deepfaceToken',
    )
    .addSecurityRequirements('apiKey')
    .addSecurityRequirements('apiKeyHeader')
    .build();
}

function operationsOf({ paths }: OpenAPIObject): [path: string, method: string, operation: Operation][] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, Operation>).map(
      ([method, operation]): [string, string, Operation] => [path, method, operation],
    ),
  );
}

/**
 * Documents the revision headers of gallery routes. Errors have them too, but share one response with other routes.
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

/** Position of a parameter: first the path, last the headers, which are for few callers. */
function placeOf(parameter: object): number {
  return ['path', 'query', 'header'].indexOf((parameter as { in: string }).in);
}

/** Documents the scopes of an operation, and the keys that it accepts if they are not those of the document. */
function addKeyDocs(operation: Operation, path: string): void {
  const scopes = scopesOf(operation);
  if (scopes == null) {
    operation.security = [];
    return;
  }
  const list = scopes.map((scope) => `\`${scope}\``).join(' and ');
  const needed = scopes.length === 0 ? 'Any key is accepted' : `Scope of the key: ${list}`;
  operation.description = `${operation.description}\n\n${needed}.`;
  const own = isAdmin(path) ? 'adminKey' : operation.tags?.includes(DEEPFACE_TAG) ? 'deepfaceToken' : null;
  if (own != null) operation.security = [{ [own]: [] }, { apiKey: [] }, { apiKeyHeader: [] }];
}

function scopesOf(operation: Operation): string[] | undefined {
  return (operation as unknown as Record<string, string[] | undefined>)[SCOPES_EXTENSION];
}

function isAdmin(path: string): boolean {
  return path.startsWith('/admin/');
}

/** Whether an operation deletes or replaces: a page that shows the document must not offer ids to send it with. */
function changesMuch(operation: Operation, method: string, path: string): boolean {
  if (method === 'get') return false;
  return method === 'delete' || scopesOf(operation)?.includes('admin') === true || path.endsWith('/rename');
}

function removeExamples({ parameters = [], requestBody }: Operation): void {
  for (const parameter of parameters) {
    if ('$ref' in parameter) continue;
    delete parameter.example;
    if (parameter.schema != null && 'example' in parameter.schema) delete parameter.schema.example;
  }
  for (const media of Object.values((requestBody as { content: BodyContent } | undefined)?.content ?? {})) {
    delete media.example;
    delete media.examples;
  }
}
