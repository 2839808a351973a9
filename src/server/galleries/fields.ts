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

/** The gallery that is there after boot: examples can be sent as they stand. */
export const EXAMPLE_GALLERY_ID = 'default';
export const EXAMPLE_SUBJECT_ID = 'ada';
export const EXAMPLE_REFERENCE_ID = '0d9c7a52-6a1d-4b6e-9d55-2f1f3a9c1b77';
export const EXAMPLE_METADATA = { department: 'it', floor: 3 };
/** As the wire has times: UTC, ISO 8601. */
export const EXAMPLE_TIME_MS = Date.UTC(2026, 10, 26, 9, 30);

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

/** Property: id of a subject. */
export function IsSubjectId(description: string, example = EXAMPLE_SUBJECT_ID): PropertyDecorator {
  return applyDecorators(
    Satisfies(subjectIdProblem),
    ApiProperty({
      type: String,
      minLength: 1,
      maxLength: MAX_SUBJECT_ID_LENGTH,
      example,
      description: `${description}. No control characters, and neither "." nor "../.."`,
    }),
  );
}

/** Property: metadata, flat. In multipart it is JSON text. */
export function IsMetadata(description: string): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsJson(),
    Satisfies(metadataProblem),
    ApiPropertyOptional(metadataSchema(description)),
  );
}

/** Property of an answer, or of a body that must have it: metadata. */
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

/** Property: which subjects count, by their metadata. In multipart and query strings it is JSON text. */
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
        'Only subjects whose metadata has every key with this value, or one of these values. In multipart it is JSON text',
    }),
  );
}

export const GATE_DESCRIPTION =
  'What images must be like to become references. off: anything with a face; standard: one face, large, sharp and lit ' +
  'enough, not turned away; strict: tighter, and near to no other subject, and to the references that the subject has';

/** Property: how strictly images are looked at before they become references. */
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

/** Property of an answer: a time. */
export function ApiTime(description: string): PropertyDecorator {
  return ApiProperty({
    type: String,
    format: 'date-time',
    example: isoTime(EXAMPLE_TIME_MS),
    description: `${description}, UTC`,
  });
}

/** Property: when something ends, as ISO 8601 text; `null` for never. The value is milliseconds since 1970. */
export function IsEnd(description: string): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    Transform(({ value }: { value: unknown }) => parsedTime(value)),
    Satisfies(endProblem),
    ApiEnd(description),
  );
}

/** Documents a property that {@link IsEnd} would check. */
export function ApiEnd(description: string): PropertyDecorator {
  return ApiPropertyOptional({
    type: String,
    format: 'date-time',
    nullable: true,
    example: isoTime(EXAMPLE_TIME_MS),
    description,
  });
}

/** What is wrong with a time that {@link parsedTime} gave, as the end of a sentence; `null` where nothing is. */
export function endProblem(value: unknown): string | null {
  if (value === null || Number.isInteger(value)) return null;
  return 'must be null or a time such as 2027-01-31T00:00:00Z, with its time zone';
}

const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

/** What is no time stays as it is, which no rule lets pass; numbers become text, which is none either. */
export function parsedTime(value: unknown): unknown {
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'string' || !ISO_TIME.test(value)) return value;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? value : ms;
}

/** Property: a short text that an operator notes down; `null` for none. */
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

/** Query of every list that comes in pages. */
export class PageQueryDto {
  /** Most items of a page. */
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
    description: 'Most items of the page. A page ends earlier where its items take about 1 MiB',
  })
  limit: number = DEFAULT_PAGE;

  /** `nextCursor` of the previous page. */
  @OptionalField()
  @IsString()
  @IsNotEmpty()
  @MaxLength(1024)
  @ApiPropertyOptional({
    type: String,
    description: '`nextCursor` of the previous page; absent for the first',
  })
  cursor?: string;
}

/** Property of a list that comes in pages. */
export function ApiNextCursor(): PropertyDecorator {
  return ApiProperty({
    type: String,
    nullable: true,
    example: null,
    description: '`cursor` of the next page; null on the last',
  });
}
