import { Controller, Get, Header, type Type } from '@nestjs/common';
import { ApiExtraModels, ApiOkResponse, ApiOperation, ApiTags, getSchemaPath } from '@nestjs/swagger';
import { AuditedPeople, type AuditedPerson } from '../audit/audited-person';
import type { ApiKey } from '../http/auth/api-key';
import { CallerKey } from '../http/auth/key-limits';
import { Scopes, WithoutKey } from '../http/auth/scopes.decorator';
import { ImageField } from '../http/images/image-body.interceptor';
import { DEEPFACE_TAG } from '../http/openapi/tags';
import { GalleryRoutes } from '../http/request/gallery-revision';
import { RequestLimits } from '../http/request/request-limits';
import { createValidationPipe } from '../http/request/validation';
import {
  DeepfaceAnalysisDto,
  DeepfaceIndexAnswerDto,
  DeepfaceMatchDto,
  DeepfaceRegisterAnswerDto,
  DeepfaceRepresentationDto,
  DeepfaceVerifyAnswerDto,
} from './deepface-answers.dto';
import { type DeepfaceImage, DeepfaceOptions, type Timed } from './deepface-body';
import { DeepfacePost } from './deepface-docs';
import {
  DeepfaceAnalyzeDto,
  DeepfaceIndexDto,
  DeepfaceRegisterDto,
  DeepfaceRepresentDto,
  DeepfaceSearchDto,
  DeepfaceVerifyDto,
} from './deepface-options.dto';
import { DeepfaceService } from './deepface.service';
import { DeepfaceStoreService } from './deepface-store.service';
import type { DeepfaceRoute } from './dialect';

/** The version of DeepFace whose API this is. */
const DEEPFACE_VERSION = '0.0.100';

/** Fields of the dialect: unknown ones are ignored, as in DeepFace. */
const fields = createValidationPipe({ forbidNonWhitelisted: false, validateCustomDecorators: true });

/** Response with `results`: a list for one image, a list of lists for several. */
function resultsOf(dto: { name: string; prototype: unknown }) {
  const list = (items: object) => ({ type: 'array' as const, items });
  const face = { $ref: getSchemaPath(dto.name) };
  return {
    type: 'object' as const,
    required: ['results'],
    properties: { results: { oneOf: [list(face), list(list(face))] } },
  };
}

@ApiTags(DEEPFACE_TAG)
@Controller()
export class DeepfaceHomeController {
  @WithoutKey()
  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  @ApiOperation({
    operationId: 'deepfaceHome',
    summary: 'Welcome page',
    description: 'Clients use it to check that the API is available. No key is required.',
  })
  @ApiOkResponse({
    description: 'HTML',
    content: {
      'text/html': {
        schema: { type: 'string' },
        example: homePage(),
      },
    },
  })
  home(): string {
    return homePage();
  }
}

@ApiTags(DEEPFACE_TAG)
@Controller()
class DeepfaceVerifyController {
  constructor(private readonly deepface: DeepfaceService) {}

  @Scopes('verify')
  @DeepfacePost(
    '/verify',
    { fields: ['img1', 'img2'], takesEmbeddings: true },
    {
      summary: 'Verify two faces',
      description:
        'Compares all faces of both images and decides by the closest pair. Each image can be replaced by an embedding.',
      curl: 'curl -F img1=@a.jpg -F img2=@b.jpg localhost:3000/verify',
      options: DeepfaceVerifyDto,
      example: {},
      errors: ['EMBEDDING_INVALID'],
    },
  )
  @ApiOkResponse({
    description: 'Decision',
    type: DeepfaceVerifyAnswerDto,
  })
  verify(
    @ImageField('img1') img1: DeepfaceImage,
    @ImageField('img2') img2: DeepfaceImage,
    @DeepfaceOptions(fields) options: DeepfaceVerifyDto,
    @RequestLimits() limits: RequestLimits,
  ): Promise<Timed<DeepfaceVerifyAnswerDto>> {
    return this.deepface.verify(img1, img2, options, limits);
  }
}

@ApiTags(DEEPFACE_TAG)
@ApiExtraModels(DeepfaceRepresentationDto)
@Controller()
class DeepfaceRepresentController {
  constructor(private readonly deepface: DeepfaceService) {}

  @Scopes('embeddings')
  @DeepfacePost(
    '/represent',
    { fields: ['img'], takesLists: true },
    {
      summary: 'Compute embeddings',
      description: 'Returns an embedding for every face in the image, largest first.',
      curl: 'curl -F img=@a.jpg localhost:3000/represent',
      options: DeepfaceRepresentDto,
      example: {},
    },
  )
  @ApiOkResponse({
    description: 'Faces with their embeddings',
    schema: resultsOf(DeepfaceRepresentationDto),
  })
  represent(
    @ImageField('img') img: Uint8Array | Uint8Array[],
    @DeepfaceOptions(fields) options: DeepfaceRepresentDto,
    @RequestLimits() limits: RequestLimits,
  ) {
    return this.deepface.represent(img, options, limits);
  }
}

@ApiTags(DEEPFACE_TAG)
@ApiExtraModels(DeepfaceAnalysisDto)
@Controller()
class DeepfaceAnalyzeController {
  constructor(private readonly deepface: DeepfaceService) {}

