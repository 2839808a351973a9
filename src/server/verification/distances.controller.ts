import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { ApiKey } from '../http/auth/api-key';
import { assertDistances, CallerKey } from '../http/auth/key-limits';
import { Scopes } from '../http/auth/scopes.decorator';
import { FaceError } from '../../errors';
import { embeddingDistances } from '../../face/embedding-distances';
import { type EmbedderInfo, FaceModel } from '../../face/face-model';
import { ApiFaceErrors, JSON_BODY_ERRORS } from '../http/errors/api-errors.decorator';
import { JsonBody } from '../http/request/json-body';
import { RequestId } from '../http/request/request-id';
import { invalidParameters } from '../http/request/validation';
import { assertEmbedding, type NormedEmbedding } from '../../pipeline/embed/compare-embeddings';
import {
  DISTANCES_ANSWER,
  DISTANCES_EXAMPLES,
  DistancesDto,
  DistancesResponseDto,
  MAX_PAIRS,
} from './distances.dto';

@ApiTags('verification')
@Scopes('verify')
@Controller('v1/distances')
export class DistancesController {
  constructor(private readonly model: FaceModel) {}

  @Post()
  @HttpCode(200)
  @JsonBody({ type: DistancesDto, examples: DISTANCES_EXAMPLES }, 'embeddings')
  @ApiOperation({
    summary: 'Compare lists of embeddings (N x M)',
    description:
      'Compares every probe with every reference. All embeddings must have the same contract. Nothing is stored.',
  })
  @ApiOkResponse({
    description: 'Distances and similarities of all pairs',
    type: DistancesResponseDto,
    examples: { two: { summary: 'One probe and two references', value: DISTANCES_ANSWER } },
  })
  @ApiFaceErrors(
    [
      'PARAMETER_INVALID',
      ...JSON_BODY_ERRORS,
      'EMBEDDING_INVALID',
      'EMBEDDING_CONTRACT_MISMATCH',
      'INTERNAL_ERROR',
      'NOT_READY',
    ],
    'probes',
  )
  async compareAll(
    @Body() { probes, references, contract, metric }: DistancesDto,
    @CallerKey() key: ApiKey | undefined,
    @RequestId() requestId: string,
  ): Promise<DistancesResponseDto> {
    assertDistances(key);
    if (probes.length * references.length > MAX_PAIRS) {
      throw invalidParameters({ probes: `multiplied by references must be at most ${MAX_PAIRS}` });
    }
    const { name: embedder, dimensions } = this.embedderOf(contract);
    const result = await embeddingDistances(
      normed(probes, 'probes', dimensions),
      normed(references, 'references', dimensions),
      metric,
    );
    return { ...result, metric, embedder, contract, requestId };
  }

  private embedderOf(contract: string): EmbedderInfo {
    for (const { state, embedder } of this.model.models()) {
      if (state !== 'loaded' || embedder == null) continue;
      if (embedder.contract === contract) return embedder;
      const unaligned = this.model.embedder(embedder.name, false);
      if (unaligned.contract === contract) return unaligned;
    }
    throw new FaceError('EMBEDDING_CONTRACT_MISMATCH', 'No loaded embedder has this contract.', {
      field: 'contract',
    });
  }
}

function normed(embeddings: readonly number[][], field: string, dimensions: number): NormedEmbedding[] {
  return embeddings.map((values, index) => {
    try {
      const { unit, norm } = assertEmbedding(values, dimensions);
      return { embedding: unit, norm };
    } catch (error) {
      throw error instanceof FaceError ? error.withDetails({ field, index }) : error;
    }
  });
}
