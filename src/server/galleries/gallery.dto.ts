import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean, IsInt, Max, Min, ValidateIf } from 'class-validator';
import { TARGET_RANGE } from '../../face/thresholds';
import { GALLERY_RANGES } from '../../gallery/gallery-rules';
import { DEFAULT_GALLERY_SETTINGS } from '../../gallery/gallery.options';
import {
  ENROLLMENT_GATES,
  type EnrollmentGate,
  type Gallery,
  type GallerySettings,
  type Metadata,
} from '../../gallery/gallery.types';
import {
  EXAMPLE_CONTRACT,
  EXAMPLE_DIMENSIONS,
  EXAMPLE_EMBEDDER,
  EXAMPLE_THRESHOLD,
} from '../http/openapi/examples';
import { IsModelName } from '../http/dto/face-options.dto';
import { ApiRequestId } from '../http/dto/face.dto';
import { IsDecimal, OptionalField } from '../http/request/validation';
import {
  ApiMetadata,
  ApiNextCursor,
  ApiTime,
  EXAMPLE_GALLERY_ID,
  GATE_DESCRIPTION,
  IsEnrollmentGate,
  IsGalleryId,
  IsMetadata,
  isoTime,
} from './fields';

const THRESHOLD_DESCRIPTION =
  'Maximum cosine distance of a match, [0, 2], inclusive. Overrides the target rates; null: derived from them';
const TARGET_FMR_DESCRIPTION =
  'False match rate of a verification (1:1), from which the threshold is derived; null: FACE_TARGET_FMR. Requires a calibrated embedder';
const TARGET_FPIR_DESCRIPTION =
  'False positive identification rate (1:N): maximum share of searches for unknown people that return a candidate. The threshold is derived from it and the number of subjects, so that it tightens as the gallery grows; null: FACE_TARGET_FPIR. Requires a calibrated embedder';

const MAX_SUBJECTS_DESCRIPTION =
  'Maximum number of subjects, with and without references. A limit below the current count only blocks new subjects. null: same as `capacity`';
const MAX_AGE_DESCRIPTION =
  'Maximum age of a reference in seconds after its enrollment. An older one never matches and is purged, along with a subject of that age that has no other reference. Applies to existing references too. null: no limit';
/** A year. */
const EXAMPLE_MAX_AGE_SECONDS = 31_536_000;
const SINCE_LAST_MATCH_DESCRIPTION =
  'Maximum time in seconds since the last match or enrollment of a subject, after which it never matches and is purged. While set, the time of the last match is stored for each subject; it can be early by up to a day or a tenth of the limit. null: no limit, and match times are not stored';
/** Ninety days. */
const EXAMPLE_SINCE_LAST_MATCH_SECONDS = 7_776_000;

const KEEP_CROPS_DESCRIPTION =
  'Whether to store a crop of the face with each new reference of an image, so that the gallery can be migrated to another embedder. Only the admin export of a subject contains the crops. false: existing crops are erased';

/** Property: an error rate, or `null` for that of the service. */
function IsTargetOrNull(description: string, example: number): PropertyDecorator {
  const [minimum, maximum] = TARGET_RANGE;
  return applyDecorators(
    ValidateIf((_dto, value) => value !== undefined && value !== null),
    IsDecimal(),
    Min(minimum),
    Max(maximum),
    ApiPropertyOptional({ type: Number, nullable: true, minimum, maximum, example, description }),
  );
}

/** Property: a limit, or `null` for the default. */
function IsLimitOrNull(
  name: 'maxSubjects' | 'maxAgeSeconds' | 'sinceLastMatchSeconds',
  description: string,
  example: number,
): PropertyDecorator {
  const [minimum, maximum] = GALLERY_RANGES[name];
  return applyDecorators(
    ValidateIf((_dto, value) => value !== undefined && value !== null),
    IsInt(),
    Min(minimum),
    Max(maximum),
    ApiPropertyOptional({ type: 'integer', nullable: true, minimum, maximum, example, description }),
  );
}

