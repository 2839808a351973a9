import { Body, Controller, HttpCode, Param, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Scopes } from '../http/auth/scopes.decorator';
import { GalleryService } from '../../gallery/gallery.service';
import { ApiFaceErrors } from '../http/errors/api-errors.decorator';
import { GalleryRoutes } from '../http/request/gallery-revision';
import { ImageBody } from '../http/images/image-body.decorator';
import { ImageField } from '../http/images/image-body.interceptor';
import type { ImageInput } from '../http/images/parse-image';
import { RequestId } from '../http/request/request-id';
import { RequestLimits } from '../http/request/request-limits';
import { PROBE_ERRORS } from './errors';
import { SubjectPathDto } from './fields';
import { PROBE_EXAMPLE, VerifySubjectDto, VerifySubjectResponseDto } from './identify.dto';

@ApiTags('Identification')
@GalleryRoutes()
@Controller('v1/galleries/:galleryId')
export class SubjectVerificationController {
  constructor(private readonly galleries: GalleryService) {}

  @Scopes('verify')
  @Post('subjects/:subjectId/verify')
  @HttpCode(200)
  @ImageBody(
    { fields: ['probe'], takesEmbeddings: true },
    { options: VerifySubjectDto, example: PROBE_EXAMPLE },
  )
  @ApiOperation({
    summary: 'Verify a probe against one subject (1:1)',
    description: 'Compares the probe with all references of the subject. The most similar one decides.',
  })
  @ApiOkResponse({
    description: 'Decision with its distance and threshold',
    type: VerifySubjectResponseDto,
  })
  @ApiFaceErrors([...PROBE_ERRORS, 'SUBJECT_NOT_FOUND', 'REFERENCE_NOT_FOUND'])
  async verifySubject(
    @Param() { galleryId, subjectId }: SubjectPathDto,
    @ImageField('probe') probe: ImageInput,
    @Body() options: VerifySubjectDto,
    @RequestLimits() limits: RequestLimits,
    @RequestId() requestId: string,
  ): Promise<VerifySubjectResponseDto> {
    const result = await this.galleries.verifySubject(galleryId, subjectId, probe, { ...options, ...limits });
    return VerifySubjectResponseDto.from(result, requestId);
  }
}
