import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { ArrayNotEmpty, ArrayUnique, IsIn } from 'class-validator';
import type { Analysis } from '../../face/analysis.service';
import { FaceOptionsDto, IsPresentationAttack } from '../http/dto/face-options.dto';
import { ApiRequestId, FaceDto, ImageResultDto } from '../http/dto/face.dto';
import { IsNameList, OptionalField } from '../http/request/validation';
import {
  type AnalyzedFace,
  type Attribute,
  ATTRIBUTES,
  type Expression,
  EXPRESSIONS,
  type Gender,
  GENDERS,
  type PresentationAttackPolicy,
} from '../../pipeline/face.types';

const SOFTMAX = { minimum: 0, maximum: 1 };

/** Body of POST /v1/analyze beside `image`. */
export class AnalyzeOptionsDto extends FaceOptionsDto {
  /** Attributes to estimate. */
  @OptionalField()
  @IsNameList()
  @ArrayNotEmpty()
  @ArrayUnique()
  @IsIn(ATTRIBUTES, { each: true })
  @ApiPropertyOptional({
    enum: ATTRIBUTES,
    isArray: true,
    uniqueItems: true,
    minItems: 1,
    example: ['age', 'gender'],
    description:
      'Attributes to estimate, as a list or comma-separated. Default: all attributes that have a loaded model',
  })
  attributes?: Attribute[];

  /** Policy for presentation attacks. */
  @IsPresentationAttack()
  presentationAttack?: PresentationAttackPolicy;
}

/** Outputs of the gender network, [0, 1], sum 1. Not calibrated probabilities. */
export class GenderScoresDto {
  @ApiProperty({ ...SOFTMAX, example: 0.06, description: '[0, 1]' })
  male!: number;

  @ApiProperty({ ...SOFTMAX, example: 0.94, description: '[0, 1]' })
  female!: number;
}

/** A face with the requested attributes. */
export class AnalyzedFaceDto extends FaceDto {
  @ApiPropertyOptional({ example: 31.4, description: 'Estimated age in years' })
  age?: number;

  @ApiPropertyOptional({
    enum: GENDERS,
    description: 'Gender with the larger score',
  })
  gender?: Gender;

  @ApiPropertyOptional({
    type: GenderScoresDto,
    description: 'Softmax outputs, sum 1. Not calibrated probabilities',
  })
  genderScores?: GenderScoresDto;

  @ApiPropertyOptional({ enum: EXPRESSIONS, description: 'Expression with the largest score' })
  expression?: Expression;

  @ApiPropertyOptional({
    type: 'object',
    properties: Object.fromEntries(EXPRESSIONS.map((name) => [name, { type: 'number', ...SOFTMAX }])),
    required: [...EXPRESSIONS],
    description: 'Softmax outputs, sum 1. Not calibrated probabilities',
  })
  expressionScores?: Record<Expression, number>;

  @ApiPropertyOptional({
    example: 'indian',
    description: 'Label with the largest score: a class of the training data, not a fact about the person',
  })
  race?: string;

  @ApiPropertyOptional({
    type: 'object',
    additionalProperties: { type: 'number', ...SOFTMAX },
    description: "Softmax outputs by the labels of the model's card, sum 1. Not calibrated probabilities",
  })
  raceScores?: Record<string, number>;

  static override from(face: AnalyzedFace): AnalyzedFaceDto {
    const { box: _b, landmarks: _l, detectionScore: _s, alignmentScore: _a, ...rest } = face;
    const { presentationAttack: _p, ...attributes } = rest;
    return { ...FaceDto.from(face), ...attributes };
  }
}

/** Answer of POST /v1/analyze. */
export class AnalyzeResponseDto extends ImageResultDto {
  @ApiProperty({
    type: [AnalyzedFaceDto],
    description: 'Selected faces, largest first; empty if no face was found',
  })
  faces!: AnalyzedFaceDto[];

  @ApiRequestId()
  requestId!: string;

  static from(result: Analysis, requestId: string): AnalyzeResponseDto {
    const faces = result.faces.map(AnalyzedFaceDto.from);
    return { ...ImageResultDto.fieldsOf(result), faces, requestId };
  }
}
