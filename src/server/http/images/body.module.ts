import { Global, Module } from '@nestjs/common';
import { BodyReader } from './body-reader';

/** {@link BodyReader} for the routes of every module. */
@Global()
@Module({ providers: [BodyReader], exports: [BodyReader] })
export class BodyModule {}
