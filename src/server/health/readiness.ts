import { Injectable } from '@nestjs/common';
import { AuditTrail } from '../audit/audit-trail';
import { FaceModel } from '../../face/face-model';
import { GalleryStore } from '../../gallery/stores/gallery-store';
import { Draining } from './draining';

/** Whether requests are answered now, and if not, why. */
@Injectable()
export class Readiness {
  constructor(
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
    private readonly audit: AuditTrail,
    private readonly draining: Draining,
  ) {}

  /** Since when the galleries may lack changes of other replicas, milliseconds since 1970, UTC; `null` where they lack none. */
  get galleryStaleSince(): number | null {
    return this.store.staleSince;
  }

  /** `null` where they are. */
  get problem(): string | null {
    if (this.draining.isShuttingDown) return 'shutting down';
    if (this.audit.isRefusing) return 'the audit stream cannot be written';
    if (this.store.isStopped) return 'the store of the galleries stopped after a fault of its own';
    const { ready, reason = 'unknown' } = this.model.readiness();
    return ready ? null : reason;
  }
}
