import { nullOn } from '../../errors';
import { StreamableFile } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Readable } from 'node:stream';
import type { GalleryStore } from '../../gallery/stores/gallery-store';
import type { StoredReference } from '../../gallery/gallery.types';
import { Turns } from '../../turns';
import { EXAMPLE_CONTRACT } from '../http/openapi/examples';
import { ApiRequestId } from '../http/dto/face.dto';
import { EXAMPLE_GALLERY_ID, type SubjectPathDto } from './fields';
import { ReferenceDto } from './reference.dto';
import { SubjectDto } from './subject.dto';

/** A reference with all its data. */
export class ExportedReferenceDto extends ReferenceDto {
  @ApiPropertyOptional({
    type: [Number],
    example: [0.041, -0.027, 0.013],
    description: 'Unit vector; admin export only',
  })
  embedding?: number[];

  @ApiPropertyOptional({
    type: String,
    format: 'byte',
    nullable: true,
    example: '/9j/4AAQSkZJRgABAQAAAQABAAD...',
    description: 'Face crop, a JPEG in base64; admin export only. null: not stored or unreadable',
  })
  crop?: string | null;
}

/** All data of one subject in a gallery. */
export class SubjectExportDto {
  @ApiProperty({ example: EXAMPLE_GALLERY_ID })
  galleryId!: string;

  @ApiProperty({ example: EXAMPLE_CONTRACT, description: 'Embedder of the gallery, see /v1/models' })
  contract!: string;

  @ApiProperty({ type: SubjectDto })
  subject!: SubjectDto;

  @ApiProperty({
    type: [ExportedReferenceDto],
    description: 'References of the subject, oldest first',
  })
  references!: ExportedReferenceDto[];

  @ApiRequestId()
  requestId!: string;
}

/**
 * Streams all data of one subject as JSON. Serialized at once, the largest metadata and a thousand references would
 * block the event loop for half a second.
 *
 * @param withEmbeddings - whether to include embeddings (biometric templates) and face crops.
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
      // References deleted meanwhile are omitted.
      const reading = store.getCrop(head.galleryId, head.subject.id, reference.id);
      const crop = await nullOn('SUBJECT_NOT_FOUND', nullOn('REFERENCE_NOT_FOUND', reading));
      exported.crop = crop && Buffer.from(crop).toString('base64');
    }
    yield (i === 0 ? '' : ',') + JSON.stringify(exported);
  }
  yield `],"requestId":${JSON.stringify(requestId)}}`;
}
