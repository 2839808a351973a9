import { ApiProperty } from '@nestjs/swagger';
import { type Decision, DECISIONS } from '../../../face/thresholds';
import { type DecisionResult, REFUSAL_REASONS, type RefusalReason } from '../../../face/verification.service';

/** Property of a response: false match rate at the measured similarity. */
export function ApiFalseMatchRate(nullWhere: string): PropertyDecorator {
  return ApiProperty({
    type: Number,
    nullable: true,
    minimum: 0,
    maximum: 0.5,
    example: 0.000001,
    description: `False match rate at this similarity: share of pairs of different people that are at least as similar, from the calibration of the embedder (/v1/models). 0.000001 means at most this rate, 0.5 at least this rate; null if ${nullWhere}`,
  });
}

/** Fields of every verification response. */
export class DecisionDto implements DecisionResult {
  @ApiProperty({
    example: true,
    description: 'distance <= threshold; false if `reason` is present',
  })
  verified!: boolean;

  @ApiProperty({
    enum: DECISIONS,
    example: 'match',
    description: 'review: the distance is within threshold ± reviewMargin; match, no_match: as `verified`',
  })
  decision!: Decision;

  @ApiFalseMatchRate('the embedder has no calibration, or a face was not aligned')
  falseMatchRate!: number | null;

  @ApiProperty({
    type: Number,
    nullable: true,
    example: 0.00001,
    description:
      'False match rate from which the threshold was derived; null if a threshold was given or the embedder has no calibration',
  })
  targetFmr!: number | null;

  @ApiProperty({
    type: String,
    enum: REFUSAL_REASONS,
    nullable: true,
    example: null,
    description:
      'Reason for a rejection regardless of the distance. no_face: with wholeImage=ifNoFace, neither image has a face',
  })
  reason!: RefusalReason | null;
}

/** {@link DecisionDto} of a result. */
export function decisionFields(result: DecisionResult & { verified: boolean }): DecisionDto {
  const { verified, decision, falseMatchRate, targetFmr, reason } = result;
  return { verified, decision, falseMatchRate, targetFmr, reason };
}
