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
import { EXAMPLE_EMBEDDER } from '../http/openapi/examples';
import { ApiRequestId } from '../http/dto/face.dto';
import { OptionalField } from '../http/request/validation';
import { ApiNextCursor, EXAMPLE_GALLERY_ID, EXAMPLE_SUBJECT_ID, PageQueryDto } from './fields';

/** Property: the embedder to migrate a gallery to. */
function IsNewEmbedder(): PropertyDecorator {
  return applyDecorators(
    IsString(),
    IsNotEmpty(),
    MaxLength(100),
    ApiProperty({
      maxLength: 100,
      description: 'Name of the embedder to migrate to',
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

  /** Whether references missing in the copy are dropped. */
  @OptionalField()
  @IsBoolean({ message: '$property must be true or false' })
  @ApiPropertyOptional({
    default: false,
    description:
      'true: references missing in the copy are lost, their subjects stay; false: if references are missing, nothing changes',
  })
  dropMissing: boolean = false;
}

/** Progress of a migration. */
export class MigrationDto implements Omit<MigrationStatus, 'error'> {
  @ApiProperty({ example: EXAMPLE_GALLERY_ID })
  galleryId!: string;

  @ApiProperty({ example: EXAMPLE_EMBEDDER })
  embedder!: string;

  @ApiProperty({
    example: `${EXAMPLE_GALLERY_ID}.${EXAMPLE_EMBEDDER}`,
    description: 'Id of the copy with the new contract, which can already be searched',
  })
  copyId!: string;

  @ApiProperty({
    enum: MIGRATION_STATES,
    example: 'running',
    description:
      'idle: not requested since the start of the service; done: every possible reference is in the copy; failed: ended early. Start it again to resume',
  })
  state!: MigrationState;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 2310,
    description: 'References of the gallery at the start of the migration',
  })
  total!: number;

  @ApiProperty({ type: 'integer', minimum: 0, example: 1200, description: 'References in the copy' })
  done!: number;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 12,
    description: 'References without a face crop to embed',
  })
  withoutCrop!: number;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 1,
    description: 'References whose crop could not be embedded',
  })
  failed!: number;

  @ApiProperty({ type: ErrorDto, nullable: true, description: 'Error that ended the migration' })
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

  @ApiProperty({ type: 'integer', minimum: 1, example: 2, description: 'References missing in the copy' })
  missingCount!: number;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 2,
    description: 'Missing references without a face crop. The others failed, or were enrolled since',
  })
  withoutCropCount!: number;
}

/** Response of GET /admin/galleries/{galleryId}/migration/missing. */
export class MissingSubjectsDto {
  @ApiProperty({
    type: [MissingSubjectDto],
    description: 'Subjects in their order. A page can be empty although others follow',
  })
  subjects!: MissingSubjectDto[];

  @ApiNextCursor()
  nextCursor!: string | null;

  @ApiRequestId()
  requestId!: string;
}
