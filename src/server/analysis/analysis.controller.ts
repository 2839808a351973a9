import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Scopes } from '../http/auth/scopes.decorator';
import { AnalysisService } from '../../face/analysis.service';
import { ApiFaceErrors, IMAGE_ROUTE_ERRORS } from '../http/errors/api-errors.decorator';
import { RequestLimits } from '../http/request/request-limits';
import { IMAGE_EXAMPLES } from '../http/openapi/examples';
import { ImageBody } from '../http/images/image-body.decorator';
import { ImageField } from '../http/images/image-body.interceptor';
import { RequestId } from '../http/request/request-id';
import { ANALYZE_ANSWER, AnalyzeOptionsDto, AnalyzeResponseDto } from './analysis.dto';

@ApiTags('analysis')
@Scopes('verify')
@Controller('v1/analyze')
export class AnalysisController {
  constructor(private readonly analysis: AnalysisService) {}

  @Post()
  @HttpCode(200)
  @ImageBody({ fields: ['image'] }, { options: AnalyzeOptionsDto, examples: IMAGE_EXAMPLES })
  @ApiOperation({
    summary: 'Estimate age, gender, expression and race of the faces of an image',
    description:
      'Estimates of a network, not facts about a person. Only what `attributes` asks for is run; without it, all that a ' +
      'loaded model estimates. An image without a face is answered with an empty list.',
  })
  @ApiOkResponse({
    description: 'The faces with their estimates',
    type: AnalyzeResponseDto,
    examples: { oneFace: { summary: 'One face', value: ANALYZE_ANSWER } },
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
