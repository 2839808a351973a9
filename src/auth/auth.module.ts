import { Module } from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { ApiKeys } from './api-keys';
import { HideDistancesInterceptor } from './hide-distances.interceptor';
import { ScopeGuard } from './scope.guard';

/** Keys and scopes of every route: see docs/security.md. */
@Module({
  providers: [
    ApiKeys,
    { provide: APP_GUARD, useClass: ScopeGuard },
    { provide: APP_INTERCEPTOR, useClass: HideDistancesInterceptor },
  ],
})
export class AuthModule {}
