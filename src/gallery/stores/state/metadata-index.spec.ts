import { seededRandom } from '../../../../test/support/seeded-random';
import { type Metadata, type MetadataFilter, passesFilter } from '../../gallery.types';
import { Turns } from '../../../turns';
import { MetadataIndex } from './metadata-index';
import { NumberPool } from './number-pool';
import { bitOf } from './uid-set';

const random = seededRandom(9);

interface Subject {
  uid: number;
  number: number;
  metadata: Metadata;
}

/** Subjects in an index and in a plain list. */
class Gallery {
  readonly index = new MetadataIndex();
  readonly subjects: Subject[] = [];
  readonly numbers = new NumberPool();
  readonly byNumber: Subject[] = [];
  private lastUid = -1;

  /** @param step - distance to the next uid: other entries take uids too. */
  constructor(private readonly step: () => number = () => 1) {}

  add(metadata: Metadata): Subject {
    this.lastUid += this.step();
    const subject = { uid: this.lastUid, number: this.numbers.take(), metadata };
    this.subjects.push(subject);
    this.byNumber[subject.number] = subject;
    this.index.add(subject.uid, subject.number, metadata);
    return subject;
  }

  update(subject: Subject, metadata: Metadata): void {
    this.index.update(subject.uid, subject.metadata, metadata);
    subject.metadata = metadata;
  }

  remove(subject: Subject): void {
    this.subjects.splice(this.subjects.indexOf(subject), 1);
    this.numbers.give(subject.number);
    this.index.remove(subject.uid, subject.metadata);
  }

  passing(filter: MetadataFilter): Subject[] {
    return this.subjects.filter(({ metadata }) => passesFilter(metadata, filter));
  }

  /** Sorted numbers in the mask. */
  async masked(filter: MetadataFilter): Promise<number[]> {
    const mask = await this.index.mask(filter);
    return Array.from({ length: 32 * mask.length }, (_, number) => number).filter(
      (number) => bitOf(number, mask) === 1,
    );
  }

  /** Uids over all pages. */
  async paged(filter: MetadataFilter | undefined, limit: number): Promise<number[]> {
    const uids: number[] = [];
    for (let after: number | null = -1; after !== null;) {
      const page: { items: { uid: number }[]; next: number | null } = await this.index.page(
        filter,
        { after, limit },
        (number) => ({ uid: this.byNumber[number].uid }),
      );
      expect(page.items.length).toBeLessThanOrEqual(limit);
      if (page.next !== null) expect([page.items.length, page.items.at(-1)?.uid]).toEqual([limit, page.next]);
      uids.push(...page.items.map(({ uid }) => uid));
      after = page.next;
    }
    return uids;
  }
}

const byNumber = (subjects: Subject[]) => subjects.map(({ number }) => number).sort((a, b) => a - b);
const uidsOf = (subjects: Subject[]) => subjects.map(({ uid }) => uid);

