import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { WithoutKey } from '../http/auth/scopes.decorator';
import { ApiFaceErrors } from '../http/errors/api-errors.decorator';
import { LiveResponseDto, ReadyResponseDto } from './health.dto';
import { Readiness } from './readiness';

@ApiTags('Service')
@WithoutKey()
@Controller('health')
export class HealthController {
  constructor(private readonly readiness: Readiness) {}

  @Get('live')
  @ApiOperation({ summary: 'Liveness', description: 'Fails if the process must be restarted.' })
  @ApiOkResponse({
    description: 'Alive',
    type: LiveResponseDto,
  })
  @ApiFaceErrors(['INTERNAL_ERROR'])
  live(): LiveResponseDto {
    return { status: 'ok' };
  }

  @Get('ready')
  @ApiOperation({
    summary: 'Readiness',
    description:
      'Fails while the service must not receive traffic. The port opens after the models are loaded.',
  })
  @ApiOkResponse({
    description: 'Ready',
    type: ReadyResponseDto,
  })
  @ApiFaceErrors(['NOT_READY', 'INTERNAL_ERROR'])
  ready(): ReadyResponseDto {
    return this.readiness.status();
  }
}
