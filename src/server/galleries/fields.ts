import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import { IsIn, IsInt, IsNotEmpty, IsString, Max, MaxLength, Min } from 'class-validator';
import { IsDecimal, Satisfies, IsJson, OptionalField } from '../http/request/validation';
import {
  galleryIdProblem,
  GALLERY_ID,
  MAX_METADATA_KEY_LENGTH,
  MAX_METADATA_KEYS,
  MAX_METADATA_VALUE_LENGTH,
  MAX_SUBJECT_ID_LENGTH,
  metadataProblem,
  noteProblem,
  subjectIdProblem,
} from '../../gallery/gallery-rules';
import { ENROLLMENT_GATES } from '../../gallery/gallery.types';
import { MAX_FILTER_VALUES, filterProblem } from './filter';

/** The gallery that exists after the first start, so that examples can be sent as they are. */
export const EXAMPLE_GALLERY_ID = 'default';
export const EXAMPLE_SUBJECT_ID = 'ada';
export const EXAMPLE_REFERENCE_ID = '0d9c7a52-6a1d-4b6e-9d55-2f1f3a9c1b77';
export const EXAMPLE_METADATA = { department: 'it', floor: 3 };
/** Times in requests and responses: UTC, ISO 8601. */
const EXAMPLE_TIME_MS = Date.UTC(2026, 10, 26, 9, 30);

const MAX_PAGE = 1000;
const DEFAULT_PAGE = 100;

const SCALARS = [{ type: 'string' }, { type: 'number' }, { type: 'boolean' }];

/** Property: id of a gallery. */
export function IsGalleryId(): PropertyDecorator {
  return applyDecorators(
    Satisfies(galleryIdProblem),
    ApiProperty({
      type: String,
      pattern: GALLERY_ID.source,
      example: EXAMPLE_GALLERY_ID,
      description: '1 to 64 letters, digits, dots, underscores and hyphens, the first a letter or digit',
    }),
  );
}

/**
 * Property: id of a subject.
 *
 * @param example - `null` for none.
 */
export function IsSubjectId(
  description: string,
  example: string | null = EXAMPLE_SUBJECT_ID,
): PropertyDecorator {
  return applyDecorators(
    Satisfies(subjectIdProblem),
    ApiProperty({
      type: String,
      minLength: 1,
      maxLength: MAX_SUBJECT_ID_LENGTH,
      ...(example == null ? {} : { example }),
      description: `${description}. No control characters, and neither "." nor "../.."`,
    }),
  );
}

/** Property: flat metadata, as JSON text in multipart. */
export function IsMetadata(description: string): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsJson(),
    Satisfies(metadataProblem),
    ApiPropertyOptional(metadataSchema(description)),
  );
}

/** Property of a response, or of a body that requires it: metadata. */
export function ApiMetadata(description: string): PropertyDecorator {
  return ApiProperty(metadataSchema(description));
}

function metadataSchema(description: string) {
  return {
    type: 'object',
    additionalProperties: { oneOf: SCALARS },
    example: EXAMPLE_METADATA,
    description:
      `${description}. Flat: at most ${MAX_METADATA_KEYS} keys of up to ${MAX_METADATA_KEY_LENGTH} characters; texts of up ` +
      `to ${MAX_METADATA_VALUE_LENGTH} characters, numbers, true, false`,
  } as const;
}

/** Property: filter of subjects by metadata, as JSON text in multipart and query strings. */
export function IsFilter(): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsJson(),
    Satisfies(filterProblem),
    ApiPropertyOptional({
      type: 'object',
      additionalProperties: {
        oneOf: [...SCALARS, { type: 'array', items: { oneOf: SCALARS }, maxItems: MAX_FILTER_VALUES }],
      },
      example: { department: ['it', 'hr'] },
      description:
        'Filter by metadata: only subjects with every key and its value, or one of its values. JSON text in multipart',
    }),
  );
}

export const GATE_DESCRIPTION =
  'Quality check of images before enrollment. off: any face; standard: one face of sufficient size, sharpness and brightness, not turned away; strict: higher limits, and the face must match the references of the subject and no other subject';

/** Property: strictness of the quality check before enrollment. */
export function IsEnrollmentGate(byDefault: string): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsIn(ENROLLMENT_GATES),
    ApiPropertyOptional({
      enum: ENROLLMENT_GATES,
      description: `${GATE_DESCRIPTION}. Default: ${byDefault}`,
    }),
  );
}

/** Property of a response: a time. */
export function ApiTime(description: string): PropertyDecorator {
  return ApiProperty({
    type: String,
    format: 'date-time',
    example: isoTime(EXAMPLE_TIME_MS),
    description: `${description}, UTC`,
  });
}

/** Property: expiry as ISO 8601 text, `null` for never. The value is in milliseconds since 1970. */
export function IsEnd(description: string): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    Transform(({ value }: { value: unknown }) => parsedTime(value)),
    Satisfies(endProblem),
    ApiEnd(description),
  );
}

/** Documents a property as {@link IsEnd}, without its validation. */
export function ApiEnd(description: string): PropertyDecorator {
  return ApiPropertyOptional({
    type: String,
    format: 'date-time',
    nullable: true,
    example: isoTime(EXAMPLE_TIME_MS),
    description,
  });
}

/** The problem of a time from {@link parsedTime}, as the end of a sentence; `null` if it is valid. */
export function endProblem(value: unknown): string | null {
  if (value === null || Number.isInteger(value)) return null;
  return 'must be null or a time such as 2027-01-31T00:00:00Z, with its time zone';
}

const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

/** Parses a time. Invalid values stay as they are, and numbers become text, so that validation rejects both. */
export function parsedTime(value: unknown): unknown {
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'string' || !ISO_TIME.test(value)) return value;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? value : ms;
}

/** Property: a short note of the operator; `null` for none. */
export function IsNote(maxLength: number, description: string, example: string): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    Satisfies((value) => noteProblem(value, maxLength)),
    ApiPropertyOptional({ type: String, nullable: true, maxLength, example, description }),
  );
}

/** @param ms - since 1970, UTC. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** Gallery in the path. */
export class GalleryPathDto {
  @IsGalleryId()
  galleryId!: string;
}

/** Subject in the path. */
export class SubjectPathDto extends GalleryPathDto {
  @IsSubjectId('Id of the subject, percent-encoded in the path')
  subjectId!: string;
}

/** Reference in the path. */
export class ReferencePathDto extends SubjectPathDto {
  @IsString()
  @IsNotEmpty()
  @MaxLength(MAX_SUBJECT_ID_LENGTH)
  @ApiProperty({ example: EXAMPLE_REFERENCE_ID, description: 'Id of the reference' })
  referenceId!: string;
}

/** Query of every paginated list. */
export class PageQueryDto {
  /** Maximum number of items per page. */
  @OptionalField()
  @IsDecimal()
  @IsInt()
  @Min(1)
  @Max(MAX_PAGE)
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: MAX_PAGE,
    default: DEFAULT_PAGE,
    description: 'Maximum number of items per page. A page ends earlier at about 1 MiB',
  })
  limit: number = DEFAULT_PAGE;

  /** `nextCursor` of the previous page. */
  @OptionalField()
  @IsString()
  @IsNotEmpty()
  @MaxLength(1024)
  @ApiPropertyOptional({
    type: String,
    description: '`nextCursor` of the previous page; omit it for the first page',
  })
  cursor?: string;
}

/** Property of a paginated list. */
export function ApiNextCursor(): PropertyDecorator {
  return ApiProperty({
    type: String,
    nullable: true,
    example: null,
    description: '`cursor` of the next page; null on the last page',
  });
}