describe(MetadataIndex, () => {
  afterEach(() => jest.restoreAllMocks());

  it('passes what passesFilter passes: types count, each key must match, one of several values may', async () => {
    const gallery = new Gallery();
    const metadata: Metadata[] = [
      { level: 1, site: 'A' },
      { level: '1', site: 'A' },
      { level: true, site: 'B' },
      { level: 'true', site: 'B' },
      { level: 0 },
      { level: -0, site: '' },
      { site: 'A', constructor: 'x' },
      {},
    ];
    metadata.forEach((one) => gallery.add(one));
    const filters: MetadataFilter[] = [
      {},
      { level: 1 },
      { level: '1' },
      { level: true },
      { level: ['true', 1] },
      { level: [0, 0, 2] },
      { level: -0 },
      { level: [] },
      { site: 'A', level: ['1', 1] },
      { site: ['A', 'B', ''], level: [true, 0] },
      { site: ['A'], level: [] },
      { site: 'C' },
      { none: 1 },
      { constructor: 'x' },
      { toString: 'x' },
    ];
    const found = await Promise.all(filters.map((filter) => gallery.masked(filter)));
    expect(found).toEqual(filters.map((filter) => byNumber(gallery.passing(filter))));
    expect(await Promise.all(filters.map((filter) => gallery.paged(filter, 2)))).toEqual(
      filters.map((filter) => uidsOf(gallery.passing(filter))),
    );
    expect(await gallery.paged(undefined, 3)).toEqual(uidsOf(gallery.subjects));
  });

  it('is empty at first and at last', async () => {
    const gallery = new Gallery();
    expect([await gallery.masked({}), await gallery.paged({}, 5)]).toEqual([[], []]);
    const subject = gallery.add({ a: 1 });
    gallery.add({ a: 1 });
    gallery.remove(subject);
    expect(gallery.index.count).toBe(1);
    gallery.remove(gallery.subjects[0]);
    expect([await gallery.masked({}), await gallery.paged({ a: 1 }, 5)]).toEqual([[], []]);
    expect([gallery.index.count, gallery.index['keys'].size, gallery.index['windows'].length]).toEqual([
      0, 0, 0,
    ]);
  });

  it('refuses a uid that is there to be added, and one that is not there to be removed', async () => {
    const index = new MetadataIndex();
    index.add(70_000, 0, { a: 1 });
    expect(() => index.add(70_000, 1, { a: 2 })).toThrow(RangeError);
    for (const uid of [69_999, 70_001, 3, 200_000])
      expect(() => index.remove(uid, { a: 1 })).toThrow(RangeError);
    expect(index.count).toBe(1);
    expect([await index.mask({ a: 1 }), await index.mask({ a: 2 })]).toEqual([
      Uint32Array.of(1),
      Uint32Array.of(0),
    ]);
  });

  // Uids in one window, over several, and in one window each.
  it.each([1, 100, 70_000])(
    'gives what a plain list gives, over random changes, uids %d apart',
    async (apart) => {
      const gallery = new Gallery(() => 1 + Math.floor(random() * 2 * apart));
      const anyMetadata = (): Metadata => ({
        ...(random() < 0.9 && { site: `site ${Math.floor(random() * 4)}` }),
        ...(random() < 0.5 && { level: Math.floor(random() * 200) }),
        ...(random() < 0.5 && { isOn: random() < 0.3 }),
        ...(random() < 0.5 && { employee: `E${Math.floor(random() * 1e9)}` }),
      });
      for (const share of [0.9, 0.5, 0.2, 0.9]) {
        for (let step = 0; step < 1500; step++) {
          const subject = gallery.subjects[Math.floor(random() * gallery.subjects.length)];
          if (!subject || random() < share) gallery.add(anyMetadata());
          else if (random() < 0.5) gallery.update(subject, anyMetadata());
          else gallery.remove(subject);
        }
        const some = gallery.subjects[Math.floor(gallery.subjects.length / 2)].metadata;
        const filters: MetadataFilter[] = [
          {},
          { site: 'site 1' },
          { site: ['site 1', 'site 2'], isOn: true },
          { level: [1, 2, 3, 150], isOn: [true, false] },
          { ...some },
        ];
        for (const filter of filters) {
          expect(await gallery.masked(filter)).toEqual(byNumber(gallery.passing(filter)));
          expect(await gallery.paged(filter, 7)).toEqual(uidsOf(gallery.passing(filter)));
          expect(await gallery.paged(filter, 5000)).toEqual(uidsOf(gallery.passing(filter)));
        }
        expect(gallery.index.count).toBe(gallery.subjects.length);
      }
    },
  );

  it('takes subjects in any order of their uids', async () => {
    const index = new MetadataIndex();
    const uids = [5, 70_000, 3, 200_000, 69_999, 0, 2 ** 40];
    uids.forEach((uid, number) => index.add(uid, number, { a: 1 }));
    const toItem = (number: number) => ({ uid: uids[number] });
    const { items } = await index.page({ a: 1 }, { after: -1, limit: 10 }, toItem);
    expect(items.map(({ uid }) => uid)).toEqual([...uids].sort((a, b) => a - b));
    const page = await index.page({ a: 1 }, { after: 69_999, limit: 2 }, toItem);
    expect(page).toEqual({ items: [{ uid: 70_000 }, { uid: 200_000 }], next: 200_000 });
  });

  it('has no next page after the last item', async () => {
    const index = new MetadataIndex();
    for (let uid = 0; uid < 4; uid++) index.add(uid, uid, { isOdd: uid % 2 === 1 });
    const page = (after: number, limit: number) =>
      index.page({ isOdd: true }, { after, limit }, (number) => ({ number }));
    expect(await page(-1, 1)).toEqual({ items: [{ number: 1 }], next: 1 });
    expect(await page(-1, 2)).toEqual({ items: [{ number: 1 }, { number: 3 }], next: null });
    expect(await page(3, 2)).toEqual({ items: [], next: null });
    expect(await page(1e9, 2)).toEqual({ items: [], next: null });
  });

  it('pages past what changes: each subject that stays comes exactly once', async () => {
    const gallery = new Gallery(() => 900);
    const staying: Subject[] = [];
    for (let i = 0; i < 6000; i++) {
      const subject = gallery.add({ kind: i % 3 ? 'stays' : 'goes' });
      if (i % 3) staying.push(subject);
    }
    onEachTurn(() => {
      const leaving = gallery.subjects.find(({ metadata }) => metadata.kind === 'goes');
      if (leaving) gallery.remove(leaving);
      gallery.add({ kind: 'new' });
      const moving = staying[Math.floor(random() * staying.length)];
      gallery.update(moving, { kind: 'stays', note: random() });
    });
    for (const limit of [50, 3000, 10_000])
      expect(await gallery.paged({ kind: ['stays', 'none'] }, limit)).toEqual(uidsOf(staying));
  });

  it('gives no number to a subject that does not pass because the one before it did', async () => {
    const gallery = new Gallery(() => 30_000);
    const subjects = Array.from({ length: 20 }, (_, i) => gallery.add({ a: i % 2 }));
    let turns = 0;
    onEachTurn(() => {
      if (++turns !== 4) return;
      // The window of the removed subject is already processed, those of the others are not.
      gallery.remove(subjects[1]);
      gallery.update(subjects[3], { a: 1, note: 'more' });
      gallery.update(subjects[19], { a: 2 });
      expect(gallery.add({ a: 0 }).number).toBe(subjects[1].number);
    });
    expect(await gallery.masked({ a: 1 })).toEqual(byNumber(gallery.passing({ a: 1 })));
    expect(turns).toBeGreaterThan(4);
  });

  it('lets the event loop turn between windows', async () => {
    const gallery = new Gallery(() => 2000);
    for (let i = 0; i < 200; i++) gallery.add({ a: 1 });
    const next = jest.spyOn(Turns.prototype, 'next');
    await gallery.masked({ a: 1 });
    expect(next.mock.calls.length).toBeGreaterThanOrEqual(6);
    next.mockClear();
    await gallery.paged({ a: 2 }, 10);
    expect(next.mock.calls.length).toBeGreaterThanOrEqual(6);
  });

  /** @param change - called whenever the event loop may turn. */
  function onEachTurn(change: () => void): void {
    jest.spyOn(Turns.prototype, 'next').mockImplementation(async () => {
      change();
      return true;
    });
  }
});
