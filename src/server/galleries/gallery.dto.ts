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
  EXAMPLE_REQUEST_ID,
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
  EXAMPLE_TIME_MS,
  GATE_DESCRIPTION,
  IsEnrollmentGate,
  IsGalleryId,
  IsMetadata,
  isoTime,
} from './fields';

const THRESHOLD_DESCRIPTION =
  'Largest cosine distance at which a subject is a candidate or verifies, [0, 2], inclusive. It wins over the target rates; ' +
  'null: they decide';
const TARGET_FMR_DESCRIPTION =
  'False match rate of a comparison with one subject (1:1), from which the threshold follows; null: FACE_TARGET_FMR. Needs an ' +
  'embedder with a calibration';
const TARGET_FPIR_DESCRIPTION =
  'Share of searches for strangers that may find somebody (1:N). The threshold follows from it and from the number of subjects, ' +
  'so that it tightens as the gallery grows; null: FACE_TARGET_FPIR. Needs an embedder with a calibration';

const MAX_SUBJECTS_DESCRIPTION =
  'Most subjects, with and without references. One below what is there already keeps new ones out. null: as many as `capacity`';
const MAX_AGE_DESCRIPTION =
  'Seconds for which a reference is held after its enrollment; then it never matches and is purged, and a subject that is as ' +
  'old and has no other reference goes too. It holds for what is there already. null: no limit';
/** A year. */
const EXAMPLE_MAX_AGE_SECONDS = 31_536_000;
const SINCE_LAST_MATCH_DESCRIPTION =
  'Seconds for which a subject is held after it last matched or was enrolled; then it never matches and is purged. While it is ' +
  'set, the time of the last match is kept for each subject, up to a day or a tenth of the limit before the true time. null: ' +
  'no limit, and no times are kept';
/** Ninety days. */
const EXAMPLE_SINCE_LAST_MATCH_SECONDS = 7_776_000;

const KEEP_CROPS_DESCRIPTION =
  'Whether a picture of the face is held with each reference that is made of an image from now on, so that the gallery can be ' +
  'moved to another embedder. It leaves the service in the export of a subject for administrators alone. false: none is held, ' +
  'and those that are held are erased';

/** Property: an error rate; `null` for that of the service. */
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

/** Property: a limit; `null` for none of its own. */
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

/** Body of PATCH /v1/galleries/{galleryId}: what is absent stays. */
export class GallerySettingsDto implements Partial<GallerySettings> {
  /** Cosine distance, [0, 2], inclusive; `null`: by the target rates. */
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

  /** Most references. */
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
      'Most references. One below what is there already keeps new ones out. Default: FACE_GALLERY_CAPACITY',
  })
  capacity?: number;

  /** Most subjects; `null`: as many as `capacity`. */
  @IsLimitOrNull('maxSubjects', MAX_SUBJECTS_DESCRIPTION, DEFAULT_GALLERY_SETTINGS.capacity)
  maxSubjects?: number | null;

  /** Most references of one subject. */
  @OptionalField()
  @IsInt()
  @Min(GALLERY_RANGES.maxReferencesPerSubject[0])
  @Max(GALLERY_RANGES.maxReferencesPerSubject[1])
  @ApiPropertyOptional({
    type: 'integer',
    minimum: GALLERY_RANGES.maxReferencesPerSubject[0],
    maximum: GALLERY_RANGES.maxReferencesPerSubject[1],
    example: DEFAULT_GALLERY_SETTINGS.maxReferencesPerSubject,
    description: 'Most references of one subject. Default: FACE_GALLERY_MAX_REFERENCES_PER_SUBJECT',
  })
  maxReferencesPerSubject?: number;

  /** How strictly images are looked at before they become references. */
  @IsEnrollmentGate(DEFAULT_GALLERY_SETTINGS.enrollmentGate)
  enrollmentGate?: EnrollmentGate;

  /** Seconds; `null`: no limit. */
  @IsLimitOrNull('maxAgeSeconds', MAX_AGE_DESCRIPTION, EXAMPLE_MAX_AGE_SECONDS)
  maxAgeSeconds?: number | null;

  /** Seconds; `null`: no limit, and no times of matches are kept. */
  @IsLimitOrNull('sinceLastMatchSeconds', SINCE_LAST_MATCH_DESCRIPTION, EXAMPLE_SINCE_LAST_MATCH_SECONDS)
  sinceLastMatchSeconds?: number | null;

  /** Whether pictures of the faces are held. */
  @OptionalField()
  @IsBoolean({ message: '$property must be true or false' })
  @ApiPropertyOptional({
    example: true,
    description: `${KEEP_CROPS_DESCRIPTION}. Default: FACE_GALLERY_KEEP_CROPS`,
  })
  keepCrops?: boolean;

  /** Replaces the metadata as a whole. */
  @IsMetadata('Whatever is to be noted down; replaces what was there as a whole')
  metadata?: Metadata;
}

