import { Controller, Get, Header } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { Registry } from 'prom-client';
import { Scopes } from '../http/auth/scopes.decorator';
import { FaceModel } from '../../face/face-model';
import { GalleryStore } from '../../gallery/stores/gallery-store';
import { ApiFaceErrors } from '../http/errors/api-errors.decorator';
import { FaceMetrics } from './face-metrics';
import { METRICS } from './metrics';

const EXAMPLE = [
  `# HELP likeness_images_total ${METRICS.likeness_images_total.help}`,
  '# TYPE likeness_images_total counter',
  'likeness_images_total{task="represent",outcome="ok"} 1042',
  'likeness_images_total{task="represent",outcome="IMAGE_CORRUPT"} 3',
  '',
].join('\n');

@ApiTags('Service')
@Scopes('metrics')
@Controller('metrics')
export class MetricsController {
  constructor(
    private readonly metrics: FaceMetrics,
    private readonly model: FaceModel,
    private readonly store: GalleryStore,
  ) {}

  @Get()
  @Header('Content-Type', Registry.PROMETHEUS_CONTENT_TYPE)
  @ApiOperation({
    summary: 'Metrics of the service',
    description: 'All metrics, in the Prometheus text format 0.0.4.',
  })
  @ApiOkResponse({
    description: 'Current values of all metrics',
    content: {
      'text/plain': {
        schema: { type: 'string' },
        example: EXAMPLE,
      },
    },
  })
  @ApiFaceErrors([])
  scrapeMetrics(): Promise<string> {
    return this.metrics.scrape(this.model, this.store);
  }
}
