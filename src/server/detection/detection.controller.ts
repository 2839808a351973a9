import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Scopes } from '../http/auth/scopes.decorator';
import { DetectionService } from '../../face/detection.service';
import { ApiFaceErrors, IMAGE_ROUTE_ERRORS } from '../http/errors/api-errors.decorator';
import { RequestLimits } from '../http/request/request-limits';
import { IMAGE_EXAMPLE } from '../http/openapi/examples';
import { FaceOptionsDto } from '../http/dto/face-options.dto';
import { ImageBody } from '../http/images/image-body.decorator';
import { ImageField } from '../http/images/image-body.interceptor';
import { RequestId } from '../http/request/request-id';
import { DetectResponseDto } from './detection.dto';

@ApiTags('Faces')
@Scopes('verify')
@Controller('v1/detect')
export class DetectionController {
  constructor(private readonly detection: DetectionService) {}

  @Post()
  @HttpCode(200)
  @ImageBody({ fields: ['image'] }, { options: FaceOptionsDto, example: IMAGE_EXAMPLE })
  @ApiOperation({
    summary: 'Detect the faces in an image',
    description: 'If the image has no face, the list is empty.',
  })
  @ApiOkResponse({
    description: 'Detected faces',
    type: DetectResponseDto,
  })
  @ApiFaceErrors(IMAGE_ROUTE_ERRORS)
  async detect(
    @ImageField('image') image: Uint8Array,
    @Body() options: FaceOptionsDto,
    @RequestLimits() limits: RequestLimits,
    @RequestId() requestId: string,
  ): Promise<DetectResponseDto> {
    return DetectResponseDto.from(await this.detection.detect(image, { ...options, ...limits }), requestId);
  }
}
