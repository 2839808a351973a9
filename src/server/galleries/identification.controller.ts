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
import { GalleryPathDto } from './fields';
import {
  IDENTIFY_ANSWER,
  IDENTIFY_EXAMPLES,
  IdentifyOptionsDto,
  IdentifyResponseDto,
  UNKNOWN_ANSWER,
} from './identify.dto';

@ApiTags('identification')
@GalleryRoutes()
@Controller('v1/galleries/:galleryId')
export class IdentificationController {
  constructor(private readonly galleries: GalleryService) {}

  @Scopes('identify')
  @Post('identify')
  @HttpCode(200)
  @ImageBody(
    { fields: ['probe'], takesEmbeddings: true },
    { options: IdentifyOptionsDto, examples: IDENTIFY_EXAMPLES },
  )
  @ApiOperation({
    summary: 'Identify the faces in a probe (1:N)',
    description:
      'Compares each face with every reference of the gallery and returns the subjects within the threshold, each with its most similar reference. A face without candidates is unknown.',
  })
  @ApiOkResponse({
    description: 'Candidates per face',
    type: IdentifyResponseDto,
    examples: {
      found: { summary: 'One candidate', value: IDENTIFY_ANSWER },
      unknown: { summary: 'Nobody within the threshold', value: UNKNOWN_ANSWER },
    },
  })
  @ApiFaceErrors(PROBE_ERRORS, 'probe')
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
