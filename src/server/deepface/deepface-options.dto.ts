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

/** DeepFace's names of its preprocessing, which is defined here by the model's card. */
const NORMALIZATIONS = ['base', 'raw', 'Facenet', 'Facenet2018', 'VGGFace', 'VGGFace2', 'ArcFace'] as const;

const FLAGS = new Map<unknown, boolean>([
  ['true', true],
  ['1', true],
  [1, true],
  ['false', false],
  ['0', false],
  [0, false],
]);

/** Property: true or false, in the spelling of JSON, forms or Python. */
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

/** @param byDefault - when the default embedder is used. */
function IsModel(byDefault = 'Default, also for names of DeepFace that are not loaded'): PropertyDecorator {
  return IsName(
    `DeepFace's name of an embedder, or of a model card. ${byDefault}: the default embedder`,
    EXAMPLE_EMBEDDER,
  );
}

function IsDistanceMetric(): PropertyDecorator {
  return applyDecorators(
    OptionalField(),
    IsIn(METRICS),
    ApiPropertyOptional({ enum: METRICS, default: 'cosine', description: 'Distance metric' }),
  );
}

/** Fields of every route that detects faces. */
export class DeepfaceOptionsDto {
  /** A detector. */
  @IsName(
    "DeepFace's name of a detector, the name of a model card, or skip: the whole image is the face. Default, also for names of DeepFace that are not loaded: the default detector. x-likeness-substitute in the response names what was used instead",
    EXAMPLE_DETECTOR,
  )
  detector_backend?: string;

  /** Whether an image without a face is an error. */
  @IsFlag('false: if no face is found, the whole image is the face', true)
  enforce_detection = true;

  /** Whether faces are aligned before they are embedded. */
  @IsFlag('false: faces are cropped by their boxes without alignment; ignored by /analyze', true)
  align = true;

  /** Whether suspected presentation attacks are an error. */
  @IsFlag(
    'true: a face that is suspected to be a picture or a mask is an error. Default: FACE_PRESENTATION_ATTACK of the service',
  )
  anti_spoofing?: boolean;
}

/** Body of POST /verify without the images. */
export class DeepfaceVerifyDto extends DeepfaceOptionsDto {
  /** An embedder. */
  @IsModel()
  model_name?: string;

  /** Distance metric. */
  @IsDistanceMetric()
  distance_metric: Metric = 'cosine';

  /** Threshold, inclusive. */
  @OptionalField()
  @IsDecimal()
  @Min(0)
  @ApiPropertyOptional({
    type: Number,
    minimum: 0,
    description:
      "Maximum distance of a match, inclusive; 0 is allowed; rejected with a model_name that is not loaded. Default: DeepFace's threshold for model and metric, otherwise that of the card",
  })
  threshold?: number;
}

/** Body of POST /represent without the image. */
export class DeepfaceRepresentDto extends DeepfaceOptionsDto {
  /** An embedder. */
  @IsModel('Default')
  model_name?: string;

  /** Maximum number of faces in the response. */
  @OptionalField()
  @IsDecimal()
  @IsInt()
  @Min(1)
  @ApiPropertyOptional({ type: 'integer', minimum: 1, description: 'Maximum number of faces, largest first' })
  max_faces?: number;
}

/** Body of POST /analyze without the image. */
export class DeepfaceAnalyzeDto extends DeepfaceOptionsDto {
  /** Attributes to estimate. */
  @OptionalField()
  @Transform(({ value }: { value: unknown }) => actionsOf(value))
  @ArrayNotEmpty({ message: '$property must have at least one item' })
  @IsIn(Object.keys(ACTIONS), {
    each: true,
    message: `$property must be of ${Object.keys(ACTIONS).join(', ')}`,
  })
  @ApiPropertyOptional({
    type: [String],
    enum: Object.keys(ACTIONS),
    description:
      'Attributes to estimate, as a list or text such as "[age, gender]". Default: all four. x-likeness-omitted in the response names those without a model, which are left out',
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
  @IsName("DeepFace's name of a detector, or the name of a model card", EXAMPLE_DETECTOR)
  detector_backend?: string;

  /** Value used to register the faces. */
  @IsFlag('Value used to register the faces', true)
  align = true;

  /** Value used to register the faces. */
  @IsFlag('Value used to register the faces', false)
  l2_normalize = false;
}

/** Fields that /register and /search share. */
export class DeepfaceStoreDto extends DeepfaceOptionsDto {
  /** An embedder: each has its own store. */
  @IsModel()
  model_name?: string;

  /** Whether embeddings are normalized to length 1. */
  @IsFlag('Normalize embeddings to length 1. Searches find faces registered with the same setting', false)
  l2_normalize = false;

  /** Boxes are never enlarged. */
  @OptionalField()
  @IsDecimal()
  @Equals(0, { message: '$property must be 0: boxes cannot be enlarged' })
  @ApiPropertyOptional({ type: 'integer', default: 0, description: 'Must be 0: boxes cannot be enlarged' })
  expand_percentage = 0;

  /** The card of a model defines the normalization of its input. */
  @OptionalField()
  @IsIn(NORMALIZATIONS)
  @ApiPropertyOptional({
    enum: NORMALIZATIONS,
    default: 'base',
    description: 'Has no effect: the card of a model defines the normalization of its input',
  })
  normalization: (typeof NORMALIZATIONS)[number] = 'base';
}

/** Body of POST /register without the image. */
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
    description: 'Name that /search returns for the faces of the image. Default: a UUID per face',
  })
  img_name?: string;
}

/** Body of POST /search without the image. */
export class DeepfaceSearchDto extends DeepfaceStoreDto {
  /** Distance metric. */
  @IsDistanceMetric()
  distance_metric: Metric = 'cosine';

  /** Both search methods are exact. */
  @OptionalField()
  @IsIn(SEARCH_METHODS)
  @ApiPropertyOptional({
    enum: SEARCH_METHODS,
    default: 'exact',
    description: 'Both methods compare every face',
  })
  search_method: SearchMethod = 'exact';

  /** Whether to return faces beyond the threshold too. */
  @IsFlag('true: also return faces beyond the threshold', false)
  similarity_search = false;

  /** Maximum number of registered faces per face of the image. */
  @OptionalField()
  @IsDecimal()
  @IsInt()
  @ApiPropertyOptional({
    type: 'integer',
    description:
      'Maximum number of registered faces per face of the image, closest first; 0 or less: no limit',
  })
  k?: number;
}

/** Parses a list of names, or text such as `[age, 'gender']`, without duplicates. */
function actionsOf(value: unknown): unknown {
  const list: unknown = typeof value === 'string' ? value.split(',') : value;
  if (!Array.isArray(list)) return list;
  const plain = list.map((item: unknown) =>
    typeof item === 'string' ? item.replace(/[[\]()"'\s]/g, '') : item,
  );
  return [...new Set(plain.filter((item) => item !== ''))];
}
