import { ApiProperty, ApiPropertyOptional, getSchemaPath } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { FaceError } from '../../errors';
import type { EnrollmentResult } from '../../gallery/gallery.service';
import type { AddedReference, EnrollmentGate, Metadata, ReferenceKey } from '../../gallery/gallery.types';
import { ErrorDto } from '../http/errors/error.dto';
import {
  EXAMPLE_CONTRACT,
  EXAMPLE_FACE,
  EXAMPLE_REQUEST_ID,
  EXAMPLE_TIMINGS,
  exampleEmbedding,
} from '../http/openapi/examples';
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
import { ReferenceDto, STORED_REFERENCE_EXAMPLE } from './reference.dto';

/** Ways to choose the one face of an image that is enrolled. */
const ENROLLMENT_SELECTIONS = ['best', 'centerLargest', 'single'] as const;
const STATUSES = ['added', 'existing', 'duplicate'] as const satisfies readonly AddedReference['status'][];

/** Most items of one bulk call; images among them are bounded by FACE_MAX_IMAGES. */
const MAX_ENROLLMENT_ITEMS = 1000;

/** Options of every route that enrolls. */
export class EnrollOptionsDto extends DetectorOptionsDto {
  /** Which face of an image is meant. */
  @OptionalField()
  @IsIn(ENROLLMENT_SELECTIONS)
  @ApiPropertyOptional({
    enum: ENROLLMENT_SELECTIONS,
    description:
      'Which face of an image is meant. best: the largest; centerLargest: the largest near the center; single: the only ' +
      'one. Default: single where the gate is on (several faces are then a reason to refuse the image), else best',
  })
  faceSelection?: (typeof ENROLLMENT_SELECTIONS)[number];

  /** How strictly images are looked at. */
  @IsEnrollmentGate('that of the gallery')
  enrollmentGate?: EnrollmentGate;

  /** What is done about presentation attacks. */
  @IsPresentationAttack()
  presentationAttack?: PresentationAttackPolicy;
}

/** Body of POST .../references beside `image` or the embedding. */
export class EnrollReferenceDto extends EnrollOptionsDto {
  /** Of every reference that is made. */
  @IsMetadata('Of every reference that is made')
  metadata?: Metadata;

  /** Of every reference that is made; milliseconds since 1970, UTC; sent as ISO 8601 text. */
  @IsEnd('From when on every reference that is made never matches and is purged; null: never')
  expiresAt?: number | null;
}

/** One item of a bulk enrollment, as it is sent. */
export class EnrollmentItemDto {
  @ApiProperty({ example: EXAMPLE_SUBJECT_ID, description: 'Made where it is not there yet' })
  subjectId!: string;

  @ApiPropertyOptional({
    description:
      'Encoded image as padded base64 or as a data URI. In multipart it may come as a file instead',
  })
  image?: string;

  @ApiPropertyOptional({ type: [Number], description: 'Instead of an image: as /v1/represent returned it' })
  embedding?: number[];

  @ApiPropertyOptional({ description: 'Of the embedding' })
  contract?: string;

  @IsMetadata('Of the reference')
  metadata?: Metadata;

  @ApiEnd('From when on the reference never matches and is purged; null: never')
  expiresAt?: string | null;
}

/** An item without its image, which has been taken out before. */
export type SentItem = { subjectId: string; metadata?: Metadata; expiresAt?: unknown };

/** Body of POST .../enroll. */
export class BulkEnrollDto extends EnrollOptionsDto {
  /** One each for every image or embedding; a wrong one is a failure of its own. */
  @IsJson()
  @Satisfies(itemsProblem)
  @ApiProperty({
    type: 'array',
    minItems: 1,
    maxItems: MAX_ENROLLMENT_ITEMS,
    items: { $ref: getSchemaPath(EnrollmentItemDto) },
    description: 'At most FACE_MAX_IMAGES of them with images',
  })
  items!: SentItem[];
}

/** What is wrong with the form of the items; what is in them is judged item by item. */
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

/** Where a reference is. */
export class ReferenceKeyDto implements ReferenceKey {
  @ApiProperty({ example: 'lovelace' })
  subjectId!: string;

  @ApiProperty({ example: EXAMPLE_REFERENCE_ID })
  referenceId!: string;
}

/** What became of one image or embedding. */
export class EnrollmentDto {
  @ApiProperty({
    enum: STATUSES,
    example: 'added',
    description:
      'added; existing: the same call was made before with the same Idempotency-Key; duplicate: the subject has a ' +
      'reference of this image already. In the last two nothing changed',
  })
  status!: AddedReference['status'];

  @ApiProperty({ type: ReferenceDto, description: 'The one that is in the gallery now' })
  reference!: ReferenceDto;

  @ApiProperty({
    type: [ReferenceKeyDto],
    description: 'Other references of the same image, of any subject: ten at most',
  })
  sameImage!: ReferenceKeyDto[];

