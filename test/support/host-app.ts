import {
  Body,
  type CallHandler,
  type CanActivate,
  Controller,
  type DynamicModule,
  type ExecutionContext,
  Get,
  Injectable,
  type INestApplication,
  type NestInterceptor,
  Post,
  ValidationPipe,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test, type TestingModuleBuilder } from '@nestjs/testing';
import { Allow } from 'class-validator';
import { map, type Observable } from 'rxjs';
import request from 'supertest';
import { FaceError, FaceErrorFilter, FaceModel, GalleryService, VerificationService } from '../../src';
import { FakeFaceModel } from '../../src/testing';

/** Image that {@link FakeFaceModel} knows, of the size of a photo: over the limits of the body parsers. */
export const photo = Buffer.alloc(2_000_000, 'photo of alice');
export const otherPhoto = Buffer.alloc(2_000_000, 'photo of bob');

/** What a caller of the host app must send: its guard refuses all others. */
export const HOST_HEADER = 'x-host-user';

class EchoDto {
  @Allow()
  text!: string;
}

@Controller('host')
class HostController {
  constructor(
    private readonly verification: VerificationService,
    private readonly galleries: GalleryService,
  ) {}

  @Post('echo')
  echo(@Body() { text }: EchoDto) {
    return { length: text.length };
  }

  @Get('verified')
  async verify() {
    const { verified } = await this.verification.verify(photo, photo);
    return { verified };
  }

  @Get('not-verifiable')
  async verifyNobody() {
    return this.verification.verify(photo, Buffer.from('nobody'));
  }

  @Post('alice')
  async enroll() {
    await this.galleries.createGallery({ id: 'staff' });
    const [result] = await this.galleries.enroll('staff', [{ subjectId: 'alice', input: photo }]);
    if (result instanceof FaceError) throw result;
    return { subjectId: result.reference.subjectId };
  }

  @Get('broken')
  fail() {
    throw new Error('a fault of the host');
  }
}

@Injectable()
class HostGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.switchToHttp().getRequest<{ headers: object }>().headers[HOST_HEADER as never] != null;
  }
}

@Injectable()
class HostEnvelope implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((data: unknown) => ({ data })));
  }
}

/** A running host app. */
export interface HostApp {
  app: INestApplication;
  model: FakeFaceModel;
  http: ReturnType<typeof request>;
}

/** The modules of a host app with guards, pipes, interceptors, a filter, CORS and a global prefix of its own. */
export function hostModule(...imports: DynamicModule[]): TestingModuleBuilder {
  return Test.createTestingModule({
    imports,
    controllers: [HostController],
    providers: [
      { provide: APP_FILTER, useClass: FaceErrorFilter },
      { provide: APP_GUARD, useClass: HostGuard },
      { provide: APP_INTERCEPTOR, useClass: HostEnvelope },
    ],
  });
}

/** Starts a host app with a fake model in place of the models. */
export async function startHost(
  platform: 'express' | 'fastify',
  ...imports: DynamicModule[]
): Promise<HostApp> {
  const model = new FakeFaceModel()
    .addImage(photo, { faces: [{ person: 'alice' }] })
    .addImage(otherPhoto, { faces: [{ person: 'bob' }] })
    .addImage(Buffer.from('nobody'), { faces: [] });
  const moduleRef = await hostModule(...imports)
    .overrideProvider(FaceModel)
    .useValue(model)
    .compile();
  const app: INestApplication =
    platform === 'fastify'
      ? moduleRef.createNestApplication(new FastifyAdapter(), { logger: false })
      : moduleRef.createNestApplication({ logger: false });
  app.setGlobalPrefix('api');
  app.enableCors({ origin: 'https://host.example.com' });
  app.useGlobalPipes(new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true }));
  await app.listen(0, '127.0.0.1');
  return { app, model, http: request(app.getHttpServer()) };
}
