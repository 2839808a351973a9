import { applyDecorators, SetMetadata } from '@nestjs/common';
import { ApiExtension } from '@nestjs/swagger';
import type { Scope } from './api-key';

/** Metadata of a route: its scopes, or `null` if it needs no key. */
export const SCOPES_OF_ROUTE = 'likeness:scopes';

/** Field of an OpenAPI operation: all scopes that a key needs. */
export const SCOPES_EXTENSION = 'x-scopes';

/**
 * Restricts a route, or all routes of a controller, to keys with all of these scopes; without arguments, to any key.
 */
export function Scopes(...scopes: Scope[]): MethodDecorator & ClassDecorator {
  return applyDecorators(SetMetadata(SCOPES_OF_ROUTE, scopes), ApiExtension(SCOPES_EXTENSION, scopes));
}

/** Marks a route that needs no key. */
export function WithoutKey(): MethodDecorator & ClassDecorator {
  return SetMetadata(SCOPES_OF_ROUTE, null);
}
