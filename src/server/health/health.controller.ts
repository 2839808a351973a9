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
  @ApiOperation({ summary: 'Whether the process answers', description: 'Restart it where it does not.' })
  @ApiOkResponse({
    description: 'It does',
    type: LiveResponseDto,
    examples: { ok: { summary: 'Alive', value: { status: 'ok' } } },
  })
  @ApiFaceErrors(['INTERNAL_ERROR'])
  live(): LiveResponseDto {
    return { status: 'ok' };
  }

  @Get('ready')
  @ApiOperation({
    summary: 'Whether requests are answered now',
    description: 'Send traffic only while it does. The port opens after the models are loaded.',
  })
  @ApiOkResponse({
    description: 'They are',
    type: ReadyResponseDto,
    examples: {
      ready: { summary: 'Ready', value: { status: 'ready' } },
      stale: {
        summary: 'Ready, while the servers of shared galleries are not reached',
        value: { status: 'ready', gallery: { staleSince: '2026-12-24T18:00:00.000Z' } },
      },
    },
  })
  @ApiFaceErrors(['NOT_READY', 'INTERNAL_ERROR'])
  ready(): ReadyResponseDto {
    return this.readiness.status();
  }
}
