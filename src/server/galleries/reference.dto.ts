import { ApiProperty } from '@nestjs/swagger';
import type { FaceQuality, Metadata, Reference } from '../../gallery/gallery.types';
import { EXAMPLE_FACE, EXAMPLE_REQUEST_ID } from '../http/openapi/examples';
import { ApiRequestId } from '../http/dto/face.dto';
import {
  ApiMetadata,
  ApiNextCursor,
  ApiTime,
  EXAMPLE_METADATA,
  EXAMPLE_REFERENCE_ID,
  EXAMPLE_SUBJECT_ID,
  EXAMPLE_TIME_MS,
  IsEnd,
  IsMetadata,
  isoTime,
} from './fields';

/** Degrees that a face is turned, as the five landmarks show it. */
export class PoseDto {
  @ApiProperty({ example: -4.2, description: 'Turned aside, degrees' })
  yaw!: number;

  @ApiProperty({ example: 6.5, description: 'Turned up or down, degrees' })
  pitch!: number;

  @ApiProperty({ example: 0.2, description: 'Rolled, degrees' })
  roll!: number;
}

/** What was seen of the face when it was enrolled. */
export class FaceQualityDto implements FaceQuality {
  @ApiProperty({ minimum: 0, maximum: 1, example: 0.88, description: "Detector's own score, [0, 1]" })
  detectionScore!: number;

  @ApiProperty({ minimum: 0, example: 76.7, description: 'Shorter side of the face box, pixels' })
  faceSizePx!: number;

  @ApiProperty({
    type: Number,
    nullable: true,
    minimum: 0,
    example: 214.6,
    description:
      'Variance of the Laplacian of the aligned face, gray levels squared; small is blurred; null: not measured',
  })
  sharpness!: number | null;

  @ApiProperty({
    type: Number,
    nullable: true,
    minimum: 0,
    maximum: 1,
    example: 0.52,
    description: 'Mean gray level of the aligned face, [0, 1]; null: not measured',
  })
  brightness!: number | null;

  @ApiProperty({ type: PoseDto, nullable: true, description: 'null: not measured' })
  pose!: PoseDto | null;
}

const REFERENCE_END_DESCRIPTION = 'From when on it never matches and is purged; null: never';

/** Body of PATCH .../references/{referenceId}: what is absent stays. */
export class UpdateReferenceDto {
  /** The metadata from now on. */
  @IsMetadata('The metadata from now on, as a whole')
  metadata?: Metadata;

  /** Milliseconds since 1970, UTC; sent as ISO 8601 text. */
  @IsEnd(REFERENCE_END_DESCRIPTION)
  expiresAt?: number | null;
}

/** A reference as it is. Its embedding never leaves by this API. */
export class ReferenceDto {
  @ApiProperty({ example: EXAMPLE_REFERENCE_ID, description: 'Made by the service' })
  id!: string;

  @ApiProperty({ example: EXAMPLE_SUBJECT_ID })
  subjectId!: string;

  @ApiMetadata('As it was sent')
  metadata!: Metadata;

  @ApiProperty({ type: FaceQualityDto, nullable: true, description: 'null where an embedding was enrolled' })
  quality!: FaceQualityDto | null;

  @ApiProperty({
    type: String,
    nullable: true,
    example: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    description: 'sha256 of the encoded image; null where an embedding was enrolled',
  })
  imageHash!: string | null;

  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable: true,
    example: null,
    description: REFERENCE_END_DESCRIPTION,
  })
  expiresAt!: string | null;

  @ApiProperty({ example: false, description: 'Whether a picture of the face is held with it' })
  hasCrop!: boolean;

  @ApiTime('When it was enrolled')
  createdAt!: string;

  /** Names what goes out: a stored reference has its embedding with it. */
  static from(reference: Reference): ReferenceDto {
    const { id, subjectId, metadata, quality, imageHash, expiresAt, hasCrop, createdAt } = reference;
    const end = expiresAt == null ? null : isoTime(expiresAt);
    return {
      id,
      subjectId,
      metadata,
      quality,
      imageHash,
      expiresAt: end,
      hasCrop,
      createdAt: isoTime(createdAt),
    };
  }
}

/** Answer about one reference. */
export class ReferenceResponseDto extends ReferenceDto {
  @ApiRequestId()
  requestId!: string;
}

/** Answer of GET .../references. */
export class ReferencesResponseDto {
  @ApiProperty({
    type: [ReferenceDto],
    description: 'Those of the subject, the first enrolled first',
  })
  references!: ReferenceDto[];

  @ApiNextCursor()
  nextCursor!: string | null;

  @ApiRequestId()
  requestId!: string;
}

export const STORED_REFERENCE_EXAMPLE: Reference = {
  id: EXAMPLE_REFERENCE_ID,
  subjectId: EXAMPLE_SUBJECT_ID,
  metadata: EXAMPLE_METADATA,
  quality: {
    detectionScore: EXAMPLE_FACE.detectionScore,
    faceSizePx: EXAMPLE_FACE.box.width,
    sharpness: 214.6,
    brightness: 0.52,
    pose: { yaw: -4.2, pitch: 6.5, roll: 0.2 },
  },
  imageHash: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  expiresAt: null,
  hasCrop: false,
  createdAt: EXAMPLE_TIME_MS,
};
const REFERENCE_EXAMPLE = ReferenceDto.from(STORED_REFERENCE_EXAMPLE);

export const REFERENCE_ANSWER: ReferenceResponseDto = { ...REFERENCE_EXAMPLE, requestId: EXAMPLE_REQUEST_ID };

export const REFERENCES_ANSWER: ReferencesResponseDto = {
  references: [REFERENCE_EXAMPLE],
  nextCursor: null,
  requestId: EXAMPLE_REQUEST_ID,
};
