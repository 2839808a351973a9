import { ApiProperty } from '@nestjs/swagger';
import { FACE_ERRORS, type FaceError, type FaceErrorCode } from '../../../errors';

/** Codes that a caller can receive; the others end the boot. */
const REQUEST_ERROR_CODES = (Object.keys(FACE_ERRORS) as FaceErrorCode[]).filter(
  (code) => FACE_ERRORS[code].status != null,
);

/** What went wrong. */
export class ErrorDto {
  @ApiProperty({
    enum: REQUEST_ERROR_CODES,
    enumName: 'ErrorCode',
    description: 'Stable name of the error; branch on this',
  })
  code!: FaceErrorCode;

  @ApiProperty({
    example: 'No face was found in the image.',
    description: 'For people; the wording may change',
  })
  message!: string;

  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    example: { field: 'probe' },
    description:
      'Facts for programs. `field`: the field of the request at fault; `index`: the item of a list; `fields`: reason per invalid parameter',
  })
  details!: Readonly<Record<string, unknown>>;

  static from({ code, message, details }: FaceError): ErrorDto {
    return { code, message, details };
  }
}

/** Body of every error, whatever the route. */
export class ErrorEnvelopeDto {
  @ApiProperty({ type: ErrorDto })
  error!: ErrorDto;

  @ApiProperty({
    example: '5e1f8a52-3b0c-4c5e-9a54-0d1c0a7c2f11',
    description: 'As in the x-request-id header; quote it when reporting a problem',
  })
  requestId!: string;

  static from(error: FaceError, requestId: string): ErrorEnvelopeDto {
    return { error: ErrorDto.from(error), requestId };
  }
}
