import { ApiProperty } from '@nestjs/swagger';
import { FACE_ERRORS, type FaceError, type FaceErrorCode } from '../../../errors';

/** Codes that a caller can receive; the others fail the startup. */
const REQUEST_ERROR_CODES = (Object.keys(FACE_ERRORS) as FaceErrorCode[]).filter(
  (code) => FACE_ERRORS[code].status != null,
);

/** An error. */
export class ErrorDto {
  @ApiProperty({
    enum: REQUEST_ERROR_CODES,
    enumName: 'ErrorCode',
    example: 'FACE_NOT_DETECTED',
    description: 'Stable code of the error for programs',
  })
  code!: FaceErrorCode;

  @ApiProperty({
    example: 'No face was found in the image.',
    description: 'Message for people; its text can change',
  })
  message!: string;

  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    example: { field: 'probe' },
    description:
      'Details for programs. `field`: invalid field of the request; `index`: item of a list; `fields`: reason per invalid parameter',
  })
  details!: Readonly<Record<string, unknown>>;

  static from({ code, message, details }: FaceError): ErrorDto {
    return { code, message, details };
  }
}

/** Body of every error response. */
export class ErrorEnvelopeDto {
  @ApiProperty({ type: ErrorDto })
  error!: ErrorDto;

  @ApiProperty({
    example: '5e1f8a52-3b0c-4c5e-9a54-0d1c0a7c2f11',
    description: 'Value of the x-request-id header, for problem reports',
  })
  requestId!: string;

  static from(error: FaceError, requestId: string): ErrorEnvelopeDto {
    return { error: ErrorDto.from(error), requestId };
  }
}
