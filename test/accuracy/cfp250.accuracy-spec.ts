import { DEFAULT_GALLERY_SETTINGS } from '../../src/gallery/gallery.options';
import { MAX_SEARCH_LIMIT } from '../../src/gallery/gallery.types';
import { MemoryStore } from '../../src/gallery/stores/memory-store';
import type { VectorPrecision } from '../../src/gallery/search/vector-index';
import { describeWithShared } from '../support/shared';
import { equalErrorRate, errorsAt, type ScoredPairs, trueAcceptRateAt } from './error-rates';
import { Gates, rate, share } from './gates';
import { type IdentificationCounts, openSet } from './identify';
import { allPairs, foundCount, Measurements, pairDistance, type PhotoFaces } from './measure';
import { cfp250, type Photo } from './photos';
import { grouped, ofCount, percent, Table } from './report';
import { CFP_SETS, DEFAULT_SET, IS_WRITING, loadSets, type ModelSet, RETINAFACE_SET, setName } from './sets';

jest.setTimeout(600_000);

/** Number of people who are enrolled; the others are strangers. */
const ENROLLED = 200;
const GALLERY_SIZES = [10, 50, 100, ENROLLED];
/** False match rate at which searches of both precisions are compared. */
const SEARCH_FMR = 1e-4;
/** Searches answer with pairs at least so similar: far more than {@link SEARCH_FMR} accepts, and far fewer than all. */
const MIN_SEARCH_SIMILARITY = 0.2;

/** cfp250: 250 people, six frontal and two profile photos each. */
describeWithShared('accuracy on cfp250', () => {
  const frontal = cfp250('frontal');
  const profile = cfp250('profile');
  const gates = new Gates('cfp250 gates');
  const pairTable = new Table('cfp250', [
    'detector + embedder',
    'frontal: found',
    'frontal: EER',
    'TAR at FMR 1e-3',
    'TAR at FMR 1e-4',
    'at the default threshold: FMR',
    'FNMR',
    'profile: found',
    'profile against frontal: TAR at FMR 1e-3',
  ]);
  const sizeTable = new Table('gallery sizes', [
    'subjects of a gallery',
    'galleries',
    'strangers falsely named',
    'known, recognized',
    'known, named as another',
  ]);
  const searchTable = new Table('search precision', ['search', 'TAR at FMR 1e-4', 'similarity at FMR 1e-4']);
  let measurements: Measurements;

  beforeAll(async () => {
    measurements = new Measurements(await loadSets(CFP_SETS));
  });
  afterAll(async () => {
    [pairTable, sizeTable, searchTable, gates].forEach((table) => table.write());
    await measurements?.model.close();
  });

  /** Scores of all frontal pairs are needed by several tests, and take seconds. */
  const frontalPairs = new Map<string, Promise<ScoredPairs>>();
  function pairs(set: ModelSet): Promise<ScoredPairs> {
    const made =
      frontalPairs.get(setName(set)) ??
      measurements.faces(set, frontal).then((faces) => allPairs(frontal.photos, faces));
    frontalPairs.set(setName(set), made);
    return made;
  }

  it('has the photos that the gates speak of', () => {
    const people = new Set([...frontal.photos, ...profile.photos].map(({ person }) => person));
    expect([people.size, frontal.photos.length, profile.photos.length]).toEqual([250, 1500, 500]);
  });

  gates.define('frontal photos found', 'share', { atLeast: 0.998 }, async () =>
    share(foundCount(await measurements.faces(DEFAULT_SET, frontal)), frontal.photos.length),
  );
  gates.define('frontal, TAR at FMR 1e-3', 'share', { atLeast: 0.985 }, async () => {
    const scored = await pairs(DEFAULT_SET);
    return share(trueAcceptRateAt(scored, 1e-3).accepted, scored.mated.length);
  });
  gates.define('profile photos found', 'share', { atLeast: 0.97 }, async () =>
    share(foundCount(await measurements.faces(DEFAULT_SET, profile)), profile.photos.length),
  );
  gates.define(`${setName(RETINAFACE_SET)}: frontal, EER`, 'share', { atMost: 0.012 }, async () =>
    rate(equalErrorRate(await pairs(RETINAFACE_SET)).eer),
  );

  it.each(CFP_SETS)('compares all frontal pairs by $detector + $embedder', async (set) => {
    const frontalFaces = await measurements.faces(set, frontal);
    const scored = await pairs(set);
    expect([scored.mated.length, scored.nonMated.length]).toEqual([3750, 1_120_500]);
    // Of other sets no gate asks for the profiles.
    if (setName(set) !== setName(DEFAULT_SET) && !IS_WRITING) return;
    const profileFaces = await measurements.faces(set, profile);
    const tarAt = (maxFmr: number) => ofCount(trueAcceptRateAt(scored, maxFmr).accepted, scored.mated.length);
    const atDefault = errorsAt(scored, -((await measurements.threshold(set)) ?? NaN));
    const crossed = crossPairs(profile.photos, profileFaces, frontal.photos, frontalFaces);
    pairTable.add(
      setName(set),
      ofCount(foundCount(frontalFaces), frontal.photos.length),
      percent(equalErrorRate(scored).eer),
      tarAt(1e-3),
      tarAt(1e-4),
      `${(atDefault.fmr * 100).toFixed(4)} % (${grouped(atDefault.falseMatches)} of ${grouped(atDefault.nonMated)})`,
      ofCount(atDefault.falseNonMatches, atDefault.mated),
      `${ofCount(foundCount(profileFaces), profile.photos.length)}, ${profileFaces.unalignedCount} of them not aligned`,
      ofCount(trueAcceptRateAt(crossed, 1e-3).accepted, crossed.mated.length),
    );
  });

  describe('1:N through the gallery service', () => {
    const people = [...new Set(frontal.photos.map(({ person }) => person))];
    const isEnrolled = ({ person }: Photo) => people.indexOf(person) < ENROLLED;
    const known = frontal.photos.filter(isEnrolled);
    const strangers = frontal.photos.filter((photo) => !isEnrolled(photo));
    const counted = new Map<number, Promise<IdentificationCounts>>();
    function countsOf(size: number): Promise<IdentificationCounts> {
      const made =
        counted.get(size) ??
        measurements
          .faces(DEFAULT_SET, frontal)
          .then((faces) => openSet(measurements.model, DEFAULT_SET, { known, strangers, size }, faces));
      counted.set(size, made);
      return made;
    }

    gates.define('200 people enrolled: strangers falsely named', 'share', { atMost: 0.02 }, async () => {
      const { falselyNamed, strangers: probes } = await countsOf(ENROLLED);
      return share(falselyNamed, probes);
    });
    gates.define('200 people enrolled: known people recognized', 'share', { atLeast: 0.95 }, async () => {
      const { right, known: probes } = await countsOf(ENROLLED);
      return share(right, probes);
    });

    it.each(GALLERY_SIZES)('identifies among %i subjects', async (size) => {
      const counts = await countsOf(size);
      sizeTable.add(
        `${size}`,
        `${ENROLLED / size}`,
        ofCount(counts.falselyNamed, counts.strangers),
        ofCount(counts.right, counts.known),
        ofCount(counts.wrong, counts.known),
      );
      expect([counts.known, counts.strangers]).toEqual([1000, (300 * ENROLLED) / size]);
    });
  });

  describe('search by int8', () => {
    const searched = new Map<VectorPrecision, Promise<ScoredPairs>>();
    function scoresOf(precision: VectorPrecision): Promise<ScoredPairs> {
      const made =
        searched.get(precision) ??
        measurements
          .faces(DEFAULT_SET, frontal)
          .then((faces) => searchPairs(frontal.photos, faces, precision));
      searched.set(precision, made);
      return made;
    }

    gates.define('int8 search: change of TAR at FMR 1e-4', 'points', { atMost: 0.002 }, async () => {
      const [exact, coded] = await Promise.all(
        (['float32', 'int8'] as const).map(async (precision) => {
          const scored = await scoresOf(precision);
          const { tar, accepted, above } = trueAcceptRateAt(scored, SEARCH_FMR);
          expect(above).toBeGreaterThan(MIN_SEARCH_SIMILARITY);
          searchTable.add(precision, ofCount(accepted, scored.mated.length), above.toFixed(6));
          return tar;
        }),
      );
      const points = Math.abs(coded - exact) * 100;
      return { value: points, text: `${points.toFixed(4)} points (${percent(coded)} and ${percent(exact)})` };
    });

    it('finds in the gallery what comparing all pairs finds', async () => {
      const { accepted } = trueAcceptRateAt(await pairs(DEFAULT_SET), SEARCH_FMR);
      expect(trueAcceptRateAt(await scoresOf('float32'), SEARCH_FMR).accepted).toBe(accepted);
    });
  });
});

