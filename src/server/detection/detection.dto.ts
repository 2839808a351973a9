import { ApiProperty } from '@nestjs/swagger';
import type { Detection } from '../../face/detection.service';
import { ApiRequestId, FaceDto, ImageResultDto } from '../http/dto/face.dto';

/** Response of POST /v1/detect. */
export class DetectResponseDto extends ImageResultDto {
  @ApiProperty({ type: [FaceDto], description: 'Selected faces, largest first; empty if no face was found' })
  faces!: FaceDto[];

  @ApiRequestId()
  requestId!: string;

  static from(result: Detection, requestId: string): DetectResponseDto {
    const faces = result.faces.map(FaceDto.from);
    return { ...ImageResultDto.fieldsOf(result), faces, requestId };
  }
}
