import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Scopes } from '../http/auth/scopes.decorator';
import { FaceModel } from '../../face/face-model';
import { ApiFaceErrors } from '../http/errors/api-errors.decorator';
import { RequestId } from '../http/request/request-id';
import { ModelsResponseDto } from '../http/dto/model-status.dto';

@ApiTags('Service')
@Scopes()
@Controller('v1/models')
export class ModelsController {
  constructor(private readonly model: FaceModel) {}

  @Get()
  @ApiOperation({
    summary: 'List the models',
    description: 'Returns every model that is loaded or can be loaded, with its state, license and contract.',
  })
  @ApiOkResponse({
    description: 'Every model with a card',
    type: ModelsResponseDto,
  })
  @ApiFaceErrors([])
  listModels(@RequestId() requestId: string): ModelsResponseDto {
    return ModelsResponseDto.from(this.model, requestId);
  }
}
