import { applyDecorators } from '@nestjs/common';
import { ApiOkResponse, ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { ApiRequestId } from '../http/dto/face.dto';
import { IsTrueOrFalse, OptionalField } from '../http/request/validation';
import { type ErasureReceipt, RECEIPT_TYPE } from '../receipts/erasure-receipt';
import { ApiTime, EXAMPLE_GALLERY_ID } from './fields';

const EXAMPLE_HASH = '5f0b2d0c9f1e4a7d8c3b6a5948372615';
const EXAMPLE_KEY_ID = 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k';
const EXAMPLE_SIGNATURE =
  'hgyY0il+MGCjP0JzlnLWG1PPOt7+09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr/MuM0KAg==';

/** Query of every deletion. */
export class ReceiptQueryDto {
  /** Whether to return a signed receipt. */
  @OptionalField()
  @IsTrueOrFalse()
  @ApiPropertyOptional({
    type: Boolean,
    default: false,
    description:
      'true: responds with 200 and a signed receipt, or with RECEIPTS_DISABLED and without deleting if FACE_RECEIPT_KEY_FILE is not set; false: responds with 204 and an empty body',
  })
  receipt: boolean = false;
}

/** A signed statement that something was erased, see docs/security-rights.md. */
export class ErasureReceiptDto implements ErasureReceipt {
  @ApiProperty({ enum: [RECEIPT_TYPE], description: 'Format of the receipt' })
  type!: typeof RECEIPT_TYPE;

  @ApiProperty({
    enum: ['gallery', 'subject', 'reference'],
    example: 'subject',
    description: 'Type of the erased entry',
  })
  erased!: 'gallery' | 'subject' | 'reference';

  @ApiProperty({ example: EXAMPLE_GALLERY_ID })
  galleryId!: string;

  @ApiProperty({
    type: String,
    nullable: true,
    example: EXAMPLE_HASH,
    description: 'Subject as in the audit stream; null for a gallery',
  })
  subject!: string | null;

  @ApiProperty({
    type: String,
    enum: ['hashed', 'plain', null],
    nullable: true,
    example: 'hashed',
    description:
      'hashed: `subject` is the hash that "likeness audit subject" prints; plain: it is the id; null: no subject',
  })
  subjectFormat!: 'hashed' | 'plain' | null;

  @ApiProperty({
    type: String,
    nullable: true,
    example: null,
    description: 'Erased reference; null for a subject or a gallery',
  })
  referenceId!: string | null;

  @ApiProperty({ type: 'integer', minimum: 0, example: 1, description: 'Subjects erased' })
  subjectCount!: number;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 3,
    description: 'References erased, including those of erased subjects',
  })
  referenceCount!: number;

  @ApiTime('Time of erasure from memory and store')
  erasedAt!: string;

  @ApiRequestId()
  requestId!: string;

  @ApiProperty({
    example: EXAMPLE_KEY_ID,
    description: 'JWK thumbprint (RFC 7638) of the key, as "likeness receipt public-key" prints it',
  })
  keyId!: string;

  @ApiProperty({
    example: EXAMPLE_SIGNATURE,
    description: 'Ed25519 of all other fields in canonical JSON (RFC 8785); base64',
  })
  signature!: string;
}

/** Documents the response of a deletion with a receipt. */
export function ApiReceipt(): MethodDecorator {
  return applyDecorators(
    ApiOkResponse({
      description: 'Deleted, with a receipt',
      type: ErasureReceiptDto,
    }),
  );
}
