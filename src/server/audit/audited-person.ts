import { createParamDecorator, type ExecutionContext } from '@nestjs/common';

/** Result of a request for one person, known or unknown. */
export interface AuditedPerson {
  gallery?: string;
  /** Id of the subject. */
  subject?: string;
  /** The decision or the result, or the code of an error. */
  outcome: string;
  /** Identify only: cosine similarity, [-1, 1]. */
  similarity?: number;
  /** Number of results that this stands for, if not 1. */
  count?: number;
}

/** A request whose route reports the people concerned itself. */
export interface PeopleRequest {
  people?: AuditedPerson[];
}

/**
 * Parameter of a controller method: a list to which the route adds each person concerned. Its entries are recorded even
 * if the route fails later.
 */
export const AuditedPeople = createParamDecorator((_data: undefined, context: ExecutionContext) => {
  const request = context.switchToHttp().getRequest<PeopleRequest>();
  request.people = [];
  return request.people;
});