/** Body of PATCH /v1/galleries/{galleryId}; absent fields stay unchanged. */
export class GallerySettingsDto implements Partial<GallerySettings> {
  /** Cosine distance, [0, 2], inclusive; `null`: derived from the target rates. */
  @ValidateIf((_dto, value) => value !== undefined && value !== null)
  @IsDecimal()
  @Min(GALLERY_RANGES.threshold[0])
  @Max(GALLERY_RANGES.threshold[1])
  @ApiPropertyOptional({
    type: Number,
    nullable: true,
    minimum: GALLERY_RANGES.threshold[0],
    maximum: GALLERY_RANGES.threshold[1],
    example: EXAMPLE_THRESHOLD,
    description: THRESHOLD_DESCRIPTION,
  })
  threshold?: number | null;

  /** False match rate in 1:1; `null`: that of the service. */
  @IsTargetOrNull(TARGET_FMR_DESCRIPTION, 1e-5)
  targetFmr?: number | null;

  /** False positive identification rate in 1:N; `null`: that of the service. */
  @IsTargetOrNull(TARGET_FPIR_DESCRIPTION, 0.001)
  targetFpir?: number | null;

  /** Maximum number of references. */
  @OptionalField()
  @IsInt()
  @Min(GALLERY_RANGES.capacity[0])
  @Max(GALLERY_RANGES.capacity[1])
  @ApiPropertyOptional({
    type: 'integer',
    minimum: GALLERY_RANGES.capacity[0],
    maximum: GALLERY_RANGES.capacity[1],
    example: DEFAULT_GALLERY_SETTINGS.capacity,
    description:
      'Maximum number of references. A limit below the current count only blocks new ones. Default: FACE_GALLERY_CAPACITY',
  })
  capacity?: number;

  /** Maximum number of subjects; `null`: same as `capacity`. */
  @IsLimitOrNull('maxSubjects', MAX_SUBJECTS_DESCRIPTION, DEFAULT_GALLERY_SETTINGS.capacity)
  maxSubjects?: number | null;

  /** Maximum number of references per subject. */
  @OptionalField()
  @IsInt()
  @Min(GALLERY_RANGES.maxReferencesPerSubject[0])
  @Max(GALLERY_RANGES.maxReferencesPerSubject[1])
  @ApiPropertyOptional({
    type: 'integer',
    minimum: GALLERY_RANGES.maxReferencesPerSubject[0],
    maximum: GALLERY_RANGES.maxReferencesPerSubject[1],
    example: DEFAULT_GALLERY_SETTINGS.maxReferencesPerSubject,
    description: 'Maximum number of references per subject. Default: FACE_GALLERY_MAX_REFERENCES_PER_SUBJECT',
  })
  maxReferencesPerSubject?: number;

  /** Strictness of the quality check before enrollment. */
  @IsEnrollmentGate(DEFAULT_GALLERY_SETTINGS.enrollmentGate)
  enrollmentGate?: EnrollmentGate;

  /** Seconds; `null`: no limit. */
  @IsLimitOrNull('maxAgeSeconds', MAX_AGE_DESCRIPTION, EXAMPLE_MAX_AGE_SECONDS)
  maxAgeSeconds?: number | null;

  /** Seconds; `null`: no limit, and match times are not stored. */
  @IsLimitOrNull('sinceLastMatchSeconds', SINCE_LAST_MATCH_DESCRIPTION, EXAMPLE_SINCE_LAST_MATCH_SECONDS)
  sinceLastMatchSeconds?: number | null;

  /** Whether face crops are stored. */
  @OptionalField()
  @IsBoolean({ message: '$property must be true or false' })
  @ApiPropertyOptional({
    example: true,
    description: `${KEEP_CROPS_DESCRIPTION}. Default: FACE_GALLERY_KEEP_CROPS`,
  })
  keepCrops?: boolean;

  /** Replaces the metadata completely. */
  @IsMetadata('Custom metadata; replaces the previous metadata completely')
  metadata?: Metadata;
}

/** Body of POST /v1/galleries. */
export class CreateGalleryDto extends GallerySettingsDto {
  /** Id of the new gallery. */
  @IsGalleryId()
  id!: string;

  /** Name of a loaded embedder, whose contract the gallery is permanently bound to. */
  @IsModelName(
    'Name of a loaded embedder, see /v1/models, whose contract the gallery is permanently bound to. Default: the first loaded one',
    EXAMPLE_EMBEDDER,
  )
  embedder?: string;
}

/** A gallery. */
export class GalleryDto {
  @ApiProperty({ example: EXAMPLE_GALLERY_ID })
  id!: string;

