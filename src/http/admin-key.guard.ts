import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { Request } from 'express';
import { AppConfig } from '../config/app.config';
import { FaceError } from '../errors';
import { BearerSecret } from './bearer-secret';

/** Lets those in that know ADMIN_KEY: `Authorization: Bearer <key>`. */
@Injectable()
export class AdminKeyGuard implements CanActivate {
  private readonly key: BearerSecret | null;

  constructor({ adminKey }: AppConfig) {
    this.key = adminKey == null ? null : new BearerSecret(adminKey);
  }

  canActivate(context: ExecutionContext): boolean {
    if (this.key == null) {
      throw new FaceError('ADMIN_DISABLED', 'The admin routes are switched off: ADMIN_KEY is not set.');
    }
    if (this.key.isIn(context.switchToHttp().getRequest<Request>())) return true;
    throw new FaceError('UNAUTHORIZED', 'Expected the admin key in Authorization: Bearer.');
  }
}
