import { Injectable } from '@nestjs/common';
import { AuditTrail } from '../audit/audit-trail';
import { FaceModel } from '../../face/face-model';
import { GalleryStore } from '../../gallery/stores/gallery-store';
import { Draining } from './draining';

/** Readiness of the service, and the reason if it is not ready. */
@Injectable()
export class Readiness {
  constructor(
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
    private readonly audit: AuditTrail,
    private readonly draining: Draining,
  ) {}

  /**
   * Time since which the galleries can miss changes of other replicas, milliseconds since 1970, UTC; `null`: up to
   * date.
   */
  get galleryStaleSince(): number | null {
    return this.store.staleSince;
  }

  /** Reason for not being ready; `null`: ready. */
  get problem(): string | null {
    if (this.draining.isShuttingDown) return 'shutting down';
    if (this.audit.isRefusing) return 'the audit stream cannot be written';
    if (this.store.isStopped) return 'the gallery store stopped after an internal fault';
    const { ready, reason = 'unknown' } = this.model.readiness();
    return ready ? null : reason;
  }
}
