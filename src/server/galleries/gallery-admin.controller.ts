import { Controller, Get, HttpCode, Param, Post, Query, Req, Res, StreamableFile } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { pipeline } from 'node:stream/promises';
import { Scopes } from '../http/auth/scopes.decorator';
import { FaceError } from '../../errors';
import { exportGallery } from '../../gallery/backup/export-gallery';
import { GalleryStore } from '../../gallery/stores/gallery-store';
import { importGallery } from '../../gallery/backup/import-gallery';
import { ADMIN_ERRORS, ApiFaceErrors, type RequestErrorCode } from '../http/errors/api-errors.decorator';
import { refuseEncoded } from '../http/images/body-reader';
import { GalleryRoutes } from '../http/request/gallery-revision';
import { bodySchema } from '../http/openapi/body-content';
import { RequestId } from '../http/request/request-id';
import { WRITE_ERRORS } from './errors';
import { GalleryPathDto, SubjectPathDto } from './fields';
import { EXPORT_MEDIA, EXPORT_TYPES, ExportQueryDto, ImportResponseDto } from './gallery-export.dto';
import { exportSubject, SubjectExportDto } from './subject-export.dto';

const EXPORT_ERRORS: readonly RequestErrorCode[] = [
  ...ADMIN_ERRORS,
  'PARAMETER_INVALID',
  'GALLERY_NOT_FOUND',
  'GALLERY_STORE_FAILED',
  'GALLERY_REVISION_PENDING',
];

/** The only routes by which embeddings of galleries leave the service. */
@ApiTags('Gallery administration')
@GalleryRoutes()
@Controller('admin/galleries/:galleryId')
export class GalleryAdminController {
  constructor(private readonly store: GalleryStore) {}

  @Scopes('admin', 'embeddings')
  @Get('export')
  @ApiOperation({
    summary: 'Export a gallery',
    description:
      'Streams settings, subjects and references with their embeddings. The gallery can change meanwhile: an entry that exists from beginning to end is exported exactly once. The import rejects an incomplete export. Protect the file like photos, because it contains biometric data. Face crops (keepCrops) are not included.',
  })
  @ApiOkResponse({ description: 'Export of a gallery', content: EXPORT_MEDIA })
  @ApiFaceErrors(EXPORT_ERRORS)
  async exportGallery(
    @Param() { galleryId }: GalleryPathDto,
    @Query() { format }: ExportQueryDto,
    @Res() response: Response,
  ): Promise<void> {
    // Errors must be sent before the first byte.
    await this.store.getGallery(galleryId);
    // `attachment` would derive the type from the file extension.
    response.attachment(`${galleryId}.${format === 'jsonl' ? 'jsonl' : 'bin'}`).type(EXPORT_TYPES[format]);
    await pipeline(exportGallery(this.store, galleryId, format), response).catch((error: unknown) => {
      throw orAborted(error, response.closed);
    });
  }

  @Scopes('admin', 'embeddings')
  @Get('subjects/:subjectId/export')
  @ApiOperation({
    summary: 'Export all data of a subject, embeddings included',
    description:
      'Like the export of the subject under /v1, with biometric templates (embeddings) and stored face crops.',
  })
  @ApiOkResponse({
    description: 'Data of the subject',
    type: SubjectExportDto,
  })
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
    summary: 'Import a gallery',
    description:
      'Imports an export into an existing gallery of the same contract. Subjects get the metadata of the file. Existing references stay, so the import can be repeated. After a failure, the part imported before stays: `details.imported` has its counts, `details.record` the position of the failure.',
  })
  @ApiOkResponse({
    description: 'Imported counts',
    type: ImportResponseDto,
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
      // Destroying the request would close the connection before the response.
      const chunks = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
      return { ...(await importGallery(this.store, galleryId, chunks)), requestId };
    } catch (error) {
      throw orAborted(error, request.destroyed);
    } finally {
      request.resume();
    }
  }
}

/** An error of a stream after the client disconnected is not a failure of the service. */
function orAborted(error: unknown, hasLeft: boolean): unknown {
  if (error instanceof FaceError || !hasLeft) return error;
  return new FaceError('REQUEST_ABORTED', 'The client closed the connection before the response.');
}
