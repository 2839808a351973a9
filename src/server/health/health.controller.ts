import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { WithoutKey } from '../http/auth/scopes.decorator';
import { ApiFaceErrors } from '../http/errors/api-errors.decorator';
import { LiveResponseDto, ReadyResponseDto } from './health.dto';
import { Readiness } from './readiness';

@ApiTags('health')
@WithoutKey()
@Controller('health')
export class HealthController {
  constructor(private readonly readiness: Readiness) {}

  @Get('live')
  @ApiOperation({ summary: 'Liveness', description: 'Fails if the process must be restarted.' })
  @ApiOkResponse({
    description: 'Alive',
    type: LiveResponseDto,
    examples: { ok: { summary: 'Alive', value: { status: 'ok' } } },
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
    examples: {
      ready: { summary: 'Ready', value: { status: 'ready' } },
      stale: {
        summary: 'Ready, but disconnected from the servers of shared galleries',
        value: { status: 'ready', gallery: { staleSince: '2026-12-24T18:00:00.000Z' } },
      },
    },
  })
  @ApiFaceErrors(['NOT_READY', 'INTERNAL_ERROR'])
  ready(): ReadyResponseDto {
    return this.readiness.status();
  }
}
