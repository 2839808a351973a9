import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsNotEmpty, IsString, MaxLength } from 'class-validator';
import type { EmbeddingDistances } from '../../face/embedding-distances';
import {
  EXAMPLE_CONTRACT,
  EXAMPLE_DISTANCE,
  EXAMPLE_EMBEDDER,
  EXAMPLE_REQUEST_ID,
  EXAMPLE_SIMILARITY,
  exampleEmbedding,
} from '../http/openapi/examples';
import { ApiRequestId } from '../http/dto/face.dto';
import { Satisfies, IsJson, OptionalField } from '../http/request/validation';
import { type Metric, METRICS } from '../../pipeline/face.types';

/** Most pairs of one call: their answer is written in one turn of the event loop. */
export const MAX_PAIRS = 40_000;

const EMBEDDINGS = {
  type: 'array',
  minItems: 1,
  items: { type: 'array', items: { type: 'number' } },
  example: [exampleEmbedding()],
} as const;

/** Body of POST /v1/distances. */
export class DistancesDto {
  /** Embeddings of one contract: a row of the answer each. */
  @IsJson()
  @Satisfies(embeddingsProblem)
  @ApiProperty({
    ...EMBEDDINGS,
    description: `A row of the answer each. Probes times references: at most ${MAX_PAIRS}`,
  })
  probes!: number[][];

  /** Embeddings of the same contract: a column of the answer each. */
  @IsJson()
  @Satisfies(embeddingsProblem)
  @ApiProperty({ ...EMBEDDINGS, description: 'A column of the answer each' })
  references!: number[][];

  /** Contract of all of them. */
  @IsString()
  @IsNotEmpty()
  @MaxLength(100)
  @ApiProperty({
    maxLength: 100,
    example: EXAMPLE_CONTRACT,
    description: 'Contract of all of them: that of a loaded embedder, see /v1/models',
  })
  contract!: string;

  /** Measure of the distance. */
  @OptionalField()
  @IsIn(METRICS)
  @ApiPropertyOptional({
    enum: METRICS,
    default: 'cosine',
    description:
      'Measure of the distance. euclidean takes the embeddings with the lengths that they have here',
  })
  metric: Metric = 'cosine';
}

/** What is wrong with a list of embeddings; whether they fit the contract is judged later. */
function embeddingsProblem(list: unknown): string | null {
  const isValid =
    Array.isArray(list) &&
    list.length >= 1 &&
    list.length <= MAX_PAIRS &&
    list.every(
      (embedding) => Array.isArray(embedding) && embedding.every((value) => typeof value === 'number'),
    );
  return isValid ? null : 'must be a list of lists of numbers, one at least';
}

/** Answer of POST /v1/distances. */
export class DistancesResponseDto implements EmbeddingDistances {
  @ApiProperty({
    type: 'array',
    items: { type: 'array', items: { type: 'number' } },
    example: [[EXAMPLE_DISTANCE]],
    description: 'In the unit of the metric, by probe and reference. Smaller is more alike',
  })
  distances!: number[][];

  @ApiProperty({
    type: 'array',
    items: { type: 'array', items: { type: 'number' } },
    example: [[EXAMPLE_SIMILARITY]],
    description: 'Cosine, [-1, 1], whatever the metric, by probe and reference',
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

/** Bodies that can be pasted as they are. */
export const DISTANCES_EXAMPLES = {
  two: {
    summary: 'One probe and two references',
    value: {
      probes: [exampleEmbedding()],
      references: [exampleEmbedding(), exampleEmbedding(38)],
      contract: EXAMPLE_CONTRACT,
    },
  },
};

export const DISTANCES_ANSWER: DistancesResponseDto = {
  distances: [[0, 1.08]],
  similarities: [[1, -0.08]],
  metric: 'cosine',
  embedder: EXAMPLE_EMBEDDER,
  contract: EXAMPLE_CONTRACT,
  requestId: EXAMPLE_REQUEST_ID,
};
