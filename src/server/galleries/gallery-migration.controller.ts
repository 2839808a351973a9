import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Scopes } from '../http/auth/scopes.decorator';
import { GalleryService } from '../../gallery/gallery.service';
import { ADMIN_ERRORS, ApiFaceErrors, JSON_BODY_ERRORS } from '../http/errors/api-errors.decorator';
import type { RequestErrorCode } from '../http/errors/error-examples';
import { JsonBody } from '../http/request/json-body';
import { RequestId } from '../http/request/request-id';
import { GalleryPathDto } from './fields';
import { GALLERY_ANSWER, GalleryDto, GalleryResponseDto } from './gallery.dto';
import {
  MIGRATION_ANSWER,
  MigrationDto,
  MigrationQueryDto,
  MISSING_ANSWER,
  MissingQueryDto,
  MissingSubjectsDto,
  START_EXAMPLES,
  StartMigrationDto,
  SWITCH_EXAMPLES,
  SwitchMigrationDto,
} from './gallery-migration.dto';

const ERRORS: readonly RequestErrorCode[] = [
  ...ADMIN_ERRORS,
  'PARAMETER_INVALID',
  'GALLERY_NOT_FOUND',
  'GALLERY_STORE_FAILED',
  'NOT_READY',
];
const CHANGES: readonly RequestErrorCode[] = [
  ...ERRORS,
  ...JSON_BODY_ERRORS,
  'GALLERY_STORE_STOPPED',
  'GALLERY_MIGRATING',
  'MODEL_UNKNOWN',
  'MODEL_NOT_LOADED',
];
const EXAMPLES = { migration: { summary: 'About half of it is done', value: MIGRATION_ANSWER } };

/** Moves galleries to other embedders. */
@ApiTags('admin')
@Controller('admin/galleries/:galleryId/migration')
export class GalleryMigrationController {
  constructor(private readonly galleries: GalleryService) {}

  @Scopes('admin')
  @Post()
  @HttpCode(202)
  @JsonBody({ type: StartMigrationDto, examples: START_EXAMPLES })
  @ApiOperation({
    summary: 'Move a gallery to another embedder, or go on with it',
    description:
      'In the background, behind requests that wait: a copy of the gallery is filled with embeddings of the pictures that it ' +
      'holds (keepCrops). What is in the copy already is not embedded again. Both galleries can be searched meanwhile; the copy ' +
      'changes with the gallery, and not for itself.',
  })
  @ApiAcceptedResponse({ description: 'It runs', type: MigrationDto, examples: EXAMPLES })
  @ApiFaceErrors([...CHANGES, 'GALLERY_EXISTS', 'GALLERY_FULL'])
  async startMigration(
    @Param() { galleryId }: GalleryPathDto,
    @Body() { embedder }: StartMigrationDto,
    @RequestId() requestId: string,
  ): Promise<MigrationDto> {
    return MigrationDto.from(await this.galleries.migrations.start(galleryId, embedder), requestId);
  }

  @Scopes('admin')
  @Get()
  @ApiOperation({ summary: 'Show how far a migration is', description: 'In counts of references.' })
  @ApiOkResponse({ description: 'How far it is', type: MigrationDto, examples: EXAMPLES })
  @ApiFaceErrors(ERRORS)
  async showMigration(
    @Param() { galleryId }: GalleryPathDto,
    @Query() { embedder }: MigrationQueryDto,
    @RequestId() requestId: string,
  ): Promise<MigrationDto> {
    return MigrationDto.from(await this.galleries.migrations.status(galleryId, embedder), requestId);
  }

  @Scopes('admin')
  @Get('missing')
  @ApiOperation({
    summary: 'List the subjects that must be enrolled again',
    description: 'Those of which the copy lacks references. In pages.',
  })
  @ApiOkResponse({
    description: 'A page',
    type: MissingSubjectsDto,
    examples: { missing: { summary: 'The last page', value: MISSING_ANSWER } },
  })
  @ApiFaceErrors(ERRORS)
  async listMissing(
    @Param() { galleryId }: GalleryPathDto,
    @Query() { embedder, limit, cursor }: MissingQueryDto,
    @RequestId() requestId: string,
  ): Promise<MissingSubjectsDto> {
    const page = { limit, after: cursor };
    const { items, next } = await this.galleries.migrations.missing(galleryId, embedder, page);
    return { subjects: items, nextCursor: next, requestId };
  }

  @Scopes('admin')
  @Post('switch')
  @HttpCode(200)
  @JsonBody({ type: SwitchMigrationDto, examples: SWITCH_EXAMPLES })
  @ApiOperation({
    summary: 'Let the copy take the place of the gallery',
    description:
      'After a last look at what has changed, for which changes wait and searches do not. The copy has the id of the gallery ' +
      'then, and the gallery as it was is gone for good. Settings stay those of the gallery, but for threshold, targetFmr and ' +
      'targetFpir, which stay those of the copy.',
  })
  @ApiOkResponse({
    description: 'The gallery as it is now',
    type: GalleryResponseDto,
    examples: { gallery: { summary: 'The gallery', value: GALLERY_ANSWER } },
  })
  @ApiFaceErrors(CHANGES)
  async switchMigration(
    @Param() { galleryId }: GalleryPathDto,
    @Body() { embedder, dropMissing }: SwitchMigrationDto,
    @RequestId() requestId: string,
  ): Promise<GalleryResponseDto> {
    return {
      ...GalleryDto.from(await this.galleries.switchMigration(galleryId, embedder, { dropMissing })),
      requestId,
    };
  }
}