/** Body of POST /v1/galleries. */
export class CreateGalleryDto extends GallerySettingsDto {
  /** Id of the new gallery. */
  @IsGalleryId()
  id!: string;

  /** Name of a loaded embedder, to whose contract the gallery is bound for good. */
  @IsModelName(
    'Name of a loaded embedder, see /v1/models, to whose contract the gallery is bound for good. Default: the first one loaded',
    EXAMPLE_EMBEDDER,
  )
  embedder?: string;
}

/** A gallery as it is. */
export class GalleryDto {
  @ApiProperty({ example: EXAMPLE_GALLERY_ID })
  id!: string;

  @ApiProperty({
    example: EXAMPLE_CONTRACT,
    description: 'Contract of every embedding in it, see /v1/models; never changes',
  })
  contract!: string;

  @ApiProperty({
    type: 'integer',
    minimum: 1,
    example: EXAMPLE_DIMENSIONS,
    description: 'Length of every embedding in it',
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
    description: 'Most references',
  })
  capacity!: number;

  @ApiProperty({ type: 'integer', nullable: true, example: null, description: MAX_SUBJECTS_DESCRIPTION })
  maxSubjects!: number | null;

  @ApiProperty({
    type: 'integer',
    minimum: 1,
    example: DEFAULT_GALLERY_SETTINGS.maxReferencesPerSubject,
    description: 'Most references of one subject',
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
    description:
      'Since when times of matches are kept: no subject counts as unmatched for longer; null: they are not',
  })
  matchesSince!: string | null;

  @ApiProperty({ example: false, description: KEEP_CROPS_DESCRIPTION })
  keepCrops!: boolean;

  @ApiMetadata('As it was sent')
  metadata!: Metadata;

  @ApiProperty({ type: 'integer', minimum: 0, example: 812, description: 'Subjects in it' })
  subjectCount!: number;

  @ApiProperty({ type: 'integer', minimum: 0, example: 2310, description: 'References in it' })
  referenceCount!: number;

  @ApiTime('When it was made')
  createdAt!: string;

  @ApiTime('When its settings were last changed')
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

/** Answer about one gallery. */
export class GalleryResponseDto extends GalleryDto {
  @ApiRequestId()
  requestId!: string;
}

/** Answer of GET /v1/galleries. */
export class GalleriesResponseDto {
  @ApiProperty({ type: [GalleryDto] })
  galleries!: GalleryDto[];

  @ApiNextCursor()
  nextCursor!: string | null;

  @ApiRequestId()
  requestId!: string;
}

/** Bodies that can be pasted as they are. */
export const CREATE_GALLERY_EXAMPLES = {
  id: { summary: 'With the settings of the service', value: { id: 'staff' } },
  settings: {
    summary: 'With settings of its own',
    value: {
      id: 'visitors',
      embedder: EXAMPLE_EMBEDDER,
      threshold: 0.5,
      capacity: 5000,
      maxReferencesPerSubject: 5,
      enrollmentGate: 'strict',
      metadata: { site: 'berlin' },
    },
  },
};

export const GALLERY_SETTINGS_EXAMPLES = {
  threshold: { summary: 'A threshold of its own', value: { threshold: 0.5 } },
  target: { summary: 'Fewer strangers who are named', value: { threshold: null, targetFpir: 0.001 } },
  retention: {
    summary: 'A year after the enrollment at most',
    value: { maxAgeSeconds: EXAMPLE_MAX_AGE_SECONDS },
  },
  reset: {
    summary: 'The target rates of the service again',
    value: { threshold: null, targetFmr: null, targetFpir: null },
  },
};

const GALLERY_EXAMPLE = GalleryDto.from({
  ...DEFAULT_GALLERY_SETTINGS,
  id: EXAMPLE_GALLERY_ID,
  contract: EXAMPLE_CONTRACT,
  dimensions: EXAMPLE_DIMENSIONS,
  subjectCount: 812,
  referenceCount: 2310,
  createdAt: EXAMPLE_TIME_MS,
  updatedAt: EXAMPLE_TIME_MS,
});

export const GALLERY_ANSWER: GalleryResponseDto = { ...GALLERY_EXAMPLE, requestId: EXAMPLE_REQUEST_ID };

export const GALLERIES_ANSWER: GalleriesResponseDto = {
  galleries: [GALLERY_EXAMPLE],
  nextCursor: null,
  requestId: EXAMPLE_REQUEST_ID,
};
