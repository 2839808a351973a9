import { describeWithShared } from '../support/shared';
import { errorsAt, type ScoredPairs } from './error-rates';
import { count, Gates, share } from './gates';
import { allPairs, foundCount, Measurements, pairDistance, type PhotoFaces } from './measure';
import { type GroupPhoto, london102 } from './photos';
import { ofCount, Table } from './report';
import { DEFAULT_SET, GROUP_SETS, loadSets, type ModelSet, setName } from './sets';

jest.setTimeout(600_000);

/** Groups with at least two people: one person makes no pair of strangers. */
const GROUPS = ['white', 'west asian', 'east asian', 'black'];

/** london102: studio portraits of 102 people with group and gender, two each. */
describeWithShared('accuracy by group on london102', () => {
  const photoSet = london102();
  const gates = new Gates('london102 gates');
  const table = new Table('groups', [
    'detector + embedder',
    'threshold (distance)',
    'group',
    'people',
    'strangers of the same group and gender: accepted (FMR)',
    'photos of one person: rejected (FNMR)',
  ]);
  let measurements: Measurements;

  beforeAll(async () => {
    measurements = new Measurements(await loadSets(GROUP_SETS));
  });
  afterAll(async () => {
    [table, gates].forEach((one) => one.write());
    await measurements?.model.close();
  });

  const photosOf = (group: string) => photoSet.photos.filter((photo) => photo.group === group);
  async function errors(set: ModelSet, photos: readonly GroupPhoto[]) {
    const faces = await measurements.faces(set, photoSet);
    return errorsAt(groupPairs(photos, faces), -((await measurements.threshold(set)) ?? NaN));
  }

  it('has the people that the gates speak of', () => {
    expect(GROUPS.map((group) => photosOf(group).length)).toEqual([2 * 69, 2 * 10, 2 * 9, 2 * 13]);
    expect(photoSet.photos).toHaveLength(2 * 102);
  });

  it('finds every face', async () => {
    expect(foundCount(await measurements.faces(DEFAULT_SET, photoSet))).toBe(photoSet.photos.length);
  });

  for (const group of GROUPS) {
    gates.define(`${group}: FMR at the default threshold`, 'share', { atMost: 0.05 }, async () => {
      const { falseMatches, nonMated } = await errors(DEFAULT_SET, photosOf(group));
      return share(falseMatches, nonMated);
    });
  }
  gates.define('genuine pairs missed at the default threshold', 'count', { atMost: 0 }, async () => {
    const { falseNonMatches, mated } = await errors(DEFAULT_SET, photoSet.photos);
    return count(falseNonMatches, mated);
  });

  it.each(GROUP_SETS)('compares the groups by $detector + $embedder', async (set) => {
    const threshold = (await measurements.threshold(set))?.toFixed(3) ?? '-';
    for (const group of GROUPS) {
      const photos = photosOf(group);
      const { falseMatches, nonMated, falseNonMatches, mated } = await errors(set, photos);
      expect(mated).toBe(photos.length / 2);
      table.add(
        setName(set),
        threshold,
        group,
        `${photos.length / 2}`,
        ofCount(falseMatches, nonMated),
        ofCount(falseNonMatches, mated),
      );
    }
    // Whoever belongs to two groups is here.
    const all = allPairs(photoSet.photos, await measurements.faces(set, photoSet));
    const { falseMatches, nonMated, falseNonMatches, mated } = errorsAt(
      all,
      -((await measurements.threshold(set)) ?? NaN),
    );
    expect([mated, nonMated]).toEqual([102, 204 * 203 * 0.5 - 102]);
    table.add(
      setName(set),
      threshold,
      'all pairs, whatever the group',
      '102',
      ofCount(falseMatches, nonMated),
      ofCount(falseNonMatches, mated),
    );
  });
});

/** Pairs of strangers of the same group and gender, and of the photos of each person. */
function groupPairs(photos: readonly GroupPhoto[], faces: PhotoFaces): ScoredPairs {
  const pairs: ScoredPairs = { mated: [], nonMated: [] };
  photos.forEach((a, i) =>
    photos.slice(i + 1).forEach((b) => {
      const similarity = -pairDistance(faces.get(a.path), faces.get(b.path), 'cosine');
      if (a.person === b.person) pairs.mated.push(similarity);
      else if (a.group === b.group && a.gender === b.gender) pairs.nonMated.push(similarity);
    }),
  );
  return pairs;
}
