import { Body, Controller, HttpStatus, Param, Post, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiExtraModels, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { Scopes } from '../http/auth/scopes.decorator';
import { FaceError } from '../../errors';
import type { EnrollmentResult, EnrollOptions } from '../../gallery/enrollment/enroller';
import { GalleryService } from '../../gallery/gallery.service';
import type { Metadata } from '../../gallery/gallery.types';
import {
  ApiFaceErrors,
  IMAGE_ROUTE_ERRORS,
  type RequestErrorCode,
} from '../http/errors/api-errors.decorator';
import { ErrorDto } from '../http/errors/error.dto';
import { GalleryRoutes } from '../http/request/gallery-revision';
import { ImageBody } from '../http/images/image-body.decorator';
import { ImageField } from '../http/images/image-body.interceptor';
import type { ImageInput } from '../http/images/parse-image';
import { RequestId } from '../http/request/request-id';
import { RequestLimits } from '../http/request/request-limits';
import { logServerError } from '../http/errors/to-face-error';
import { invalidParameters } from '../http/request/validation';
import {
  BULK_EXAMPLE,
  BULK_FORM,
  BulkEnrollDto,
  ENROLL_EXAMPLE,
  ENROLLMENT_SCHEMAS,
  EnrolledItemDto,
  EnrollmentDto,
  EnrollmentItemDto,
  EnrollmentListResponseDto,
  EnrollmentResponseDto,
  EnrollOptionsDto,
  EnrollReferenceDto,
  RefusedItemDto,
  type SentItem,
} from './enroll.dto';
import { WRITE_ERRORS } from './errors';
import { endProblem, GalleryPathDto, parsedTime, SubjectPathDto } from './fields';
import { ApiIdempotencyKey, IdempotencyKey } from './idempotency-key';

/** Errors of one image; in a list they are errors of the item. */
const ITEM_ERRORS: readonly RequestErrorCode[] = [
  'FACE_NOT_DETECTED',
  'PRESENTATION_ATTACK_SUSPECTED',
  'REFERENCE_REJECTED',
  'EMBEDDING_INVALID',
  'EMBEDDING_CONTRACT_MISMATCH',
  'IDEMPOTENCY_CONFLICT',
  'SUBJECT_FULL',
  'GALLERY_FULL',
];
const ENROLL_ERRORS: readonly RequestErrorCode[] = [
  ...IMAGE_ROUTE_ERRORS,
  ...ITEM_ERRORS,
  'GALLERY_NOT_FOUND',
  'GALLERY_STORE_FAILED',
  'GALLERY_REVISION_PENDING',
  ...WRITE_ERRORS,
];

/** An item of a request. A FaceError replaces an unreadable image or an invalid item. */
interface Item {
  subjectId: string;
  metadata?: Metadata;
  /** Milliseconds since 1970, UTC. */
  expiresAt?: number | null;
  input: ImageInput | FaceError;
}

/** Converts an item with its parsed expiry. */
function toItem({ expiresAt, ...item }: SentItem, input: ImageInput | FaceError): Item {
  if (expiresAt === undefined) return { ...item, input };
  const end = parsedTime(expiresAt);
  const problem = endProblem(end);
  if (problem != null) return { ...item, input: invalidParameters({ expiresAt: problem }) };
  return { ...item, input, expiresAt: end as number | null };
}

@ApiTags('References')
@ApiExtraModels(
  EnrollmentDto,
  EnrollmentResponseDto,
  EnrollmentListResponseDto,
  EnrolledItemDto,
  RefusedItemDto,
  EnrollmentItemDto,
  EnrollOptionsDto,
)
@Scopes('enroll')
@GalleryRoutes()
@Controller('v1/galleries/:galleryId')
export class EnrollmentController {
  constructor(private readonly galleries: GalleryService) {}

  @Post('subjects/:subjectId/references')
  @ImageBody(
    { fields: ['image'], takesLists: true, takesEmbeddings: 'beside', keepsErrors: true },
    { options: EnrollReferenceDto, example: ENROLL_EXAMPLE },
  )
  @ApiIdempotencyKey()
  @ApiOperation({
    summary: 'Enroll images or an embedding of a subject',
    description:
      'Creates the subject if it does not exist. One image returns the reference or an error. A list, or several parts named image, returns a result or an error for each. The status is 201 if a reference was added, otherwise 200. Every search that begins after the response finds the new references.',
  })
  @ApiCreatedResponse({ description: 'Added', schema: ENROLLMENT_SCHEMAS })
  @ApiOkResponse({ description: 'Nothing added', schema: ENROLLMENT_SCHEMAS })
  @ApiFaceErrors(ENROLL_ERRORS)
  async enrollReferences(
    @Param() { galleryId, subjectId }: SubjectPathDto,
    @ImageField('image') image: ImageInput | (ImageInput | FaceError)[],
    @Body() { metadata, expiresAt, ...options }: EnrollReferenceDto,
    @IdempotencyKey() idempotencyKey: string | undefined,
    @RequestLimits() limits: RequestLimits,
    @RequestId() requestId: string,
    @Res({ passthrough: true }) response: Response,
  ): Promise<EnrollmentResponseDto | EnrollmentListResponseDto> {
    const items = (Array.isArray(image) ? image : [image]).map((input) => ({
      subjectId,
      input,
      metadata,
      expiresAt,
    }));
    const results = await this.enroll(galleryId, items, { ...options, idempotencyKey, ...limits });
    if (!Array.isArray(image)) {
      const [result] = results;
      if (result instanceof FaceError) throw result;
      setStatus(response, results);
      return { ...EnrollmentDto.from(result), requestId };
    }
    setStatus(response, results);
    return listAnswer(results, requestId);
  }

  @Post('enroll')
  @ImageBody(
    { fields: ['image'], takesLists: true, takesEmbeddings: 'beside', keepsErrors: true, itemsIn: 'items' },
    { options: BulkEnrollDto, example: BULK_EXAMPLE, form: BULK_FORM },
  )
  @ApiIdempotencyKey()
  @ApiOperation({
    summary: 'Enroll images or embeddings of many subjects',
    description:
      'Returns a result or an error for each item, in the order of the items. Creates subjects that do not exist. The status is 201 if a reference was added, otherwise 200. If the response is lost, repeat the request with the same Idempotency-Key.',
  })
  @ApiCreatedResponse({ description: 'At least one reference added', type: EnrollmentListResponseDto })
  @ApiOkResponse({ description: 'Nothing added', type: EnrollmentListResponseDto })
  @ApiFaceErrors(ENROLL_ERRORS)
  async enrollItems(
    @Param() { galleryId }: GalleryPathDto,
    @ImageField('image') images: (ImageInput | FaceError)[],
    @Body() { items, ...options }: BulkEnrollDto,
    @IdempotencyKey() idempotencyKey: string | undefined,
    @RequestLimits() limits: RequestLimits,
    @RequestId() requestId: string,
    @Res({ passthrough: true }) response: Response,
  ): Promise<EnrollmentListResponseDto> {
    const results = await this.enroll(
      galleryId,
      items.map((item, i) => toItem(item, images[i])),
      { ...options, idempotencyKey, ...limits },
    );
    setStatus(response, results);
    return listAnswer(results, requestId);
  }

  private async enroll(
    galleryId: string,
    items: readonly Item[],
    options: EnrollOptions,
  ): Promise<(EnrollmentResult | FaceError)[]> {
    const readable = items.flatMap(({ input, ...item }) =>
      input instanceof FaceError ? [] : [{ ...item, input }],
    );
    const results = (await this.galleries.enroll(galleryId, readable, options)).values();
    return items.map(({ input }) =>
      input instanceof FaceError ? input : (results.next().value as EnrollmentResult | FaceError),
    );
  }
}

function setStatus(response: Response, results: readonly (EnrollmentResult | FaceError)[]): void {
  const isNew = results.some((result) => !(result instanceof FaceError) && result.status === 'added');
  response.status(isNew ? HttpStatus.CREATED : HttpStatus.OK);
}

function listAnswer(
  results: readonly (EnrollmentResult | FaceError)[],
  requestId: string,
): EnrollmentListResponseDto {
  return {
    results: results.map((result, index) => {
      if (!(result instanceof FaceError)) return { index, ...EnrollmentDto.from(result) };
      logServerError(result, requestId);
      return { index, error: ErrorDto.from(result.withDetails({ index })) };
    }),
    requestId,
  };
}
