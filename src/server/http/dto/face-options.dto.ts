import { applyDecorators } from '@nestjs/common';
import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsInt, IsNotEmpty, IsString, Max, MaxLength, Min } from 'class-validator';
import { FACE_OPTION_RANGES } from '../../../face/face.options';
import { TARGET_RANGE } from '../../../face/thresholds';
import {
  FACE_SELECTIONS,
  type FaceSelection,
  PRESENTATION_ATTACK_POLICIES,
  WHOLE_IMAGE_MODES,
  type WholeImageMode,
} from '../../../pipeline/face.types';
import { EXAMPLE_DETECTOR } from '../openapi/examples';
import { IsDecimal, IsTrueOrFalse, OptionalField } from '../request/validation';

/** Property: name of a loaded model. */
export function IsModelName(description: string, example: string): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsString(),
    IsNotEmpty(),
    MaxLength(100),
    ApiPropertyOptional({ type: String, maxLength: 100, description, example }),
  );
}

/** Property: selection among several faces of an image. */
export function IsFaceSelection(byDefault: FaceSelection): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsIn(FACE_SELECTIONS),
    ApiPropertyOptional({
      enum: FACE_SELECTIONS,
      default: byDefault,
      description:
        'Selection among several faces. best: the largest; centerLargest: the largest near the center; single: the only one, several are an error; all: every face',
    }),
  );
}

/** Property: maximum number of faces. */
export function IsMaxFaces(): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsDecimal(),
    IsInt(),
    Min(1),
    Max(FACE_OPTION_RANGES.maxFaces[1]),
    ApiPropertyOptional({
      type: 'integer',
      minimum: 1,
      maximum: FACE_OPTION_RANGES.maxFaces[1],
      example: 10,
      description:
        'Maximum number of faces, largest first. Default and upper limit: FACE_MAX_FACES of the service',
    }),
  );
}

/** Property: whether faces are aligned before they are embedded. */
export function IsAlign(): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsTrueOrFalse(),
    ApiPropertyOptional({
      type: Boolean,
      default: true,
      description:
        'false: the face is cropped by its box without alignment. Such embeddings have their own contract and compare only with each other',
    }),
  );
}

export const TARGET_FMR_DESCRIPTION =
  'False match rate (1:1) from which the threshold is derived, by the calibration of the embedder. Requires a calibrated embedder, see /v1/models';

/** Property: an error rate from which the threshold is derived. */
export function IsTargetRate(description: string, example: number): PropertyDecorator {
  const [minimum, maximum] = TARGET_RANGE;
  return applyDecorators(
    OptionalField(),
    IsDecimal(),
    Min(minimum),
    Max(maximum),
    ApiPropertyOptional({ type: Number, minimum, maximum, example, description }),
  );
}

/** Property: distance from the threshold within which a result needs review. */
export function IsReviewMargin(maximum?: number): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsDecimal(),
    Min(0),
    ...(maximum == null ? [] : [Max(maximum)]),
    ApiPropertyOptional({
      type: Number,
      minimum: 0,
      ...(maximum == null ? {} : { maximum }),
      example: 0.05,
      description:
        'Margin around the threshold, in the unit of the metric: distances within `threshold ± reviewMargin` get the decision `review`; `verified` does not change. Default: FACE_REVIEW_MARGIN of the service; 0: no reviews',
    }),
  );
}

/** Property: policy for presentation attacks. */
export function IsPresentationAttack(): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsIn(PRESENTATION_ATTACK_POLICIES),
    ApiPropertyOptional({
      enum: PRESENTATION_ATTACK_POLICIES,
      example: 'report',
      description:
        'Policy for presentation attacks: pictures of a face on paper or a screen, and masks. report: adds a score and a label to each face of an image; require: fails with PRESENTATION_ATTACK_SUSPECTED if a face is not labeled real; off: no check. Embeddings are not checked. Default: FACE_PRESENTATION_ATTACK of the service',
    }),
  );
}

/** Options of every route that detects faces. */
export class DetectorOptionsDto {
  /** Name of a loaded detector. */
  @IsModelName('Name of a loaded detector, see /v1/models. Default: the first loaded one', EXAMPLE_DETECTOR)
  detector?: string;

  /** Minimum detection score, [0, 1], inclusive; overrides the detector's card. Less than 0.1 counts as 0.1. */
  @OptionalField()
  @IsDecimal()
  @Min(0)
  @Max(1)
  @ApiPropertyOptional({
    type: Number,
    minimum: 0,
    maximum: 1,
    example: 0.6,
    description:
      'Minimum detection score of a face, [0, 1], inclusive. Less than 0.1 counts as 0.1. Default: that of the ' +
      'detector',
  })
  minDetectionScore?: number;

  /** When to treat the whole image as the face. */
  @OptionalField()
  @IsIn(WHOLE_IMAGE_MODES)
  @ApiPropertyOptional({
    enum: WHOLE_IMAGE_MODES,
    default: 'never',
    description:
      'When to treat the whole image as the face, without landmarks and with detection score 0. always: no detector runs; ifNoFace: if no face is found, or none can be aligned. For images that show little more than a face',
  })
  wholeImage?: WholeImageMode;

  /** Whether to correct the rotation of a photo. */
  @OptionalField()
  @IsTrueOrFalse()
  @ApiPropertyOptional({
    type: Boolean,
    default: true,
    description:
      'Whether to also try a photo rotated by 90, 180 and 270 degrees if its faces are not upright. false: only the orientation of the file (EXIF applied)',
  })
  autoRotate?: boolean;
}

/** Options of the routes that return a list of faces. */
export class FaceOptionsDto extends DetectorOptionsDto {
  /** Selection among several faces. */
  @IsFaceSelection('all')
  faceSelection: FaceSelection = 'all';

  /** Maximum number of faces, largest first. */
  @IsMaxFaces()
  maxFaces?: number;

  /** Minimum length of the shorter box side, in pixels of the upright image. */
  @OptionalField()
  @IsDecimal()
  @Min(0)
  @ApiPropertyOptional({
    type: Number,
    minimum: 0,
    example: 0,
    description: 'Minimum length of the shorter box side of a face, in pixels. Default: 0',
  })
  minFaceSize?: number;
}
