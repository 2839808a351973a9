import { FailedKeys, FREE_FAILURES } from './failed-keys';

describe(FailedKeys.name, () => {
  let now: number;
  let failed: FailedKeys;
  beforeEach(() => {
    now = 1000;
    failed = new FailedKeys(() => now);
  });

  const fail = (count: number, address = 'a') => {
    for (let i = 0; i < count; i++) failed.add(address);
  };

  it('lets an address fail as often as is free', () => {
    fail(FREE_FAILURES - 1);
    expect(failed.secondsToWait('a')).toBe(0);
    fail(1);
    expect(failed.secondsToWait('a')).toBe(1);
  });

  it('doubles the delay with each further failure, up to five minutes', () => {
    fail(FREE_FAILURES - 1);
    const delays = Array.from({ length: 11 }, () => {
      fail(1);
      return failed.secondsToWait('a');
    });
    expect(delays).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
  });

  it('counts down, and rounds up', () => {
    fail(FREE_FAILURES + 2);
    now += 2500;
    expect(failed.secondsToWait('a')).toBe(2);
    now += 1500;
    expect(failed.secondsToWait('a')).toBe(0);
  });

  it('does not make others wait', () => {
    fail(FREE_FAILURES + 5);
    expect(failed.secondsToWait('b')).toBe(0);
  });

  it('forgets the address that failed longest ago when there are too many', () => {
    fail(FREE_FAILURES);
    for (let i = 0; i < 10_000; i++) failed.add(`other ${i}`);
    expect(failed.secondsToWait('a')).toBe(0);
  });
});
