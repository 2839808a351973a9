import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEFAULT_FACE_OPTIONS, type FaceModuleOptions } from '../../src/face/face.options';
import type { FaceCallOptions } from '../../src/face/face-model';
import type { WorkerFaceModel } from '../../src/face/worker-face-model';
import { describeWithShared } from '../support/shared';
import { count, Gates, share } from './gates';
import { inParallel } from './measure';
import { cfp250, dataDir, lfw10, type PhotoSet } from './photos';
import { grouped, percent, Table } from './report';
import { DEFAULT_SET, loadSets } from './sets';

jest.setTimeout(600_000);

const ATTACK_MODEL = 'minifasnet-v2-se';
/** Photographs of a photograph or a screen (F), and a genuine face (T). */
const REAL_PHOTOS = { 'image_F1.jpg': false, 'image_F2.jpg': false, 'image_T1.jpg': true };

/** What a face is judged to be; see `PresentationAttack`. */
interface Judgment {
  score: number | null;
  label: string;
}

describeWithShared('presentation attacks', () => {
  // The first frontal photo of each person of cfp250.
  const cfp = cfp250('frontal');
  const firstOfEach = {
    ...cfp,
    photos: cfp.photos.filter(({ person }, i) => cfp.photos[i - 1]?.person !== person),
  };
  const genuine: readonly PhotoSet[] = [lfw10(), firstOfEach];

  it('has the photos that the gates speak of', () => {
    expect(genuine.map(({ photos }) => photos.length)).toEqual([100, 250]);
    for (const name of Object.keys(REAL_PHOTOS)) readFileSync(join(dataDir, 'antispoof', name));
  });

  if (!('attackModels' in DEFAULT_FACE_OPTIONS)) return;

  const gates = new Gates('presentation attack gates');
  const table = new Table('presentation attack', [
    'photos',
    'judged',
    'called real',
    'called an attack (BPCER)',
    'too little context to judge',
  ]);
  let model: WorkerFaceModel;

  beforeAll(async () => {
    model = await loadSets([DEFAULT_SET], { attackModels: [ATTACK_MODEL] } as FaceModuleOptions);
  });
  afterAll(async () => {
    [table, gates].forEach((one) => one.write());
    await model?.close();
  });

  /** `null` where no face is found. */
  async function judge(path: string): Promise<Judgment | null> {
    const options = { faceSelection: 'best', presentationAttack: 'report' } as FaceCallOptions;
    const { faces } = await model.detect(readFileSync(path), options);
    return (faces[0] as { presentationAttack?: Judgment } | undefined)?.presentationAttack ?? null;
  }

  const judged = new Map<string, Promise<(Judgment | null)[]>>();
  function judgmentsOf({ name, photos }: PhotoSet) {
    const made = judged.get(name) ?? inParallel(photos, ({ path }) => judge(path));
    judged.set(name, made);
    return made;
  }
  async function countsOf(photoSet: PhotoSet) {
    const found = (await judgmentsOf(photoSet)).filter((judgment) => judgment != null);
    const withContext = found.filter(({ label }) => label !== 'insufficient_context');
    const real = withContext.filter(({ label }) => label === 'real').length;
    return { real, judged: withContext.length, withoutContext: found.length - withContext.length };
  }

  gates.define('the three photos of antispoof: right', 'count', { atLeast: 3 }, async () => {
    const judgments = await inParallel(Object.entries(REAL_PHOTOS), async ([name, isReal]) => {
      const judgment = await judge(join(dataDir, 'antispoof', name));
      return judgment != null && (judgment.label === 'real') === isReal;
    });
    return count(judgments.filter((isRight) => isRight).length, judgments.length);
  });

  for (const photoSet of genuine) {
    gates.define(
      `${photoSet.name}: judged photos that are called real`,
      'share',
      { atLeast: 0.95 },
      async () => {
        const { real, judged: total } = await countsOf(photoSet);
        return share(real, total);
      },
    );
    it(`judges the photos of ${photoSet.name}`, async () => {
      const { real, judged: total, withoutContext } = await countsOf(photoSet);
      table.add(
        `${photoSet.name}, genuine`,
        grouped(total),
        grouped(real),
        `${grouped(total - real)} (${percent(1 - real / total)})`,
        grouped(withoutContext),
      );
      expect(total).toBeGreaterThan(0);
    });
  }
});
