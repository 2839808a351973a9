import { Controller, Get, HttpCode, Param, Post, Query, Req, Res, StreamableFile } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { pipeline } from 'node:stream/promises';
import { Scopes } from '../http/auth/scopes.decorator';
import { FaceError } from '../../errors';
import { exportGallery } from '../../gallery/backup/export-gallery';
import { GalleryStore } from '../../gallery/stores/gallery-store';
import { importGallery } from '../../gallery/backup/import-gallery';
import { ADMIN_ERRORS, ApiFaceErrors } from '../http/errors/api-errors.decorator';
import { refuseEncoded } from '../http/images/body-reader';
import type { RequestErrorCode } from '../http/errors/error-examples';
import { GalleryRoutes } from '../http/request/gallery-revision';
import { bodySchema } from '../http/openapi/openapi';
import { RequestId } from '../http/request/request-id';
import { WRITE_ERRORS } from './errors';
import { GalleryPathDto, SubjectPathDto } from './fields';
import {
  EXPORT_MEDIA,
  EXPORT_TYPES,
  ExportQueryDto,
  IMPORT_ANSWER,
  ImportResponseDto,
} from './gallery-export.dto';
import { exportSubject, FULL_EXPORT_EXAMPLES, SubjectExportDto } from './subject-export.dto';

const EXPORT_ERRORS: readonly RequestErrorCode[] = [
  ...ADMIN_ERRORS,
  'PARAMETER_INVALID',
  'GALLERY_NOT_FOUND',
  'GALLERY_STORE_FAILED',
  'GALLERY_REVISION_PENDING',
  'NOT_READY',
];

/** The only routes by which embeddings of galleries leave the service. */
@ApiTags('admin')
@GalleryRoutes()
@Controller('admin/galleries/:galleryId')
export class GalleryAdminController {
  constructor(private readonly store: GalleryStore) {}

  @Scopes('admin', 'embeddings')
  @Get('export')
  @ApiOperation({
    summary: 'Export a gallery',
    description:
      'Settings, subjects and references with their embeddings, streamed while the gallery goes on changing: what is there ' +
      'from beginning to end comes exactly once. An export that was cut off is refused by the import. Keep it as you ' +
      'would keep the photos: it holds biometric data. Pictures of faces (keepCrops) are no part of it.',
  })
  @ApiOkResponse({ description: 'The gallery', content: EXPORT_MEDIA })
  @ApiFaceErrors(EXPORT_ERRORS)
  async exportGallery(
    @Param() { galleryId }: GalleryPathDto,
    @Query() { format }: ExportQueryDto,
    @Res() response: Response,
  ): Promise<void> {
    // What is wrong is said before the first byte.
    await this.store.getGallery(galleryId);
    // The name would set the type by its ending.
    response.attachment(`${galleryId}.${format === 'jsonl' ? 'jsonl' : 'bin'}`).type(EXPORT_TYPES[format]);
    await pipeline(exportGallery(this.store, galleryId, format), response).catch((error: unknown) => {
      throw orAborted(error, response.closed);
    });
  }

  @Scopes('admin', 'embeddings')
  @Get('subjects/:subjectId/export')
  @ApiOperation({
    summary: 'Export all that is held about a subject, embeddings included',
    description:
      'As the export of the subject under /v1, with the biometric templates themselves and the pictures of the faces that are held.',
  })
  @ApiOkResponse({ description: 'What is held', type: SubjectExportDto, examples: FULL_EXPORT_EXAMPLES })
  @ApiFaceErrors([...EXPORT_ERRORS, 'SUBJECT_NOT_FOUND'])
  async exportSubjectEmbeddings(
    @Param() path: SubjectPathDto,
    @RequestId() requestId: string,
  ): Promise<StreamableFile> {
    return exportSubject(this.store, path, { requestId, withEmbeddings: true });
  }

  @Scopes('admin')
  @Post('import')
  @HttpCode(200)
  @ApiBody({ required: true, schema: bodySchema(EXPORT_MEDIA) })
  @ApiOperation({
    summary: 'Import what was exported',
    description:
      'Into a gallery that is there, of the same contract. Subjects get the metadata of the file; references that are there ' +
      'already stay, so that it can be repeated. Where it fails, what was imported before stays: `details.imported` says ' +
      'how much, `details.record` where it ended.',
  })
  @ApiOkResponse({
    description: 'What was imported',
    type: ImportResponseDto,
    examples: { imported: { summary: 'Some were there already', value: IMPORT_ANSWER } },
  })
  @ApiFaceErrors([
    ...EXPORT_ERRORS,
    ...WRITE_ERRORS,
    'REQUEST_MALFORMED',
    'CONTENT_TYPE_UNSUPPORTED',
    'EMBEDDING_CONTRACT_MISMATCH',
    'SUBJECT_FULL',
    'GALLERY_FULL',
    'GALLERY_MIGRATING',
  ])
  async importGallery(
    @Param() { galleryId }: GalleryPathDto,
    @Req() request: Request,
    @RequestId() requestId: string,
  ): Promise<ImportResponseDto> {
    if (request.is(Object.values(EXPORT_TYPES)) === false) {
      throw new FaceError(
        'CONTENT_TYPE_UNSUPPORTED',
        `Expected Content-Type ${Object.values(EXPORT_TYPES).join(' or ')}.`,
      );
    }
    refuseEncoded(request);
    try {
      // Ending the request with the reading would take away the connection that the answer goes by.
      const chunks = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
      return { ...(await importGallery(this.store, galleryId, chunks)), requestId };
    } catch (error) {
      throw orAborted(error, request.destroyed);
    } finally {
      request.resume();
    }
  }
}

/** What a stream throws where the client has left is no failure of the service. */
function orAborted(error: unknown, hasLeft: boolean): unknown {
  if (error instanceof FaceError || !hasLeft) return error;
  return new FaceError('REQUEST_ABORTED', 'The client closed the connection before the answer.');
}
