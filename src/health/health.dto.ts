import { ApiProperty } from '@nestjs/swagger';

/** Answer of GET /health/live. */
export class LiveResponseDto {
  @ApiProperty({ enum: ['ok'], description: 'The process answers' })
  status: 'ok';
}

/** Answer of GET /health/ready. */
export class ReadyResponseDto {
  @ApiProperty({ enum: ['ready'], description: 'Models are loaded and workers run' })
  status: 'ready';
}
