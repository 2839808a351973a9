import type { NestExpressApplication } from '@nestjs/platform-express';
import { SwaggerModule } from '@nestjs/swagger';
import { createOpenApiDocument } from './openapi';

/** The mark of Likeness: a face in its box. */
const ICON =
  'data:image/svg+xml,' +
  encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" fill="none" stroke="#0b7285" stroke-width="3" stroke-linecap="round">' +
      '<path d="M3 10V3h7M22 3h7v7M29 22v7h-7M10 29H3v-7"/><path d="M12 12v2M20 12v2M11 20q5 4 10 0"/></svg>',
  );

/**
 * Swagger UI without its top bar, in which nothing can be chosen. Of an error, which the description of its operation
 * lists by code, it shows one line: the body is the same everywhere.
 */
const CSS = `
.swagger-ui .topbar { display: none }
.swagger-ui .info { margin: 24px 0 }
.swagger-ui .info .title small { background: #495057 }
.swagger-ui .scheme-container { padding: 12px 0; box-shadow: none }
.swagger-ui .opblock .opblock-section-header { min-height: 40px; padding: 4px 20px }
.swagger-ui .opblock-body pre.microlight, .swagger-ui .highlight-code > .microlight { max-height: 260px }
.swagger-ui .response[data-code$='XX'] .response-controls,
.swagger-ui .response[data-code$='XX'] .model-example { display: none }
`;

/** Serves the OpenAPI document at /openapi.json, and Swagger UI with it at /docs. */
export function serveDocumentation(app: NestExpressApplication): void {
  SwaggerModule.setup('docs', app, createOpenApiDocument(app), {
    jsonDocumentUrl: 'openapi.json',
    raw: ['json'],
    customSiteTitle: 'Likeness API',
    customfavIcon: ICON,
    customCss: CSS,
    swaggerOptions: {
      deepLinking: true,
      // Sending a request takes a deliberate click, and a key is gone with its page.
      tryItOutEnabled: false,
      persistAuthorization: false,
      displayRequestDuration: true,
      defaultModelsExpandDepth: 0,
      validatorUrl: null,
    },
  });
}
