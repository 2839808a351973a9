import { ApiProperty, ApiPropertyOptional, getSchemaPath } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import type { EnrollmentResult } from '../../gallery/enrollment/enroller';
import type { AddedReference, EnrollmentGate, Metadata, ReferenceKey } from '../../gallery/gallery.types';
import { ErrorDto } from '../http/errors/error.dto';
import { EXAMPLE_IMAGE_DATA_URI } from '../http/openapi/example-image';
import { DetectorOptionsDto, IsPresentationAttack } from '../http/dto/face-options.dto';
import { ApiRequestId, FaceDto, TimingsDto } from '../http/dto/face.dto';
import { Satisfies, IsJson, OptionalField } from '../http/request/validation';
import type { PresentationAttackPolicy } from '../../pipeline/face.types';
import {
  ApiEnd,
  EXAMPLE_METADATA,
  EXAMPLE_REFERENCE_ID,
  EXAMPLE_SUBJECT_ID,
  IsEnd,
  IsEnrollmentGate,
  IsMetadata,
} from './fields';
import { ReferenceDto } from './reference.dto';

/** Ways to select the face to enroll from an image. */
const ENROLLMENT_SELECTIONS = ['best', 'centerLargest', 'single'] as const;
const STATUSES = ['added', 'existing', 'duplicate'] as const satisfies readonly AddedReference['status'][];

/** Maximum number of items in one bulk request; FACE_MAX_IMAGES limits the images among them. */
const MAX_ENROLLMENT_ITEMS = 1000;

/** Options of every route that enrolls. */
export class EnrollOptionsDto extends DetectorOptionsDto {
  /** Face to enroll from an image. */
  @OptionalField()
  @IsIn(ENROLLMENT_SELECTIONS)
  @ApiPropertyOptional({
    enum: ENROLLMENT_SELECTIONS,
    description:
      'Face to enroll from an image. best: the largest; centerLargest: the largest near the center; single: the only one. Default: single if the gate is on (an image with several faces is then rejected), otherwise best',
  })
  faceSelection?: (typeof ENROLLMENT_SELECTIONS)[number];

  /** Strictness of the quality check. */
  @IsEnrollmentGate('that of the gallery')
  enrollmentGate?: EnrollmentGate;

  /** Policy for presentation attacks. */
  @IsPresentationAttack()
  presentationAttack?: PresentationAttackPolicy;
}

/** Body of POST .../references without `image` or the embedding. */
export class EnrollReferenceDto extends EnrollOptionsDto {
  /** Metadata of all new references. */
  @IsMetadata('Metadata of all new references')
  metadata?: Metadata;

  /** Expiry of all new references; milliseconds since 1970, UTC; sent as ISO 8601 text. */
  @IsEnd('Expiry of all new references: from then on they never match and are purged; null: never')
  expiresAt?: number | null;
}

/** One item of a bulk enrollment request. */
export class EnrollmentItemDto {
  @ApiProperty({
    example: EXAMPLE_SUBJECT_ID,
    description: 'Id of the subject, which is created if it does not exist',
  })
  subjectId!: string;

  @ApiPropertyOptional({
    description:
      'Encoded image as padded base64 or a data URI. In multipart, it can be sent as a file instead',
  })
  image?: string;

  @ApiPropertyOptional({
    type: [Number],
    description: 'Instead of an image: an embedding returned by /v1/represent',
  })
  embedding?: number[];

  @ApiPropertyOptional({ description: 'Contract of the embedding' })
  contract?: string;

  @IsMetadata('Metadata of the reference')
  metadata?: Metadata;

  @ApiEnd('Expiry: from then on the reference never matches and is purged; null: never')
  expiresAt?: string | null;
}

/** An item whose image was extracted before. */
export type SentItem = { subjectId: string; metadata?: Metadata; expiresAt?: unknown };

/** Body of POST .../enroll. */
export class BulkEnrollDto extends EnrollOptionsDto {
  /** One item per image or embedding; an invalid item fails alone. */
  @IsJson()
  @Satisfies(itemsProblem)
  @ApiProperty({
    type: 'array',
    minItems: 1,
    maxItems: MAX_ENROLLMENT_ITEMS,
    items: { $ref: getSchemaPath(EnrollmentItemDto) },
    description: 'Items to enroll, at most FACE_MAX_IMAGES of them with images',
  })
  items!: SentItem[];
}

