import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';

/** Response of GET /health/live. */
export class LiveResponseDto {
  @ApiProperty({ enum: ['ok'], description: 'The process is alive' })
  status!: 'ok';
}

/** State of galleries shared by several replicas. */
export class ReadyGalleryDto {
  @ApiProperty({
    format: 'date-time',
    example: '2026-12-24T18:00:00.000Z',
    description: 'Time of the disconnection from the gallery servers',
  })
  staleSince!: string;
}

/** Response of GET /health/ready. */
export class ReadyResponseDto {
  @ApiProperty({ enum: ['ready'], description: 'The service is ready for requests' })
  status!: 'ready';

  @ApiPropertyOptional({
    type: ReadyGalleryDto,
    description: 'Present only while this replica can miss changes of others; reads and searches continue',
  })
  gallery?: ReadyGalleryDto;
}
