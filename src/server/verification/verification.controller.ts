import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiExtraModels, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Scopes } from '../http/auth/scopes.decorator';
import { VerificationService } from '../../face/verification.service';
import { ApiFaceErrors, IMAGE_ROUTE_ERRORS } from '../http/errors/api-errors.decorator';
import { DecisionDto } from '../http/dto/decision.dto';
import { RequestLimits } from '../http/request/request-limits';
import { ImageBody } from '../http/images/image-body.decorator';
import { ImageField } from '../http/images/image-body.interceptor';
import type { ImageInput } from '../http/images/parse-image';
import { RequestId } from '../http/request/request-id';
import { VERIFY_EXAMPLE, VerifyOptionsDto, VerifyResponseDto } from './verification.dto';

@ApiTags('Faces')
@ApiExtraModels(DecisionDto)
@Scopes('verify')
@Controller('v1/verify')
export class VerificationController {
  constructor(private readonly verification: VerificationService) {}

  @Post()
  @HttpCode(200)
  @ImageBody(
    { fields: ['probe', 'reference'], takesEmbeddings: true },
    { options: VerifyOptionsDto, example: VERIFY_EXAMPLE },
  )
  @ApiOperation({
    summary: 'Verify two faces (1:1)',
    description:
      'Decides whether probe and reference show the same person. Each can be an embedding instead of an image.',
  })
  @ApiOkResponse({
    description: 'Decision with its distance and threshold',
    type: VerifyResponseDto,
  })
  @ApiFaceErrors([
    ...IMAGE_ROUTE_ERRORS,
    'FACE_NOT_DETECTED',
    'PRESENTATION_ATTACK_SUSPECTED',
    'EMBEDDING_INVALID',
    'EMBEDDING_CONTRACT_MISMATCH',
  ])
  async verify(
    @ImageField('probe') probe: ImageInput,
    @ImageField('reference') reference: ImageInput,
    @Body() options: VerifyOptionsDto,
    @RequestLimits() limits: RequestLimits,
    @RequestId() requestId: string,
  ): Promise<VerifyResponseDto> {
    const result = await this.verification.verify(probe, reference, { ...options, ...limits });
    return VerifyResponseDto.from(result, requestId);
  }
}
