import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean } from 'class-validator';
import { MAX_CONSENT_REF_LENGTH, MAX_PURPOSE_LENGTH } from '../../gallery/gallery-rules';
import type { Metadata, MetadataFilter, Subject } from '../../gallery/gallery.types';
import { ApiRequestId } from '../http/dto/face.dto';
import { OptionalField } from '../http/request/validation';
import {
  ApiMetadata,
  ApiNextCursor,
  ApiTime,
  EXAMPLE_METADATA,
  EXAMPLE_SUBJECT_ID,
  IsEnd,
  IsFilter,
  IsMetadata,
  IsNote,
  IsSubjectId,
  isoTime,
  PageQueryDto,
} from './fields';

/** Query of GET .../subjects. */
export class SubjectsQueryDto extends PageQueryDto {
  /** Filter of subjects by metadata. */
  @IsFilter()
  filter?: MetadataFilter;
}

const CONSENT_REF_DESCRIPTION =
  'Your record of the consent or another legal ground, as a number or link; null: not set';
const PURPOSE_DESCRIPTION = 'Purpose of keeping the subject; null: not set';
const EXPIRES_AT_DESCRIPTION = 'Expiry: from then on the subject never matches and is purged; null: never';
const EXAMPLE_CONSENT_REF = 'consent-2026-0815';
const EXAMPLE_PURPOSE = 'Access to the laboratory';

/** Legal ground, purpose and expiry of a subject. */
class SubjectRightsDto {
  /** Record of the consent. */
  @IsNote(MAX_CONSENT_REF_LENGTH, CONSENT_REF_DESCRIPTION, EXAMPLE_CONSENT_REF)
  consentRef?: string | null;

  /** Purpose of keeping the subject. */
  @IsNote(MAX_PURPOSE_LENGTH, PURPOSE_DESCRIPTION, EXAMPLE_PURPOSE)
  purpose?: string | null;

  /** Milliseconds since 1970, UTC; sent as ISO 8601 text. */
  @IsEnd(EXPIRES_AT_DESCRIPTION)
  expiresAt?: number | null;
}

/** Body of PUT .../subjects/{subjectId}; absent fields are removed. */
export class PutSubjectDto extends SubjectRightsDto {
  /** New metadata. */
  @IsMetadata('New metadata; absent: none')
  metadata?: Metadata;
}

/** Body of PATCH .../subjects/{subjectId}; absent fields stay unchanged. */
export class UpdateSubjectDto extends SubjectRightsDto {
  /** New metadata. */
  @IsMetadata('New metadata; replaces the previous metadata completely')
  metadata?: Metadata;
}

/** Body of POST .../subjects/{subjectId}/rename. */
export class RenameSubjectDto {
  /** New id. */
  @IsSubjectId('New id', null)
  newSubjectId!: string;

  /** Whether to merge into an existing subject with the new id. */
  @OptionalField()
  @IsBoolean()
  @ApiPropertyOptional({
    default: false,
    description:
      'If a subject with the new id exists: true moves the references to it (except those of images that it already has), adds metadata keys that it lacks, and deletes the old subject; false is an error',
  })
  merge: boolean = false;
}

/** A subject. */
export class SubjectDto {
  @ApiProperty({ example: EXAMPLE_SUBJECT_ID, description: 'Chosen by the client' })
  id!: string;

  @ApiMetadata('Custom metadata')
  metadata!: Metadata;

  @ApiProperty({
    type: String,
    nullable: true,
    example: EXAMPLE_CONSENT_REF,
    description: CONSENT_REF_DESCRIPTION,
  })
  consentRef!: string | null;

  @ApiProperty({ type: String, nullable: true, example: EXAMPLE_PURPOSE, description: PURPOSE_DESCRIPTION })
  purpose!: string | null;

  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable: true,
    example: null,
    description: EXPIRES_AT_DESCRIPTION,
  })
  expiresAt!: string | null;

  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable: true,
    example: null,
    description:
      'Time of the last match or enrollment, early by up to a day or a tenth of `sinceLastMatchSeconds`; null: the gallery does not store match times, or there is none yet',
  })
  lastMatchedAt!: string | null;

  @ApiProperty({ type: 'integer', minimum: 0, example: 3, description: 'References of the subject' })
  referenceCount!: number;

  @ApiTime('Time of creation')
  createdAt!: string;

  @ApiTime('Time of the last change of its metadata, legal fields or id')
  updatedAt!: string;

  static from(subject: Subject): SubjectDto {
    const { id, metadata, consentRef, purpose, expiresAt, referenceCount, createdAt, updatedAt } = subject;
    const rights = { consentRef, purpose, expiresAt: expiresAt == null ? null : isoTime(expiresAt) };
    const lastMatchedAt = subject.lastMatchedAt == null ? null : isoTime(subject.lastMatchedAt);
    const times = { createdAt: isoTime(createdAt), updatedAt: isoTime(updatedAt) };
    return { id, metadata, ...rights, lastMatchedAt, referenceCount, ...times };
  }
}

/** Response with one subject. */
export class SubjectResponseDto extends SubjectDto {
  @ApiRequestId()
  requestId!: string;
}

/** Response of GET .../subjects. */
export class SubjectsResponseDto {
  @ApiProperty({ type: [SubjectDto], description: 'Subjects in a stable order defined by the store' })
  subjects!: SubjectDto[];

  @ApiNextCursor()
  nextCursor!: string | null;

  @ApiRequestId()
  requestId!: string;
}

/** A body that can be sent as it is. */
export const SUBJECT_EXAMPLE = {
  metadata: EXAMPLE_METADATA,
  consentRef: EXAMPLE_CONSENT_REF,
  purpose: EXAMPLE_PURPOSE,
  expiresAt: null,
};
