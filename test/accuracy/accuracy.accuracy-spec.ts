import { join } from 'node:path';
import sharp from 'sharp';
import { resolveFaceOptions } from '../../src/face/face.options';
import { WorkerFaceModel } from '../../src/face/worker-face-model';
import { readFileSync } from 'node:fs';
import { describeWithShared, sharedDir } from '../support/shared';
import { GATE_LIMITS, qualityReasons } from '../../src/gallery/enrolment-gate';
import { faceQuality } from '../../src/gallery/enroller';
import { workerFile } from '../support/paths';
import { equalErrorRate, ratesAt } from './error-rates';
import { allPairs, embedPhotos, masterPairs, pairDistance, photosByFolder } from './measure';
import { identificationRates } from './identify';
import { type IdentificationRow, percent, type Row, writeReport } from './report';

/**
 * Accuracy gates on labelled photos, all pairs, largest face. Changing a gate is changing the product: none may be
 * loosened to let a change pass.
 */
const SETS = [
  {
    detector: 'ssd-mobilenetv1',
    embedder: 'face-resnet-128',
    maxEer: 0.015,
    maxFalseFaces: 8,
    minRank1: 0.99,
    isDefault: true,
  },
  { detector: 'yunet-dynamic', embedder: 'arcface-mobilefacenet-128', maxEer: 0.002, minRank1: 0.995 },
  { detector: 'yunet', embedder: 'arcface-mobilefacenet-128', maxEer: 0.002, minRank1: 0.995 },
  { detector: 'retinaface-mnet025', embedder: 'arcface-mobilefacenet-128', maxEer: 0.005, minRank1: 0.995 },
  { detector: 'yunet-dynamic', embedder: 'face-resnet-128' },
];

const ROLLS = [15, 30, 45];

