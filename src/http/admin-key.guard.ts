import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { Request } from 'express';
import { createHash, timingSafeEqual } from 'node:crypto';
import { AppConfig } from '../config/app.config';
import { FaceError } from '../errors';

/** Lets those in that know ADMIN_KEY: `Authorization: Bearer <key>`. */
@Injectable()
export class AdminKeyGuard implements CanActivate {
  private readonly expected: Buffer | null;

  constructor({ adminKey }: AppConfig) {
    this.expected = adminKey == null ? null : digest(adminKey);
  }

  canActivate(context: ExecutionContext): boolean {
    if (this.expected == null) {
      throw new FaceError('ADMIN_DISABLED', 'The admin routes are switched off: ADMIN_KEY is not set.');
    }
    const [, key] =
      /^Bearer +(\S+)$/i.exec(context.switchToHttp().getRequest<Request>().get('authorization') ?? '') ?? [];
    // Of digests: the comparison takes the same time whatever the key and its length.
    if (key != null && timingSafeEqual(digest(key), this.expected)) return true;
    throw new FaceError('UNAUTHORIZED', 'Expected the admin key in Authorization: Bearer.');
  }
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
