import { Global, Module } from '@nestjs/common';
import { BodyReader } from './body-reader';
import { EventLoopTurns } from '../request/event-loop-turns';

/** Shared {@link BodyReader} and {@link EventLoopTurns} for the routes of every module. */
@Global()
@Module({ providers: [BodyReader, EventLoopTurns], exports: [BodyReader, EventLoopTurns] })
export class BodyModule {}
