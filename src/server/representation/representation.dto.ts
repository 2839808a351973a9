import { ApiProperty, getSchemaPath } from '@nestjs/swagger';
import type { Representation } from '../../face/representation.service';
import { ErrorDto } from '../http/errors/error.dto';
import { EXAMPLE_CONTRACT, EXAMPLE_DIMENSIONS, EXAMPLE_EMBEDDER } from '../http/openapi/examples';
import { FaceOptionsDto, IsAlign, IsModelName } from '../http/dto/face-options.dto';
import { ApiRequestId, FaceDto, ImageResultDto } from '../http/dto/face.dto';
import type { RepresentedFace } from '../../pipeline/face.types';

/** Body of POST /v1/represent without `image`. */
export class RepresentOptionsDto extends FaceOptionsDto {
  /** Name of a loaded embedder. */
  @IsModelName('Name of a loaded embedder, see /v1/models. Default: the first loaded one', EXAMPLE_EMBEDDER)
  embedder?: string;

  /** Whether faces are aligned. */
  @IsAlign()
  align?: boolean;
}

/** A face with its embedding. */
export class RepresentedFaceDto extends FaceDto {
  @ApiProperty({
    type: [Number],
    example: [0.041, -0.027, 0.013],
    description: 'Unit vector of `dimensions` numbers, comparable only with embeddings of the same contract',
  })
  embedding!: number[];

  @ApiProperty({
    minimum: 0,
    example: 3.85,
    description: 'Length of the vector before normalization; required by the metric euclidean',
  })
  embeddingNorm!: number;

  static override from(face: RepresentedFace): RepresentedFaceDto {
    return {
      ...FaceDto.from(face),
      embedding: Array.from(face.embedding),
      embeddingNorm: face.embeddingNorm,
    };
  }
}

/** Faces of one image with their embeddings. */
export class RepresentationDto extends ImageResultDto {
  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 0,
    description:
      'Selected faces without an embedding, because their alignment is not good enough for comparison',
  })
  unalignedCount!: number;

  @ApiProperty({ type: [RepresentedFaceDto], description: 'Selected faces that are aligned, largest first' })
  faces!: RepresentedFaceDto[];

  @ApiProperty({ example: EXAMPLE_EMBEDDER, description: 'Name of the embedder' })
  embedder!: string;

  @ApiProperty({ example: EXAMPLE_CONTRACT, description: 'Embeddings compare only under the same contract' })
  contract!: string;

  @ApiProperty({
    type: 'integer',
    minimum: 1,
    example: EXAMPLE_DIMENSIONS,
    description: 'Length of the embeddings',
  })
  dimensions!: number;

  static from(result: Representation): RepresentationDto {
    const { unalignedCount } = result;
    const { name: embedder, contract, dimensions } = result.embedder;
    const faces = result.faces.map(RepresentedFaceDto.from);
    return { ...ImageResultDto.fieldsOf(result), unalignedCount, faces, embedder, contract, dimensions };
  }
}

/** Response of POST /v1/represent for one image. */
export class RepresentResponseDto extends RepresentationDto {
  @ApiRequestId()
  requestId!: string;
}

/** One image of a list that was represented. */
export class RepresentedItemDto extends RepresentationDto {
  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 0,
    description: 'Position of the image in the request, from 0',
  })
  index!: number;
}

/** One image of a list that could not be represented. */
export class FailedItemDto {
  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 1,
    description: 'Position of the image in the request, from 0',
  })
  index!: number;

  @ApiProperty({ type: ErrorDto })
  error!: ErrorDto;
}

/** Response of POST /v1/represent for a list of images. */
export class RepresentListResponseDto {
  @ApiProperty({
    type: 'array',
    items: { oneOf: [{ $ref: getSchemaPath(RepresentedItemDto) }, { $ref: getSchemaPath(FailedItemDto) }] },
    description: 'One result per image, in the order of the request; files before text parts',
  })
  results!: (RepresentedItemDto | FailedItemDto)[];

  @ApiRequestId()
  requestId!: string;
}
