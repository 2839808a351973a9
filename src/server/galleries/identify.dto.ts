import { ApiProperty, ApiPropertyOptional, PartialType } from '@nestjs/swagger';
import { IsInt, Max, Min } from 'class-validator';
import { REVIEW_MARGIN_RANGE } from '../../face/thresholds';
import { GALLERY_RANGES } from '../../gallery/gallery-rules';
import {
  type Candidate,
  DEFAULT_CANDIDATES,
  type Identification,
  type IdentifiedFace,
  MAX_CANDIDATES,
  type SubjectVerification,
} from '../../gallery/matching/matching.types';
import type { Metadata, MetadataFilter } from '../../gallery/gallery.types';
import {
  EXAMPLE_CONTRACT,
  EXAMPLE_DETECTOR,
  EXAMPLE_DISTANCE,
  EXAMPLE_EMBEDDER,
  EXAMPLE_SIMILARITY,
  EXAMPLE_THRESHOLD,
} from '../http/openapi/examples';
import { EXAMPLE_IMAGE_DATA_URI } from '../http/openapi/example-image';
import { ApiFalseMatchRate, DecisionDto, decisionFields } from '../http/dto/decision.dto';
import {
  DetectorOptionsDto,
  IsFaceSelection,
  IsMaxFaces,
  IsPresentationAttack,
  IsReviewMargin,
  IsTargetRate,
  TARGET_FMR_DESCRIPTION,
} from '../http/dto/face-options.dto';
import { ApiProbeRotation, ApiRequestId, FaceDto, TimingsDto } from '../http/dto/face.dto';
import { IsDecimal, OptionalField } from '../http/request/validation';
import type { FaceSelection, PresentationAttackPolicy } from '../../pipeline/face.types';
import {
  ApiMetadata,
  EXAMPLE_GALLERY_ID,
  EXAMPLE_REFERENCE_ID,
  EXAMPLE_SUBJECT_ID,
  IsFilter,
} from './fields';

const [MIN_THRESHOLD, MAX_THRESHOLD] = GALLERY_RANGES.threshold;

/** Options of both routes. */
export class ProbeOptionsDto extends DetectorOptionsDto {
  /**
   * Faces of the probe to use. With `all`, verification decides by the closest face, identification returns every face.
   */
  @IsFaceSelection('best')
  faceSelection: FaceSelection = 'best';

  /** Cosine distance, [0, 2], inclusive. */
  @OptionalField()
  @IsDecimal()
  @Min(MIN_THRESHOLD)
  @Max(MAX_THRESHOLD)
  @ApiPropertyOptional({
    type: Number,
    minimum: MIN_THRESHOLD,
    maximum: MAX_THRESHOLD,
    example: EXAMPLE_THRESHOLD,
    description:
      'Maximum cosine distance of a match, inclusive; 0 is allowed. Overrides a target rate. Default: that of the gallery, otherwise derived from the target rate of the gallery or the service',
  })
  threshold?: number;

  /** Policy for presentation attacks. */
  @IsPresentationAttack()
  presentationAttack?: PresentationAttackPolicy;
}

/** Body of POST .../subjects/{subjectId}/verify without `probe`. */
export class VerifySubjectDto extends ProbeOptionsDto {
  /** False match rate from which the threshold is derived. */
  @IsTargetRate(TARGET_FMR_DESCRIPTION, 1e-5)
  targetFmr?: number;

  /** Distance from the threshold within which a result needs review. */
  @IsReviewMargin(REVIEW_MARGIN_RANGE[1])
  reviewMargin?: number;
}

/** Body of POST .../identify without `probe`. */
export class IdentifyOptionsDto extends ProbeOptionsDto {
  /** False positive identification rate from which the threshold is derived. */
  @IsTargetRate(
    'False positive identification rate (1:N): maximum share of searches for unknown people that return a candidate. The threshold is derived from it, the number of subjects and the calibration of the embedder. Requires a calibrated embedder, see /v1/models',
    0.001,
  )
  targetFpir?: number;

  /** Maximum number of faces, largest first. */
  @IsMaxFaces()
  maxFaces?: number;

  /** Maximum number of candidates per face. */
  @OptionalField()
  @IsDecimal()
  @IsInt()
  @Min(1)
  @Max(MAX_CANDIDATES)
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: MAX_CANDIDATES,
    default: DEFAULT_CANDIDATES,
    description: 'Maximum number of candidates per face',
  })
  limit: number = DEFAULT_CANDIDATES;

  /** Filter of subjects by metadata. */
  @IsFilter()
  filter?: MetadataFilter;
}

/** A subject within the threshold. */
export class CandidateDto implements Omit<Candidate, 'distance'> {
  @ApiProperty({ type: 'integer', minimum: 1, example: 1, description: 'Rank from 1, the most similar' })
  rank!: number;

  @ApiProperty({ example: EXAMPLE_SUBJECT_ID })
  subjectId!: string;

  @ApiProperty({ example: EXAMPLE_REFERENCE_ID, description: 'Most similar reference of the subject' })
  referenceId!: string;

  @ApiProperty({
    type: Number,
    nullable: true,
    minimum: 0,
    maximum: 2,
    example: EXAMPLE_DISTANCE,
    description: 'Cosine distance, [0, 2]; null for keys without access to distances',
  })
  distance!: number | null;

  @ApiProperty({
    minimum: -1,
    maximum: 1,
    example: EXAMPLE_SIMILARITY,
    description:
      'Cosine similarity, [-1, 1]; rounded to one decimal place for keys without access to distances',
  })
  similarity!: number;

  @ApiFalseMatchRate('the embedder has no calibration, or the face of the probe was not aligned')
  falseMatchRate!: number | null;

