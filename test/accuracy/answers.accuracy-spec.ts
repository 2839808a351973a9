import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FaceError } from '../../src/errors';
import { VerificationService } from '../../src/face/verification.service';
import type { WorkerFaceModel } from '../../src/face/worker-face-model';
import { GalleryService } from '../../src/gallery/gallery.service';
import { MemoryStore } from '../../src/gallery/stores/memory-store';
import { compareEmbeddings } from '../../src/pipeline/embed/compare-embeddings';
import { rootDir } from '../support/paths';
import { describeWithShared } from '../support/shared';
import { TURNS } from './edits';
import { inParallel } from './measure';
import { dataDir, lfw10, type Photo } from './photos';
import { DEFAULT_SET, loadSets } from './sets';

jest.setTimeout(600_000);

const demoDir = join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo');
const UPSIDE_DOWN = TURNS[1];
/** Photos of each person that are enrolled upside down. */
const ENROLLED_OF_EACH = 3;

/** Photos in, answers out: wrong answers that were given once, through the services with their defaults. */
describeWithShared('answers of the default set', () => {
  let model: WorkerFaceModel;
  let verification: VerificationService;

  beforeAll(async () => {
    model = await loadSets([DEFAULT_SET]);
    verification = new VerificationService(model);
  });
  afterAll(() => model?.close());

  it.each(TURNS)('does not verify two strangers whose photos are both $name', async (edit) => {
    const photos = ['Tony_Blair/Tony_Blair_0002.jpg', 'Jacques_Chirac/Jacques_Chirac_0001.jpg'];
    const [probe, reference] = await Promise.all(
      photos.map((name) => editOf(join(dataDir, 'lfw10', name), edit)),
    );
    const verified = await verification.verify(probe, reference).then(
      (result) => result.verified,
      (error: unknown) => refusal(error),
    );
    expect([false, 'FACE_NOT_DETECTED']).toContain(verified);
  });

  it('does not verify the two groups of the second example of README', async () => {
    const [probe, reference] = ['sample1.jpg', 'sample2.jpg'].map((name) =>
      readFileSync(join(demoDir, name)),
    );
    const { verified } = await verification.verify(probe, reference, { faceSelection: 'all' });
    expect(verified).toBe(false);
  });

  describe('30 photos that are upside down, enrolled with gate `standard`', () => {
    const { photos } = lfw10();
    const isEnrolled = ({ person }: Photo, i: number) =>
      photos.slice(0, i).filter((photo) => photo.person === person).length < ENROLLED_OF_EACH;
    const enrolled = photos.filter(isEnrolled);
    const probes = photos.filter((photo) => !enrolled.includes(photo));
    const store = new MemoryStore({ threadCount: 1, precision: 'float32' });
    let service: GalleryService;
    let outcomes: (string | number)[];

    beforeAll(async () => {
      service = new GalleryService(model, store);
      await service.createGallery({ id: 'turned', enrollmentGate: 'standard' });
      const items = await inParallel(enrolled, async ({ person, path }) => ({
        subjectId: person,
        input: await editOf(path, UPSIDE_DOWN),
      }));
      const results = await service.enroll('turned', items);
      outcomes = await Promise.all(
        results.map(async (result, i) => {
          if (result instanceof FaceError) return result.code;
          const { subjectId, id } = result.reference;
          const { embedding } = await store.getReference('turned', subjectId, id);
          const { faces } = await model.represent(readFileSync(enrolled[i].path), { faceSelection: 'best' });
          const upright = { embedding: faces[0].embedding, norm: 1 };
          return compareEmbeddings({ embedding, norm: 1 }, upright, 'cosine').distance;
        }),
      );
    });
    afterAll(() => store.close());

    it('enrolls each upright, or refuses it with a reason', async () => {
      expect(outcomes).toHaveLength(30);
      const { contract, dimensions } = model.embedder();
      const unit = { embedding: Array.from({ length: dimensions }, (_, i) => +(i === 0)), contract };
      const { threshold } = await verification.verify(unit, unit);
      const isRight = (outcome: string | number) =>
        typeof outcome === 'number'
          ? outcome <= threshold
          : ['FACE_NOT_DETECTED', 'REFERENCE_REJECTED'].includes(outcome);
      expect(outcomes.filter((outcome) => !isRight(outcome))).toEqual([]);
    });

    it('names nobody wrongly afterwards', async () => {
      const answers = await inParallel(probes, async ({ person, path }) => {
        const { faces } = await service.identify('turned', readFileSync(path));
        return { person, named: faces[0].candidates[0]?.subjectId ?? person };
      });
      expect(answers).toHaveLength(70);
      expect(answers.filter(({ person, named }) => named !== person)).toEqual([]);
    });
  });
});

function editOf(path: string, edit: (typeof TURNS)[number]): Promise<Buffer> {
  // Turning needs no face.
  return edit.apply(readFileSync(path), { landmarks: null });
}

function refusal(error: unknown): string {
  if (error instanceof FaceError) return error.code;
  throw error;
}
