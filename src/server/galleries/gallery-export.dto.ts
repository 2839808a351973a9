import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import { EXPORT_FORMATS, type ExportFormat } from '../../gallery/backup/gallery-file';
import type { ImportSummary } from '../../gallery/backup/import-gallery';
import { ApiRequestId } from '../http/dto/face.dto';
import type { BodyContent } from '../http/openapi/body-content';
import { OptionalField } from '../http/request/validation';

/** Content types by export format. */
export const EXPORT_TYPES: Readonly<Record<ExportFormat, string>> = {
  jsonl: 'application/x-ndjson',
  binary: 'application/octet-stream',
};

/** Query of GET /admin/galleries/{galleryId}/export. */
export class ExportQueryDto {
  /** Format of the export. */
  @OptionalField()
  @IsIn(EXPORT_FORMATS)
  @ApiPropertyOptional({
    enum: EXPORT_FORMATS,
    default: 'jsonl',
    description: 'jsonl: JSON Lines; binary: smaller, with a checksum per record',
  })
  format: ExportFormat = 'jsonl';
}

/** Response of POST /admin/galleries/{galleryId}/import. */
export class ImportResponseDto implements ImportSummary {
  @ApiProperty({ type: 'integer', minimum: 0, example: 812, description: 'Subjects in the file' })
  subjectCount!: number;

  @ApiProperty({ type: 'integer', minimum: 0, example: 2300, description: 'References added' })
  addedCount!: number;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 10,
    description: 'References that existed already, by id or image',
  })
  existingCount!: number;

  @ApiRequestId()
  requestId!: string;
}

/** An export in both formats. */
export const EXPORT_MEDIA: BodyContent = {
  [EXPORT_TYPES.jsonl]: {
    schema: {
      type: 'string',
      description:
        'JSON Lines: header, subjects, references (embedding: base64 of little-endian float32), end',
    },
  },
  [EXPORT_TYPES.binary]: {
    schema: { type: 'string', format: 'binary' },
  },
};
