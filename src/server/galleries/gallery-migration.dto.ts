import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean, IsNotEmpty, IsString, MaxLength } from 'class-validator';
import {
  MIGRATION_STATES,
  type MigrationState,
  type MigrationStatus,
  type MissingSubject,
} from '../../gallery/migration/gallery-migrations';
import { ErrorDto } from '../http/errors/error.dto';
import { EXAMPLE_EMBEDDER, EXAMPLE_REQUEST_ID } from '../http/openapi/examples';
import { ApiRequestId } from '../http/dto/face.dto';
import { OptionalField } from '../http/request/validation';
import { ApiNextCursor, EXAMPLE_GALLERY_ID, EXAMPLE_SUBJECT_ID, PageQueryDto } from './fields';

/** Property: the embedder that a gallery is moved to. */
function IsNewEmbedder(): PropertyDecorator {
  return applyDecorators(
    IsString(),
    IsNotEmpty(),
    MaxLength(100),
    ApiProperty({
      maxLength: 100,
      example: EXAMPLE_EMBEDDER,
      description: 'Name of the embedder that the gallery is moved to',
    }),
  );
}

/** Body of POST /admin/galleries/{galleryId}/migration. */
export class StartMigrationDto {
  /** Name of a loaded embedder. */
  @IsNewEmbedder()
  embedder!: string;
}

/** Query of GET /admin/galleries/{galleryId}/migration. */
export class MigrationQueryDto {
  /** Name of the embedder. */
  @IsNewEmbedder()
  embedder!: string;
}

/** Query of GET /admin/galleries/{galleryId}/migration/missing. */
export class MissingQueryDto extends PageQueryDto {
  /** Name of the embedder. */
  @IsNewEmbedder()
  embedder!: string;
}

/** Body of POST /admin/galleries/{galleryId}/migration/switch. */
export class SwitchMigrationDto {
  /** Name of a loaded embedder. */
  @IsNewEmbedder()
  embedder!: string;

  /** Whether references that the copy lacks are given up. */
  @OptionalField()
  @IsBoolean({ message: '$property must be true or false' })
  @ApiPropertyOptional({
    default: false,
    description:
      'true: references that the copy lacks are lost; their subjects stay. false: where some are missing, nothing changes',
  })
  dropMissing: boolean = false;
}

/** How far a migration is. */
export class MigrationDto implements Omit<MigrationStatus, 'error'> {
  @ApiProperty({ example: EXAMPLE_GALLERY_ID })
  galleryId!: string;

  @ApiProperty({ example: EXAMPLE_EMBEDDER })
  embedder!: string;

  @ApiProperty({
    example: `${EXAMPLE_GALLERY_ID}.${EXAMPLE_EMBEDDER}`,
    description: 'Id of the gallery of the new contract, which can be searched already',
  })
  copyId!: string;

  @ApiProperty({
    enum: MIGRATION_STATES,
    example: 'running',
    description:
      'idle: not asked for since the start of the service; done: the copy has all that could be embedded; failed: it ended early. ' +
      'To ask for it again goes on with it',
  })
  state!: MigrationState;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 2310,
    description: 'References of the gallery when it began',
  })
  total!: number;

  @ApiProperty({ type: 'integer', minimum: 0, example: 1200, description: 'Of these: in the copy' })
  done!: number;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 12,
    description: 'Of these: without a picture to embed again',
  })
  withoutCrop!: number;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 1,
    description: 'Of these: in whose picture no face was found again',
  })
  failed!: number;

  @ApiProperty({ type: ErrorDto, nullable: true, description: 'Why it ended early' })
  error!: ErrorDto | null;

  @ApiRequestId()
  requestId!: string;

  static from({ error, ...status }: MigrationStatus, requestId: string): MigrationDto {
    return { ...status, error: error == null ? null : ErrorDto.from(error), requestId };
  }
}

/** A subject that must be enrolled again. */
export class MissingSubjectDto implements MissingSubject {
  @ApiProperty({ example: EXAMPLE_SUBJECT_ID })
  subjectId!: string;

  @ApiProperty({ type: 'integer', minimum: 1, example: 3, description: 'References of the subject' })
  referenceCount!: number;

  @ApiProperty({ type: 'integer', minimum: 1, example: 2, description: 'Of these: not in the copy' })
  missingCount!: number;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 2,
    description: 'Of those missing: without a picture. The others failed, or were enrolled since',
  })
  withoutCropCount!: number;
}

/** Answer of GET /admin/galleries/{galleryId}/migration/missing. */
export class MissingSubjectsDto {
  @ApiProperty({
    type: [MissingSubjectDto],
    description: 'In the order of the subjects; a page may have none, and others follow',
  })
  subjects!: MissingSubjectDto[];

  @ApiNextCursor()
  nextCursor!: string | null;

  @ApiRequestId()
  requestId!: string;
}

export const MIGRATION_ANSWER: MigrationDto = {
  galleryId: EXAMPLE_GALLERY_ID,
  embedder: EXAMPLE_EMBEDDER,
  copyId: `${EXAMPLE_GALLERY_ID}.${EXAMPLE_EMBEDDER}`,
  state: 'running',
  total: 2310,
  done: 1200,
  withoutCrop: 12,
  failed: 1,
  error: null,
  requestId: EXAMPLE_REQUEST_ID,
};

export const MISSING_ANSWER: MissingSubjectsDto = {
  subjects: [{ subjectId: EXAMPLE_SUBJECT_ID, referenceCount: 3, missingCount: 2, withoutCropCount: 2 }],
  nextCursor: null,
  requestId: EXAMPLE_REQUEST_ID,
};

export const START_EXAMPLES = {
  start: { summary: 'To the embedder of the default set', value: { embedder: EXAMPLE_EMBEDDER } },
};

export const SWITCH_EXAMPLES = {
  switch: { summary: 'Where nothing is missing', value: { embedder: EXAMPLE_EMBEDDER } },
  drop: {
    summary: 'References that are missing are lost',
    value: { embedder: EXAMPLE_EMBEDDER, dropMissing: true },
  },
};
