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

/** Property: which faces of an image count. */
export function IsFaceSelection(byDefault: FaceSelection): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsIn(FACE_SELECTIONS),
    ApiPropertyOptional({
      enum: FACE_SELECTIONS,
      default: byDefault,
      description:
        'Which faces count. best: the largest; centerLargest: the largest near the center; single: the only one, several are an error; all: every one',
    }),
  );
}

/** Property: how many faces count. */
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
        'At most this many faces, largest first. Default and upper bound: FACE_MAX_FACES of the service',
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
        'false: the face is cut out by its box and not turned. Such embeddings have a contract of their own, and compare ' +
        'only with each other',
    }),
  );
}

export const TARGET_FMR_DESCRIPTION =
  "False match rate (1:1): the threshold is the one at which strangers verify so often, by the embedder's calibration. Needs an " +
  'embedder that has one, see /v1/models';

/** Property: an error rate that the threshold follows from. */
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

/** Property: how near to the threshold a distance is for review. */
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
        'Distances within `threshold ± reviewMargin` get the decision `review`, in the unit of the metric; `verified` does not ' +
        'change. Default: FACE_REVIEW_MARGIN of the service; 0: nothing is for review',
    }),
  );
}

/** Property: what is done about presentation attacks. */
export function IsPresentationAttack(): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsIn(PRESENTATION_ATTACK_POLICIES),
    ApiPropertyOptional({
      enum: PRESENTATION_ATTACK_POLICIES,
      example: 'report',
      description:
        'Presentation attacks: pictures of a face, on paper or a screen, and masks. report: each face of an image has a score ' +
        'and a label; require: PRESENTATION_ATTACK_SUSPECTED where a face is not labeled real; off: nothing. Embeddings are ' +
        'not judged. Default: FACE_PRESENTATION_ATTACK of the service',
    }),
  );
}

/** Options of every route that looks for faces. */
export class DetectorOptionsDto {
  /** Name of a loaded detector. */
  @IsModelName('Name of a loaded detector, see /v1/models. Default: the first one loaded', EXAMPLE_DETECTOR)
  detector?: string;

  /** Overrides the score of the detector's card, [0, 1], inclusive. Less than 0.1 counts as 0.1. */
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
      'Faces below this detection score are passed over, [0, 1], inclusive. Less than 0.1 counts as 0.1. Default: that of the ' +
      'detector',
  })
  minDetectionScore?: number;

  /** When the whole image is taken for the one face. */
  @OptionalField()
  @IsIn(WHOLE_IMAGE_MODES)
  @ApiPropertyOptional({
    enum: WHOLE_IMAGE_MODES,
    default: 'never',
    description:
      'When the whole image is taken for the one face, without landmarks, at detection score 0. always: no detector is ' +
      'run; ifNoFace: where none is found, or none that is aligned. For images that are a face and little else',
  })
  wholeImage?: WholeImageMode;

  /** Whether the other turns of a photo are tried. */
  @OptionalField()
  @IsTrueOrFalse()
  @ApiPropertyOptional({
    type: Boolean,
    default: true,
    description:
      'Whether a photo is also looked at turned by 90, 180 and 270 degrees where its faces do not look upright. false: as the ' +
      'file shows it (EXIF applied)',
  })
  autoRotate?: boolean;
}

/** Options of the routes that answer with a list of faces. */
export class FaceOptionsDto extends DetectorOptionsDto {
  /** Which faces count. */
  @IsFaceSelection('all')
  faceSelection: FaceSelection = 'all';

  /** At most this many faces, largest first. */
  @IsMaxFaces()
  maxFaces?: number;

  /** Shorter side of a box in pixels of the image as the file shows it. */
  @OptionalField()
  @IsDecimal()
  @Min(0)
  @ApiPropertyOptional({
    type: Number,
    minimum: 0,
    example: 0,
    description: 'Faces whose shorter box side is under this many pixels are passed over. Default: 0',
  })
  minFaceSize?: number;
}
