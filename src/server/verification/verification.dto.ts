import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, Min } from 'class-validator';
import type { VerificationResult } from '../../face/verification.service';
import {
  EXAMPLE_CONTRACT,
  EXAMPLE_DETECTOR,
  EXAMPLE_DISTANCE,
  EXAMPLE_EMBEDDER,
  EXAMPLE_SIMILARITY,
  EXAMPLE_THRESHOLD,
} from '../http/openapi/examples';
import { EXAMPLE_IMAGE_DATA_URI } from '../http/openapi/example-image';
import { DecisionDto, decisionFields } from '../http/dto/decision.dto';
import {
  DetectorOptionsDto,
  IsAlign,
  IsFaceSelection,
  IsModelName,
  IsPresentationAttack,
  IsReviewMargin,
  IsTargetRate,
  TARGET_FMR_DESCRIPTION,
} from '../http/dto/face-options.dto';
import { ApiRequestId, ComparedImageDto, FaceDto, TimingsDto } from '../http/dto/face.dto';
import { IsDecimal, OptionalField } from '../http/request/validation';
import {
  type FaceSelection,
  type Metric,
  METRICS,
  type PresentationAttackPolicy,
} from '../../pipeline/face.types';

/** Body of POST /v1/verify without `probe` and `reference`. */
export class VerifyOptionsDto extends DetectorOptionsDto {
  /** Name of a loaded embedder. */
  @IsModelName('Name of a loaded embedder, see /v1/models. Default: the first loaded one', EXAMPLE_EMBEDDER)
  embedder?: string;

  /** Distance metric. */
  @OptionalField()
  @IsIn(METRICS)
  @ApiPropertyOptional({ enum: METRICS, default: 'cosine', description: 'Distance metric' })
  metric?: Metric;

  /** Maximum distance of a match, inclusive. */
  @OptionalField()
  @IsDecimal()
  @Min(0)
  @ApiPropertyOptional({
    type: Number,
    minimum: 0,
    example: EXAMPLE_THRESHOLD,
    description:
      'Maximum distance of a match, inclusive, in the unit of the metric; 0 is allowed. Overrides targetFmr. Default: that of the embedder for the metric, see /v1/models',
  })
  threshold?: number;

  /** False match rate from which the threshold is derived. */
  @IsTargetRate(TARGET_FMR_DESCRIPTION, 1e-5)
  targetFmr?: number;

  /** Distance from the threshold within which a result needs review. */
  @IsReviewMargin()
  reviewMargin?: number;

  /** Faces to compare; with `all`, the closest pair decides. */
  @IsFaceSelection('best')
  faceSelection: FaceSelection = 'best';

  /** Whether faces are aligned; embeddings must match this setting. */
  @IsAlign()
  align?: boolean;

  /** Policy for presentation attacks. */
  @IsPresentationAttack()
  presentationAttack?: PresentationAttackPolicy;
}

/** Timings of both sides. */
export class VerifyTimingsDto {
  @ApiProperty({ type: TimingsDto, nullable: true, description: 'null for an embedding' })
  probe!: TimingsDto | null;

  @ApiProperty({ type: TimingsDto, nullable: true, description: 'null for an embedding' })
  reference!: TimingsDto | null;
}

/** Both images. */
export class ComparedImagesDto {
  @ApiProperty({ type: ComparedImageDto, nullable: true, description: 'null for an embedding' })
  probe!: ComparedImageDto | null;

  @ApiProperty({ type: ComparedImageDto, nullable: true, description: 'null for an embedding' })
  reference!: ComparedImageDto | null;
}

/** Response of POST /v1/verify. */
export class VerifyResponseDto extends DecisionDto {
  @ApiProperty({
    type: Number,
    nullable: true,
    example: EXAMPLE_DISTANCE,
    description:
      'Distance in the unit of the metric: cosine [0, 2], euclidean [0, inf), euclidean_l2 [0, 2], angular [0, 1]. Smaller is more similar. null for keys without access to distances',
  })
  distance!: number | null;

  @ApiProperty({
    minimum: -1,
    maximum: 1,
    example: EXAMPLE_SIMILARITY,
    description:
      'Cosine similarity, [-1, 1], for any metric. Larger is more similar. Rounded to one decimal place for keys without access to distances',
  })
  similarity!: number;

  @ApiProperty({
    minimum: 0,
    example: EXAMPLE_THRESHOLD,
    description: 'Applied threshold, inclusive, in the unit of the metric',
  })
  threshold!: number;

  @ApiProperty({ enum: METRICS, example: 'cosine', description: 'Metric of distance and threshold' })
  metric!: Metric;

  @ApiProperty({
    type: FaceDto,
    nullable: true,
    description: 'Compared face; null for an embedding',
  })
  probe!: FaceDto | null;

  @ApiProperty({
    type: FaceDto,
    nullable: true,
    description: 'Compared face; null for an embedding',
  })
  reference!: FaceDto | null;

  @ApiProperty({ type: ComparedImagesDto })
  images!: ComparedImagesDto;

  @ApiProperty({
    type: String,
    nullable: true,
    example: EXAMPLE_DETECTOR,
    description: 'null if no detector ran',
  })
  detector!: string | null;

  @ApiProperty({ example: EXAMPLE_EMBEDDER, description: 'Name of the embedder' })
  embedder!: string;

  @ApiProperty({
    example: EXAMPLE_CONTRACT,
    description: 'Contract of both embeddings',
  })
  contract!: string;

  @ApiProperty({ type: VerifyTimingsDto })
  timings!: VerifyTimingsDto;

  @ApiRequestId()
  requestId!: string;

  static from(result: VerificationResult, requestId: string): VerifyResponseDto {
    const { distance, similarity, threshold, metric, images, detector, embedder, contract, timings } = result;
    const probe = result.probe && FaceDto.from(result.probe);
    const reference = result.reference && FaceDto.from(result.reference);
    const comparison = { distance, similarity, threshold, metric, probe, reference, images };
    return { ...decisionFields(result), ...comparison, detector, embedder, contract, timings, requestId };
  }
}

/** A body that can be sent as it is. */
export const VERIFY_EXAMPLE = { probe: EXAMPLE_IMAGE_DATA_URI, reference: EXAMPLE_IMAGE_DATA_URI };
