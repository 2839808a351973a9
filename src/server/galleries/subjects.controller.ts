import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Param,
  Patch,
  Post,
  Put,
  Query,
  Res,
  StreamableFile,
} from '@nestjs/common';
import {
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiQuery,
  ApiTags,
} from '@nestjs/swagger';
import type { Response } from 'express';
import { Scopes } from '../http/auth/scopes.decorator';
import { ErasureReceipts } from '../receipts/erasure-receipts';
import { GalleryService } from '../../gallery/gallery.service';
import { GalleryStore } from '../../gallery/stores/gallery-store';
import { ApiFaceErrors } from '../http/errors/api-errors.decorator';
import { GalleryRoutes } from '../http/request/gallery-revision';
import { JsonBody } from '../http/request/json-body';
import { RequestId } from '../http/request/request-id';
import { CHANGE_ERRORS, DELETE_ERRORS, READ_ERRORS } from './errors';
import { GalleryPathDto, SubjectPathDto } from './fields';
import {
  PutSubjectDto,
  RenameSubjectDto,
  SUBJECT_EXAMPLE,
  SubjectDto,
  SubjectResponseDto,
  SubjectsQueryDto,
  SubjectsResponseDto,
  UpdateSubjectDto,
} from './subject.dto';
import { ApiReceipt, type ErasureReceiptDto, ReceiptQueryDto } from './receipt.dto';
import { exportSubject, SubjectExportDto } from './subject-export.dto';

@ApiTags('Subjects')
@GalleryRoutes()
@Controller('v1/galleries/:galleryId/subjects')
export class SubjectsController {
  constructor(
    private readonly store: GalleryStore,
    private readonly galleries: GalleryService,
    private readonly receipts: ErasureReceipts,
  ) {}

  @Scopes('read')
  @Get()
  @ApiOperation({
    summary: 'List the subjects of a gallery',
    description: 'Returns subjects in pages, optionally filtered by metadata.',
  })
  @ApiQuery({
    name: 'filter',
    required: false,
    schema: { type: 'string' },
    example: '{"department":["it","hr"]}',
    description:
      'Filter by metadata as JSON: only subjects with every key and its value, or one of its values. Must be the same for each page',
  })
  @ApiOkResponse({
    description: 'A page',
    type: SubjectsResponseDto,
  })
  @ApiFaceErrors([...READ_ERRORS, 'GALLERY_NOT_FOUND'])
  async listSubjects(
    @Param() { galleryId }: GalleryPathDto,
    @Query() { limit, cursor, filter }: SubjectsQueryDto,
    @RequestId() requestId: string,
  ): Promise<SubjectsResponseDto> {
    const { items, next } = await this.store.listSubjects(galleryId, { limit, after: cursor, filter });
    return { subjects: items.map(SubjectDto.from), nextCursor: next, requestId };
  }

  @Scopes('enroll')
  @Put(':subjectId')
  @JsonBody({ type: PutSubjectDto, example: SUBJECT_EXAMPLE })
  @ApiOperation({
    summary: 'Create a subject, or replace its metadata and legal fields',
    description:
      'A new subject has no references. Enrollment also creates subjects, so this route is only needed for metadata.',
  })
  @ApiCreatedResponse({ description: 'Created', type: SubjectResponseDto })
  @ApiOkResponse({ description: 'Replaced', type: SubjectResponseDto })
  @ApiFaceErrors([...CHANGE_ERRORS, 'GALLERY_NOT_FOUND', 'GALLERY_FULL'])
  async putSubject(
    @Param() { galleryId, subjectId }: SubjectPathDto,
    @Body() { metadata = {}, consentRef = null, purpose = null, expiresAt = null }: PutSubjectDto,
    @RequestId() requestId: string,
    @Res({ passthrough: true }) response: Response,
  ): Promise<SubjectResponseDto> {
    const rights = { consentRef, purpose, expiresAt };
    const { subject, isNew } = await this.galleries.putSubject(galleryId, subjectId, metadata, rights);
    response.status(isNew ? 201 : 200);
    return { ...SubjectDto.from(subject), requestId };
  }