/** Checks the shape of the list; the content is checked item by item. */
function itemsProblem(items: unknown): string | null {
  if (!Array.isArray(items) || items.length > MAX_ENROLLMENT_ITEMS) {
    return `must be a list of at most ${MAX_ENROLLMENT_ITEMS} objects`;
  }
  const known = ['subjectId', 'metadata', 'expiresAt'];
  for (const [index, item] of items.entries()) {
    const unknown = Object.keys(item as object).find((key) => !known.includes(key));
    if (unknown != null) return `must not have ${unknown.slice(0, 100)} in item ${index}`;
  }
  return null;
}

/** Key of a reference. */
export class ReferenceKeyDto implements ReferenceKey {
  @ApiProperty({ example: 'lovelace' })
  subjectId!: string;

  @ApiProperty({ example: EXAMPLE_REFERENCE_ID })
  referenceId!: string;
}

/** Result for one image or embedding. */
export class EnrollmentDto {
  @ApiProperty({
    enum: STATUSES,
    example: 'added',
    description:
      'added; existing: a previous request with the same Idempotency-Key added it; duplicate: the subject already has a reference of this image. existing and duplicate change nothing',
  })
  status!: AddedReference['status'];

  @ApiProperty({ type: ReferenceDto, description: 'Id of the reference in the gallery' })
  reference!: ReferenceDto;

  @ApiProperty({
    type: [ReferenceKeyDto],
    description: 'Other references of the same image, of any subject, ten at most',
  })
  sameImage!: ReferenceKeyDto[];

  @ApiProperty({
    type: FaceDto,
    nullable: true,
    description: 'The enrolled face; null for an embedding, or if the image was not processed again',
  })
  face!: FaceDto | null;

  @ApiProperty({ type: TimingsDto, nullable: true, description: 'null if face is null' })
  timings!: TimingsDto | null;

  static from({ status, reference, sameImage, face, timings }: EnrollmentResult): EnrollmentDto {
    return {
      status,
      reference: ReferenceDto.from(reference),
      sameImage,
      face: face && FaceDto.from(face),
      timings,
    };
  }
}

/** Response for one image or embedding. */
export class EnrollmentResponseDto extends EnrollmentDto {
  @ApiRequestId()
  requestId!: string;
}

/** One enrolled item of a list. */
export class EnrolledItemDto extends EnrollmentDto {
  @ApiProperty({ type: 'integer', minimum: 0, example: 0, description: 'Position in the request, from 0' })
  index!: number;
}

/** One rejected item of a list. */
export class RefusedItemDto {
  @ApiProperty({ type: 'integer', minimum: 0, example: 1, description: 'Position in the request, from 0' })
  index!: number;

  @ApiProperty({ type: ErrorDto })
  error!: ErrorDto;
}

/** Response for a list. */
export class EnrollmentListResponseDto {
  @ApiProperty({
    type: 'array',
    items: { oneOf: [{ $ref: getSchemaPath(EnrolledItemDto) }, { $ref: getSchemaPath(RefusedItemDto) }] },
    description: 'One result per item, in the order of the request; files before text parts',
  })
  results!: (EnrolledItemDto | RefusedItemDto)[];

  @ApiRequestId()
  requestId!: string;
}

/** Bodies that can be sent as they are. Their face is drawn, which no gate accepts reliably. */
export const ENROLL_EXAMPLE = { image: EXAMPLE_IMAGE_DATA_URI, enrollmentGate: 'off' };
export const BULK_EXAMPLE = {
  items: [
    { subjectId: EXAMPLE_SUBJECT_ID, image: EXAMPLE_IMAGE_DATA_URI, metadata: EXAMPLE_METADATA },
    { subjectId: 'grace', image: EXAMPLE_IMAGE_DATA_URI },
  ],
  enrollmentGate: 'off',
};

/** The multipart body: files, and the items as JSON text. */
export const BULK_FORM = {
  allOf: [
    {
      type: 'object',
      required: ['items'],
      properties: {
        image: {
          type: 'array',
          items: { type: 'string', format: 'binary' },
          description: 'One file per item without image and embedding, in the order of the items',
        },
        items: { type: 'string', description: 'As in JSON' },
      },
    },
    { $ref: getSchemaPath(EnrollOptionsDto) },
  ],
};

/** Response for one image, or for a list. */
export const ENROLLMENT_SCHEMAS = {
  oneOf: [{ $ref: getSchemaPath(EnrollmentResponseDto) }, { $ref: getSchemaPath(EnrollmentListResponseDto) }],
};
