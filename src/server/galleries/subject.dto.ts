import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean } from 'class-validator';
import { MAX_CONSENT_REF_LENGTH, MAX_PURPOSE_LENGTH } from '../../gallery/gallery-rules';
import type { Metadata, MetadataFilter, Subject } from '../../gallery/gallery.types';
import { EXAMPLE_REQUEST_ID } from '../http/openapi/examples';
import { ApiRequestId } from '../http/dto/face.dto';
import { OptionalField } from '../http/request/validation';
import {
  ApiMetadata,
  ApiNextCursor,
  ApiTime,
  EXAMPLE_METADATA,
  EXAMPLE_SUBJECT_ID,
  EXAMPLE_TIME_MS,
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
  /** Only subjects whose metadata passes. */
  @IsFilter()
  filter?: MetadataFilter;
}

const CONSENT_REF_DESCRIPTION =
  'Where the consent, or another legal ground, is recorded: a number or a link of yours; null: not said';
const PURPOSE_DESCRIPTION = 'What the subject is held for; null: not said';
const EXPIRES_AT_DESCRIPTION = 'From when on the subject never matches and is purged; null: never';
const EXAMPLE_CONSENT_REF = 'consent-2026-0815';
const EXAMPLE_PURPOSE = 'Access to the laboratory';

/** Why a subject is held, and how long. */
class SubjectRightsDto {
  /** Where the consent is recorded. */
  @IsNote(MAX_CONSENT_REF_LENGTH, CONSENT_REF_DESCRIPTION, EXAMPLE_CONSENT_REF)
  consentRef?: string | null;

  /** What the subject is held for. */
  @IsNote(MAX_PURPOSE_LENGTH, PURPOSE_DESCRIPTION, EXAMPLE_PURPOSE)
  purpose?: string | null;

  /** Milliseconds since 1970, UTC; sent as ISO 8601 text. */
  @IsEnd(EXPIRES_AT_DESCRIPTION)
  expiresAt?: number | null;
}

/** Body of PUT .../subjects/{subjectId}: what is absent is removed. */
export class PutSubjectDto extends SubjectRightsDto {
  /** The metadata from now on. */
  @IsMetadata('The metadata from now on; absent: none')
  metadata?: Metadata;
}

/** Body of PATCH .../subjects/{subjectId}: what is absent stays. */
export class UpdateSubjectDto extends SubjectRightsDto {
  /** The metadata from now on. */
  @IsMetadata('The metadata from now on, as a whole')
  metadata?: Metadata;
}

/** Body of POST .../subjects/{subjectId}/rename. */
export class RenameSubjectDto {
  /** The id from now on. */
  @IsSubjectId('The id from now on', 'ada.lovelace')
  newSubjectId!: string;

  /** Whether the references go to the subject that has the new id already. */
  @OptionalField()
  @IsBoolean()
  @ApiPropertyOptional({
    default: false,
    description:
      'Where the new id is taken: true moves the references to the subject that has it (those of an image that it has ' +
      'already are dropped), adds the metadata that it lacks, and removes the old subject; false is an error',
  })
  merge: boolean = false;
}

/** A subject as it is. */
export class SubjectDto {
  @ApiProperty({ example: EXAMPLE_SUBJECT_ID, description: 'Chosen by the client' })
  id!: string;

  @ApiMetadata('As it was sent')
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
      'When it last matched or was enrolled, up to a day or a tenth of `sinceLastMatchSeconds` before the true time; null: ' +
      'the gallery keeps no such times, or none since it was made',
  })
  lastMatchedAt!: string | null;

  @ApiProperty({ type: 'integer', minimum: 0, example: 3, description: 'References of the subject' })
  referenceCount!: number;

  @ApiTime('When it was made')
  createdAt!: string;

  @ApiTime('When its metadata, its rights or its id were last changed')
  updatedAt!: string;

  static from(subject: Subject): SubjectDto {
    const { id, metadata, consentRef, purpose, expiresAt, referenceCount, createdAt, updatedAt } = subject;
    const rights = { consentRef, purpose, expiresAt: expiresAt == null ? null : isoTime(expiresAt) };
    const lastMatchedAt = subject.lastMatchedAt == null ? null : isoTime(subject.lastMatchedAt);
    const times = { createdAt: isoTime(createdAt), updatedAt: isoTime(updatedAt) };
    return { id, metadata, ...rights, lastMatchedAt, referenceCount, ...times };
  }
}

/** Answer about one subject. */
export class SubjectResponseDto extends SubjectDto {
  @ApiRequestId()
  requestId!: string;
}

/** Answer of GET .../subjects. */
export class SubjectsResponseDto {
  @ApiProperty({ type: [SubjectDto], description: "In an order of the store's own, the same on every page" })
  subjects!: SubjectDto[];

  @ApiNextCursor()
  nextCursor!: string | null;

  @ApiRequestId()
  requestId!: string;
}

/** Bodies that can be pasted as they are. */
export const METADATA_EXAMPLES = {
  metadata: { summary: 'With metadata', value: { metadata: EXAMPLE_METADATA } },
};

export const SUBJECT_EXAMPLES = {
  ...METADATA_EXAMPLES,
  rights: {
    summary: 'With the reason for which it is held',
    value: {
      metadata: EXAMPLE_METADATA,
      consentRef: EXAMPLE_CONSENT_REF,
      purpose: EXAMPLE_PURPOSE,
      expiresAt: null,
    },
  },
};

export const RENAME_EXAMPLES = {
  rename: { summary: 'Another id', value: { newSubjectId: 'ada.lovelace' } },
  merge: {
    summary: 'The id of another subject, that is the same person',
    value: { newSubjectId: 'lovelace', merge: true },
  },
};

const SUBJECT_EXAMPLE = SubjectDto.from({
  id: EXAMPLE_SUBJECT_ID,
  metadata: EXAMPLE_METADATA,
  consentRef: EXAMPLE_CONSENT_REF,
  purpose: EXAMPLE_PURPOSE,
  expiresAt: null,
  lastMatchedAt: null,
  referenceCount: 3,
  createdAt: EXAMPLE_TIME_MS,
  updatedAt: EXAMPLE_TIME_MS,
});

export const SUBJECT_ANSWER: SubjectResponseDto = { ...SUBJECT_EXAMPLE, requestId: EXAMPLE_REQUEST_ID };

export const SUBJECTS_ANSWER: SubjectsResponseDto = {
  subjects: [SUBJECT_EXAMPLE],
  nextCursor: null,
  requestId: EXAMPLE_REQUEST_ID,
};