  @Scopes('read')
  @Get(':subjectId')
  @ApiOperation({
    summary: 'Get a subject',
    description: 'Returns metadata, legal fields and the number of references.',
  })
  @ApiOkResponse({ description: 'Subject', type: SubjectResponseDto })
  @ApiFaceErrors([...READ_ERRORS, 'GALLERY_NOT_FOUND', 'SUBJECT_NOT_FOUND'])
  async getSubject(
    @Param() { galleryId, subjectId }: SubjectPathDto,
    @RequestId() requestId: string,
  ): Promise<SubjectResponseDto> {
    return { ...SubjectDto.from(await this.store.getSubject(galleryId, subjectId)), requestId };
  }

  @Scopes('enroll')
  @Patch(':subjectId')
  @JsonBody({ type: UpdateSubjectDto, example: SUBJECT_EXAMPLE })
  @ApiOperation({
    summary: 'Update the metadata and legal fields of a subject',
    description: 'Absent fields stay unchanged. The subject must exist.',
  })
  @ApiOkResponse({ description: 'Updated subject', type: SubjectResponseDto })
  @ApiFaceErrors([...CHANGE_ERRORS, 'GALLERY_NOT_FOUND', 'SUBJECT_NOT_FOUND'])
  async updateSubject(
    @Param() { galleryId, subjectId }: SubjectPathDto,
    @Body() changes: UpdateSubjectDto,
    @RequestId() requestId: string,
  ): Promise<SubjectResponseDto> {
    const subject = await this.galleries.updateSubject(galleryId, subjectId, changes);
    return { ...SubjectDto.from(subject), requestId };
  }

  @Scopes('read')
  @Get(':subjectId/export')
  @ApiOperation({
    summary: 'Export all data of a subject',
    description:
      'Returns the subject and its references with times, metadata, quality and legal fields, without data of other subjects. Embeddings are only in the export under /admin.',
  })
  @ApiOkResponse({
    description: 'Data of the subject',
    type: SubjectExportDto,
  })
  @ApiFaceErrors([...READ_ERRORS, 'GALLERY_NOT_FOUND', 'SUBJECT_NOT_FOUND'])
  async exportSubject(
    @Param() path: SubjectPathDto,
    @RequestId() requestId: string,
  ): Promise<StreamableFile> {
    return exportSubject(this.store, path, { requestId, withEmbeddings: false });
  }

  @Scopes('enroll')
  @Post(':subjectId/rename')
  @HttpCode(200)
  @JsonBody({ type: RenameSubjectDto })
  @ApiOperation({
    summary: 'Rename a subject, or merge it into another',
    description: 'References keep their ids.',
  })
  @ApiOkResponse({
    description: 'Subject with the new id',
    type: SubjectResponseDto,
  })
  @ApiFaceErrors([
    ...CHANGE_ERRORS,
    'GALLERY_NOT_FOUND',
    'SUBJECT_NOT_FOUND',
    'SUBJECT_EXISTS',
    'SUBJECT_FULL',
  ])
  async renameSubject(
    @Param() { galleryId, subjectId }: SubjectPathDto,
    @Body() { newSubjectId, merge }: RenameSubjectDto,
    @RequestId() requestId: string,
  ): Promise<SubjectResponseDto> {
    const subject = await this.galleries.renameSubject(galleryId, subjectId, newSubjectId, { merge });
    return { ...SubjectDto.from(subject), requestId };
  }

  @Scopes('delete')
  @Delete(':subjectId')
  @ApiOperation({
    summary: 'Delete a subject',
    description:
      'Deletes the subject with all its references, and all cached results. The deletion is complete when the response is sent.',
  })
  @ApiNoContentResponse({ description: 'Deleted' })
  @ApiReceipt()
  @ApiFaceErrors([...DELETE_ERRORS, 'GALLERY_NOT_FOUND', 'SUBJECT_NOT_FOUND'])
  async deleteSubject(
    @Param() { galleryId, subjectId }: SubjectPathDto,
    @Query() { receipt }: ReceiptQueryDto,
    @RequestId() requestId: string,
    @Res({ passthrough: true }) response: Response,
  ): Promise<ErasureReceiptDto | undefined> {
    const remove = () => this.galleries.deleteSubject(galleryId, subjectId);
    const signed = await this.receipts.erase(receipt, { galleryId, subjectId }, remove, requestId);
    response.status(signed == null ? 204 : 200);
    return signed;
  }
}
