import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { AppConfig } from '../config/app.config';
import type { FaceError, FaceErrorCode } from '../../errors';
import { GALLERY_ID } from '../../gallery/gallery-rules';
import { Bursts } from '../http/request/bursts';
import type { AppRequest } from '../http/request/request-id';
import { type HttpObserver, UNMATCHED } from '../metrics/measure-http';
import { type AuditAction, type AuditEntry, auditKeys, subjectNamer } from './audit-chain';
import { type AuditChange, AuditFile } from './audit-file';
import { auditedRouteOf } from './audit-routes';
import type { AuditedPerson } from './audited-person';

/** Statuses of requests rejected before any work, which are summarized: a flood of them must not fill the disk. */
const REFUSED = [401, 403, 429, 503];

const logger = new Logger('Audit');

/** Records requests in the audit stream, if FACE_AUDIT_FILE is set. */
export class AuditTrail implements OnApplicationShutdown {
  private readonly subjectName: ReturnType<typeof subjectNamer>;
  private readonly refusals = new Bursts<AuditEntry>(
    (entry, count) => this.file?.append(count === 1 ? entry : { ...entry, count }),
    (entry) => ({ ...entry, key: null, address: null, gallery: null, subject: null, requestId: null }),
  );

  /** Opens the configured stream. @throws {FaceError} AUDIT_FILE_INVALID */
  static async open(
    settings: AppConfig['audit'],
    onChange: (change: AuditChange) => void,
  ): Promise<AuditTrail> {
    const { file: path, key, maxBytes } = settings;
    if (path == null) return new AuditTrail(null, settings);
    const file = await AuditFile.open({
      path,
      key: key == null ? null : auditKeys(key).chain,
      maxBytes,
      onNotice: (level, message) => logger[level](message),
      onChange,
    });
    return new AuditTrail(file, settings);
  }

  private constructor(
    private readonly file: AuditFile | null,
    private readonly settings: AppConfig['audit'],
  ) {
    this.subjectName = subjectNamer(settings);
  }

  get isOn(): boolean {
    return this.file != null;
  }

  /** Whether recorded actions must be rejected now. */
  get isRefusing(): boolean {
    return this.settings.onFailure === 'refuse' && this.file?.isFailing === true;
  }

  /** Writes a line for each person concerned by a request. */
  record(request: AppRequest, action: AuditAction, people: readonly AuditedPerson[]): void {
    for (const person of people) this.file?.append(this.entryOf(request, action, person));
  }

  /** Writes a line for a failed request, and summarizes bursts of rejected ones. */
  recordError(
    request: AppRequest,
    action: AuditAction,
    { code, status }: Pick<FaceError, 'code' | 'status'>,
  ): void {
    const entry = this.entryOf(request, action, {
      subject: request.params?.subjectId as string | undefined,
      outcome: code,
    });
    const { key, address, gallery } = entry;
    if (REFUSED.includes(status)) this.refusals.add([action, code, key, address, gallery].join(' '), entry);
    else this.file?.append(entry);
  }

  /** Records requests that no interceptor sees: those rejected for a missing or invalid key. */
  readonly observeRefusal: HttpObserver = ({ status, code, method, route }, request): void => {
    const isRefused = status === 401 || status === 403 || code === 'AUTH_ATTEMPTS_EXCEEDED';
    if (!isRefused || request.isAudited) return;
    const { action } = (route === UNMATCHED ? null : auditedRouteOf(method, route)) ?? {
      action: 'authenticate',
    };
    this.recordError(request, action, { code: code as FaceErrorCode, status });
  };

  async onApplicationShutdown(): Promise<void> {
    this.refusals.close();
    await this.file?.close();
  }

  private entryOf(request: AppRequest, action: AuditAction, person: AuditedPerson): AuditEntry {
    const { subject, outcome, similarity, count } = person;
    // The path of a rejected request is not validated.
    const given = person.gallery ?? request.params?.galleryId;
    const gallery = typeof given === 'string' && GALLERY_ID.test(given) ? given : null;
    return {
      time: new Date().toISOString(),
      action,
      key: request.apiKey?.name ?? null,
      address: request.ip ?? null,
      gallery,
      subject: subject == null ? null : this.subjectName(gallery ?? '', subject),
      outcome,
      similarity,
      requestId: request.requestId,
      count,
    };
  }
}
