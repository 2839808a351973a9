import { FACE_ERRORS, type FaceErrorCode } from '../../src/errors';

interface Document {
  info: { description: string };
}

/** The codes and statuses that an OpenAPI document lists for an operation, with those of every operation. */
export function documentedErrors(
  { info }: Document,
  { description = '', security }: { description?: string; security?: object[] },
): [FaceErrorCode, number][] {
  const [, common = ''] = /Every operation except health can also return (.+)/.exec(info.description) ?? [];
  const [, own = ''] = /\*\*Errors:\*\* (.+)/.exec(description) ?? [];
  const ownErrors = own.split(';').flatMap((list) => {
    const status = Number(/\d+/.exec(list)?.[0]);
    return codesIn(list).map((code): [FaceErrorCode, number] => [code, status]);
  });
  const isOpen = security?.length === 0;
  const commonErrors = codesIn(isOpen ? '' : common).map((code): [FaceErrorCode, number] => [
    code,
    FACE_ERRORS[code].status as number,
  ]);
  return [...ownErrors, ...commonErrors];
}

function codesIn(text: string): FaceErrorCode[] {
  return [...text.matchAll(/`([A-Z_]+)`/g)].map(([, code]) => code as FaceErrorCode);
}
