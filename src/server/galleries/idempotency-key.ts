import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { Request } from 'express';
import { invalidParameters } from '../http/request/validation';

const HEADER = 'Idempotency-Key';
const FIT = /^[\x21-\x7e]{1,255}$/;

/** Parameter of a controller method: the key that identifies a repeated request; absent: every request adds. */
export const IdempotencyKey = createParamDecorator(
  (_data: undefined, context: ExecutionContext): string | undefined => {
    const key = context.switchToHttp().getRequest<Request>().get(HEADER);
    if (key == null || FIT.test(key)) return key;
    throw invalidParameters({ [HEADER]: 'must be 1 to 255 visible ASCII characters' });
  },
);

/** Documents the header. */
export const ApiIdempotencyKey = () =>
  ApiHeader({
    name: HEADER,
    required: false,
    schema: { type: 'string', maxLength: 255 },
    description: 'Makes the request safe to repeat: with the same key, references are not added twice',
  });
