import { Module } from '@nestjs/common';
import { RepresentationListService } from './representation-list.service';
import { RepresentationController } from './representation.controller';

@Module({ controllers: [RepresentationController], providers: [RepresentationListService] })
export class RepresentationModule {}
