import { applyDecorators } from '@nestjs/common';
import { ApiPropertyOptional } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import {
  ArrayNotEmpty,
  Equals,
  IsBoolean,
  IsIn,
  IsInt,
  IsNotEmpty,
  IsString,
  MaxLength,
  Min,
} from 'class-validator';
import { MAX_METADATA_VALUE_LENGTH } from '../../gallery/gallery-rules';
import { IsDecimal, OptionalField } from '../http/request/validation';
import { type Metric, METRICS } from '../../pipeline/face.types';
import { type Action, ACTIONS } from './model-names';
import { EXAMPLE_DETECTOR, EXAMPLE_EMBEDDER } from '../http/openapi/examples';

const SEARCH_METHODS = ['exact', 'ann'] as const;
export type SearchMethod = (typeof SEARCH_METHODS)[number];

/** What DeepFace calls its preprocessing; here it is a matter of the model's card. */
const NORMALIZATIONS = ['base', 'raw', 'Facenet', 'Facenet2018', 'VGGFace', 'VGGFace2', 'ArcFace'] as const;

const FLAGS = new Map<unknown, boolean>([
  ['true', true],
  ['1', true],
  [1, true],
  ['false', false],
  ['0', false],
  [0, false],
]);

/** Property: true or false as it reads, in the spellings of JSON, of forms and of Python. */
function IsFlag(description: string, byDefault?: boolean): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    Transform(({ obj, key }: { obj: Record<string, unknown>; key: string }) => {
      const value = obj[key];
      return FLAGS.get(typeof value === 'string' ? value.toLowerCase() : value) ?? value;
    }),
    IsBoolean({ message: '$property must be true or false' }),
    ApiPropertyOptional({ type: Boolean, default: byDefault, description }),
  );
}

function IsName(description: string, example: string): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsString(),
    MaxLength(100),
    ApiPropertyOptional({ type: String, maxLength: 100, description, example }),
  );
}

function IsModel(): PropertyDecorator {
  return IsName(
    'A model of DeepFace, or a card of this service. Default: the default embedder of the service',
    EXAMPLE_EMBEDDER,
  );
}

function IsDistanceMetric(): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsIn(METRICS),
    ApiPropertyOptional({ enum: METRICS, default: 'cosine', description: 'Measure of the distance' }),
  );
}

/** Fields of every route that looks for faces. */
export class DeepfaceOptionsDto {
  /** A detector. */
  @IsName(
    'A detector of DeepFace, a card of this service, or skip: the whole image is the face. Default: the default detector of the service',
    EXAMPLE_DETECTOR,
  )
  detector_backend?: string;

  /** Whether an image without a face is an error. */
  @IsFlag('false: where no face is found, the whole image is the face', true)
  enforce_detection = true;

  /** Whether faces are turned upright before they are looked at. */
  @IsFlag('false: faces are cut out by their boxes and not turned; /analyze does not read it', true)
  align = true;

  /** Whether faces that may be pictures or masks are an error. */
  @IsFlag(
    'true: an image with a face that may be a picture or a mask of one is an error. Default: as FACE_PRESENTATION_ATTACK of ' +
      'the service says',
  )
  anti_spoofing?: boolean;
}

/** Body of POST /verify beside the images. */
export class DeepfaceVerifyDto extends DeepfaceOptionsDto {
  /** An embedder. */
  @IsModel()
  model_name?: string;

  /** Measure of the distance. */
  @IsDistanceMetric()
  distance_metric: Metric = 'cosine';

  /** Largest distance that verifies, inclusive. */
  @OptionalField()
  @IsDecimal()
  @Min(0)
  @ApiPropertyOptional({
    type: Number,
    minimum: 0,
    description:
      'Largest distance that verifies, inclusive; 0 is allowed. Default: that of DeepFace for model and metric',
  })
  threshold?: number;
}

/** Body of POST /represent beside the image. */
export class DeepfaceRepresentDto extends DeepfaceOptionsDto {
  /** An embedder. */
  @IsModel()
  model_name?: string;

  /** How many faces are answered. */
  @OptionalField()
  @IsDecimal()
  @IsInt()
  @Min(1)
  @ApiPropertyOptional({ type: 'integer', minimum: 1, description: 'At most this many faces, largest first' })
  max_faces?: number;
}

