import { createParamDecorator, type ExecutionContext } from '@nestjs/common';

/** What a request did to one person, or to none that is known. */
export interface AuditedPerson {
  gallery?: string;
  /** Id of the subject, as the gallery has it. */
  subject?: string;
  /** The decision or the result, or the code of an error. */
  outcome: string;
  /** Identify only: cosine similarity, [-1, 1]. */
  similarity?: number;
  /** How many results this stands for, where it is not one person. */
  count?: number;
}

/** A request whose route says itself whom it concerned. */
export interface PeopleRequest {
  people?: AuditedPerson[];
}

/**
 * Parameter of a controller method: a list to which the route adds each person that it has concerned, as it does so. What is
 * in it goes into the audit stream, also where the route fails later on.
 */
export const AuditedPeople = createParamDecorator((_data: undefined, context: ExecutionContext) => {
  const request = context.switchToHttp().getRequest<PeopleRequest>();
  request.people = [];
  return request.people;
});
