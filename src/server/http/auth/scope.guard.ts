import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AppConfig } from '../../config/app.config';
import { FaceError } from '../../../errors';
import type { AppRequest } from '../request/request-id';
import { hasApiKeys, isAdminPath, needsKey } from './access';
import type { Scope } from './api-key';
import { unauthorized } from './authenticate';
import { assertGallery } from './key-limits';
import { SCOPES_OF_ROUTE } from './scopes.decorator';

/**
 * Checks the key of a request against the scopes and the gallery of its route. A route without `@Scopes` is always
 * forbidden.
 */
@Injectable()
export class ScopeGuard implements CanActivate {
  constructor(
    private readonly config: AppConfig,
    private readonly reflector: Reflector,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const targets = [context.getHandler(), context.getClass()];
    const scopes = this.reflector.getAllAndOverride<readonly Scope[] | null | undefined>(
      SCOPES_OF_ROUTE,
      targets,
    );
    const request = context.switchToHttp().getRequest<AppRequest>();
    // The pattern that Express matched, independent of the spelling of the URL.
    const { path } = request.route as { path: string };
    if (isAdminPath(path) && this.config.adminKey == null && !hasApiKeys(this.config)) {
      throw new FaceError(
        'ADMIN_DISABLED',
        'The admin routes are disabled: neither ADMIN_KEY nor FACE_API_KEYS_FILE is set.',
      );
    }
    if (scopes === null || !needsKey(this.config, path, request)) return true;
    const { apiKey } = request;
    if (apiKey == null) throw unauthorized();
    if (scopes === undefined)
      throw new FaceError('FORBIDDEN', 'The route is not available: it has no scope.');
    const missing = scopes.filter((scope) => !apiKey.scopes.has(scope));
    if (missing.length > 0) {
      const list = `${missing.length === 1 ? 'scope' : 'scopes'} ${missing.join(' and ')}`;
      throw new FaceError('FORBIDDEN', `The key lacks the ${list}.`, { scopes: missing });
    }
    const { galleryId } = request.params;
    if (typeof galleryId === 'string') assertGallery(apiKey, galleryId);
    return true;
  }
}
