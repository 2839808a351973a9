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

const PIXELS =
  'pixels of the image as the file shows it (EXIF applied), origin top-left; may lie outside the image';

/** A point in pixels of the image as the file shows it (EXIF applied), origin top-left. */
export class PointDto implements Point {
  @ApiProperty({ example: 61.3, description: `To the right, ${PIXELS}` })
  x!: number;

  @ApiProperty({ example: 72.4, description: `Downwards, ${PIXELS}` })
  y!: number;
}

/** Axis-aligned box in pixels of the image as the file shows it (EXIF applied), origin top-left. */
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

/** Five points of a face. Left and right are sides of the image turned by its `rotation`, not of the person. */
export class LandmarksDto {
  @ApiProperty({
    type: PointDto,
    description: 'Center of the eye on the left of the upright face, as the image shows it',
  })
  imageLeftEye!: PointDto;

  @ApiProperty({
    type: PointDto,
    description: 'Center of the eye on the right of the upright face, as the image shows it',
  })
  imageRightEye!: PointDto;

  @ApiProperty({ type: PointDto, description: 'Tip of the nose' })
  noseTip!: PointDto;

  @ApiProperty({
    type: PointDto,
    description: 'Corner of the mouth on the left of the upright face, as the image shows it',
  })
  imageLeftMouth!: PointDto;

  @ApiProperty({
    type: PointDto,
    description: 'Corner of the mouth on the right of the upright face, as the image shows it',
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

/** Whether a face may be a picture or a mask of one: a signal, no proof. */
export class PresentationAttackDto implements PresentationAttack {
  @ApiProperty({
    type: Number,
    nullable: true,
    minimum: 0,
    maximum: 1,
    example: 0.97,
    description:
      'Softmax output for a genuine face, [0, 1]; of several models the mean. No calibrated probability. null without context',
  })
  score!: number | null;

  @ApiProperty({
    enum: PRESENTATION_ATTACK_LABELS,
    description:
      'real: the score is at least that of the card; else the likelier of print_or_screen and mask; insufficient_context: too ' +
      'little of the surroundings is in the image to tell',
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
    description: 'null where the whole image was taken for the face',
  })
  landmarks!: LandmarksDto | null;

  @ApiProperty({
    minimum: 0,
    maximum: 1,
    example: 0.88,
    description:
      "Detector's own score, [0, 1]. Not comparable between detectors. 0 where the whole image was taken for the face",
  })
  detectionScore!: number;

  @ApiProperty({
    type: Number,
    nullable: true,
    minimum: 0,
    maximum: 1,
    example: 0.99,
    description:
      'How likely the face is upright and aligned: how well its points fit a face and, where it was embedded, how long the raw ' +
      'embedding is. For comparing, not a calibrated probability. null where the whole image was taken for the face',
  })
  alignmentScore!: number | null;

  @ApiPropertyOptional({
    type: PresentationAttackDto,
    description: 'Where presentationAttack was report or require',
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
  @ApiProperty({ type: [Number], description: 'As /v1/represent returned it' })
  embedding!: number[];

  @ApiProperty({ description: 'As /v1/represent returned it' })
  contract!: string;

  @ApiPropertyOptional({
    minimum: 0,
    exclusiveMinimum: true,
    default: 1,
    description: 'As /v1/represent returned it; only the metric euclidean uses it',
  })
  embeddingNorm?: number;
}

/** Milliseconds per stage for one image; stages that did not run for this request are 0. */
export class TimingsDto implements StageTimings {
  @ApiProperty({
    example: 0.4,
    description: 'Waiting for a free worker, or for work on the same image under way, milliseconds',
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

  @ApiProperty({ example: 0, description: 'Judging presentation attacks, milliseconds' })
  presentationAttackMs!: number;

  @ApiPropertyOptional({
    enum: CACHE_OUTCOMES,
    example: 'miss',
    description:
      'How the cache took the image; absent where there is none. hit: answered from it; shared: the same image was being ' +
      'worked on already, and this is that answer; miss: worked on',
  })
  cache?: CacheOutcome;
}

function ApiImageWidth(): PropertyDecorator {
  return ApiProperty({
    type: 'integer',
    example: 160,
    description: 'Width of the image as the file shows it (EXIF applied), in pixels',
  });
}

function ApiImageHeight(): PropertyDecorator {
  return ApiProperty({
    type: 'integer',
    example: 160,
    description: 'Height of the image as the file shows it (EXIF applied), in pixels',
  });
}

/** Property: by how much an image was turned. */
function ApiRotation(): PropertyDecorator {
  return ApiProperty({
    type: 'integer',
    enum: ROTATIONS,
    example: 0,
    description:
      'Degrees clockwise by which the image was turned to find its faces upright; coordinates are those of the image as the file ' +
      'shows it',
  });
}

/** Property: as {@link ApiRotation}, of an image in whose place an embedding may come in. */
export function ApiProbeRotation(): PropertyDecorator {
  return ApiProperty({
    type: 'integer',
    nullable: true,
    example: 0,
    description:
      'Degrees clockwise, 0, 90, 180 or 270, by which the image was turned to find its faces upright; null where an embedding ' +
      'came in',
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

/** Fields that every answer about one image has. */
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
    description:
      'Size of the picture that the detector had, as a fraction of the image, (0, 1]: under 1 where it was shrunk before',
  })
  detectionScale!: number;

  @ApiProperty({
    type: 'integer',
    example: 1,
    description:
      'Faces found, before faceSelection and maxFaces; 0 where none was found or none was looked for',
  })
  faceCount!: number;

  @ApiProperty({
    type: String,
    nullable: true,
    example: EXAMPLE_DETECTOR,
    description: 'Name of the detector that was used; null where none was run',
  })
  detector!: string | null;

  @ApiProperty({ type: TimingsDto })
  timings!: TimingsDto;

  /** The fields of a result that all these answers have. */
  static fieldsOf(result: ImageResultDto): ImageResultDto {
    const { imageWidth, imageHeight, rotation, detectionScale, faceCount, detector, timings } = result;
    return { imageWidth, imageHeight, rotation, detectionScale, faceCount, detector, timings };
  }
}

/** Property: id of the request, in every answer. */
export function ApiRequestId(): PropertyDecorator {
  return ApiProperty({
    type: String,
    example: '5e1f8a52-3b0c-4c5e-9a54-0d1c0a7c2f11',
    description: "As in the x-request-id header: the caller's own, where it sent one of /^[\\w.:-]{1,128}$/",
  });
}
