import { Injectable } from '@nestjs/common';
import { FaceError } from '../../errors';
import { AuditTrail } from '../audit/audit-trail';
import { FaceModel } from '../../face/face-model';
import { GalleryStore } from '../../gallery/stores/gallery-store';
import { Draining } from './draining';
import type { ReadyResponseDto } from './health.dto';

/** Readiness of the service, and the reason if it is not ready. */
@Injectable()
export class Readiness {
  constructor(
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
    private readonly audit: AuditTrail,
    private readonly draining: Draining,
  ) {}

  /** Reason for not being ready; `null`: ready. */
  get problem(): string | null {
    if (this.draining.isShuttingDown) return 'shutting down';
    if (this.audit.isRefusing) return 'the audit stream cannot be written';
    if (this.store.isStopped) return 'the gallery store stopped after an internal fault';
    const { ready, reason = 'unknown' } = this.model.readiness();
    return ready ? null : reason;
  }

  /** @throws {FaceError} NOT_READY with `details.reason`. */
  status(): ReadyResponseDto {
    const reason = this.problem;
    if (reason !== null) throw new FaceError('NOT_READY', `The service is not ready: ${reason}.`, { reason });
    const { staleSince } = this.store;
    if (staleSince === null) return { status: 'ready' };
    return { status: 'ready', gallery: { staleSince: new Date(staleSince).toISOString() } };
  }
}
