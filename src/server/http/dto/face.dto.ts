import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { ComparedImage, EmbeddingInput } from '../../../face/represent-input';
import {
  type BoundingBox,
  CACHE_OUTCOMES,
  type CacheOutcome,
  type FaceDetection,
  type Landmarks,
  type Point,
  PRESENTATION_ATTACK_LABELS,
  type PresentationAttack,
  type PresentationAttackLabel,
  type StageTimings,
} from '../../../pipeline/face.types';
import { ROTATIONS } from '../../../pipeline/image/turn-image';
import { EXAMPLE_DETECTOR } from '../openapi/examples';

const PIXELS = 'pixels of the upright image (EXIF applied), origin top-left; can be outside the image';

/** A point in pixels of the upright image (EXIF applied), origin top-left. */
export class PointDto implements Point {
  @ApiProperty({ example: 61.3, description: `Distance from the left edge, ${PIXELS}` })
  x!: number;

  @ApiProperty({ example: 72.4, description: `Downwards, ${PIXELS}` })
  y!: number;
}

/** Axis-aligned box in pixels of the upright image (EXIF applied), origin top-left. */
export class BoxDto implements BoundingBox {
  @ApiProperty({ example: 38, description: `Left edge, ${PIXELS}` })
  x!: number;

  @ApiProperty({ example: 34.8, description: `Top edge, ${PIXELS}` })
  y!: number;

  @ApiProperty({ example: 76.7, description: 'Width in pixels' })
  width!: number;

  @ApiProperty({ example: 91.7, description: 'Height in pixels' })
  height!: number;
}

/** Five points of a face. Left and right refer to the image after its `rotation`, not to the person. */
export class LandmarksDto {
  @ApiProperty({
    type: PointDto,
    description: 'Center of the eye on the left side of the image, with the face upright',
  })
  imageLeftEye!: PointDto;

  @ApiProperty({
    type: PointDto,
    description: 'Center of the eye on the right side of the image, with the face upright',
  })
  imageRightEye!: PointDto;

  @ApiProperty({ type: PointDto, description: 'Tip of the nose' })
  noseTip!: PointDto;

  @ApiProperty({
    type: PointDto,
    description: 'Corner of the mouth on the left side of the image, with the face upright',
  })
  imageLeftMouth!: PointDto;

  @ApiProperty({
    type: PointDto,
    description: 'Corner of the mouth on the right side of the image, with the face upright',
  })
  imageRightMouth!: PointDto;

  static from([
    imageLeftEye,
    imageRightEye,
    noseTip,
    imageLeftMouth,
    imageRightMouth,
  ]: Landmarks): LandmarksDto {
    return { imageLeftEye, imageRightEye, noseTip, imageLeftMouth, imageRightMouth };
  }
}

/** Presentation attack detection for a face: a signal, not proof. */
export class PresentationAttackDto implements PresentationAttack {
  @ApiProperty({
    type: Number,
    nullable: true,
    minimum: 0,
    maximum: 1,
    example: 0.97,
    description:
      'Softmax output for a genuine face, [0, 1]; the mean of several models. Not a calibrated probability. null for insufficient_context',
  })
  score!: number | null;

  @ApiProperty({
    enum: PRESENTATION_ATTACK_LABELS,
    description:
      'real: the score reaches the threshold of the card; otherwise the more likely of print_or_screen and mask; insufficient_context: the image shows too little around the face',
  })
  label!: PresentationAttackLabel;
}

/** A face found in an image. */
export class FaceDto {
  @ApiProperty({ type: BoxDto })
  box!: BoxDto;

  @ApiProperty({
    type: LandmarksDto,
    nullable: true,
    description: 'null if the whole image is the face',
  })
  landmarks!: LandmarksDto | null;

  @ApiProperty({
    minimum: 0,
    maximum: 1,
    example: 0.88,
    description:
      'Score of the detector, [0, 1]. Not comparable between detectors. 0 if the whole image is the face',
  })
  detectionScore!: number;

  @ApiProperty({
    type: Number,
    nullable: true,
    minimum: 0,
    maximum: 1,
    example: 0.99,
    description:
      'Confidence that the face is upright and aligned, from the fit of its landmarks and, if embedded, the length of the raw embedding. Use it to compare faces; it is not a calibrated probability. null if the whole image is the face',
  })
  alignmentScore!: number | null;

  @ApiPropertyOptional({
    type: PresentationAttackDto,
    description: 'Present if presentationAttack is report or require',
  })
  presentationAttack?: PresentationAttackDto;

  static from({ landmarks, ...detection }: FaceDetection): FaceDto {
    const { box, detectionScore, alignmentScore, presentationAttack } = detection;
    const face = {
      box,
      landmarks: landmarks && LandmarksDto.from(landmarks),
      detectionScore,
      alignmentScore,
    };
    return presentationAttack == null ? face : { ...face, presentationAttack };
  }
}

