import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsInt, IsNotEmpty, IsString, Matches, Max, MaxLength, Min } from 'class-validator';
import type { EngineStatus, ModelStatus, ProcessMemory } from '../../face/face-model';
import { IDLE_TTL_RANGE } from '../../face/face.options';
import { EXAMPLE_EMBEDDER, EXAMPLE_REQUEST_ID } from '../http/openapi/examples';
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
  /** Milliseconds without a call after which the model is unloaded again. */
  @OptionalField()
  @IsDecimal()
  @IsInt()
  @Min(IDLE_TTL_RANGE[0])
  @Max(IDLE_TTL_RANGE[1])
  @ApiPropertyOptional({
    type: 'integer',
    minimum: IDLE_TTL_RANGE[0],
    maximum: IDLE_TTL_RANGE[1],
    example: 600_000,
    description:
      'Milliseconds without a call after which it is unloaded again. Default: FACE_IDLE_TTLS, or never',
  })
  idleTtlMs?: number;
}

/** Body of POST /admin/models/{name}/swap. */
export class SwapModelDto {
  /** Name of the model that takes its place. */
  @IsString()
  @IsNotEmpty()
  @MaxLength(100)
  @ApiProperty({
    example: EXAMPLE_EMBEDDER,
    maxLength: 100,
    description: 'Model of the same task that takes its place; the same name takes up a changed card or file',
  })
  replacement!: string;
}

/** Answer of a change of models. */
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
  @ApiProperty({ ...BYTES, example: 92_274_688, description: 'Pages of its own, bytes' })
  privateBytes!: number;

  @ApiProperty({
    ...BYTES,
    example: 83_886_080,
    description: 'Pages mapped from files, bytes; weights are the same memory in every worker',
  })
  sharedBytes!: number;
}

/** One inference worker. */
export class WorkerDto {
  @ApiProperty({ type: 'integer', nullable: true, example: 4211, description: 'Number of the process' })
  pid!: number | null;

  @ApiProperty({
    enum: ['starting', 'idle', 'busy', 'retiring'],
    example: 'idle',
    description: 'retiring: finishes its image with models that were unloaded, then ends',
  })
  state!: EngineStatus['workers'][number]['state'];

  @ApiProperty({ type: ProcessMemoryDto, nullable: true, description: 'null where it cannot be read' })
  memory!: ProcessMemoryDto | null;
}

/** Images in front of the workers. */
export class QueueDto {
  @ApiProperty({ ...COUNT, example: 3, description: 'Images that wait' })
  length!: number;

  @ApiProperty({ ...BYTES, example: 912_384, description: 'Their bytes' })
  bytes!: number;

  @ApiProperty({ ...COUNT, example: 256, description: 'Images that may wait' })
  maxLength!: number;

  @ApiProperty({ ...BYTES, example: 268_435_456, description: 'Bytes that may wait' })
  maxBytes!: number;

  @ApiProperty({ ...COUNT, example: 2, description: 'Images that are worked on' })
  running!: number;
}

/** What the cache holds, and how it did since the boot. */
export class CacheDto {
  @ApiProperty({ ...COUNT, example: 1500, description: 'Answers that are kept' })
  entries!: number;

  @ApiProperty({ ...BYTES, example: 2_400_000, description: 'Their bytes' })
  bytes!: number;

  @ApiProperty({ ...BYTES, example: 67_108_864, description: 'Bytes that may be kept' })
  maxBytes!: number;

  @ApiProperty({ ...COUNT, example: 820, description: 'Images answered from the cache' })
  hits!: number;

  @ApiProperty({ ...COUNT, example: 12, description: 'Images that joined the same image under way' })
  shared!: number;

  @ApiProperty({ ...COUNT, example: 1511, description: 'Images that were worked on' })
  misses!: number;
}

/** Memory as it is reckoned before a model is loaded. */
export class MemoryDto {
  @ApiProperty({
    ...BYTES,
    example: 524_288_000,
    description: 'What server, workers and models are reckoned to take, bytes',
  })
  reckonedBytes!: number;

  @ApiProperty({ ...BYTES, example: 20_615_843_020, description: 'What they may take, bytes' })
  budgetBytes!: number;
}

/** Answer of GET /admin/status. */
export class StatusResponseDto implements EngineStatus {
  @ApiProperty({ type: [WorkerDto] })
  workers!: WorkerDto[];

  @ApiProperty({ ...COUNT, example: 0, description: 'Workers that ended and were replaced since the boot' })
  workerRestarts!: number;

  @ApiProperty({ type: QueueDto })
  queue!: QueueDto;

  @ApiProperty({ type: CacheDto, nullable: true, description: 'null where FACE_CACHE is off' })
  cache!: CacheDto | null;

  @ApiProperty({ type: MemoryDto })
  memory!: MemoryDto;

  @ApiRequestId()
  requestId!: string;
}

/** Image in the path of a purge. */
export class ImageHashDto {
  /** Hexadecimal sha256 of the encoded image. */
  @Matches(/^[0-9a-f]{64}$/, { message: '$property must be 64 hexadecimal digits, in small letters' })
  @ApiProperty({
    example: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    description: 'Hexadecimal sha256 of the encoded image',
  })
  imageSha256!: string;
}

/** Answer of a purge. */
export class PurgeResponseDto {
  @ApiProperty({ ...COUNT, example: 1500, description: 'Answers that were forgotten' })
  purged!: number;

  @ApiRequestId()
  requestId!: string;
}

export const STATUS_ANSWER: StatusResponseDto = {
  workers: [
    { pid: 4211, state: 'busy', memory: { privateBytes: 92_274_688, sharedBytes: 83_886_080 } },
    { pid: 4212, state: 'idle', memory: { privateBytes: 90_177_536, sharedBytes: 83_886_080 } },
  ],
  workerRestarts: 0,
  queue: { length: 0, bytes: 0, maxLength: 256, maxBytes: 268_435_456, running: 1 },
  cache: null,
  memory: { reckonedBytes: 524_288_000, budgetBytes: 20_615_843_020 },
  requestId: EXAMPLE_REQUEST_ID,
};
