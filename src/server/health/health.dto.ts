import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';

/** Answer of GET /health/live. */
export class LiveResponseDto {
  @ApiProperty({ enum: ['ok'], description: 'The process answers' })
  status!: 'ok';
}

/** What GET /health/ready says of galleries that several replicas share. */
export class ReadyGalleryDto {
  @ApiProperty({
    format: 'date-time',
    example: '2026-12-24T18:00:00.000Z',
    description: 'Since when the servers of the galleries are not reached',
  })
  staleSince!: string;
}

/** Answer of GET /health/ready. */
export class ReadyResponseDto {
  @ApiProperty({ enum: ['ready'], description: 'Models are loaded and workers run' })
  status!: 'ready';

  @ApiPropertyOptional({
    type: ReadyGalleryDto,
    description: 'Only while this replica may lack changes of others; reads and searches go on',
  })
  gallery?: ReadyGalleryDto;
}
