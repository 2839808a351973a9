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
 * Swagger UI without its top bar, in which nothing can be chosen. Only the first response of an operation shows its body:
 * others have the same one, none, or that of errors, which the description of the document has once.
 */
const CSS = `
.swagger-ui .topbar, .swagger-ui .response-col_links, .swagger-ui .response .headers-wrapper,
.swagger-ui .response-control-media-type__accept-message, .swagger-ui .response-control-media-type__title,
.swagger-ui .response ~ .response .response-controls, .swagger-ui .response ~ .response .model-example { display: none }
.swagger-ui .info { margin: 24px 0 }
.swagger-ui .info th, .swagger-ui .info td { padding-right: 16px; vertical-align: baseline }
.swagger-ui .scheme-container { padding: 12px 0; box-shadow: none }
.swagger-ui .info code, .swagger-ui .renderedMarkdown code, .swagger-ui .opblock-description code {
  padding: 1px 4px; background: rgba(0, 0, 0, .05); color: #343a40; font-size: 12px; font-weight: 400 }
.swagger-ui .opblock .opblock-section-header { min-height: 40px; padding: 4px 20px }
.swagger-ui .opblock-description-wrapper { padding: 10px 20px }
.swagger-ui .opblock-description-wrapper p { margin: 0 0 8px }
.swagger-ui .parameters-container, .swagger-ui .opblock-section-request-body .opblock-description-wrapper { padding-bottom: 4px }
.swagger-ui table tbody tr td { padding-top: 6px }
.swagger-ui .responses-inner { padding: 8px 20px }
.swagger-ui .highlight-code > .microlight { max-height: 200px }
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