describeWithShared('accuracy on labelled photos', () => {
  const data = join(sharedDir ?? '', 'data');
  const rows: Row[] = [];
  const identificationRows: IdentificationRow[] = [];
  afterAll(() => writeReport(rows, identificationRows));

  describe.each(SETS)('$detector + $embedder', (set) => {
    const { detector, embedder, maxEer, maxFalseFaces, isDefault } = set;
    const row: Row = { set: `${detector} + ${embedder}` };
    const identificationRow: IdentificationRow = { set: row.set };
    let model: WorkerFaceModel;

    beforeAll(async () => {
      model = await WorkerFaceModel.load(
        resolveFaceOptions({
          detectors: [detector],
          embedders: [embedder],
          attributeModels: [],
          modelDirs: [resolveFaceOptions().modelDirs[0], join(sharedDir ?? '', 'models')],
          requestTimeoutMs: 600_000,
          queueSize: 1000,
          workerFile,
        }),
      );
      rows.push(row);
      identificationRows.push(identificationRow);
    });
    afterAll(() => model?.close());

    it('decides every pair of master.csv rightly at the thresholds of the card', async () => {
      const pairs = masterPairs(join(data, 'deepface'));
      expect(pairs).toHaveLength(300);
      const embeddings = await embedPhotos(
        model,
        pairs.flatMap(({ a, b }) => [a, b]),
      );
      const { maxDistances } = model.embedder();
      const right = (metric: 'cosine' | 'euclidean') =>
        pairs.filter(
          ({ a, b, isMated }) =>
            pairDistance(embeddings.get(a), embeddings.get(b), metric) <= (maxDistances[metric] ?? NaN) ===
            isMated,
        ).length;
      row.master = `${right('cosine')} of 300`;
      expect(right('cosine')).toBe(300);
      if (maxDistances.euclidean != null) {
        row.master += `, euclidean ${right('euclidean')}`;
        expect(right('euclidean')).toBe(300);
      }
    });

    it('finds a face on every photo of lfw10 and keeps the error rate', async () => {
      const photos = photosByFolder(join(data, 'lfw10'));
      expect(photos).toHaveLength(100);
      const embeddings = await embedPhotos(
        model,
        photos.map(({ path }) => path),
      );
      const detected = [...embeddings.values()].filter((embedding) => embedding != null).length;
      const pairs = allPairs(photos, embeddings, 'cosine');
      expect(pairs.mated.length + pairs.nonMated.length).toBe(4950);
      const { eer, minSimilarity } = equalErrorRate(pairs);
      const threshold = model.embedder().maxDistances.cosine as number;
      const { fmr, fnmr } = ratesAt(pairs, -threshold);
      row.detected = `${detected} %`;
      row.eer = `${percent(eer)} (distance ${(-minSimilarity).toFixed(3)})`;
      row.euclideanEer = percent(equalErrorRate(allPairs(photos, embeddings, 'euclidean')).eer);
      row.atThreshold = `FMR ${percent(fmr)}, FNMR ${percent(fnmr)} at ${threshold}`;
      expect(detected).toBe(100);
      if (maxEer != null) expect(eer).toBeLessThanOrEqual(maxEer);
      if (isDefault) {
        const rolled: string[] = [];
        for (const roll of ROLLS) {
          const turned = await embedPhotos(
            model,
            photos.map(({ path }) => path),
            (bytes) => sharp(bytes).rotate(roll, { background: '#000000' }).jpeg({ quality: 95 }).toBuffer(),
          );
          rolled.push(
            `${roll}°: ${percent(equalErrorRate(allPairs(photos, embeddings, 'cosine', turned)).eer)}`,
          );
        }
        row.rolled = rolled.join(', ');
      }
    });

    it('identifies the people of lfw10, and names few strangers', async () => {
      const photos = photosByFolder(join(data, 'lfw10'));
      const embeddings = await embedPhotos(
        model,
        photos.map(({ path }) => path),
      );
      const rates = await identificationRates(model, photos, embeddings);
      identificationRow.rank1 = percent(rates.rank1);
      identificationRow.known = [rates.right, rates.wrong, rates.unknown].map(percent).join(', ');
      identificationRow.strangers = percent(rates.falselyNamed);
      expect(rates.rank1).toBeGreaterThanOrEqual(set.minRank1 ?? 0);
      expect(rates.wrong).toBeLessThanOrEqual(0.005);
      expect(rates.falselyNamed).toBeLessThanOrEqual(0.005);
    });

    it('passes the photos of lfw10 by the limits of the enrolment gate', async () => {
      const photos = photosByFolder(join(data, 'lfw10'));
      const passes = { standard: 0, strict: 0 };
      let severalFaces = 0;
      await Promise.all(
        photos.map(async ({ path }) => {
          const options = { faceSelection: 'best', quality: true } as const;
          const { faces, faceCount } = await model.represent(readFileSync(path), options);
          const quality = faceQuality(faces[0], faces[0].quality ?? null);
          if (faceCount > 1) severalFaces++;
          if (qualityReasons(quality, GATE_LIMITS.standard).length === 0) passes.standard++;
          if (qualityReasons(quality, GATE_LIMITS.strict).length === 0) passes.strict++;
        }),
      );
      identificationRow.standardGate = `${passes.standard} of 100 (${severalFaces} show several faces)`;
      identificationRow.strictGate = `${passes.strict} of 100`;
      expect(passes.standard).toBeGreaterThanOrEqual(99);
    });

    it('finds few faces on photos of things', async () => {
      const photos = photosByFolder(join(data, 'nonface'));
      const counts = await Promise.all(
        photos.map(async ({ path }) => (await model.detect(readFileSync(path))).faceCount),
      );
      const withFaces = counts.filter((count) => count > 0).length;
      row.falseFaces = `${withFaces} of ${photos.length}`;
      expect(photos.length).toBe(60);
      if (maxFalseFaces != null) expect(withFaces).toBeLessThanOrEqual(maxFalseFaces);
    });
  });
});