  @Scopes('verify')
  @DeepfacePost(
    '/analyze',
    { fields: ['img'], takesLists: true },
    {
      summary: 'Estimate age, gender, emotion and race',
      description:
        'The results are estimates of networks, not facts about a person. `actions` selects the attributes to estimate.',
      curl: `curl -F img=@a.jpg -F 'actions=[age, gender]' localhost:3000/analyze`,
      options: DeepfaceAnalyzeDto,
      example: { actions: ['age', 'gender'] },
    },
  )
  @ApiOkResponse({
    description: 'Faces with their estimates',
    schema: resultsOf(DeepfaceAnalysisDto),
  })
  analyze(
    @ImageField('img') img: Uint8Array | Uint8Array[],
    @DeepfaceOptions(fields) options: DeepfaceAnalyzeDto,
    @RequestLimits() limits: RequestLimits,
  ) {
    return this.deepface.analyze(img, options, limits);
  }
}

@ApiTags(DEEPFACE_TAG)
@GalleryRoutes()
@Controller()
class DeepfaceRegisterController {
  constructor(private readonly store: DeepfaceStoreService) {}

  @Scopes('enroll')
  @DeepfacePost(
    '/register',
    { fields: ['img'], takesLists: true },
    {
      summary: 'Register the faces of an image',
      description:
        'Adds every face to the store. The store has one gallery per embedder, which /v1/galleries lists and deletes.',
      curl: 'curl -F img=@a.jpg -F img_name=ada localhost:3000/register',
      options: DeepfaceRegisterDto,
      example: { img_name: 'ada' },
      errors: [
        'GALLERY_FULL',
        'GALLERY_STORE_FAILED',
        'GALLERY_REVISION_PENDING',
        'GALLERY_CHANGE_UNCERTAIN',
        'GALLERY_STORE_STOPPED',
      ],
    },
  )
  @ApiOkResponse({
    description: 'Number of faces added',
    type: DeepfaceRegisterAnswerDto,
  })
  register(
    @ImageField('img') img: Uint8Array | Uint8Array[],
    @DeepfaceOptions(fields) options: DeepfaceRegisterDto,
    @RequestLimits() limits: RequestLimits,
    @CallerKey() key: ApiKey | undefined,
    @AuditedPeople() people: AuditedPerson[],
  ): Promise<Timed<DeepfaceRegisterAnswerDto>> {
    return this.store.register(img, options, limits, key, people);
  }
}

@ApiTags(DEEPFACE_TAG)
@ApiExtraModels(DeepfaceMatchDto)
@GalleryRoutes()
@Controller()
class DeepfaceSearchController {
  constructor(private readonly store: DeepfaceStoreService) {}

  @Scopes('identify')
  @DeepfacePost(
    '/search',
    { fields: ['img'], takesLists: true },
    {
      summary: 'Find registered faces',
      description:
        'Returns the registered faces within the threshold for each face of the image, closest first.',
      curl: 'curl -F img=@b.jpg localhost:3000/search',
      options: DeepfaceSearchDto,
      example: {},
      errors: ['GALLERY_NOT_FOUND', 'GALLERY_STORE_FAILED', 'GALLERY_REVISION_PENDING'],
    },
  )
  @ApiOkResponse({
    description: 'One list per face of the image',
    schema: {
      type: 'object',
      required: ['results'],
      properties: {
        results: {
          type: 'array',
          items: { type: 'array', items: { $ref: getSchemaPath(DeepfaceMatchDto) } },
        },
      },
    },
  })
  search(
    @ImageField('img') img: Uint8Array | Uint8Array[],
    @DeepfaceOptions(fields) options: DeepfaceSearchDto,
    @RequestLimits() limits: RequestLimits,
    @CallerKey() key: ApiKey | undefined,
    @AuditedPeople() people: AuditedPerson[],
  ): Promise<Timed<{ results: DeepfaceMatchDto[][] }>> {
    return this.store.search(img, options, limits, key, people);
  }
}

@ApiTags(DEEPFACE_TAG)
@Controller()
class DeepfaceIndexController {
  constructor(private readonly store: DeepfaceStoreService) {}

  @Scopes('enroll')
  @DeepfacePost(
    '/build/index',
    { fields: [] },
    {
      summary: 'Build the index (no effect)',
      description:
        'Accepted for compatibility. Every search compares every face without an index, also with search_method ann.',
      curl: `curl -H 'content-type: application/json' -d '{}' localhost:3000/build/index`,
      options: DeepfaceIndexDto,
      example: {},
    },
  )
  @ApiOkResponse({
    description: 'Accepted',
    type: DeepfaceIndexAnswerDto,
  })
  buildIndex(@DeepfaceOptions(fields) options: DeepfaceIndexDto): Timed<DeepfaceIndexAnswerDto> {
    return { answer: this.store.buildIndex(options), timings: [] };
  }
}

/** The controller of each POST route. */
export const DEEPFACE_CONTROLLERS = {
  '/verify': DeepfaceVerifyController,
  '/represent': DeepfaceRepresentController,
  '/analyze': DeepfaceAnalyzeController,
  '/register': DeepfaceRegisterController,
  '/search': DeepfaceSearchController,
  '/build/index': DeepfaceIndexController,
} as const satisfies Record<DeepfaceRoute, Type>;

function homePage(): string {
  return `<h1>Welcome to DeepFace API v${DEEPFACE_VERSION}!</h1><p>Served by Likeness. <a href="/docs">API documentation</a></p>`;
}
