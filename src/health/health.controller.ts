import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { WithoutKey } from '../auth/scopes.decorator';
import { AuditTrail } from '../audit/audit-trail';
import { FaceError } from '../errors';
import { FaceModel } from '../face/face-model';
import { ApiFaceErrors } from '../http/api-errors.decorator';
import { Draining } from './draining';
import { LiveResponseDto, ReadyResponseDto } from './health.dto';

@ApiTags('health')
@WithoutKey()
@Controller('health')
export class HealthController {
  constructor(
    private readonly model: FaceModel,
    private readonly draining: Draining,
    private readonly audit: AuditTrail,
  ) {}

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
    examples: { ready: { summary: 'Ready', value: { status: 'ready' } } },
  })
  @ApiFaceErrors(['NOT_READY', 'INTERNAL_ERROR'])
  ready(): ReadyResponseDto {
    const { ready, reason = 'unknown' } = this.readiness();
    if (!ready) throw new FaceError('NOT_READY', `The service is not ready: ${reason}.`, { reason });
    return { status: 'ready' };
  }

  private readiness(): { ready: boolean; reason?: string } {
    if (this.draining.isShuttingDown) return { ready: false, reason: 'shutting down' };
    if (this.audit.isRefusing) return { ready: false, reason: 'the audit stream cannot be written' };
    return this.model.readiness();
  }
}
