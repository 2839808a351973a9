import { Body, Controller, HttpCode, Param, Post } from '@nestjs/common';
import { ApiExtraModels, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
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
import { GalleryPathDto } from './fields';
import { IdentifyOptionsDto, IdentifyResponseDto, PROBE_EXAMPLE, ProbeOptionsDto } from './identify.dto';

@ApiTags('Identification')
@ApiExtraModels(ProbeOptionsDto)
@GalleryRoutes()
@Controller('v1/galleries/:galleryId')
export class IdentificationController {
  constructor(private readonly galleries: GalleryService) {}

  @Scopes('identify')
  @Post('identify')
  @HttpCode(200)
  @ImageBody(
    { fields: ['probe'], takesEmbeddings: true },
    { options: IdentifyOptionsDto, example: PROBE_EXAMPLE },
  )
  @ApiOperation({
    summary: 'Identify the faces in a probe (1:N)',
    description:
      'Compares each face with every reference of the gallery and returns the subjects within the threshold, each with its most similar reference. A face without candidates is unknown.',
  })
  @ApiOkResponse({
    description: 'Candidates per face',
    type: IdentifyResponseDto,
  })
  @ApiFaceErrors(PROBE_ERRORS)
  async identify(
    @Param() { galleryId }: GalleryPathDto,
    @ImageField('probe') probe: ImageInput,
    @Body() options: IdentifyOptionsDto,
    @RequestLimits() limits: RequestLimits,
    @RequestId() requestId: string,
  ): Promise<IdentifyResponseDto> {
    const result = await this.galleries.identify(galleryId, probe, { ...options, ...limits });
    return IdentifyResponseDto.from(result, requestId);
  }
}
