import { Body, Controller, Delete, Get, Param, Patch, Post, Query, Res } from '@nestjs/common';
import {
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiTags,
} from '@nestjs/swagger';
import type { Response } from 'express';
import type { ApiKey } from '../http/auth/api-key';
import { assertGallery, assertThresholds, CallerKey } from '../http/auth/key-limits';
import { Scopes } from '../http/auth/scopes.decorator';
import { GalleryService } from '../../gallery/gallery.service';
import { GalleryStore } from '../../gallery/stores/gallery-store';
import { ApiFaceErrors } from '../http/errors/api-errors.decorator';
import { GalleryRoutes } from '../http/request/gallery-revision';
import { JsonBody } from '../http/request/json-body';
import { RequestId } from '../http/request/request-id';
import { ErasureReceipts } from '../receipts/erasure-receipts';
import { CHANGE_ERRORS, DELETE_ERRORS, READ_ERRORS } from './errors';
import { GalleryPathDto, PageQueryDto } from './fields';
import {
  CREATE_GALLERY_EXAMPLE,
  CreateGalleryDto,
  GalleriesResponseDto,
  GalleryDto,
  GalleryResponseDto,
  GallerySettingsDto,
} from './gallery.dto';
import { GalleryListing } from './gallery-listing.service';
import { ApiReceipt, type ErasureReceiptDto, ReceiptQueryDto } from './receipt.dto';

@ApiTags('Galleries')
@GalleryRoutes()
@Controller('v1/galleries')
export class GalleriesController {
  constructor(
    private readonly galleries: GalleryService,
    private readonly store: GalleryStore,
    private readonly listing: GalleryListing,
    private readonly receipts: ErasureReceipts,
  ) {}

  @Scopes('enroll')
  @Post()
  @JsonBody({ type: CreateGalleryDto, example: CREATE_GALLERY_EXAMPLE })
  @ApiOperation({
    summary: 'Create a gallery',
    description:
      'A gallery is permanently bound to the contract of one embedder, because embeddings of other contracts cannot be compared with it.',
  })
  @ApiCreatedResponse({ description: 'Created', type: GalleryResponseDto })
  @ApiFaceErrors([...CHANGE_ERRORS, 'GALLERY_EXISTS', 'GALLERY_FULL', 'MODEL_UNKNOWN', 'MODEL_NOT_LOADED'])
  async createGallery(
    @Body() options: CreateGalleryDto,
    @CallerKey() key: ApiKey | undefined,
    @RequestId() requestId: string,
  ): Promise<GalleryResponseDto> {
    assertGallery(key, options.id);
    assertThresholds(key, options);
    return { ...GalleryDto.from(await this.galleries.createGallery(options)), requestId };
  }

  @Scopes('read')
  @Get()
  @ApiOperation({ summary: 'List galleries', description: 'Returns galleries in pages.' })
  @ApiOkResponse({
    description: 'A page',
    type: GalleriesResponseDto,
  })
  @ApiFaceErrors(READ_ERRORS)
  async listGalleries(
    @Query() { limit, cursor }: PageQueryDto,
    @CallerKey() key: ApiKey | undefined,
    @RequestId() requestId: string,
  ): Promise<GalleriesResponseDto> {
    const { items, next } = await this.listing.list({ limit, after: cursor }, key);
    return { galleries: items.map(GalleryDto.from), nextCursor: next, requestId };
  }

  @Scopes('read')
  @Get(':galleryId')
  @ApiOperation({ summary: 'Get a gallery', description: 'Returns settings and counts.' })
  @ApiOkResponse({ description: 'Gallery', type: GalleryResponseDto })
  @ApiFaceErrors([...READ_ERRORS, 'GALLERY_NOT_FOUND'])
  async getGallery(
    @Param() { galleryId }: GalleryPathDto,
    @RequestId() requestId: string,
  ): Promise<GalleryResponseDto> {
    return { ...GalleryDto.from(await this.store.getGallery(galleryId)), requestId };
  }

  @Scopes('admin')
  @Patch(':galleryId')
  @JsonBody({ type: GallerySettingsDto })
  @ApiOperation({ summary: 'Update the settings of a gallery', description: 'Absent fields stay unchanged.' })
  @ApiOkResponse({ description: 'Updated gallery', type: GalleryResponseDto })
  @ApiFaceErrors([...CHANGE_ERRORS, 'GALLERY_NOT_FOUND', 'MODEL_NOT_LOADED'])
  async updateGallery(
    @Param() { galleryId }: GalleryPathDto,
    @Body() settings: GallerySettingsDto,
    @RequestId() requestId: string,
  ): Promise<GalleryResponseDto> {
    return { ...GalleryDto.from(await this.galleries.updateGallery(galleryId, settings)), requestId };
  }

  @Scopes('delete')
  @Delete(':galleryId')
  @ApiOperation({
    summary: 'Delete a gallery',
    description:
      'Deletes the gallery with all its subjects and references, and all cached results. The deletion is complete when the response is sent.',
  })
  @ApiNoContentResponse({ description: 'Deleted' })
  @ApiReceipt()
  @ApiFaceErrors([...DELETE_ERRORS, 'GALLERY_NOT_FOUND'])
  async deleteGallery(
    @Param() { galleryId }: GalleryPathDto,
    @Query() { receipt }: ReceiptQueryDto,
    @RequestId() requestId: string,
    @Res({ passthrough: true }) response: Response,
  ): Promise<ErasureReceiptDto | undefined> {
    const remove = () => this.galleries.deleteGallery(galleryId);
    const signed = await this.receipts.erase(receipt, { galleryId }, remove, requestId);
    response.status(signed == null ? 204 : 200);
    return signed;
  }
}
