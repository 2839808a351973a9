import { exported, newGallery, newReference } from '../../../test/support/gallery-store-contract';
import { unitVectors } from '../../../test/support/random-unit';
import { exportGallery } from './export-gallery';
import { EXPORT_FORMATS, type ExportFormat } from './gallery-file';
import { importGallery } from './import-gallery';
import { MemoryStore } from '../stores/memory-store';

const DIMENSIONS = 8;

describe.each(EXPORT_FORMATS)('export and import as %s', (format: ExportFormat) => {
  let store: MemoryStore;
  const random = unitVectors(7, DIMENSIONS);

  beforeEach(async () => {
    store = new MemoryStore({ threadCount: 0, precision: 'float32' });
    await store.createGallery(newGallery({ id: 'from', capacity: 5000 }));
    await store.createGallery(newGallery({ id: 'to', capacity: 5000 }));
    const rights = { consentRef: 'c-1', purpose: 'entry', expiresAt: 2e12 };
    await store.putSubject('from', 'empty', { note: 'ä 😀\n', on: true }, rights);
    const quality = { detectionScore: 0.9, faceSizePx: 80, sharpness: null, brightness: 0.4, pose: null };
    await store.addReferences(
      'from',
      Array.from({ length: 1200 }, (_, i) =>
        newReference(`subject-${i % 300}`, `r${i}`, random(), {
          metadata: { i },
          expiresAt: i % 5 ? null : 2e12 + i,
          quality: i % 2 ? quality : null,
          imageHash: i % 3 ? null : i.toString(16).padStart(64, '0'),
        }),
      ),
    );
  });
  afterEach(() => store.close());

  async function file(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of exportGallery(store, 'from', format)) chunks.push(chunk);
    expect(chunks.length).toBeGreaterThan(1);
    return Buffer.concat(chunks);
  }

  /** Cut where no record ends. */
  async function* inPieces(bytes: Buffer, length = 777): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
  }

  /** What the gallery holds, without the times. */
  async function content(galleryId: string): Promise<unknown> {
    const text = JSON.stringify(await exported(store, galleryId), (key, value: unknown) =>
      key === 'createdAt' || key === 'updatedAt' ? undefined : value,
    );
    return JSON.parse(text) as unknown;
  }

  const importInto = (bytes: Buffer, galleryId = 'to') => importGallery(store, galleryId, inPieces(bytes));

  it('brings all back, to the bit', async () => {
    expect(await importInto(await file())).toEqual({
      subjectCount: 301,
      addedCount: 1200,
      existingCount: 0,
    });
    expect(await content('to')).toEqual(await content('from'));
  });

  it('can be made again', async () => {
    const bytes = await file();
    await importInto(bytes);
    expect(await importInto(bytes)).toEqual({ subjectCount: 301, addedCount: 0, existingCount: 1200 });
    expect(await content('to')).toEqual(await content('from'));
  });

  it('holds a batch, and reads no more before the store has taken it', async () => {
    const bytes = await file();
    let readBytes = 0;
    let addedCount = 0;
    const add = store.addReferences.bind(store);
    jest.spyOn(store, 'addReferences').mockImplementation(async (galleryId, references) => {
      addedCount += references.length;
      // At most two batches of records, each with its share of the file, are read ahead of what came in.
      const readCount = (readBytes / bytes.length) * 1501;
      expect(readCount - addedCount).toBeLessThan(1000);
      return add(galleryId, references);
    });
    async function* counted(): AsyncGenerator<Buffer> {
      for await (const piece of inPieces(bytes)) {
        readBytes += piece.length;
        yield piece;
      }
    }
    await importGallery(store, 'to', counted());
    expect(addedCount).toBe(1200);
  });

  it('refuses a gallery of another contract or length before anything comes in', async () => {
    const bytes = await file();
    for (const changes of [{ contract: 'other' }, { dimensions: 4 }]) {
      await store.createGallery(newGallery({ id: 'other', ...changes }));
      await expect(importInto(bytes, 'other')).rejects.toMatchObject({
        code: 'EMBEDDING_CONTRACT_MISMATCH',
        details: { imported: { subjectCount: 0, addedCount: 0, existingCount: 0 } },
      });
      expect(await store.getGallery('other')).toMatchObject({ subjectCount: 0, referenceCount: 0 });
      await store.deleteGallery('other');
    }
  });

  it('refuses what was cut off, wherever, and says what had come in', async () => {
    const bytes = await file();
    const cuts = [0, 5, 9, 60, bytes.length - 1, ...Array.from({ length: 12 }, (_, i) => i * 9973 + 101)];
    for (const cut of cuts) {
      const error: unknown = await importInto(bytes.subarray(0, cut)).catch((reason: unknown) => reason);
      const { subjectCount, referenceCount } = await store.getGallery('to');
      expect(error).toMatchObject({
        code: 'REQUEST_MALFORMED',
        details: { record: expect.any(Number), imported: { addedCount: referenceCount } },
      });
      expect(subjectCount).toBeLessThanOrEqual(301);
      await store.deleteGallery('to');
      await store.createGallery(newGallery({ id: 'to', capacity: 5000 }));
    }
  });

  it('refuses what has records missing', async () => {
    const bytes = await file();
    const record = format === 'jsonl' ? lineAt(bytes, 3) : frameAt(bytes, 3);
    const without = Buffer.concat([bytes.subarray(0, record.begin), bytes.subarray(record.end)]);
    await expect(importInto(without)).rejects.toMatchObject({ code: 'REQUEST_MALFORMED' });
  });

  it('refuses what goes on after its end', async () => {
    const bytes = await file();
    await expect(importInto(Buffer.concat([bytes, bytes]))).rejects.toMatchObject({
      code: 'REQUEST_MALFORMED',
    });
  });

  it('stops at a record that the store refuses', async () => {
    await store.updateGallery('to', { capacity: 700 });
    await expect(importInto(await file())).rejects.toMatchObject({
      code: 'GALLERY_FULL',
      details: { imported: { addedCount: 700 }, record: expect.any(Number) },
    });
    expect(await store.getGallery('to')).toMatchObject({ referenceCount: 700 });
  });

  it('does not know a gallery that is not there', async () => {
    await expect(importInto(await file(), 'none')).rejects.toMatchObject({ code: 'GALLERY_NOT_FOUND' });
    await expect(exportGallery(store, 'none', format).next()).rejects.toMatchObject({
      code: 'GALLERY_NOT_FOUND',
    });
  });

  if (format === 'binary')
    it('refuses a flipped bit anywhere', async () => {
      const bytes = await file();
      for (const at of [3, 8, 12, 16, 40, 5000, 50_001, bytes.length - 3]) {
        const flipped = Buffer.from(bytes);
        flipped[at] ^= 4;
        await expect(importInto(flipped)).rejects.toMatchObject({ code: 'REQUEST_MALFORMED' });
      }
    });

  if (format === 'jsonl')
    it.each([
      ['{"subject":{"id":"","metadata":{}}}', 'PARAMETER_INVALID'],
      ['{"subject":{"id":"ann","metadata":{"a":{}}}}', 'PARAMETER_INVALID'],
      ['{"subject":null}', 'PARAMETER_INVALID'],
      [
        '{"reference":{"id":"r","subjectId":"ann","metadata":{},"quality":null,"imageHash":null}}',
        'PARAMETER_INVALID',
      ],
      [reference({ embedding: base64(new Float32Array(DIMENSIONS)) }), 'PARAMETER_INVALID'],
      [reference({ embedding: base64(new Float32Array(DIMENSIONS).fill(NaN)) }), 'PARAMETER_INVALID'],
      [reference({ imageHash: 'x' }), 'PARAMETER_INVALID'],
      [reference({ quality: {} }), 'PARAMETER_INVALID'],
      ['{"other":1}', 'REQUEST_MALFORMED'],
      ['7', 'REQUEST_MALFORMED'],
      ['{"subject":', 'REQUEST_MALFORMED'],
    ])('refuses the line %s', async (text, code) => {
      const bytes = await file();
      const { begin } = lineAt(bytes, 1);
      const changed = Buffer.concat([
        bytes.subarray(0, begin),
        Buffer.from(`${text}\n`),
        bytes.subarray(begin),
      ]);
      await expect(importInto(changed)).rejects.toMatchObject({ code, details: { record: 2 } });
      expect(await store.getGallery('to')).toMatchObject({ subjectCount: 0, referenceCount: 0 });
    });
});

function base64({ buffer }: Float32Array): string {
  return Buffer.from(buffer).toString('base64');
}

/** A line that is right, but for the changes. */
function reference(changes: object): string {
  const embedding = base64(unitVectors(1, DIMENSIONS)());
  const fields = { id: 'r', subjectId: 'ann', metadata: {}, quality: null, imageHash: null, embedding };
  return JSON.stringify({ reference: { ...fields, ...changes } });
}

/** @param index - 0 is the header. */
function lineAt(bytes: Buffer, index: number): { begin: number; end: number } {
  let begin = 0;
  for (let i = 0; i < index; i++) begin = bytes.indexOf(10, begin) + 1;
  return { begin, end: bytes.indexOf(10, begin) + 1 };
}

function frameAt(bytes: Buffer, index: number): { begin: number; end: number } {
  let begin = 8;
  for (let i = 0; i < index; i++) begin += 8 + bytes.readUInt32LE(begin);
  return { begin, end: begin + 8 + bytes.readUInt32LE(begin) };
}
