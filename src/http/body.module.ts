import { Global, Module } from '@nestjs/common';
import { BodyReader } from './body-reader';

/** The one {@link BodyReader}, with its account of bytes, for the routes of every module. */
@Global()
@Module({ providers: [BodyReader], exports: [BodyReader] })
export class BodyModule {}
