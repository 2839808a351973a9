import { ApiPropertyOptional, getSchemaPath, type OpenAPIObject } from '@nestjs/swagger';
import { FACE_ERRORS, type FaceErrorCode } from '../../../errors';
import { ErrorEnvelopeDto } from '../errors/error.dto';

/*
 * Errors in the OpenAPI document: the table of all codes once, in its description; for each operation the codes that it
 * can return, in its description; and the body of an error as one shared response.
 */

/** Field of an operation until the document is complete: its {@link ErrorDocs}. */
export const ERRORS_EXTENSION = 'x-errors';

/** The errors of one operation. */
export interface ErrorDocs {
  /** Format of the errors. */
  response: 'Error' | 'DeepfaceError';
  /** Codes of the operation, besides {@link COMMON_ERRORS}, with the status that it returns for each. */
  errors: readonly { code: FaceErrorCode; status: number }[];
}

/** Errors of every operation that can need a key. */
const COMMON_ERRORS = [
  'UNAUTHORIZED',
  'API_KEY_EXPIRED',
  'FORBIDDEN',
  'HOST_NOT_ALLOWED',
  'ORIGIN_NOT_ALLOWED',
  'AUTH_ATTEMPTS_EXCEEDED',
  'RATE_LIMIT_EXCEEDED',
  'INTERNAL_ERROR',
  'NOT_READY',
  'AUDIT_FAILED',
] as const satisfies readonly FaceErrorCode[];

/** Errors in DeepFace's format. */
export class DeepfaceErrorDto {
  @ApiPropertyOptional({ description: 'Message. Absent with `exception` or `message`' })
  error?: string;

  @ApiPropertyOptional({ description: 'Status 400, instead of `error`: an image is missing or unreadable' })
  exception?: string;

  @ApiPropertyOptional({ description: 'Status 401 and 403, instead of `error`' })
  message?: string;

  @ApiPropertyOptional({ description: 'Code of the error. Absent with status 400, 401 and 403' })
  code?: string;

  @ApiPropertyOptional({
    description: 'Value of the x-request-id header. Absent with status 400, 401 and 403',
  })
  requestId?: string;
}

const jsonOf = (dto: { name: string; prototype: unknown }) => ({
  'application/json': { schema: { $ref: getSchemaPath(dto.name) } },
});

/** `components.responses` of the document. */
export const ERROR_RESPONSES = {
  Error: {
    description: 'Error',
    headers: {
      'Retry-After': {
        schema: { type: 'integer' as const },
        description: 'Seconds until a repetition can succeed; with status 429 and 503',
      },
    },
    content: jsonOf(ErrorEnvelopeDto),
  },
  DeepfaceError: { description: "Error in DeepFace's format", content: jsonOf(DeepfaceErrorDto) },
};

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;

/** Replaces the {@link ErrorDocs} of an operation with references, and lists its codes in its description. */
export function addErrorDocs(operation: Operation): void {
  const extensions = operation as unknown as Record<string, ErrorDocs | undefined>;
  const docs = extensions[ERRORS_EXTENSION];
  if (docs == null) return;
  delete extensions[ERRORS_EXTENSION];
  const byStatus = new Map<number, string[]>();
  for (const { code, status } of docs.errors) {
    byStatus.set(status, [...(byStatus.get(status) ?? []), `\`${code}\``]);
  }
  const lists = [...byStatus]
    .sort(([a], [b]) => a - b)
    .map(([status, codes]) => `${status} ${[...new Set(codes)].join(', ')}`);
  if (lists.length > 0)
    operation.description = `${operation.description}\n\n**Errors:** ${lists.join('; ')}.`;
  const reference = { $ref: `#/components/responses/${docs.response}` };
  Object.assign(operation.responses, { '4XX': reference, '5XX': reference });
}

/** The table of all codes, and the codes of every operation, for the description of the document. */
export function errorOverview(): string {
  const codes = (Object.keys(FACE_ERRORS) as FaceErrorCode[]).filter(
    (code) => FACE_ERRORS[code].status != null,
  );
  const common = COMMON_ERRORS.map((code) => `\`${code}\``).join(', ');
  return [
    'The body of an error is `{ "error": { "code", "message", "details" }, "requestId" }` with a stable `code`. Each operation lists its own codes. Every operation except health can also return ' +
      `${common}.`,
    '<details><summary>All error codes</summary>\n\n| code | status | description |\n| --- | --- | --- |\n' +
      codes
        .map((code) => `| \`${code}\` | ${FACE_ERRORS[code].status} | ${FACE_ERRORS[code].description} |`)
        .join('\n') +
      '\n\n</details>',
  ].join('\n\n');
}
