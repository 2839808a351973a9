import { Bursts } from './bursts';

interface Refusal {
  code: string;
  caller: string | null;
}

describe(Bursts.name, () => {
  let written: [string, string | null, number][];
  let bursts: Bursts<Refusal>;

  beforeEach(() => {
    jest.useFakeTimers();
    written = [];
    bursts = new Bursts(
      ({ code, caller }, count) => written.push([code, caller, count]),
      ({ code }) => ({ code, caller: null }),
    );
  });
  afterEach(() => jest.useRealTimers());

  const refuse = (code: string, caller = 'a') => bursts.add(`${code} ${caller}`, { code, caller });

  it('writes the first at once, and those after it as one', () => {
    for (let i = 0; i < 500; i++) refuse('QUEUE_FULL');
    expect(written).toEqual([['QUEUE_FULL', 'a', 1]]);
    jest.advanceTimersByTime(10_000);
    expect(written.slice(1)).toEqual([['QUEUE_FULL', 'a', 499]]);
  });

  it('writes a line for each ten seconds of a long burst, and begins again after a pause', () => {
    refuse('QUEUE_FULL');
    for (let i = 0; i < 3; i++) {
      refuse('QUEUE_FULL');
      refuse('QUEUE_FULL');
      jest.advanceTimersByTime(10_000);
    }
    jest.advanceTimersByTime(10_000);
    refuse('QUEUE_FULL');
    expect(written.map(([, , count]) => count)).toEqual([1, 2, 2, 2, 1]);
  });

  it('keeps kinds apart, and joins them where there are too many', () => {
    for (let i = 0; i < 1500; i++) refuse('UNAUTHORIZED', `caller ${i}`);
    expect(written).toHaveLength(1001);
    expect(written[1000]).toEqual(['UNAUTHORIZED', null, 1]);
    bursts.close();
    expect(written.slice(1001)).toEqual([['UNAUTHORIZED', null, 499]]);
  });

  it('loses none when it is closed', () => {
    for (let i = 0; i < 10; i++) refuse('QUEUE_FULL');
    bursts.close();
    expect(written.reduce((sum, [, , count]) => sum + count, 0)).toBe(10);
    expect(jest.getTimerCount()).toBe(0);
  });
});
