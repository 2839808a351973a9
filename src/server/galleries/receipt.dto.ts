import { applyDecorators } from '@nestjs/common';
import { ApiOkResponse, ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { EXAMPLE_REQUEST_ID } from '../http/openapi/examples';
import { ApiRequestId } from '../http/dto/face.dto';
import { IsTrueOrFalse, OptionalField } from '../http/request/validation';
import { type ErasureReceipt, RECEIPT_TYPE } from '../receipts/erasure-receipt';
import { ApiTime, EXAMPLE_GALLERY_ID, EXAMPLE_REFERENCE_ID, EXAMPLE_TIME_MS, isoTime } from './fields';

const EXAMPLE_HASH = '5f0b2d0c9f1e4a7d8c3b6a5948372615';
const EXAMPLE_KEY_ID = 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k';
const EXAMPLE_SIGNATURE =
  'hgyY0il+MGCjP0JzlnLWG1PPOt7+09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr/MuM0KAg==';

/** Query of every deletion. */
export class ReceiptQueryDto {
  /** Whether the answer is a signed receipt. */
  @OptionalField()
  @IsTrueOrFalse()
  @ApiPropertyOptional({
    type: Boolean,
    default: false,
    description:
      'true: the answer is 200 with a signed receipt, where FACE_RECEIPT_KEY_FILE is set, else RECEIPTS_DISABLED and nothing ' +
      'is deleted; false: 204 without a body',
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
    description: 'What was erased',
  })
  erased!: 'gallery' | 'subject' | 'reference';

  @ApiProperty({ example: EXAMPLE_GALLERY_ID })
  galleryId!: string;

  @ApiProperty({
    type: String,
    nullable: true,
    example: EXAMPLE_HASH,
    description: 'The subject as the audit stream names it; null where a gallery was erased',
  })
  subject!: string | null;

  @ApiProperty({
    type: String,
    enum: ['hashed', 'plain', null],
    nullable: true,
    example: 'hashed',
    description:
      'hashed: `subject` is what "likeness audit subject" prints; plain: it is the id; null: there is none',
  })
  subjectFormat!: 'hashed' | 'plain' | null;

  @ApiProperty({
    type: String,
    nullable: true,
    example: null,
    description: 'The one reference that was erased; null where a subject or a gallery was',
  })
  referenceId!: string | null;

  @ApiProperty({ type: 'integer', minimum: 0, example: 1, description: 'Subjects erased' })
  subjectCount!: number;

  @ApiProperty({
    type: 'integer',
    minimum: 0,
    example: 3,
    description: 'References erased, those of the subjects included',
  })
  referenceCount!: number;

  @ApiTime('When it was erased from memory and store')
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

const SUBJECT_RECEIPT: ErasureReceiptDto = {
  type: RECEIPT_TYPE,
  erased: 'subject',
  galleryId: EXAMPLE_GALLERY_ID,
  subject: EXAMPLE_HASH,
  subjectFormat: 'hashed',
  referenceId: null,
  subjectCount: 1,
  referenceCount: 3,
  erasedAt: isoTime(EXAMPLE_TIME_MS),
  requestId: EXAMPLE_REQUEST_ID,
  keyId: EXAMPLE_KEY_ID,
  signature: EXAMPLE_SIGNATURE,
};

const RECEIPT_EXAMPLES = {
  subject: { summary: 'A subject with three references', value: SUBJECT_RECEIPT },
  reference: {
    summary: 'A reference',
    value: {
      ...SUBJECT_RECEIPT,
      erased: 'reference',
      referenceId: EXAMPLE_REFERENCE_ID,
      subjectCount: 0,
      referenceCount: 1,
    },
  },
  gallery: {
    summary: 'A gallery',
    value: {
      ...SUBJECT_RECEIPT,
      erased: 'gallery',
      subject: null,
      subjectFormat: null,
      subjectCount: 812,
      referenceCount: 2310,
    },
  },
};

/** Documents the answer of a deletion for which a receipt was asked. */
export function ApiReceipt(): MethodDecorator {
  return applyDecorators(
    ApiOkResponse({
      description: 'It is gone, and this says so',
      type: ErasureReceiptDto,
      examples: RECEIPT_EXAMPLES,
    }),
  );
}
