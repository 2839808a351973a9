import { seededRandom } from '../../../../test/support/seeded-random';
import { PagedList } from './paged-list';

const toItem = (item: string) => ({ item });

describe(PagedList.name, () => {
  it('is a sorted map, through random changes', async () => {
    const random = seededRandom(3);
    const below = (end: number) => Math.floor(random() * end);
    const list = new PagedList<string>();
    const model = new Map<number, string>();
    const sorted = () => [...model].sort(([a], [b]) => a - b);
    for (let step = 0; step < 20_000; step++) {
      const uid = below(6000);
      if (random() < 0.6) {
        list.set(uid, `${uid}.${step}`);
        model.set(uid, `${uid}.${step}`);
      } else {
        list.delete(uid);
        model.delete(uid);
      }
      expect(list.get(uid)).toBe(model.get(uid));
      if (step % 500 !== 0) continue;
      expect([...list.snapshot()]).toEqual(sorted().map(([, item]) => item));
      const after = below(6000);
      const rest = sorted().filter(([key]) => key > after);
      const page = await list.page({ limit: 40, after: String(after) }, toItem);
      expect(page.items).toEqual(rest.slice(0, 40).map(([, item]) => ({ item })));
      expect(page.next).toBe(rest.length > 40 ? String(rest[39][0]) : null);
    }
    for (const uid of model.keys()) list.delete(uid);
    expect([...list.snapshot()]).toEqual([]);
    expect(await list.page({ limit: 1 }, toItem)).toEqual({ items: [], next: null });
  });

  it('keeps a snapshot as it was', () => {
    const list = new PagedList<string>();
    for (let uid = 0; uid < 2000; uid++) list.set(uid, `old ${uid}`);
    const snapshot = list.snapshot();
    for (let uid = 0; uid < 2000; uid += 3) list.delete(uid);
    for (let uid = 1; uid < 2000; uid += 3) list.set(uid, 'new');
    list.set(5000, 'new');
    expect([...snapshot]).toEqual(Array.from({ length: 2000 }, (_, uid) => `old ${uid}`));
    expect([...list.snapshot()].filter((item) => item === 'new')).toHaveLength(668);
  });

  it('pages to the end over items that come and go, and meets each that stays once', async () => {
    const list = new PagedList<string>();
    for (let uid = 0; uid < 50_000; uid++) list.set(uid, String(uid));
    const page = list.page({ limit: 50_000 }, toItem);
    for (let uid = 0; uid < 50_000; uid += 2) list.delete(uid);
    const met = (await page).items.map(({ item }) => Number(item));
    expect(met.filter((uid) => uid % 2 === 1)).toEqual(Array.from({ length: 25_000 }, (_, i) => 2 * i + 1));
    expect(new Set(met).size).toBe(met.length);
  });
});