  @ApiProperty({
    example: EXAMPLE_CONTRACT,
    description: 'Contract of its embeddings, see /v1/models; never changes',
  })
  contract!: string;

  @ApiProperty({
    type: 'integer',
    minimum: 1,
    example: EXAMPLE_DIMENSIONS,
    description: 'Length of its embeddings',
  })
  dimensions!: number;

  @ApiProperty({ type: Number, nullable: true, example: null, description: THRESHOLD_DESCRIPTION })
  threshold!: number | null;

  @ApiProperty({ type: Number, nullable: true, example: null, description: TARGET_FMR_DESCRIPTION })
  targetFmr!: number | null;

  @ApiProperty({ type: Number, nullable: true, example: null, description: TARGET_FPIR_DESCRIPTION })
  targetFpir!: number | null;

  @ApiProperty({
    type: 'integer',
    minimum: 1,
    example: DEFAULT_GALLERY_SETTINGS.capacity,
    description: 'Maximum number of references',
  })
  capacity!: number;

  @ApiProperty({ type: 'integer', nullable: true, example: null, description: MAX_SUBJECTS_DESCRIPTION })
  maxSubjects!: number | null;

  @ApiProperty({
    type: 'integer',
    minimum: 1,
    example: DEFAULT_GALLERY_SETTINGS.maxReferencesPerSubject,
    description: 'Maximum number of references per subject',
  })
  maxReferencesPerSubject!: number;

  @ApiProperty({
    enum: ENROLLMENT_GATES,
    example: DEFAULT_GALLERY_SETTINGS.enrollmentGate,
    description: GATE_DESCRIPTION,
  })
  enrollmentGate!: EnrollmentGate;

  @ApiProperty({ type: 'integer', nullable: true, example: null, description: MAX_AGE_DESCRIPTION })
  maxAgeSeconds!: number | null;

  @ApiProperty({ type: 'integer', nullable: true, example: null, description: SINCE_LAST_MATCH_DESCRIPTION })
  sinceLastMatchSeconds!: number | null;

  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable: true,
    example: null,
    description: 'Start of storing match times: no subject counts as unmatched for longer; null: not stored',
  })
  matchesSince!: string | null;

  @ApiProperty({ example: false, description: KEEP_CROPS_DESCRIPTION })
  keepCrops!: boolean;

  @ApiMetadata('Custom metadata')
  metadata!: Metadata;

  @ApiProperty({ type: 'integer', minimum: 0, example: 812, description: 'Number of subjects' })
  subjectCount!: number;

  @ApiProperty({ type: 'integer', minimum: 0, example: 2310, description: 'Number of references' })
  referenceCount!: number;

  @ApiTime('Time of creation')
  createdAt!: string;

  @ApiTime('Time of the last change of its settings')
  updatedAt!: string;

  static from(gallery: Gallery): GalleryDto {
    const { id, contract, dimensions, threshold, targetFmr, targetFpir, capacity, maxSubjects } = gallery;
    const { maxReferencesPerSubject, enrollmentGate, maxAgeSeconds, sinceLastMatchSeconds } = gallery;
    const { keepCrops, metadata } = gallery;
    const matchesSince = gallery.matchesSince == null ? null : isoTime(gallery.matchesSince);
    const limits = { maxAgeSeconds, sinceLastMatchSeconds, matchesSince };
    const { subjectCount, referenceCount } = gallery;
    const targets = { threshold, targetFmr, targetFpir };
    const settings = {
      ...targets,
      capacity,
      maxSubjects,
      maxReferencesPerSubject,
      enrollmentGate,
      ...limits,
      keepCrops,
      metadata,
    };
    const times = { createdAt: isoTime(gallery.createdAt), updatedAt: isoTime(gallery.updatedAt) };
    return { id, contract, dimensions, ...settings, subjectCount, referenceCount, ...times };
  }
}

/** Response with one gallery. */
export class GalleryResponseDto extends GalleryDto {
  @ApiRequestId()
  requestId!: string;
}

/** Response of GET /v1/galleries. */
export class GalleriesResponseDto {
  @ApiProperty({ type: [GalleryDto] })
  galleries!: GalleryDto[];

  @ApiNextCursor()
  nextCursor!: string | null;

  @ApiRequestId()
  requestId!: string;
}

/** A body that can be sent as it is. */
export const CREATE_GALLERY_EXAMPLE = { id: 'staff' };
