import type { Request } from 'express';
import { createHash, timingSafeEqual } from 'node:crypto';

/** A secret that callers bring as `Authorization: Bearer <secret>`. */
export class BearerSecret {
  private readonly expected: Buffer;

  constructor(secret: string) {
    this.expected = digest(secret);
  }

  isIn(request: Request): boolean {
    const [, secret] = /^Bearer +(\S+)$/i.exec(request.get('authorization') ?? '') ?? [];
    // Of digests: the comparison takes the same time whatever the secret and its length.
    return secret != null && timingSafeEqual(digest(secret), this.expected);
  }
}

function digest(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
