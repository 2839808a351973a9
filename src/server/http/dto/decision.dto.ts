import { ApiProperty } from '@nestjs/swagger';
import { type Decision, DECISIONS } from '../../../face/thresholds';
import { type DecisionResult, REFUSAL_REASONS, type RefusalReason } from '../../../face/verification.service';

/** Property of an answer: how often strangers are at least as similar. */
export function ApiFalseMatchRate(nullWhere: string): PropertyDecorator {
  return ApiProperty({
    type: Number,
    nullable: true,
    minimum: 0,
    maximum: 0.5,
    example: 0.000001,
    description:
      "How often two strangers are at least this similar, by the embedder's calibration (/v1/models). 0.000001 stands for at " +
      `most so often, 0.5 for at least so often; null where ${nullWhere}`,
  });
}

/** Fields of every answer about a comparison 1:1. */
export class DecisionDto implements DecisionResult {
  @ApiProperty({
    example: true,
    description: 'distance <= threshold; false where `reason` is given, whatever the distance',
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
      'The false match rate that the threshold follows from; null where a threshold was given, or the embedder has no calibration',
  })
  targetFmr!: number | null;

  @ApiProperty({
    type: String,
    enum: REFUSAL_REASONS,
    nullable: true,
    example: null,
    description:
      'Why the pair does not verify whatever its distance. no_face: with wholeImage=ifNoFace, no face was found on either side',
  })
  reason!: RefusalReason | null;
}

/** {@link DecisionDto} of a result. */
export function decisionFields(result: DecisionResult & { verified: boolean }): DecisionDto {
  const { verified, decision, falseMatchRate, targetFmr, reason } = result;
  return { verified, decision, falseMatchRate, targetFmr, reason };
}

/** As the OpenAPI document shows it: by the threshold of a card without a calibration. */
export const DECISION_EXAMPLE: DecisionDto = {
  verified: true,
  decision: 'match',
  falseMatchRate: null,
  targetFmr: null,
  reason: null,
};
