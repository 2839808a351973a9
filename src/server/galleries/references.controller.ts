import { Body, Controller, Delete, Get, Param, Patch, Query, Res } from '@nestjs/common';
import { ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { Scopes } from '../http/auth/scopes.decorator';
import { GalleryService } from '../../gallery/gallery.service';
import { GalleryStore } from '../../gallery/stores/gallery-store';
import { ApiFaceErrors, type RequestErrorCode } from '../http/errors/api-errors.decorator';
import { GalleryRoutes } from '../http/request/gallery-revision';
import { JsonBody } from '../http/request/json-body';
import { RequestId } from '../http/request/request-id';
import { ErasureReceipts } from '../receipts/erasure-receipts';
import { CHANGE_ERRORS, DELETE_ERRORS, READ_ERRORS } from './errors';
import { EXAMPLE_METADATA, PageQueryDto, ReferencePathDto, SubjectPathDto } from './fields';
import {
  ReferenceDto,
  ReferenceResponseDto,
  ReferencesResponseDto,
  UpdateReferenceDto,
} from './reference.dto';
import { ApiReceipt, type ErasureReceiptDto, ReceiptQueryDto } from './receipt.dto';

const NOT_FOUND: readonly RequestErrorCode[] = [
  'GALLERY_NOT_FOUND',
  'SUBJECT_NOT_FOUND',
  'REFERENCE_NOT_FOUND',
];
const REFERENCE_EXAMPLE = { metadata: EXAMPLE_METADATA };

/** References, without their embeddings. */
@ApiTags('References')
@GalleryRoutes()
@Controller('v1/galleries/:galleryId/subjects/:subjectId/references')
export class ReferencesController {
  constructor(
    private readonly store: GalleryStore,
    private readonly galleries: GalleryService,
    private readonly receipts: ErasureReceipts,
  ) {}

  @Scopes('read')
  @Get()
  @ApiOperation({
    summary: 'List the references of a subject',
    description: 'Returns references in pages, oldest first, without embeddings.',
  })
  @ApiOkResponse({
    description: 'A page',
    type: ReferencesResponseDto,
  })
  @ApiFaceErrors([...READ_ERRORS, 'GALLERY_NOT_FOUND', 'SUBJECT_NOT_FOUND'])
  async listReferences(
    @Param() { galleryId, subjectId }: SubjectPathDto,
    @Query() { limit, cursor }: PageQueryDto,
    @RequestId() requestId: string,
  ): Promise<ReferencesResponseDto> {
    const page = { limit, after: cursor };
    const { items, next } = await this.galleries.listReferences(galleryId, subjectId, page);
    return { references: items.map(ReferenceDto.from), nextCursor: next, requestId };
  }

  @Scopes('read')
  @Get(':referenceId')
  @ApiOperation({
    summary: 'Get a reference',
    description: 'Returns metadata and quality, without the embedding.',
  })
  @ApiOkResponse({ description: 'Reference', type: ReferenceResponseDto })
  @ApiFaceErrors([...READ_ERRORS, ...NOT_FOUND])
  async getReference(
    @Param() { galleryId, subjectId, referenceId }: ReferencePathDto,
    @RequestId() requestId: string,
  ): Promise<ReferenceResponseDto> {
    const reference = await this.store.getReference(galleryId, subjectId, referenceId);
    return { ...ReferenceDto.from(reference), requestId };
  }

  @Scopes('enroll')
  @Patch(':referenceId')
  @JsonBody({ type: UpdateReferenceDto, example: REFERENCE_EXAMPLE })
  @ApiOperation({
    summary: 'Update the metadata and expiry of a reference',
    description: 'Absent fields stay unchanged. Metadata is replaced completely.',
  })
  @ApiOkResponse({ description: 'Updated reference', type: ReferenceResponseDto })
  @ApiFaceErrors([...CHANGE_ERRORS, ...NOT_FOUND])
  async updateReference(
    @Param() { galleryId, subjectId, referenceId }: ReferencePathDto,
    @Body() changes: UpdateReferenceDto,
    @RequestId() requestId: string,
  ): Promise<ReferenceResponseDto> {
    const reference = await this.galleries.updateReference(galleryId, subjectId, referenceId, changes);
    return { ...ReferenceDto.from(reference), requestId };
  }

  @Scopes('delete')
  @Delete(':referenceId')
  @ApiOperation({
    summary: 'Delete a reference',
    description:
      'Deletes the reference and cached results of its image; the subject stays. The deletion is complete when the response is sent.',
  })
  @ApiNoContentResponse({ description: 'Deleted' })
  @ApiReceipt()
  @ApiFaceErrors([...DELETE_ERRORS, ...NOT_FOUND])
  async deleteReference(
    @Param() { galleryId, subjectId, referenceId }: ReferencePathDto,
    @Query() { receipt }: ReceiptQueryDto,
    @RequestId() requestId: string,
    @Res({ passthrough: true }) response: Response,
  ): Promise<ErasureReceiptDto | undefined> {
    const remove = async () => {
      await this.galleries.deleteReference(galleryId, subjectId, referenceId);
      return { subjectCount: 0, referenceCount: 1 };
    };
    const signed = await this.receipts.erase(
      receipt,
      { galleryId, subjectId, referenceId },
      remove,
      requestId,
    );
    response.status(signed == null ? 204 : 200);
    return signed;
  }
}
