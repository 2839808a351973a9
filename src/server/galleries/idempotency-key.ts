import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { Request } from 'express';
import { invalidParameters } from '../http/request/validation';

const HEADER = 'Idempotency-Key';
const FIT = /^[\x21-\x7e]{1,255}$/;

/** Parameter of a controller method: the key by which a repeated call is told; absent: every call adds. */
export const IdempotencyKey = createParamDecorator(
  (_data: undefined, context: ExecutionContext): string | undefined => {
    const key = context.switchToHttp().getRequest<Request>().get(HEADER);
    if (key == null || FIT.test(key)) return key;
    throw invalidParameters({ [HEADER]: 'must be 1 to 255 visible characters of ASCII' });
  },
);

/** Documents the header. */
export const ApiIdempotencyKey = () =>
  ApiHeader({
    name: HEADER,
    required: false,
    schema: { type: 'string', maxLength: 255 },
    description: 'A repeat of the call with the same key adds nothing that the first has added',
  });
