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
  RENAME_EXAMPLES,
  RenameSubjectDto,
  SUBJECT_ANSWER,
  SUBJECT_EXAMPLES,
  SubjectDto,
  SubjectResponseDto,
  SUBJECTS_ANSWER,
  SubjectsQueryDto,
  SubjectsResponseDto,
  UpdateSubjectDto,
} from './subject.dto';
import { ApiReceipt, type ErasureReceiptDto, ReceiptQueryDto } from './receipt.dto';
import { exportSubject, SUBJECT_EXPORT_EXAMPLES, SubjectExportDto } from './subject-export.dto';

const ANSWER = { subject: { summary: 'The subject', value: SUBJECT_ANSWER } };

@ApiTags('subjects')
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
    description: 'In pages, all or by their metadata.',
  })
  @ApiQuery({
    name: 'filter',
    required: false,
    schema: { type: 'string' },
    example: '{"department":["it","hr"]}',
    description:
      'JSON: only subjects whose metadata has every key with this value, or one of these values. The same in each page',
  })
  @ApiOkResponse({
    description: 'A page',
    type: SubjectsResponseDto,
    examples: { subjects: { summary: 'The last page', value: SUBJECTS_ANSWER } },
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
  @JsonBody({ type: PutSubjectDto, examples: SUBJECT_EXAMPLES })
  @ApiOperation({
    summary: 'Make a subject, or replace its metadata and rights',
    description: 'A new one has no references. Enrolling makes subjects as well: this is for their metadata.',
  })
  @ApiCreatedResponse({ description: 'It is new', type: SubjectResponseDto, examples: ANSWER })
  @ApiOkResponse({ description: 'Its metadata is replaced', type: SubjectResponseDto, examples: ANSWER })
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
  @ApiOperation({ summary: 'Show a subject', description: 'Its metadata, and how many references it has.' })
  @ApiOkResponse({ description: 'The subject', type: SubjectResponseDto, examples: ANSWER })
  @ApiFaceErrors([...READ_ERRORS, 'GALLERY_NOT_FOUND', 'SUBJECT_NOT_FOUND'])
  async getSubject(
    @Param() { galleryId, subjectId }: SubjectPathDto,
    @RequestId() requestId: string,
  ): Promise<SubjectResponseDto> {
    return { ...SubjectDto.from(await this.store.getSubject(galleryId, subjectId)), requestId };
  }

  @Scopes('enroll')
  @Patch(':subjectId')
  @JsonBody({ type: UpdateSubjectDto, examples: SUBJECT_EXAMPLES })
  @ApiOperation({
    summary: 'Change metadata and rights of a subject',
    description: 'What is absent stays. Makes no subject that is not there.',
  })
  @ApiOkResponse({ description: 'The subject as it is now', type: SubjectResponseDto, examples: ANSWER })
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
    summary: 'Export all that is held about a subject',
    description:
      'Subject and references with their times, metadata, quality and rights; nothing of other subjects. The embeddings are ' +
      'in the export under /admin alone.',
  })
  @ApiOkResponse({
    description: 'What is held',
    type: SubjectExportDto,
    examples: SUBJECT_EXPORT_EXAMPLES,
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
  @JsonBody({ type: RenameSubjectDto, examples: RENAME_EXAMPLES })
  @ApiOperation({
    summary: 'Give a subject another id, or merge it into another',
    description: 'References keep their ids.',
  })
  @ApiOkResponse({
    description: 'The subject that has the new id now',
    type: SubjectResponseDto,
    examples: ANSWER,
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
    description: 'With all its references, and all cached answers. It is gone when the answer comes.',
  })
  @ApiNoContentResponse({ description: 'It is gone' })
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
