import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { ApiKey } from '../http/auth/api-key';
import { assertDistances, CallerKey } from '../http/auth/key-limits';
import { Scopes } from '../http/auth/scopes.decorator';
import { ApiFaceErrors, JSON_BODY_ERRORS } from '../http/errors/api-errors.decorator';
import { JsonBody } from '../http/request/json-body';
import { RequestId } from '../http/request/request-id';
import { DISTANCES_EXAMPLE, DistancesDto, DistancesResponseDto } from './distances.dto';
import { DistancesService } from './distances.service';

@ApiTags('Faces')
@Scopes('verify')
@Controller('v1/distances')
export class DistancesController {
  constructor(private readonly distances: DistancesService) {}

  @Post()
  @HttpCode(200)
  @JsonBody({ type: DistancesDto, example: DISTANCES_EXAMPLE }, 'embeddings')
  @ApiOperation({
    summary: 'Compare lists of embeddings (N x M)',
    description:
      'Compares every probe with every reference. All embeddings must have the same contract. Nothing is stored.',
  })
  @ApiOkResponse({
    description: 'Distances and similarities of all pairs',
    type: DistancesResponseDto,
  })
  @ApiFaceErrors([
    'PARAMETER_INVALID',
    ...JSON_BODY_ERRORS,
    'EMBEDDING_INVALID',
    'EMBEDDING_CONTRACT_MISMATCH',
  ])
  async compareAll(
    @Body() body: DistancesDto,
    @CallerKey() key: ApiKey | undefined,
    @RequestId() requestId: string,
  ): Promise<DistancesResponseDto> {
    assertDistances(key);
    return { ...(await this.distances.compareAll(body)), requestId };
  }
}
