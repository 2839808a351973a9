import { faceQuality } from '../../src/gallery/enrollment/enroller';
import { GATE_LIMITS, qualityReasons } from '../../src/gallery/enrollment/enrollment-gate';
import { describeWithShared } from '../support/shared';
import { DARK, type Edit, EDITS, ROLLED_45, SMALL, TURNS } from './edits';
import { equalErrorRate, type ErrorCounts, errorsAt } from './error-rates';
import { count, Gates, pointsOver, rate, share } from './gates';
import { leaveOneOut } from './identify';
import { allPairs, foundCount, Measurements, pairDistance, type PhotoFaces } from './measure';
import { lfw10, masterPairs, masterPhotos } from './photos';
import { ofCount, percent, Table } from './report';
import { DEFAULT_SET, IS_WRITING, loadSets, type ModelSet, PAIR_SETS, ROBUST_SETS, setName } from './sets';

jest.setTimeout(600_000);

/** Edits that may cost a few genuine pairs. */
const SLIGHT_EDITS = [DARK, SMALL, ROLLED_45];
/** Edits of which a gate speaks. */
const GATED_EDITS = [...TURNS, ...SLIGHT_EDITS];

/** lfw10 and master.csv: all pairs, the largest face of each photo. */
describeWithShared('accuracy on lfw10 and master.csv', () => {
  const photoSet = lfw10();
  const { photos } = photoSet;
  const gates = new Gates('lfw10 gates');
  const pairTable = new Table('pairs', [
    'detector + embedder',
    'lfw10: photos with a face',
    'lfw10: EER, cosine',
    'lfw10: EER, euclidean',
    'lfw10: FNMR at the default threshold',
    'lfw10: FMR',
    'master.csv: right at the default threshold',
  ]);
  const identificationTable = new Table('identification', [
    'detector + embedder',
    'the right person is the nearest',
    'enrolled, at the default: right',
    'wrong',
    'not enrolled, at the default: falsely named',
    'photos that gate `standard` passes',
    'that `strict` passes by its limits',
  ]);
  const robustnessTable = new Table('robustness', [
    'detector + embedder',
    'photos',
    'found',
    'both edited: FNMR',
    'FMR',
    'one edited: FNMR',
    'FMR',
  ]);
  let measurements: Measurements;

  beforeAll(async () => {
    measurements = new Measurements(await loadSets([...PAIR_SETS, ...ROBUST_SETS]));
  });
  afterAll(async () => {
    [pairTable, identificationTable, robustnessTable, gates].forEach((table) => table.write());
    await measurements?.model.close();
  });

  /** Errors at the default threshold, with both photos of a pair edited or the second alone. */
  async function errors(set: ModelSet, edit?: Edit, edited: 'both' | 'one' = 'both'): Promise<ErrorCounts> {
    const second = await measurements.faces(set, photoSet, edit);
    const first = edited === 'both' ? second : await measurements.faces(set, photoSet);
    const threshold = (await measurements.threshold(set)) ?? NaN;
    return errorsAt(allPairs(photos, first, second), -threshold);
  }

  async function pairs(set: ModelSet) {
    return allPairs(photos, await measurements.faces(set, photoSet));
  }

  async function found(set: ModelSet, edit?: Edit) {
    return share(foundCount(await measurements.faces(set, photoSet, edit)), photos.length);
  }

  it('has the photos and pairs that the gates speak of', () => {
    const { mated, nonMated } = allPairs(photos, new Map());
    expect([photos.length, mated.length, nonMated.length, masterPairs().length]).toEqual([
      100, 450, 4500, 300,
    ]);
  });

  describe.each(PAIR_SETS)('$detector + $embedder', (set) => {
    const { maxEer, minRank1 } = set;
    const isDefault = setName(set) === setName(DEFAULT_SET);
    const name = (gate: string) => (isDefault ? gate : `${setName(set)}: ${gate}`);

    gates.define(name('photos with a face'), 'share', { atLeast: 1 }, () => found(set));
    if (maxEer != null) {
      gates.define(name('EER'), 'share', { atMost: maxEer }, async () =>
        rate(equalErrorRate(await pairs(set)).eer),
      );
    }
    if (isDefault) {
      gates.define('FNMR at the default threshold', 'share', { atMost: 0.025 }, async () => {
        const { falseNonMatches, mated } = await errors(set);
        return share(falseNonMatches, mated);
      });
      gates.define('false matches at the default threshold', 'count', { atMost: 0 }, async () => {
        const { falseMatches, nonMated } = await errors(set);
        return count(falseMatches, nonMated);
      });
    }

    /** Pairs of master.csv that a metric decides rightly; `null` where it has no default. */
    async function masterRight(metric: 'cosine' | 'euclidean'): Promise<number | null> {
      const threshold = await measurements.threshold(set, metric);
      if (threshold == null) return null;
      const faces = await measurements.faces(set, masterPhotos());
      return masterPairs().filter(
        ({ a, b, isMated }) => pairDistance(faces.get(a), faces.get(b), metric) <= threshold === isMated,
      ).length;
    }
    gates.define(name('master.csv at the default threshold'), 'count', { atLeast: 300 }, async () =>
      count((await masterRight('cosine')) ?? 0, 300),
    );

    it('decides master.csv rightly by euclidean distance where that has a default', async () => {
      expect([null, 300]).toContain(await masterRight('euclidean'));
    });

    it('compares and identifies the people of lfw10, and names few strangers', async () => {
      const faces = await measurements.faces(set, photoSet);
      const { eer, minSimilarity } = equalErrorRate(await pairs(set));
      const { falseMatches, nonMated, falseNonMatches, mated } = await errors(set);
      const masterEuclidean = await masterRight('euclidean');
      pairTable.add(
        setName(set),
        `${foundCount(faces)} of ${photos.length}`,
        `${percent(eer)} (distance ${(-minSimilarity).toFixed(3)})`,
        percent(equalErrorRate(allPairs(photos, faces, faces, 'euclidean')).eer),
        `${ofCount(falseNonMatches, mated)} at ${(await measurements.threshold(set))?.toFixed(3)}`,
        ofCount(falseMatches, nonMated),
        `${await masterRight('cosine')} of 300${masterEuclidean == null ? '' : `, euclidean ${masterEuclidean}`}`,
      );
      const counts = await leaveOneOut(measurements.model, set, photos, faces);
      const passes = passesOfGate(faces);
      identificationTable.add(
        setName(set),
        ofCount(counts.rank1, counts.known),
        ofCount(counts.right, counts.known),
        ofCount(counts.wrong, counts.known),
        ofCount(counts.falselyNamed, counts.strangers),
        `${passes.standard} of ${photos.length} (${passes.severalFaces} show several faces)`,
        `${passes.strict} of ${photos.length}`,
      );
      expect(counts.rank1 / counts.known).toBeGreaterThanOrEqual(minRank1 ?? 0);
      expect(counts.wrong / counts.known).toBeLessThanOrEqual(0.005);
      expect(counts.falselyNamed / counts.strangers).toBeLessThanOrEqual(0.005);
      expect(passes.standard).toBeGreaterThanOrEqual(99);
    });
  });

  describe.each(ROBUST_SETS)('robustness of $detector + $embedder', (set) => {
    const isDefault = setName(set) === setName(DEFAULT_SET);
    const name = (gate: string) => `${isDefault ? '' : `${setName(set)}: `}${gate}`;
    const editedKinds = ['both', 'one'] as const;

    for (const turn of TURNS) {
      for (const edited of editedKinds) {
        gates.define(
          name(`${edited} ${turn.name}: strangers accepted`),
          'share',
          { atMost: 0.001 },
          async () => {
            const { falseMatches, nonMated } = await errors(set, turn, edited);
            return share(falseMatches, nonMated);
          },
        );
        gates.define(
          name(`${edited} ${turn.name}: genuine pairs rejected over upright`),
          'points',
          { atMost: 1 },
          async () => pointsOver((await errors(set, turn, edited)).fnmr, (await errors(set)).fnmr),
        );
      }
    }

    if (isDefault) {
      for (const edit of [DARK, SMALL]) {
        gates.define(`${edit.name}: found`, 'share', { atLeast: 0.99 }, () => found(set, edit));
      }
      for (const edit of SLIGHT_EDITS) {
        for (const edited of editedKinds) {
          gates.define(
            `${edited} ${edit.name}: FNMR over the untouched photos`,
            'points',
            { atMost: 4 },
            async () => pointsOver((await errors(set, edit, edited)).fnmr, (await errors(set)).fnmr),
          );
        }
      }
    }

    it('compares all pairs of photos that are edited', async () => {
      for (const edit of [undefined, ...(IS_WRITING ? EDITS : isDefault ? GATED_EDITS : TURNS)]) {
        const both = await errors(set, edit);
        const one = await errors(set, edit, 'one');
        robustnessTable.add(
          setName(set),
          edit?.name ?? 'untouched',
          (await found(set, edit)).text,
          ofCount(both.falseNonMatches, both.mated),
          ofCount(both.falseMatches, both.nonMated),
          ofCount(one.falseNonMatches, one.mated),
          ofCount(one.falseMatches, one.nonMated),
        );
        expect([both.mated, both.nonMated, one.mated, one.nonMated]).toEqual([450, 4500, 450, 4500]);
      }
    });
  });
});

/** Photos that pass the limits of the enrollment gate. Several faces in a photo are a reason of their own, counted apart. */
function passesOfGate(faces: PhotoFaces) {
  const found = [...faces.values()].filter((face) => face != null);
  const passing = (gate: 'standard' | 'strict') =>
    found.filter(
      ({ detection, quality }) =>
        qualityReasons(faceQuality(detection, quality), GATE_LIMITS[gate]).length === 0,
    ).length;
  return {
    standard: passing('standard'),
    strict: passing('strict'),
    severalFaces: found.filter(({ faceCount }) => faceCount > 1).length,
  };
}
