import { Body, Controller, Delete, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Scopes } from '../http/auth/scopes.decorator';
import { FaceModel } from '../../face/face-model';
import { ADMIN_ERRORS, ApiFaceErrors, JSON_BODY_ERRORS } from '../http/errors/api-errors.decorator';
import type { RequestErrorCode } from '../http/errors/error-examples';
import { EXAMPLE_REQUEST_ID } from '../http/openapi/examples';
import { MODEL_STATUS_EXAMPLE, MODELS_ANSWER, ModelsResponseDto } from '../http/dto/model-status.dto';
import { JsonBody } from '../http/request/json-body';
import { RequestId } from '../http/request/request-id';
import {
  ImageHashDto,
  LoadModelDto,
  ModelNameDto,
  ModelResponseDto,
  PurgeResponseDto,
  STATUS_ANSWER,
  StatusResponseDto,
  SwapModelDto,
} from './admin.dto';

const CHANGE_ERRORS: readonly RequestErrorCode[] = [
  ...ADMIN_ERRORS,
  'PARAMETER_INVALID',
  'MODEL_UNKNOWN',
  'NOT_READY',
];
const LOAD_ERRORS: readonly RequestErrorCode[] = [
  ...CHANGE_ERRORS,
  ...JSON_BODY_ERRORS,
  'MODEL_LOAD_FAILED',
  'MEMORY_BUDGET_EXCEEDED',
];

const MODEL_ANSWER = {
  model: {
    summary: 'The model as it is now',
    value: ModelResponseDto.from(MODEL_STATUS_EXAMPLE, EXAMPLE_REQUEST_ID),
  },
};
const PURGE_ANSWER = {
  purged: { summary: 'What was forgotten', value: { purged: 2, requestId: EXAMPLE_REQUEST_ID } },
};

/** What an operator does while the service runs. Changes of models are made one after the other; answers come when they are done. */
@ApiTags('admin')
@Scopes('admin')
@Controller('admin')
export class AdminController {
  constructor(private readonly model: FaceModel) {}

  @Get('status')
  @ApiOperation({
    summary: 'Workers, queue, cache, memory',
    description: 'What serves the requests, as it is now.',
  })
  @ApiOkResponse({
    description: 'The state',
    type: StatusResponseDto,
    examples: { status: { summary: 'Two workers', value: STATUS_ANSWER } },
  })
  @ApiFaceErrors(ADMIN_ERRORS)
  async getStatus(@RequestId() requestId: string): Promise<StatusResponseDto> {
    return { ...(await this.model.status()), requestId };
  }

  @Get('models')
  @ApiOperation({
    summary: 'List the models',
    description: 'State, loads, memory, runs and latency of each. The same as /v1/models.',
  })
  @ApiOkResponse({
    description: 'Every model with a card',
    type: ModelsResponseDto,
    examples: { embedder: { summary: 'One loaded embedder', value: MODELS_ANSWER } },
  })
  @ApiFaceErrors(ADMIN_ERRORS)
  listAdminModels(@RequestId() requestId: string): ModelsResponseDto {
    return ModelsResponseDto.from(this.model, requestId);
  }

  @Post('models/:name/load')
  @HttpCode(200)
  @JsonBody({
    type: LoadModelDto,
    examples: {
      toStay: { summary: 'Until it is unloaded', value: {} },
      whileUsed: { summary: 'Until ten minutes pass without a call', value: { idleTtlMs: 600_000 } },
    },
  })
  @ApiOperation({
    summary: 'Load a model',
    description:
      'Loads and warms it in workers beside those that serve, which then take over. Where that fails, all stays as it was. ' +
      'A model that is loaded already stays as it is.',
  })
  @ApiOkResponse({ description: 'It is loaded', type: ModelResponseDto, examples: MODEL_ANSWER })
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
    description: 'Runs it once in every worker, so that its memory is at hand after a long rest.',
  })
  @ApiOkResponse({ description: 'It is warm', type: ModelResponseDto, examples: MODEL_ANSWER })
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
      'Requests that name it are refused from then on; those under way are answered. Answers when its memory is given back.',
  })
  @ApiOkResponse({ description: 'It is unloaded', type: ModelResponseDto, examples: MODEL_ANSWER })
  @ApiFaceErrors([...CHANGE_ERRORS, 'MODEL_NOT_LOADED', 'MODEL_IN_USE', 'MEMORY_BUDGET_EXCEEDED'])
  async unloadModel(
    @Param() { name }: ModelNameDto,
    @RequestId() requestId: string,
  ): Promise<ModelResponseDto> {
    return ModelResponseDto.from(await this.model.unloadModel(name), requestId);
  }

  @Post('models/:name/swap')
  @HttpCode(200)
  @JsonBody({
    type: SwapModelDto,
    examples: { other: { summary: 'Another model', value: { replacement: 'sface' } } },
  })
  @ApiOperation({
    summary: 'Put another model in the place of a loaded one',
    description:
      'The new one loads and warms beside the old one, then takes over, as the default too; what is under way on the old ' +
      'one finishes. Where the load fails, the old one still serves.',
  })
  @ApiOkResponse({
    description: 'The new model, which serves now',
    type: ModelResponseDto,
    examples: MODEL_ANSWER,
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
  @ApiOperation({ summary: 'Forget all cached answers', description: 'Also those that are being made now.' })
  @ApiOkResponse({ description: 'They are forgotten', type: PurgeResponseDto, examples: PURGE_ANSWER })
  @ApiFaceErrors(ADMIN_ERRORS)
  purgeCache(@RequestId() requestId: string): PurgeResponseDto {
    return { purged: this.model.purgeCache(), requestId };
  }

  @Delete('cache/:imageSha256')
  @ApiOperation({
    summary: 'Forget the cached answers about one image',
    description: 'The image is named by the sha256 of its encoded bytes.',
  })
  @ApiOkResponse({ description: 'They are forgotten', type: PurgeResponseDto, examples: PURGE_ANSWER })
  @ApiFaceErrors([...ADMIN_ERRORS, 'PARAMETER_INVALID'])
  purgeImage(@Param() { imageSha256 }: ImageHashDto, @RequestId() requestId: string): PurgeResponseDto {
    return { purged: this.model.purgeCache(imageSha256), requestId };
  }
}