/** An embedding made earlier, instead of an image. */
export class EmbeddingInputDto implements EmbeddingInput {
  @ApiProperty({ type: [Number], description: 'Value returned by /v1/represent' })
  embedding!: number[];

  @ApiProperty({ description: 'Value returned by /v1/represent' })
  contract!: string;

  @ApiPropertyOptional({
    minimum: 0,
    exclusiveMinimum: true,
    default: 1,
    description: 'Value returned by /v1/represent; used by the metric euclidean only',
  })
  embeddingNorm?: number;
}

/** Milliseconds per stage for one image; stages that did not run for this request are 0. */
export class TimingsDto implements StageTimings {
  @ApiProperty({
    example: 0.4,
    description: 'Waiting for a free worker, or for the same image in progress, milliseconds',
  })
  queueMs!: number;

  @ApiProperty({ example: 6.1, description: 'Decoding the image, milliseconds' })
  decodeMs!: number;

  @ApiProperty({ example: 41.7, description: 'Detection, landmarks included, milliseconds' })
  detectMs!: number;

  @ApiProperty({ example: 0.9, description: 'Alignment, milliseconds' })
  alignMs!: number;

  @ApiProperty({ example: 28.3, description: 'Embedding, milliseconds' })
  embedMs!: number;

  @ApiProperty({ example: 0, description: 'Age, gender, expression and race, milliseconds' })
  attributesMs!: number;

  @ApiProperty({ example: 0, description: 'Presentation attack detection, milliseconds' })
  presentationAttackMs!: number;

  @ApiPropertyOptional({
    enum: CACHE_OUTCOMES,
    example: 'miss',
    description:
      'Cache status of the image; absent without a cache. hit: from the cache; shared: from the same image in progress; miss: processed',
  })
  cache?: CacheOutcome;
}

function ApiImageWidth(): PropertyDecorator {
  return ApiProperty({
    type: 'integer',
    example: 160,
    description: 'Width of the upright image (EXIF applied), in pixels',
  });
}

function ApiImageHeight(): PropertyDecorator {
  return ApiProperty({
    type: 'integer',
    example: 160,
    description: 'Height of the upright image (EXIF applied), in pixels',
  });
}

/** Property: rotation of an image. */
function ApiRotation(): PropertyDecorator {
  return ApiProperty({
    type: 'integer',
    enum: ROTATIONS,
    example: 0,
    description:
      'Clockwise rotation in degrees that made the faces upright; coordinates refer to the image before this rotation',
  });
}

/** Property: as {@link ApiRotation}, for a field that can also be an embedding. */
export function ApiProbeRotation(): PropertyDecorator {
  return ApiProperty({
    type: 'integer',
    nullable: true,
    example: 0,
    description:
      'Clockwise rotation in degrees (0, 90, 180 or 270) that made the faces upright; null for an embedding',
  });
}

/** An image whose faces were compared. */
export class ComparedImageDto implements ComparedImage {
  @ApiImageWidth()
  imageWidth!: number;

  @ApiImageHeight()
  imageHeight!: number;

  @ApiRotation()
  rotation!: number;
}

/** Fields of every response about one image. */
export class ImageResultDto {
  @ApiImageWidth()
  imageWidth!: number;

  @ApiImageHeight()
  imageHeight!: number;

  @ApiRotation()
  rotation!: number;

  @ApiProperty({
    exclusiveMinimum: true,
    minimum: 0,
    maximum: 1,
    example: 1,
    description: 'Scale of the image for the detector, (0, 1]; less than 1 if the image was downscaled',
  })
  detectionScale!: number;

  @ApiProperty({
    type: 'integer',
    example: 1,
    description: 'Faces found, before faceSelection and maxFaces; 0 if none was found or no detector ran',
  })
  faceCount!: number;

  @ApiProperty({
    type: String,
    nullable: true,
    example: EXAMPLE_DETECTOR,
    description: 'Name of the detector; null if none ran',
  })
  detector!: string | null;

  @ApiProperty({ type: TimingsDto })
  timings!: TimingsDto;

  /** Copies these fields of a result. */
  static fieldsOf(result: ImageResultDto): ImageResultDto {
    const { imageWidth, imageHeight, rotation, detectionScale, faceCount, detector, timings } = result;
    return { imageWidth, imageHeight, rotation, detectionScale, faceCount, detector, timings };
  }
}

/** Property: id of the request, in every response. */
export function ApiRequestId(): PropertyDecorator {
  return ApiProperty({
    type: String,
    example: '5e1f8a52-3b0c-4c5e-9a54-0d1c0a7c2f11',
    description: 'Value of the x-request-id header',
  });
}
