import { applyDecorators, SetMetadata } from '@nestjs/common';
import { ApiBearerAuth, ApiExtension, ApiSecurity } from '@nestjs/swagger';
import type { Scope } from './api-key';
import { API_KEY_HEADER } from './authenticate';

/** Metadata of a route: its scopes; `null` where it needs no key. */
export const SCOPES_OF_ROUTE = 'likeness:scopes';

/** Field of an operation in the OpenAPI document: the scopes that a key needs, all of them. */
export const SCOPES_EXTENSION = 'x-scopes';

/** A route, or all routes of a controller, for keys that have every one of these scopes; for every key without any. */
export function Scopes(...scopes: Scope[]): MethodDecorator & ClassDecorator {
  return applyDecorators(
    SetMetadata(SCOPES_OF_ROUTE, scopes),
    ApiBearerAuth(),
    ApiSecurity(API_KEY_HEADER),
    ApiExtension(SCOPES_EXTENSION, scopes),
  );
}

/** A route that needs no key. */
export function WithoutKey(): MethodDecorator & ClassDecorator {
  return SetMetadata(SCOPES_OF_ROUTE, null);
}
