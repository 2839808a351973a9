import { Global, Module } from '@nestjs/common';
import { BodyReader } from './body-reader';
import { EventLoopTurns } from '../request/event-loop-turns';

/** The one {@link BodyReader}, with its account of bytes, and the {@link EventLoopTurns}, for the routes of every module. */
@Global()
@Module({ providers: [BodyReader, EventLoopTurns], exports: [BodyReader, EventLoopTurns] })
export class BodyModule {}
