import { applyDecorators, ValidationPipe, type ValidationPipeOptions } from '@nestjs/common';
import { Transform } from 'class-transformer';
import { IsArray, IsBoolean, IsNumber, ValidateBy, ValidateIf, type ValidationError } from 'class-validator';
import { FaceError } from '../../../errors';
import { parseShortJson } from './parse-json';

/** Maximum number of invalid parameters in a response, and maximum length of their names: the caller controls both. */
const MAX_LISTED = 20;
const MAX_NAME_LENGTH = 100;

/**
 * Creates a pipe that rejects unknown and invalid fields together: PARAMETER_INVALID with a reason per field.
 *
 * @param options - overrides of the default options.
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

/** Creates PARAMETER_INVALID from a reason per field, phrased to follow the name of the field. */
export function invalidParameters(reasons: Record<string, string>, details: object = {}): FaceError {
  const fields = Object.entries(reasons).map(([name, reason]) => [name.slice(0, MAX_NAME_LENGTH), reason]);
  const list = fields.map(([name, reason]) => `${name} ${reason}`).join(', ');
  return new FaceError('PARAMETER_INVALID', `Invalid: ${list}.`, {
    ...details,
    fields: Object.fromEntries(fields),
  });
}

/** Property: optional. Unlike with `@IsOptional`, null is not treated as absent. */
export function OptionalField(): PropertyDecorator {
  return ValidateIf((_dto, value) => value !== undefined);
}

/** Property: a finite number, or its decimal notation, because multipart fields are text. */
export function IsDecimal(): PropertyDecorator {
  return applyDecorators(
    Transform(({ value }: { value: unknown }) => (isDecimal(value) ? Number(value) : value)),
    IsNumber({}, { message: '$property must be a number' }),
  );
}

/** Property: true or false, also as text, because multipart fields are text. */
export function IsTrueOrFalse(): PropertyDecorator {
  return applyDecorators(
    Transform(({ obj, key }: { obj: Record<string, unknown>; key: string }) => {
      const value = obj[key];
      return value === 'true' || value === 'false' ? value === 'true' : value;
    }),
    IsBoolean({ message: '$property must be true or false' }),
  );
}

/** Property: a list of names, also as comma-separated text, because multipart fields are text. */
export function IsNameList(): PropertyDecorator {
  return applyDecorators(
    Transform(({ value }: { value: unknown }) =>
      typeof value === 'string' ? value.split(',').map((name) => name.trim()) : value,
    ),
    IsArray({ message: '$property must be a list' }),
  );
}

/** Property: validated by a rule that returns the problem as the end of a sentence, or `null` if it is valid. */
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
 * Property: an object or a list, also as JSON text, because multipart fields and query strings are text. The value is
 * used as is: class-transformer would copy it and drop keys.
 */
export function IsJson(): PropertyDecorator {
  return Transform(({ obj, key }: { obj: Record<string, unknown>; key: string }) =>
    parsedJson(obj[key], key),
  );
}

/** Parses JSON text. Invalid JSON stays text, which rules for objects and lists reject. */
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

/**
 * All violated rules in the order of the decorators, without the name of the property, which is the key of the list.
 */
function reasonOf({ property, constraints = {} }: ValidationError): string {
  const reasons = Object.values(constraints).map((reason) =>
    reason.replace(/^property /, '').replace(`${property} `, ''),
  );
  return reasons.reverse().join('; ') || 'is invalid';
}
