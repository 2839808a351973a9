import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsInt, IsNotEmpty, IsString, Matches, Max, MaxLength, Min } from 'class-validator';
import type { EngineStatus, ModelStatus, ProcessMemory } from '../../face/face-model';
import { IDLE_TTL_RANGE } from '../../face/face.options';
import { EXAMPLE_EMBEDDER } from '../http/openapi/examples';
import { ApiRequestId } from '../http/dto/face.dto';
import { ModelStatusDto } from '../http/dto/model-status.dto';
import { IsDecimal, OptionalField } from '../http/request/validation';

const BYTES = { type: 'integer', minimum: 0 } as const;
const COUNT = { type: 'integer', minimum: 0 } as const;

/** Name of a model in the path. */
export class ModelNameDto {
  /** Name of its card. */
  @IsString()
  @IsNotEmpty()
  @MaxLength(100)
  @ApiProperty({ example: EXAMPLE_EMBEDDER, maxLength: 100, description: 'Name of a model with a card' })
  name!: string;
}

/** Body of POST /admin/models/{name}/load. */
export class LoadModelDto {
  /** Idle time in milliseconds after which the model is unloaded. */
  @OptionalField()
  @IsDecimal()
  @IsInt()
  @Min(IDLE_TTL_RANGE[0])
  @Max(IDLE_TTL_RANGE[1])
  @ApiPropertyOptional({
    type: 'integer',
    minimum: IDLE_TTL_RANGE[0],
    maximum: IDLE_TTL_RANGE[1],
    description:
      'Idle time in milliseconds after which the model is unloaded. Default: FACE_IDLE_TTLS, or never',
  })
  idleTtlMs?: number;
}

/** Body of POST /admin/models/{name}/swap. */
export class SwapModelDto {
  /** Name of the replacement. */
  @IsString()
  @IsNotEmpty()
  @MaxLength(100)
  @ApiProperty({
    maxLength: 100,
    description: 'Replacement, a model of the same task. The same name reloads a changed card or file',
  })
  replacement!: string;
}

/** Response to a model change. */
export class ModelResponseDto {
  @ApiProperty({ type: ModelStatusDto })
  model!: ModelStatusDto;

  @ApiRequestId()
  requestId!: string;

  static from(model: ModelStatus, requestId: string): ModelResponseDto {
    return { model, requestId };
  }
}

/** Memory of a process. */
export class ProcessMemoryDto implements ProcessMemory {
  @ApiProperty({ ...BYTES, example: 92_274_688, description: 'Private memory, bytes' })
  privateBytes!: number;

  @ApiProperty({
    ...BYTES,
    example: 83_886_080,
    description: 'Memory mapped from files, bytes; all workers share the memory of the weights',
  })
  sharedBytes!: number;
}

/** One inference worker. */
export class WorkerDto {
  @ApiProperty({ type: 'integer', nullable: true, example: 4211, description: 'Process id' })
  pid!: number | null;

  @ApiProperty({
    enum: ['starting', 'idle', 'busy', 'retiring'],
    example: 'idle',
    description: 'retiring: finishes its current image with a previous set of models, then exits',
  })
  state!: EngineStatus['workers'][number]['state'];

  @ApiProperty({ type: ProcessMemoryDto, nullable: true, description: 'null if it cannot be read' })
  memory!: ProcessMemoryDto | null;
}

/** Queue of images in front of the workers. */
export class QueueDto {
  @ApiProperty({ ...COUNT, example: 3, description: 'Images waiting' })
  length!: number;

  @ApiProperty({ ...BYTES, example: 912_384, description: 'Bytes in use' })
  bytes!: number;

  @ApiProperty({ ...COUNT, example: 256, description: 'Maximum number of waiting images' })
  maxLength!: number;

  @ApiProperty({ ...BYTES, example: 268_435_456, description: 'Maximum bytes of waiting images' })
  maxBytes!: number;

  @ApiProperty({ ...COUNT, example: 2, description: 'Images in progress' })
  running!: number;
}

/** Content of the cache, and its statistics since the start. */
export class CacheDto {
  @ApiProperty({ ...COUNT, example: 1500, description: 'Results in the cache' })
  entries!: number;

  @ApiProperty({ ...BYTES, example: 2_400_000, description: 'Bytes in use' })
  bytes!: number;

  @ApiProperty({ ...BYTES, example: 67_108_864, description: 'Maximum bytes of the cache' })
  maxBytes!: number;

  @ApiProperty({ ...COUNT, example: 820, description: 'Images answered from the cache' })
  hits!: number;

  @ApiProperty({
    ...COUNT,
    example: 12,
    description: 'Images that shared the result of the same image in progress',
  })
  shared!: number;

  @ApiProperty({ ...COUNT, example: 1511, description: 'Images processed' })
  misses!: number;
}

/** Memory estimate, which decides whether a model can be loaded. */
export class MemoryDto {
  @ApiProperty({
    ...BYTES,
    example: 524_288_000,
    description: 'Estimated memory of the server, its workers and models, bytes',
  })
  reckonedBytes!: number;

  @ApiProperty({ ...BYTES, example: 20_615_843_020, description: 'Memory budget, bytes' })
  budgetBytes!: number;
}

/** Answer of GET /admin/status. */
export class StatusResponseDto implements EngineStatus {
  @ApiProperty({ type: [WorkerDto] })
  workers!: WorkerDto[];

  @ApiProperty({ ...COUNT, example: 0, description: 'Workers that exited and were replaced since the start' })
  workerRestarts!: number;

  @ApiProperty({ type: QueueDto })
  queue!: QueueDto;

  @ApiProperty({ type: CacheDto, nullable: true, description: 'null if FACE_CACHE is off' })
  cache!: CacheDto | null;

  @ApiProperty({ type: MemoryDto })
  memory!: MemoryDto;

  @ApiRequestId()
  requestId!: string;
}

/** Image in the path of a purge. */
export class ImageHashDto {
  /** Hexadecimal sha256 of the encoded image. */
  @Matches(/^[0-9a-f]{64}$/, { message: '$property must be 64 lowercase hexadecimal digits' })
  @ApiProperty({
    example: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    description: 'Hexadecimal sha256 of the encoded image',
  })
  imageSha256!: string;
}

/** Response to a purge. */
export class PurgeResponseDto {
  @ApiProperty({ ...COUNT, example: 1500, description: 'Results removed' })
  purged!: number;

  @ApiRequestId()
  requestId!: string;
}
