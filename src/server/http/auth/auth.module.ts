import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { ApiKeys } from './api-keys';
import { ScopeGuard } from './scope.guard';

/** Authentication and scopes of every route, see docs/security.md. */
@Module({
  providers: [ApiKeys, { provide: APP_GUARD, useClass: ScopeGuard }],
})
export class AuthModule {}
