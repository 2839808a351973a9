import { ApiProperty } from '@nestjs/swagger';
import type { Analysis } from '../face/analysis.service';
import { EXAMPLE_FACE, EXAMPLE_REQUEST_ID, EXAMPLE_TIMINGS, exampleImage } from '../http/examples';
import { ApiRequestId, FaceDto, ImageResultDto } from '../http/face.dto';
import { type AnalyzedFace, type Expression, EXPRESSIONS } from '../pipeline/face.types';

const SOFTMAX = { minimum: 0, maximum: 1 };

/** Outputs of the gender network, [0, 1], sum 1. Not calibrated probabilities. */
export class GenderScoresDto {
  @ApiProperty({ ...SOFTMAX, example: 0.06, description: '[0, 1]' })
  male: number;

  @ApiProperty({ ...SOFTMAX, example: 0.94, description: '[0, 1]' })
  female: number;
}

/** A face with estimated attributes. */
export class AnalyzedFaceDto extends FaceDto {
  @ApiProperty({ example: 31.4, description: 'Estimated age in years' })
  age: number;

  @ApiProperty({
    enum: ['male', 'female'],
    description: 'The gender with the larger score, as the network saw it',
  })
  gender: 'male' | 'female';

  @ApiProperty({ type: GenderScoresDto, description: 'Softmax outputs, sum 1. Not calibrated probabilities' })
  genderScores: GenderScoresDto;

  @ApiProperty({ enum: EXPRESSIONS, description: 'The expression with the largest score' })
  expression: Expression;

  @ApiProperty({
    type: 'object',
    properties: Object.fromEntries(EXPRESSIONS.map((name) => [name, { type: 'number', ...SOFTMAX }])),
    required: [...EXPRESSIONS],
    description: 'Softmax outputs, sum 1. Not calibrated probabilities',
  })
  expressionScores: Record<Expression, number>;

  static override from(face: AnalyzedFace): AnalyzedFaceDto {
    const { age, gender, genderScores, expression, expressionScores } = face;
    return { ...FaceDto.from(face), age, gender, genderScores, expression, expressionScores };
  }
}

/** Answer of POST /v1/analyze. */
export class AnalyzeResponseDto extends ImageResultDto {
  @ApiProperty({
    type: [AnalyzedFaceDto],
    description: 'Selected faces, largest first; empty where none was found',
  })
  faces: AnalyzedFaceDto[];

  @ApiRequestId()
  requestId: string;

  static from(result: Analysis, requestId: string): AnalyzeResponseDto {
    const { imageWidth, imageHeight, faceCount, detector, timings } = result;
    const faces = result.faces.map(AnalyzedFaceDto.from);
    return { imageWidth, imageHeight, faceCount, faces, detector, timings, requestId };
  }
}

export const ANALYZE_ANSWER = AnalyzeResponseDto.from(
  {
    ...exampleImage({
      ...EXAMPLE_FACE,
      age: 31.4,
      gender: 'female' as const,
      genderScores: { male: 0.06, female: 0.94 },
      expression: 'happy' as const,
      expressionScores: {
        neutral: 0.12,
        happy: 0.85,
        sad: 0.01,
        angry: 0.005,
        fearful: 0.005,
        disgusted: 0,
        surprised: 0.01,
      },
    }),
    timings: { ...EXAMPLE_TIMINGS, embedMs: 0, attributesMs: 9.6 },
  },
  EXAMPLE_REQUEST_ID,
);
