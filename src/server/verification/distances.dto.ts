import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsNotEmpty, IsString, MaxLength } from 'class-validator';
import type { EmbeddingDistances } from '../../face/embedding-distances';
import {
  EXAMPLE_CONTRACT,
  EXAMPLE_DISTANCE,
  EXAMPLE_EMBEDDER,
  EXAMPLE_SIMILARITY,
  exampleEmbedding,
} from '../http/openapi/examples';
import { ApiRequestId } from '../http/dto/face.dto';
import { Satisfies, IsJson, OptionalField } from '../http/request/validation';
import { type Metric, METRICS } from '../../pipeline/face.types';

/** Maximum number of pairs per request: the response is serialized in one turn of the event loop. */
export const MAX_PAIRS = 40_000;

const EMBEDDINGS = {
  type: 'array',
  minItems: 1,
  items: { type: 'array', items: { type: 'number' } },
} as const;

/** Body of POST /v1/distances. */
export class DistancesDto {
  /** Embeddings of one contract, one row of the result each. */
  @IsJson()
  @Satisfies(embeddingsProblem)
  @ApiProperty({
    ...EMBEDDINGS,
    description: `Probe embeddings, one row of the result each. Number of probes times number of references: at most ${MAX_PAIRS}`,
  })
  probes!: number[][];

  /** Embeddings of the same contract, one column of the result each. */
  @IsJson()
  @Satisfies(embeddingsProblem)
  @ApiProperty({ ...EMBEDDINGS, description: 'Reference embeddings, one column of the result each' })
  references!: number[][];

  /** Contract of all embeddings. */
  @IsString()
  @IsNotEmpty()
  @MaxLength(100)
  @ApiProperty({
    maxLength: 100,
    example: EXAMPLE_CONTRACT,
    description: 'Contract of all embeddings, that of a loaded embedder, see /v1/models',
  })
  contract!: string;

  /** Distance metric. */
  @OptionalField()
  @IsIn(METRICS)
  @ApiPropertyOptional({
    enum: METRICS,
    default: 'cosine',
    description: 'Distance metric. euclidean uses the embeddings at their given lengths',
  })
  metric: Metric = 'cosine';
}

/** The problem of a list of embeddings; the contract is checked later. */
function embeddingsProblem(list: unknown): string | null {
  const isValid =
    Array.isArray(list) &&
    list.length >= 1 &&
    list.length <= MAX_PAIRS &&
    list.every(
      (embedding) => Array.isArray(embedding) && embedding.every((value) => typeof value === 'number'),
    );
  return isValid ? null : 'must be a list of at least one list of numbers';
}

/** Response of POST /v1/distances. */
export class DistancesResponseDto implements EmbeddingDistances {
  @ApiProperty({
    type: 'array',
    items: { type: 'array', items: { type: 'number' } },
    example: [[EXAMPLE_DISTANCE]],
    description: 'Distances by probe and reference, in the unit of the metric. Smaller is more similar',
  })
  distances!: number[][];

  @ApiProperty({
    type: 'array',
    items: { type: 'array', items: { type: 'number' } },
    example: [[EXAMPLE_SIMILARITY]],
    description: 'Cosine similarities by probe and reference, [-1, 1], for any metric',
  })
  similarities!: number[][];

  @ApiProperty({ enum: METRICS, example: 'cosine' })
  metric!: Metric;

  @ApiProperty({ example: EXAMPLE_EMBEDDER, description: 'Embedder of the contract' })
  embedder!: string;

  @ApiProperty({ example: EXAMPLE_CONTRACT })
  contract!: string;

  @ApiRequestId()
  requestId!: string;
}

/** A body that can be sent as it is. */
export const DISTANCES_EXAMPLE = {
  probes: [exampleEmbedding()],
  references: [exampleEmbedding(4)],
  contract: EXAMPLE_CONTRACT,
};
