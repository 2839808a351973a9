import type { Request } from 'express';
import type {
  EnrollmentListResponseDto,
  EnrollmentResponseDto,
  EnrolledItemDto,
  RefusedItemDto,
} from '../galleries/enroll.dto';
import type { MissingSubjectsDto } from '../galleries/gallery-migration.dto';
import type { ImportResponseDto } from '../galleries/gallery-export.dto';
import type { IdentifyResponseDto } from '../galleries/identify.dto';
import type { PurgeReportDto } from '../galleries/purge.controller';
import type { DecisionDto } from '../http/dto/decision.dto';
import type { AuditAction } from './audit-chain';
import type { AuditedPerson } from './audited-person';

/** Audit settings of a route. */
export interface AuditedRoute {
  action: AuditAction;
  /** People concerned by the response; by default the gallery and subject of the path. */
  people: (answer: unknown, request: Request) => AuditedPerson[];
}

/** Routes that neither show nor change personal data, and are not recorded. */
export const UNAUDITED_ROUTES: readonly string[] = [
  'POST /v1/galleries',
  'GET /v1/galleries',
  'GET /v1/galleries/:galleryId',
  'GET /v1/models',
  'GET /health/live',
  'GET /health/ready',
  'GET /metrics',
  'GET /',
  'POST /build/index',
];

const SUBJECT = '/v1/galleries/:galleryId/subjects/:subjectId';

/** Recorded routes, by method and pattern. */
export const AUDITED_ROUTES: Readonly<Record<string, AuditedRoute>> = {
  'POST /v1/verify': route('verify', ({ decision }: DecisionDto) => [{ outcome: decision }]),
  'POST /v1/distances': route('verify'),
  'POST /v1/represent': route('represent'),
  'POST /v1/detect': route('detect'),
  'POST /v1/analyze': route('analyze'),
  'PATCH /v1/galleries/:galleryId': route('change'),
  'DELETE /v1/galleries/:galleryId': route('delete'),
  'POST /v1/galleries/:galleryId/enroll': route('enroll', enrolledPeople),
  'POST /v1/galleries/:galleryId/identify': route('identify', identifiedPeople),
  'GET /v1/galleries/:galleryId/subjects': route('read', ({ subjects }: { subjects: unknown[] }) => [
    { outcome: 'ok', count: subjects.length },
  ]),
  [`PUT ${SUBJECT}`]: route('change'),
  [`GET ${SUBJECT}`]: route('read'),
  [`PATCH ${SUBJECT}`]: route('change'),
  [`DELETE ${SUBJECT}`]: route('delete'),
  [`GET ${SUBJECT}/export`]: route('export'),
  [`POST ${SUBJECT}/rename`]: route('change', ({ id }: { id: string }, { params }) => [
    { subject: params.subjectId as string, outcome: 'renamed' },
    { subject: id, outcome: 'ok' },
  ]),
  [`POST ${SUBJECT}/verify`]: route('verify', ({ decision }: DecisionDto, { params }) => [
    { subject: params.subjectId as string, outcome: decision },
  ]),
  [`POST ${SUBJECT}/references`]: route('enroll', enrolledPeople),
  [`GET ${SUBJECT}/references`]: route('read'),
  [`GET ${SUBJECT}/references/:referenceId`]: route('read'),
  [`PATCH ${SUBJECT}/references/:referenceId`]: route('change'),
  [`DELETE ${SUBJECT}/references/:referenceId`]: route('delete'),
  'GET /admin/galleries/:galleryId/export': route('export'),
  'GET /admin/galleries/:galleryId/subjects/:subjectId/export': route('export'),
  'POST /admin/galleries/purge': route('delete', ({ subjectCount }: PurgeReportDto) => [
    { outcome: 'purged', count: subjectCount },
  ]),
  'POST /admin/galleries/:galleryId/import': route('import', ({ subjectCount }: ImportResponseDto) => [
    { outcome: 'ok', count: subjectCount },
  ]),
  'POST /admin/galleries/:galleryId/migration': route('change'),
  'GET /admin/galleries/:galleryId/migration': route('admin'),
  'GET /admin/galleries/:galleryId/migration/missing': route('read', ({ subjects }: MissingSubjectsDto) => [
    { outcome: 'ok', count: subjects.length },
  ]),
  'POST /admin/galleries/:galleryId/migration/switch': route('change'),
  'POST /verify': route('verify', ({ verified }: { verified: boolean }) => [
    { outcome: verified ? 'match' : 'no_match' },
  ]),
  'POST /represent': route('represent'),
  'POST /analyze': route('analyze'),
  'POST /register': route('enroll'),
  'POST /search': route('identify'),
  'GET /admin/status': route('admin'),
  'GET /admin/models': route('admin'),
  'POST /admin/models/:name/load': route('admin'),
  'POST /admin/models/:name/warm': route('admin'),
  'POST /admin/models/:name/unload': route('admin'),
  'POST /admin/models/:name/swap': route('admin'),
  'DELETE /admin/cache': route('admin'),
  'DELETE /admin/cache/:imageSha256': route('admin'),
};

/** A route in neither table is recorded as well. */
const UNKNOWN_ROUTE = route('other');

/** @returns `null` for a route that is not recorded. */
export function auditedRouteOf(method: string, pattern: string): AuditedRoute | null {
  const name = `${method} ${pattern}`;
  if (UNAUDITED_ROUTES.includes(name)) return null;
  return Object.hasOwn(AUDITED_ROUTES, name) ? AUDITED_ROUTES[name] : UNKNOWN_ROUTE;
}

function route<Answer>(
  action: AuditAction,
  people: (answer: Answer, request: Request) => AuditedPerson[] = personOfPath,
): AuditedRoute {
  return { action, people: people as AuditedRoute['people'] };
}

function personOfPath(_answer: unknown, { params }: Request): AuditedPerson[] {
  return [{ subject: params.subjectId as string | undefined, outcome: 'ok' }];
}

/** Every candidate in the response; an unknown face counts as one entry. */
function identifiedPeople({ faces }: IdentifyResponseDto): AuditedPerson[] {
  return faces.flatMap(({ candidates }) =>
    candidates.length === 0
      ? [{ outcome: 'no_match' }]
      : candidates.map(({ subjectId, similarity }) => ({ subject: subjectId, outcome: 'match', similarity })),
  );
}

function enrolledPeople(
  answer: EnrollmentResponseDto | EnrollmentListResponseDto,
  { params, body }: Request,
): AuditedPerson[] {
  const { items } = (body ?? {}) as { items?: { subjectId?: string }[] };
  const personOf = (result: EnrolledItemDto | RefusedItemDto) =>
    'error' in result
      ? {
          subject: (params.subjectId as string | undefined) ?? items?.[result.index]?.subjectId,
          outcome: result.error.code,
        }
      : { subject: result.reference.subjectId, outcome: result.status };
  if ('results' in answer) return answer.results.map(personOf);
  return [{ subject: answer.reference.subjectId, outcome: answer.status }];
}
