import { DrainRate } from './drain-rate';

describe(DrainRate.name, () => {
  const place = { caller: 'a', callers: 1, workers: 2, limitMs: 5000, now: 1000 };
  let rate: DrainRate;
  beforeEach(() => (rate = new DrainRate()));

  function answers(count: number, caller = 'a', at = 900, runMs = 200): void {
    for (let i = 0; i < count; i++) rate.add({ caller, at, runMs });
  }

  it('says when what waits is done, at the rate of the last answers', () => {
    for (let at = 0; at < 1000; at += 100) rate.add({ caller: 'a', at, runMs: 200 });
    expect(rate.secondsToDrain(30, 1000)).toBe(3);
    expect(rate.secondsToDrain(1, 1000)).toBe(1);
    expect(rate.secondsToDrain(1e6, 1000)).toBe(60);
  });

  it('knows nothing before the first answer', () => {
    expect(rate.secondsToDrain(30, 1000)).toBe(1);
    expect(rate.placesInTime(place)).toBe(Infinity);
  });

  it('gives a lone caller the places that all workers serve in time, with a margin', () => {
    answers(10);
    // 4800 ms, 10 images a second, three fifths of them.
    expect(rate.placesInTime(place)).toBe(28);
    expect(rate.placesInTime({ ...place, workers: 1 })).toBe(14);
  });

  it('subtracts the recent share of the others', () => {
    answers(8);
    answers(8, 'b');
    expect(rate.placesInTime(place)).toBe(14);
  });

  it('leaves a caller its turn, however much another one got', () => {
    answers(32, 'b');
    expect(rate.placesInTime({ ...place, callers: 2 })).toBe(14);
    expect(rate.placesInTime({ ...place, callers: 4 })).toBe(7);
  });

  it('has no place where so many others wait that the turn comes too late', () => {
    answers(32, 'b');
    expect(rate.placesInTime({ ...place, callers: 100 })).toBe(0);
  });

  it('forgets whom it served long ago', () => {
    answers(32, 'b');
    expect(rate.placesInTime({ ...place, now: 20_000 })).toBe(28);
  });

  it('refuses nothing that would be late without a queue as well', () => {
    answers(10);
    expect(rate.placesInTime({ ...place, limitMs: 200 })).toBe(Infinity);
    expect(rate.placesInTime({ ...place, workers: 0 })).toBe(Infinity);
  });

  it('calls too late what waiting has left less than two runs', () => {
    expect(rate.isTooLate(5000, 1)).toBe(false);
    answers(10);
    expect(rate.isTooLate(5000, 401)).toBe(false);
    expect(rate.isTooLate(5000, 399)).toBe(true);
    expect(rate.isTooLate(300, 100)).toBe(false);
  });
});
