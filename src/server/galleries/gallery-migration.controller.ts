import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Scopes } from '../http/auth/scopes.decorator';
import { GalleryService } from '../../gallery/gallery.service';
import {
  ADMIN_ERRORS,
  ApiFaceErrors,
  JSON_BODY_ERRORS,
  type RequestErrorCode,
} from '../http/errors/api-errors.decorator';
import { JsonBody } from '../http/request/json-body';
import { RequestId } from '../http/request/request-id';
import { GalleryPathDto } from './fields';
import { GalleryDto, GalleryResponseDto } from './gallery.dto';
import {
  MigrationDto,
  MigrationQueryDto,
  MissingQueryDto,
  MissingSubjectsDto,
  StartMigrationDto,
  SwitchMigrationDto,
} from './gallery-migration.dto';

const ERRORS: readonly RequestErrorCode[] = [
  ...ADMIN_ERRORS,
  'PARAMETER_INVALID',
  'GALLERY_NOT_FOUND',
  'GALLERY_STORE_FAILED',
];
const CHANGES: readonly RequestErrorCode[] = [
  ...ERRORS,
  ...JSON_BODY_ERRORS,
  'GALLERY_STORE_STOPPED',
  'GALLERY_MIGRATING',
  'MODEL_UNKNOWN',
  'MODEL_NOT_LOADED',
];

/** Migrates galleries to other embedders. */
@ApiTags('Gallery administration')
@Controller('admin/galleries/:galleryId/migration')
export class GalleryMigrationController {
  constructor(private readonly galleries: GalleryService) {}

  @Scopes('admin')
  @Post()
  @HttpCode(202)
  @JsonBody({ type: StartMigrationDto })
  @ApiOperation({
    summary: 'Start or resume a migration to another embedder',
    description:
      'Fills a copy of the gallery with embeddings of its stored face crops (keepCrops), in the background and with a lower priority than requests. References in the copy are not embedded again. Both galleries can be searched meanwhile. The copy follows changes of the gallery and cannot be changed itself.',
  })
  @ApiAcceptedResponse({ description: 'Running', type: MigrationDto })
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
  @ApiOperation({ summary: 'Get the progress of a migration', description: 'Returns counts of references.' })
  @ApiOkResponse({ description: 'Progress', type: MigrationDto })
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
    description: 'Returns the subjects with references missing in the copy, in pages.',
  })
  @ApiOkResponse({
    description: 'A page',
    type: MissingSubjectsDto,
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
  @JsonBody({ type: SwitchMigrationDto })
  @ApiOperation({
    summary: 'Replace the gallery with the copy',
    description:
      'Applies the last changes to the copy, while new changes wait and searches continue. The copy then gets the id of the gallery, and the original is permanently deleted. Settings of the gallery are kept, except threshold, targetFmr and targetFpir, which are those of the copy.',
  })
  @ApiOkResponse({
    description: 'Migrated gallery',
    type: GalleryResponseDto,
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
