import { applyDecorators, ValidationPipe, type ValidationPipeOptions } from '@nestjs/common';
import { Transform } from 'class-transformer';
import { IsArray, IsBoolean, IsNumber, ValidateBy, ValidateIf, type ValidationError } from 'class-validator';
import { FaceError } from '../../../errors';
import { parseShortJson } from './parse-json';

/** As many wrong parameters as an answer lists, and as much of their names as it repeats: both are the caller's. */
const MAX_LISTED = 20;
const MAX_NAME_LENGTH = 100;

/**
 * Refuses what is unknown and what is wrong, all at once: PARAMETER_INVALID with a reason per field.
 *
 * @param options - over those of every route.
 */
export function createValidationPipe(options: ValidationPipeOptions = {}): ValidationPipe {
  return new ValidationPipe({
    transform: true,
    whitelist: true,
    forbidNonWhitelisted: true,
    ...options,
    exceptionFactory: (errors) =>
      invalidParameters(
        Object.fromEntries(errors.slice(0, MAX_LISTED).map((error) => [error.property, reasonOf(error)])),
      ),
  });
}

/** PARAMETER_INVALID for a reason per field, worded to follow the field's name. */
export function invalidParameters(reasons: Record<string, string>, details: object = {}): FaceError {
  const fields = Object.entries(reasons).map(([name, reason]) => [name.slice(0, MAX_NAME_LENGTH), reason]);
  const list = fields.map(([name, reason]) => `${name} ${reason}`).join(', ');
  return new FaceError('PARAMETER_INVALID', `Invalid: ${list}.`, {
    ...details,
    fields: Object.fromEntries(fields),
  });
}

/** Property: may be absent. Unlike `@IsOptional`, null does not pass for absent. */
export function OptionalField(): PropertyDecorator {
  return ValidateIf((_dto, value) => value !== undefined);
}

/** Property: a finite number, or its decimal notation, as multipart fields are text. */
export function IsDecimal(): PropertyDecorator {
  return applyDecorators(
    Transform(({ value }: { value: unknown }) => (isDecimal(value) ? Number(value) : value)),
    IsNumber({}, { message: '$property must be a number' }),
  );
}

/** Property: true or false, or the word for it, as multipart fields are text. */
export function IsTrueOrFalse(): PropertyDecorator {
  return applyDecorators(
    Transform(({ obj, key }: { obj: Record<string, unknown>; key: string }) => {
      const value = obj[key];
      return value === 'true' || value === 'false' ? value === 'true' : value;
    }),
    IsBoolean({ message: '$property must be true or false' }),
  );
}

/** Property: a list of names, or text with commas between them, as multipart fields are text. */
export function IsNameList(): PropertyDecorator {
  return applyDecorators(
    Transform(({ value }: { value: unknown }) =>
      typeof value === 'string' ? value.split(',').map((name) => name.trim()) : value,
    ),
    IsArray({ message: '$property must be a list' }),
  );
}

/** Property: what a rule says of it, as the end of a sentence, is what is wrong; `null` where nothing is. */
export function Satisfies(problemOf: (value: unknown) => string | null): PropertyDecorator {
  return ValidateBy({
    name: 'isFit',
    validator: {
      validate: (value) => problemOf(value) == null,
      defaultMessage: (args) => `$property ${problemOf(args?.value)}`,
    },
  });
}

/**
 * Property: an object or a list, or JSON text of one, as multipart fields and query strings are text. Taken as it came:
 * class-transformer would copy it and leave keys out.
 */
export function IsJson(): PropertyDecorator {
  return Transform(({ obj, key }: { obj: Record<string, unknown>; key: string }) =>
    parsedJson(obj[key], key),
  );
}

/** Text that is no JSON stays text, which no rule for objects and lists lets pass. */
function parsedJson(value: unknown, field: string): unknown {
  if (typeof value !== 'string') return value;
  try {
    return parseShortJson(value, field);
  } catch (error) {
    if (error instanceof FaceError && error.code === 'REQUEST_MALFORMED') return value;
    throw error;
  }
}

function isDecimal(value: unknown): boolean {
  return typeof value === 'string' && /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value);
}

/** Every rule that is broken, in the order of the decorators, without the property's name: it is listed under that. */
function reasonOf({ property, constraints = {} }: ValidationError): string {
  const reasons = Object.values(constraints).map((reason) =>
    reason.replace(/^property /, '').replace(`${property} `, ''),
  );
  return reasons.reverse().join('; ') || 'is invalid';
}
