import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiExtraModels, ApiOkResponse, ApiOperation, ApiTags, getSchemaPath } from '@nestjs/swagger';
import { Scopes } from '../http/auth/scopes.decorator';
import { ApiFaceErrors, IMAGE_ROUTE_ERRORS } from '../http/errors/api-errors.decorator';
import { RequestLimits } from '../http/request/request-limits';
import { IMAGE_EXAMPLE } from '../http/openapi/examples';
import { ImageBody } from '../http/images/image-body.decorator';
import { ImageField } from '../http/images/image-body.interceptor';
import { RequestId } from '../http/request/request-id';
import {
  FailedItemDto,
  RepresentationDto,
  RepresentedItemDto,
  RepresentListResponseDto,
  RepresentOptionsDto,
  RepresentResponseDto,
} from './representation.dto';
import { RepresentationListService } from './representation-list.service';

@ApiTags('Faces')
@Scopes('embeddings')
@Controller('v1/represent')
export class RepresentationController {
  constructor(private readonly representations: RepresentationListService) {}

  @Post()
  @HttpCode(200)
  @ImageBody(
    { fields: ['image'], takesLists: true },
    { options: RepresentOptionsDto, example: IMAGE_EXAMPLE },
  )
  @ApiOperation({
    summary: 'Compute embeddings',
    description:
      'Returns an embedding for each face. One image returns its faces or an error. A list, or several parts named image, returns a result or an error for each, processed in parallel, with status 200 even if some fail. An invalid request (parameters, an unreadable part) fails as a whole.',
  })
  @ApiExtraModels(
    RepresentationDto,
    RepresentResponseDto,
    RepresentListResponseDto,
    RepresentedItemDto,
    FailedItemDto,
  )
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
    return this.representations.represent(image, { ...options, ...limits }, requestId);
  }
}
