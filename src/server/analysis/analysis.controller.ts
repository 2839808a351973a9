import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Scopes } from '../http/auth/scopes.decorator';
import { AnalysisService } from '../../face/analysis.service';
import { ApiFaceErrors, IMAGE_ROUTE_ERRORS } from '../http/errors/api-errors.decorator';
import { RequestLimits } from '../http/request/request-limits';
import { IMAGE_EXAMPLE } from '../http/openapi/examples';
import { ImageBody } from '../http/images/image-body.decorator';
import { ImageField } from '../http/images/image-body.interceptor';
import { RequestId } from '../http/request/request-id';
import { AnalyzeOptionsDto, AnalyzeResponseDto } from './analysis.dto';

@ApiTags('Faces')
@Scopes('verify')
@Controller('v1/analyze')
export class AnalysisController {
  constructor(private readonly analysis: AnalysisService) {}

  @Post()
  @HttpCode(200)
  @ImageBody({ fields: ['image'] }, { options: AnalyzeOptionsDto, example: IMAGE_EXAMPLE })
  @ApiOperation({
    summary: 'Estimate the age, gender, expression and race of the faces in an image',
    description:
      'The results are estimates of a network, not facts about a person. `attributes` selects the attributes to estimate; by default, all attributes that have a loaded model. If the image has no face, the list is empty.',
  })
  @ApiOkResponse({
    description: 'Faces with their estimates',
    type: AnalyzeResponseDto,
  })
  @ApiFaceErrors([...IMAGE_ROUTE_ERRORS, 'PRESENTATION_ATTACK_SUSPECTED'])
  async analyze(
    @ImageField('image') image: Uint8Array,
    @Body() options: AnalyzeOptionsDto,
    @RequestLimits() limits: RequestLimits,
    @RequestId() requestId: string,
  ): Promise<AnalyzeResponseDto> {
    return AnalyzeResponseDto.from(await this.analysis.analyze(image, { ...options, ...limits }), requestId);
  }
}