/** Body of POST /analyze beside the image. */
export class DeepfaceAnalyzeDto extends DeepfaceOptionsDto {
  /** What is estimated. */
  @OptionalField()
  @Transform(({ value }: { value: unknown }) => actionsOf(value))
  @ArrayNotEmpty({ message: '$property must name one at least' })
  @IsIn(Object.keys(ACTIONS), {
    each: true,
    message: `$property must be of ${Object.keys(ACTIONS).join(', ')}`,
  })
  @ApiPropertyOptional({
    type: [String],
    enum: Object.keys(ACTIONS),
    description:
      'What is estimated, or text such as "[age, gender]". Default: all that a loaded model estimates',
    example: ['age', 'gender'],
  })
  actions?: Action[];
}

/** Body of POST /build/index. */
export class DeepfaceIndexDto {
  /** An embedder. */
  @IsModel()
  model_name?: string;

  /** A detector. */
  @IsName('A detector of DeepFace, or a card of this service', EXAMPLE_DETECTOR)
  detector_backend?: string;

  /** As the faces were registered. */
  @IsFlag('As the faces were registered', true)
  align = true;

  /** As the faces were registered. */
  @IsFlag('As the faces were registered', false)
  l2_normalize = false;
}

/** Fields that /register and /search share. */
export class DeepfaceStoreDto extends DeepfaceOptionsDto {
  /** An embedder: each has a store of its own. */
  @IsModel()
  model_name?: string;

  /** Whether embeddings are brought to length 1. */
  @IsFlag('Bring embeddings to length 1. Registered faces are found by searches with the same setting', false)
  l2_normalize = false;

  /** Boxes are as the detector gives them. */
  @OptionalField()
  @IsDecimal()
  @Equals(0, { message: '$property must be 0: boxes are not enlarged here' })
  @ApiPropertyOptional({ type: 'integer', default: 0, description: 'Other values than 0 are refused' })
  expand_percentage = 0;

  /** The card of a model says how its input is normalized. */
  @OptionalField()
  @IsIn(NORMALIZATIONS)
  @ApiPropertyOptional({
    enum: NORMALIZATIONS,
    default: 'base',
    description: 'Has no effect: the card of a model says how its input is normalized',
  })
  normalization: (typeof NORMALIZATIONS)[number] = 'base';
}

/** Body of POST /register beside the image. */
export class DeepfaceRegisterDto extends DeepfaceStoreDto {
  /** Name of the image. */
  @OptionalField()
  @IsString()
  @IsNotEmpty()
  @MaxLength(MAX_METADATA_VALUE_LENGTH)
  @ApiPropertyOptional({
    type: String,
    maxLength: MAX_METADATA_VALUE_LENGTH,
    example: 'ada.jpg',
    description: 'What /search answers for the faces of the image. Default: a UUID for each face',
  })
  img_name?: string;
}

/** Body of POST /search beside the image. */
export class DeepfaceSearchDto extends DeepfaceStoreDto {
  /** Measure of the distance. */
  @IsDistanceMetric()
  distance_metric: Metric = 'cosine';

  /** Both are exact. */
  @OptionalField()
  @IsIn(SEARCH_METHODS)
  @ApiPropertyOptional({ enum: SEARCH_METHODS, default: 'exact', description: 'Both look at every face' })
  search_method: SearchMethod = 'exact';

  /** Whether faces beyond the threshold are answered too. */
  @IsFlag('true: faces beyond the threshold too', false)
  similarity_search = false;

  /** How many registered faces are answered for each face of the image. */
  @OptionalField()
  @IsDecimal()
  @IsInt()
  @ApiPropertyOptional({
    type: 'integer',
    description:
      'Most registered faces for each face of the image, closest first; 0 and less stand for no limit',
  })
  k?: number;
}

/** A list of names, or text such as `[age, 'gender']`, each once. */
function actionsOf(value: unknown): unknown {
  const list: unknown = typeof value === 'string' ? value.split(',') : value;
  if (!Array.isArray(list)) return list;
  const plain = list.map((item: unknown) =>
    typeof item === 'string' ? item.replace(/[[\]()"'\s]/g, '') : item,
  );
  return [...new Set(plain.filter((item) => item !== ''))];
}
