import { nullOn } from '../../errors';
import { StreamableFile } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Readable } from 'node:stream';
import type { GalleryStore } from '../../gallery/stores/gallery-store';
import type { StoredReference } from '../../gallery/gallery.types';
import { Turns } from '../../gallery/turns';
import { EXAMPLE_CONTRACT, EXAMPLE_REQUEST_ID, exampleEmbedding } from '../http/openapi/examples';
import { ApiRequestId } from '../http/dto/face.dto';
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
  galleryId!: string;

  @ApiProperty({ example: EXAMPLE_CONTRACT, description: 'What made the embeddings, see /v1/models' })
  contract!: string;

  @ApiProperty({ type: SubjectDto })
  subject!: SubjectDto;

  @ApiProperty({
    type: [ExportedReferenceDto],
    description: 'All references of the subject, in the order in which they were added',
  })
  references!: ExportedReferenceDto[];

  @ApiRequestId()
  requestId!: string;
}

/**
 * All that a gallery holds about one subject, as JSON that is written while it is sent: with the largest metadata and a thousand
 * references it takes half a second, for which nothing else would be answered.
 *
 * @param withEmbeddings - whether the biometric templates themselves are part of it, and the pictures of faces.
 * @throws {FaceError} GALLERY_NOT_FOUND, SUBJECT_NOT_FOUND.
 */
export async function exportSubject(
  store: GalleryStore,
  { galleryId, subjectId }: SubjectPathDto,
  options: { requestId: string; withEmbeddings: boolean },
): Promise<StreamableFile> {
  const { contract } = await store.getGallery(galleryId);
  const subject = SubjectDto.from(await store.getSubject(galleryId, subjectId));
  const references = await store.listReferences(galleryId, subjectId);
  const json = subjectExportJson(store, { galleryId, contract, subject }, references, options);
  return new StreamableFile(Readable.from(json), { type: 'application/json; charset=utf-8' });
}

async function* subjectExportJson(
  store: GalleryStore,
  head: Omit<SubjectExportDto, 'references' | 'requestId'>,
  references: readonly StoredReference[],
  { requestId, withEmbeddings }: { requestId: string; withEmbeddings: boolean },
): AsyncGenerator<string> {
  const turns = new Turns();
  yield `${JSON.stringify(head).slice(0, -1)},"references":[`;
  for (const [i, reference] of references.entries()) {
    await turns.next();
    const exported: ExportedReferenceDto = ReferenceDto.from(reference);
    if (withEmbeddings) {
      exported.embedding = Array.from(reference.embedding);
      // What has gone meanwhile is held no more.
      const reading = store.getCrop(head.galleryId, head.subject.id, reference.id);
      const crop = await nullOn('SUBJECT_NOT_FOUND', nullOn('REFERENCE_NOT_FOUND', reading));
      exported.crop = crop && Buffer.from(crop).toString('base64');
    }
    yield (i === 0 ? '' : ',') + JSON.stringify(exported);
  }
  yield `],"requestId":${JSON.stringify(requestId)}}`;
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