  @ApiProperty({
    type: FaceDto,
    nullable: true,
    description: 'The enrolled face; null where an embedding came in, or the image was not looked at again',
  })
  face!: FaceDto | null;

  @ApiProperty({ type: TimingsDto, nullable: true, description: 'null as face' })
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

/** Answer about one image or embedding. */
export class EnrollmentResponseDto extends EnrollmentDto {
  @ApiRequestId()
  requestId!: string;
}

/** One item of a list that is enrolled. */
export class EnrolledItemDto extends EnrollmentDto {
  @ApiProperty({ type: 'integer', minimum: 0, example: 0, description: 'Position in the request, from 0' })
  index!: number;
}

/** One item of a list that is not enrolled. */
export class RefusedItemDto {
  @ApiProperty({ type: 'integer', minimum: 0, example: 1, description: 'Position in the request, from 0' })
  index!: number;

  @ApiProperty({ type: ErrorDto })
  error!: ErrorDto;
}

/** Answer about a list. */
export class EnrollmentListResponseDto {
  @ApiProperty({
    type: 'array',
    items: { oneOf: [{ $ref: getSchemaPath(EnrolledItemDto) }, { $ref: getSchemaPath(RefusedItemDto) }] },
    description: 'A result for each, in the order of the request; files come before text parts',
  })
  results!: (EnrolledItemDto | RefusedItemDto)[];

  @ApiRequestId()
  requestId!: string;
}

/** Bodies that can be pasted as they are. The face in them is drawn: no gate would be sure of it. */
export const ENROLL_EXAMPLES = {
  image: {
    summary: 'An image as a data URI',
    value: { image: EXAMPLE_IMAGE_DATA_URI, enrollmentGate: 'off' },
  },
  list: {
    summary: 'Several images of the subject: a result for each',
    value: {
      image: [EXAMPLE_IMAGE_DATA_URI, EXAMPLE_IMAGE_DATA_URI],
      enrollmentGate: 'off',
      metadata: EXAMPLE_METADATA,
    },
  },
  embedding: {
    summary: 'An embedding made earlier',
    value: { embedding: exampleEmbedding(), contract: EXAMPLE_CONTRACT },
  },
};

export const BULK_EXAMPLES = {
  images: {
    summary: 'Images of two subjects',
    value: {
      items: [
        { subjectId: EXAMPLE_SUBJECT_ID, image: EXAMPLE_IMAGE_DATA_URI, metadata: EXAMPLE_METADATA },
        { subjectId: 'grace', image: EXAMPLE_IMAGE_DATA_URI },
      ],
      enrollmentGate: 'off',
    },
  },
  embeddings: {
    summary: 'Embeddings made earlier',
    value: {
      items: [
        { subjectId: EXAMPLE_SUBJECT_ID, embedding: exampleEmbedding(), contract: EXAMPLE_CONTRACT },
        { subjectId: 'grace', embedding: exampleEmbedding(38), contract: EXAMPLE_CONTRACT },
      ],
    },
  },
};

/** The body as multipart: files, and the items as JSON text. */
export const BULK_FORM = {
  schema: {
    allOf: [
      {
        type: 'object',
        required: ['items'],
        properties: {
          image: {
            type: 'array',
            items: { type: 'string', format: 'binary' },
            description: 'A file for each item without image and embedding, in the order of the items',
          },
          items: { type: 'string', description: 'As in JSON' },
        },
      },
      { $ref: getSchemaPath(EnrollOptionsDto) },
    ],
  },
  examples: {
    images: {
      summary: 'Images inside the items; usually these are files',
      value: { items: JSON.stringify(BULK_EXAMPLES.images.value.items), enrollmentGate: 'off' },
    },
  },
};

const ENROLLMENT_EXAMPLE = EnrollmentDto.from({
  status: 'added',
  reference: STORED_REFERENCE_EXAMPLE,
  sameImage: [],
  face: EXAMPLE_FACE,
  timings: EXAMPLE_TIMINGS,
});

export const ENROLLMENT_ANSWER: EnrollmentResponseDto = {
  ...ENROLLMENT_EXAMPLE,
  requestId: EXAMPLE_REQUEST_ID,
};

export const ENROLLMENT_LIST_ANSWER: EnrollmentListResponseDto = {
  results: [
    { index: 0, ...ENROLLMENT_EXAMPLE },
    {
      index: 1,
      error: ErrorDto.from(
        new FaceError('FACE_NOT_DETECTED', 'No face was found in the image.', { field: 'image', index: 1 }),
      ),
    },
  ],
  requestId: EXAMPLE_REQUEST_ID,
};

export const ENROLLMENT_LIST_SCHEMA = { $ref: getSchemaPath(EnrollmentListResponseDto) };
export const ENROLLMENT_SCHEMAS = {
  oneOf: [{ $ref: getSchemaPath(EnrollmentResponseDto) }, ENROLLMENT_LIST_SCHEMA],
};
