import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiExtraModels, ApiOkResponse, ApiOperation, ApiTags, getSchemaPath } from '@nestjs/swagger';
import { Scopes } from '../http/auth/scopes.decorator';
import { RepresentationService } from '../../face/representation.service';
import { ApiFaceErrors, IMAGE_ROUTE_ERRORS } from '../http/errors/api-errors.decorator';
import { RequestLimits } from '../http/request/request-limits';
import { ErrorDto } from '../http/errors/error.dto';
import { ImageBody } from '../http/images/image-body.decorator';
import { ImageField } from '../http/images/image-body.interceptor';
import { RequestId } from '../http/request/request-id';
import { logServerError, toFaceError } from '../http/errors/to-face-error';
import {
  FailedItemDto,
  REPRESENT_ANSWER,
  REPRESENT_EXAMPLES,
  REPRESENT_LIST_ANSWER,
  RepresentationDto,
  RepresentedItemDto,
  RepresentListResponseDto,
  RepresentOptionsDto,
  RepresentResponseDto,
} from './representation.dto';

@ApiTags('representation')
@Scopes('embeddings')
@Controller('v1/represent')
export class RepresentationController {
  constructor(private readonly representation: RepresentationService) {}

  @Post()
  @HttpCode(200)
  @ImageBody(
    { fields: ['image'], takesLists: true },
    { options: RepresentOptionsDto, examples: REPRESENT_EXAMPLES },
  )
  @ApiOperation({
    summary: 'Compute embeddings',
    description:
      'Returns an embedding for each face. One image returns its faces or an error. A list, or several parts named image, returns a result or an error for each, processed in parallel, with status 200 even if some fail. An invalid request (parameters, an unreadable part) fails as a whole.',
  })
  @ApiExtraModels(RepresentResponseDto, RepresentListResponseDto, RepresentedItemDto, FailedItemDto)
  @ApiOkResponse({
    description: 'Faces with their embeddings',
    content: {
      'application/json': {
        schema: {
          oneOf: [
            { $ref: getSchemaPath(RepresentResponseDto) },
            { $ref: getSchemaPath(RepresentListResponseDto) },
          ],
        },
        examples: {
          image: { summary: 'One image', value: REPRESENT_ANSWER },
          list: { summary: 'A list with one image without a face', value: REPRESENT_LIST_ANSWER },
        },
      },
    },
  })
  @ApiFaceErrors([...IMAGE_ROUTE_ERRORS, 'FACE_NOT_DETECTED'])
  async represent(
    @ImageField('image') image: Uint8Array | Uint8Array[],
    @Body() options: RepresentOptionsDto,
    @RequestLimits() limits: RequestLimits,
    @RequestId() requestId: string,
  ): Promise<RepresentResponseDto | RepresentListResponseDto> {
    const represent = async (bytes: Uint8Array) =>
      RepresentationDto.from(await this.representation.represent(bytes, { ...options, ...limits }));

    if (!Array.isArray(image)) return { ...(await represent(image)), requestId };
    const results = await Promise.all(
      image.map(async (bytes, index) => {
        try {
          return { index, ...(await represent(bytes)) };
        } catch (error) {
          return { index, error: itemError(error, index, requestId) };
        }
      }),
    );
    return { results, requestId };
  }
}

/**
 * Converts the error of one image. Rethrows errors of the whole request, such as an invalid parameter, which would fail
 * every image.
 */
function itemError(thrown: unknown, index: number, requestId: string): ErrorDto {
  const error = toFaceError(thrown);
  if (error.status === 400 || error.status === 409) throw error;
  logServerError(error, requestId);
  return ErrorDto.from(error.withDetails({ field: 'image', index, ...error.details }));
}
