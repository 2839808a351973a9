import { Body, Controller, Delete, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Scopes } from '../http/auth/scopes.decorator';
import { FaceModel } from '../../face/face-model';
import {
  ADMIN_ERRORS,
  ApiFaceErrors,
  JSON_BODY_ERRORS,
  type RequestErrorCode,
} from '../http/errors/api-errors.decorator';
import { ModelsResponseDto } from '../http/dto/model-status.dto';
import { JsonBody } from '../http/request/json-body';
import { RequestId } from '../http/request/request-id';
import {
  ImageHashDto,
  LoadModelDto,
  ModelNameDto,
  ModelResponseDto,
  PurgeResponseDto,
  StatusResponseDto,
  SwapModelDto,
} from './admin.dto';

const CHANGE_ERRORS: readonly RequestErrorCode[] = [...ADMIN_ERRORS, 'PARAMETER_INVALID', 'MODEL_UNKNOWN'];
const LOAD_ERRORS: readonly RequestErrorCode[] = [
  ...CHANGE_ERRORS,
  ...JSON_BODY_ERRORS,
  'MODEL_LOAD_FAILED',
  'MEMORY_BUDGET_EXCEEDED',
];

/** Operations on a running service. Model changes run one at a time; a request is answered once its change is done. */
@ApiTags('Model administration')
@Scopes('admin')
@Controller('admin')
export class AdminController {
  constructor(private readonly model: FaceModel) {}

  @Get('status')
  @ApiOperation({
    summary: 'Workers, queue, cache, memory',
    description: 'Workers, queue, cache and memory.',
  })
  @ApiOkResponse({
    description: 'Current state',
    type: StatusResponseDto,
  })
  @ApiFaceErrors(ADMIN_ERRORS)
  async getStatus(@RequestId() requestId: string): Promise<StatusResponseDto> {
    return { ...(await this.model.status()), requestId };
  }

  @Get('models')
  @ApiOperation({
    summary: 'List the models',
    description: 'State, loads, memory, runs and latency of each model, as in /v1/models.',
  })
  @ApiOkResponse({
    description: 'Every model with a card',
    type: ModelsResponseDto,
  })
  @ApiFaceErrors(ADMIN_ERRORS)
  listAdminModels(@RequestId() requestId: string): ModelsResponseDto {
    return ModelsResponseDto.from(this.model, requestId);
  }

  @Post('models/:name/load')
  @HttpCode(200)
  @JsonBody({ type: LoadModelDto })
  @ApiOperation({
    summary: 'Load a model',
    description:
      'Starts new workers with the model loaded and warm, then replaces the current ones. If that fails, nothing changes. A loaded model is left as it is.',
  })
  @ApiOkResponse({ description: 'Loaded', type: ModelResponseDto })
  @ApiFaceErrors(LOAD_ERRORS)
  async loadModel(
    @Param() { name }: ModelNameDto,
    @Body() options: LoadModelDto,
    @RequestId() requestId: string,
  ): Promise<ModelResponseDto> {
    return ModelResponseDto.from(await this.model.loadModel(name, options), requestId);
  }

  @Post('models/:name/warm')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Warm a model',
    description:
      'Runs the model once in every worker, so that the first request after a long idle time is not slow.',
  })
  @ApiOkResponse({ description: 'Warmed', type: ModelResponseDto })
  @ApiFaceErrors([...CHANGE_ERRORS, 'MODEL_NOT_LOADED'])
  async warmModel(
    @Param() { name }: ModelNameDto,
    @RequestId() requestId: string,
  ): Promise<ModelResponseDto> {
    return ModelResponseDto.from(await this.model.warmModel(name), requestId);
  }

  @Post('models/:name/unload')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Unload a model',
    description:
      'New requests that name the model are rejected; running ones finish. The response is sent when the memory is released.',
  })
  @ApiOkResponse({ description: 'Unloaded', type: ModelResponseDto })
  @ApiFaceErrors([...CHANGE_ERRORS, 'MODEL_NOT_LOADED', 'MODEL_IN_USE', 'MEMORY_BUDGET_EXCEEDED'])
  async unloadModel(
    @Param() { name }: ModelNameDto,
    @RequestId() requestId: string,
  ): Promise<ModelResponseDto> {
    return ModelResponseDto.from(await this.model.unloadModel(name), requestId);
  }

  @Post('models/:name/swap')
  @HttpCode(200)
  @JsonBody({ type: SwapModelDto })
  @ApiOperation({
    summary: 'Replace a loaded model with another one',
    description:
      'The new model is loaded and warmed beside the old one, then replaces it, also as the default. Running requests finish with the old model. If loading fails, the old model stays in use.',
  })
  @ApiOkResponse({
    description: 'State of the new model',
    type: ModelResponseDto,
  })
  @ApiFaceErrors([...LOAD_ERRORS, 'MODEL_NOT_LOADED', 'MODEL_IN_USE'])
  async swapModel(
    @Param() { name }: ModelNameDto,
    @Body() { replacement }: SwapModelDto,
    @RequestId() requestId: string,
  ): Promise<ModelResponseDto> {
    return ModelResponseDto.from(await this.model.swapModel(name, replacement), requestId);
  }

  @Delete('cache')
  @ApiOperation({
    summary: 'Purge the cache',
    description: 'Removes all cached results, including those still being computed.',
  })
  @ApiOkResponse({ description: 'Purged', type: PurgeResponseDto })
  @ApiFaceErrors(ADMIN_ERRORS)
  purgeCache(@RequestId() requestId: string): PurgeResponseDto {
    return { purged: this.model.purgeCache(), requestId };
  }

  @Delete('cache/:imageSha256')
  @ApiOperation({
    summary: 'Purge the cached results of one image',
    description: 'The image is identified by the SHA-256 of its encoded bytes.',
  })
  @ApiOkResponse({ description: 'Purged', type: PurgeResponseDto })
  @ApiFaceErrors([...ADMIN_ERRORS, 'PARAMETER_INVALID'])
  purgeImage(@Param() { imageSha256 }: ImageHashDto, @RequestId() requestId: string): PurgeResponseDto {
    return { purged: this.model.purgeCache(imageSha256), requestId };
  }
}
