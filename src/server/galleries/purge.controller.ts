import { Controller, HttpCode, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import { GalleryService } from '../../gallery/gallery.service';
import type { PurgeReport } from '../../gallery/retention';
import { Scopes } from '../http/auth/scopes.decorator';
import { ADMIN_ERRORS, ApiFaceErrors } from '../http/errors/api-errors.decorator';
import { ApiRequestId } from '../http/dto/face.dto';
import { GalleryRoutes } from '../http/request/gallery-revision';
import { RequestId } from '../http/request/request-id';
import { WRITE_ERRORS } from './errors';

/** Response of POST /admin/galleries/purge. */
export class PurgeReportDto implements PurgeReport {
  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 3,
    description: 'Subjects removed, with all their references',
  })
  subjectCount!: number;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 5,
    description: 'References removed whose subject stays',
  })
  referenceCount!: number;

  @ApiRequestId()
  requestId!: string;
}

@ApiTags('Gallery administration')
@GalleryRoutes()
@Controller('admin/galleries/purge')
export class PurgeController {
  constructor(private readonly galleries: GalleryService) {}

  @Scopes('admin')
  @Post()
  @HttpCode(200)
  @ApiOperation({
    summary: 'Purge expired subjects and references',
    description:
      'Permanently removes expired subjects and references from all galleries. The service does this automatically at startup and every hour; expired entries never match in between.',
  })
  @ApiOkResponse({
    description: 'Counts of removed entries',
    type: PurgeReportDto,
  })
  @ApiFaceErrors([...ADMIN_ERRORS, 'GALLERY_STORE_FAILED', 'GALLERY_REVISION_PENDING', ...WRITE_ERRORS])
  async purgeExpired(@RequestId() requestId: string): Promise<PurgeReportDto> {
    return { ...(await this.galleries.purgeExpired()), requestId };
  }
}