/** Similarities (negative distances) of each photo of one list with each of another. */
function crossPairs(
  photos: readonly Photo[],
  faces: PhotoFaces,
  otherPhotos: readonly Photo[],
  otherFaces: PhotoFaces,
): ScoredPairs {
  const pairs: ScoredPairs = { mated: [], nonMated: [] };
  for (const a of photos) {
    for (const b of otherPhotos) {
      const target = a.person === b.person ? pairs.mated : pairs.nonMated;
      target.push(-pairDistance(faces.get(a.path), otherFaces.get(b.path), 'cosine'));
    }
  }
  return pairs;
}

/**
 * All pairs of photos as the search of a store sees them: every photo is a subject of one gallery, and every photo is looked
 * for. A pair that the search does not answer with has -Infinity.
 */
async function searchPairs(
  photos: readonly Photo[],
  faces: PhotoFaces,
  precision: VectorPrecision,
): Promise<ScoredPairs> {
  const store = new MemoryStore({ threadCount: 1, precision });
  const found = photos.flatMap((photo, i) => {
    const face = faces.get(photo.path);
    return face == null ? [] : [{ i, embedding: face.embedding }];
  });
  const galleryId = 'all';
  await store.createGallery({
    ...DEFAULT_GALLERY_SETTINGS,
    id: galleryId,
    contract: 'cfp250',
    dimensions: found[0].embedding.length,
    capacity: photos.length,
  });
  await store.addReferences(
    galleryId,
    found.map(({ i, embedding }) => ({
      id: `${i}`,
      subjectId: `${i}`,
      embedding,
      metadata: {},
      quality: null,
      imageHash: null,
    })),
  );
  const similarities = photos.map(() => new Float64Array(photos.length).fill(-Infinity));
  for (const { i, embedding } of found) {
    const options = { limit: MAX_SEARCH_LIMIT, minSimilarity: MIN_SEARCH_SIMILARITY };
    const [hits] = await store.search(galleryId, [embedding], options);
    if (hits.length === MAX_SEARCH_LIMIT) throw new Error('The answer of a search may have been cut off.');
    for (const { subjectId, similarity } of hits) similarities[i][Number(subjectId)] = similarity;
  }
  await store.close();
  const pairs: ScoredPairs = { mated: [], nonMated: [] };
  photos.forEach((a, i) =>
    photos.slice(i + 1).forEach((b, offset) => {
      const target = a.person === b.person ? pairs.mated : pairs.nonMated;
      target.push(similarities[i][i + 1 + offset]);
    }),
  );
  return pairs;
}