  @ApiMetadata('Metadata of the subject')
  metadata!: Metadata;
}

/** A face of the probe with its candidates. */
export class IdentifiedFaceDto {
  @ApiProperty({ type: FaceDto, nullable: true, description: 'null if the probe is an embedding' })
  face!: FaceDto | null;

  @ApiProperty({ example: false, description: 'true if no subject is within the threshold' })
  unknown!: boolean;

  @ApiProperty({ type: [CandidateDto], description: 'Subjects within the threshold, most similar first' })
  candidates!: CandidateDto[];

  static from({ face, unknown, candidates }: IdentifiedFace): IdentifiedFaceDto {
    return { face: face && FaceDto.from(face), unknown, candidates };
  }
}

/** Milliseconds per stage; image stages are absent for an embedding. */
export class IdentifyTimingsDto extends PartialType(TimingsDto) {
  @ApiProperty({ example: 0.7, description: 'Search of the gallery for all faces, milliseconds' })
  searchMs!: number;
}

/** Response of POST .../identify. */
export class IdentifyResponseDto {
  @ApiProperty({ type: [IdentifiedFaceDto], description: 'Selected faces of the probe, largest first' })
  faces!: IdentifiedFaceDto[];

  @ApiProperty({
    minimum: 0,
    example: EXAMPLE_THRESHOLD,
    description: 'Applied threshold: maximum cosine distance of a candidate, inclusive',
  })
  threshold!: number;

  @ApiProperty({
    type: Number,
    nullable: true,
    example: 0.01,
    description:
      'False positive identification rate from which the threshold was derived, with the number of subjects; null if a threshold was given or the embedder has no calibration. For a gallery beyond the range of the calibration, the smallest threshold of the calibration applies',
  })
  targetFpir!: number | null;

  @ApiProperty({ example: EXAMPLE_GALLERY_ID })
  galleryId!: string;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 2310,
    description: 'References in the gallery; the more, the more likely is a false candidate',
  })
  galleryReferenceCount!: number;

  @ApiProbeRotation()
  rotation!: number | null;

  @ApiProperty({
    type: String,
    nullable: true,
    example: EXAMPLE_DETECTOR,
    description: 'null if no detector ran',
  })
  detector!: string | null;

  @ApiProperty({ example: EXAMPLE_EMBEDDER, description: 'Embedder of the gallery' })
  embedder!: string;

  @ApiProperty({ example: EXAMPLE_CONTRACT, description: 'Contract of the gallery' })
  contract!: string;

  @ApiProperty({ type: IdentifyTimingsDto })
  timings!: IdentifyTimingsDto;

  @ApiRequestId()
  requestId!: string;

  static from(result: Identification, requestId: string): IdentifyResponseDto {
    const { threshold, targetFpir, galleryId, galleryReferenceCount } = result;
    const { rotation, detector, embedder, contract, timings } = result;
    const faces = result.faces.map(IdentifiedFaceDto.from);
    return {
      faces,
      threshold,
      targetFpir,
      galleryId,
      galleryReferenceCount,
      rotation,
      detector,
      embedder,
      contract,
      timings,
      requestId,
    };
  }
}

/** Response of POST .../subjects/{subjectId}/verify. */
export class VerifySubjectResponseDto extends DecisionDto {
  @ApiProperty({
    type: Number,
    nullable: true,
    minimum: 0,
    maximum: 2,
    example: EXAMPLE_DISTANCE,
    description:
      'Cosine distance to the most similar reference of the subject, [0, 2]; null for keys without access to distances',
  })
  distance!: number | null;

  @ApiProperty({
    minimum: -1,
    maximum: 1,
    example: EXAMPLE_SIMILARITY,
    description:
      'Cosine similarity, [-1, 1]; rounded to one decimal place for keys without access to distances',
  })
  similarity!: number;

  @ApiProperty({
    minimum: 0,
    example: EXAMPLE_THRESHOLD,
    description: 'Applied threshold, inclusive',
  })
  threshold!: number;

  @ApiProperty({ example: EXAMPLE_SUBJECT_ID })
  subjectId!: string;

  @ApiProperty({ example: EXAMPLE_REFERENCE_ID, description: 'Most similar reference' })
  referenceId!: string;

  @ApiProperty({
    type: FaceDto,
    nullable: true,
    description: 'Compared face; null if the probe is an embedding',
  })
  face!: FaceDto | null;

  @ApiProbeRotation()
  rotation!: number | null;

  @ApiProperty({
    type: String,
    nullable: true,
    example: EXAMPLE_DETECTOR,
    description: 'null if no detector ran',
  })
  detector!: string | null;

  @ApiProperty({ example: EXAMPLE_EMBEDDER, description: 'Embedder of the gallery' })
  embedder!: string;

  @ApiProperty({ example: EXAMPLE_CONTRACT, description: 'Contract of the gallery' })
  contract!: string;

  @ApiProperty({ type: TimingsDto, nullable: true, description: 'null if the probe is an embedding' })
  timings!: TimingsDto | null;

  @ApiRequestId()
  requestId!: string;

  static from(result: SubjectVerification, requestId: string): VerifySubjectResponseDto {
    const { distance, similarity, threshold, subjectId, referenceId } = result;
    const { rotation, detector, embedder, contract, timings } = result;
    const face = result.face && FaceDto.from(result.face);
    const comparison = { distance, similarity, threshold, subjectId, referenceId, face, rotation };
    return { ...decisionFields(result), ...comparison, detector, embedder, contract, timings, requestId };
  }
}

/** A body that can be sent as it is. */
export const PROBE_EXAMPLE = { probe: EXAMPLE_IMAGE_DATA_URI };
