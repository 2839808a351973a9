import { Module } from '@nestjs/common';
import { RepresentationController } from './representation.controller';

@Module({ controllers: [RepresentationController] })
export class RepresentationModule {}
