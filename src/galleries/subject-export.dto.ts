import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { orNull } from '../gallery/gallery-calls';
import type { GalleryStore } from '../gallery/gallery-store';
import type { Gallery, StoredReference, Subject } from '../gallery/gallery.types';
import { EXAMPLE_CONTRACT, EXAMPLE_REQUEST_ID, exampleEmbedding } from '../http/examples';
import { ApiRequestId } from '../http/face.dto';
import { EXAMPLE_GALLERY_ID, type SubjectPathDto } from './fields';
import { ReferenceDto, STORED_REFERENCE_EXAMPLE } from './reference.dto';
import { SUBJECT_ANSWER, SubjectDto } from './subject.dto';

/** A reference with all that is held of it. */
export class ExportedReferenceDto extends ReferenceDto {
  @ApiPropertyOptional({
    type: [Number],
    example: exampleEmbedding(),
    description: 'Unit vector; only in the export for administrators',
  })
  embedding?: number[];

  @ApiPropertyOptional({
    type: String,
    format: 'byte',
    nullable: true,
    example: '/9j/4AAQSkZJRgABAQAAAQABAAD...',
    description:
      'Picture of the face, a JPEG as base64; only in the export for administrators. null: none is held, or none that can be read',
  })
  crop?: string | null;
}

/** All that a gallery holds about one subject. */
export class SubjectExportDto {
  @ApiProperty({ example: EXAMPLE_GALLERY_ID })
  galleryId: string;

  @ApiProperty({ example: EXAMPLE_CONTRACT, description: 'What made the embeddings, see /v1/models' })
  contract: string;

  @ApiProperty({ type: SubjectDto })
  subject: SubjectDto;

  @ApiProperty({
    type: [ExportedReferenceDto],
    description: 'All references of the subject, in the order in which they were added',
  })
  references: ExportedReferenceDto[];

  @ApiRequestId()
  requestId: string;

  /**
   * Reads it from the store.
   *
   * @param withEmbeddings - whether the biometric templates themselves are part of it, and the pictures of faces.
   * @throws {FaceError} GALLERY_NOT_FOUND, SUBJECT_NOT_FOUND.
   */
  static async read(
    store: GalleryStore,
    { galleryId, subjectId }: SubjectPathDto,
    options: { requestId: string; withEmbeddings: boolean },
  ): Promise<SubjectExportDto> {
    const gallery = await store.getGallery(galleryId);
    const subject = await store.getSubject(galleryId, subjectId);
    const references = await store.listReferences(galleryId, subjectId);
    const answer = SubjectExportDto.from(gallery, subject, references, options);
    if (!options.withEmbeddings) return answer;
    for (const [i, { id }] of references.entries()) {
      // What has gone meanwhile is held no more.
      const reading = store.getCrop(galleryId, subjectId, id);
      const crop = await orNull('SUBJECT_NOT_FOUND', orNull('REFERENCE_NOT_FOUND', reading));
      answer.references[i].crop = crop && Buffer.from(crop).toString('base64');
    }
    return answer;
  }

  private static from(
    gallery: Gallery,
    subject: Subject,
    references: readonly StoredReference[],
    { requestId, withEmbeddings }: { requestId: string; withEmbeddings: boolean },
  ): SubjectExportDto {
    return {
      galleryId: gallery.id,
      contract: gallery.contract,
      subject: SubjectDto.from(subject),
      references: references.map((reference) => ({
        ...ReferenceDto.from(reference),
        ...(withEmbeddings ? { embedding: Array.from(reference.embedding) } : {}),
      })),
      requestId,
    };
  }
}

const { requestId: _requestId, ...SUBJECT_EXAMPLE } = SUBJECT_ANSWER;
const EXAMPLE: SubjectExportDto = {
  galleryId: EXAMPLE_GALLERY_ID,
  contract: EXAMPLE_CONTRACT,
  subject: { ...SUBJECT_EXAMPLE, referenceCount: 1 },
  references: [ReferenceDto.from(STORED_REFERENCE_EXAMPLE)],
  requestId: EXAMPLE_REQUEST_ID,
};

export const SUBJECT_EXPORT_EXAMPLES = {
  subject: { summary: 'A subject with one reference', value: EXAMPLE },
};

export const FULL_EXPORT_EXAMPLES = {
  subject: {
    summary: 'A subject with one reference and its embedding',
    value: {
      ...EXAMPLE,
      references: [{ ...EXAMPLE.references[0], embedding: exampleEmbedding(), crop: null }],
    },
  },
};
