import { machineLimits } from './machine-limits';

const GIB = 2 ** 30;
const machine = { cores: 8, memory: 10 * GIB, constrained: 0 };
const files = (contents: Record<string, string>) => (path: string) => {
  if (path in contents) return contents[path];
  throw new Error('no such file');
};

describe(machineLimits.name, () => {
  it('takes all cores and 80 % of the memory where nothing limits it', () => {
    expect(machineLimits(files({}), machine)).toEqual({ cores: 8, memoryBytes: 8 * GIB });
    const unlimited = files({ '/sys/fs/cgroup/cpu.max': 'max 100000\n' });
    expect(machineLimits(unlimited, { ...machine, constrained: 2 ** 64 })).toEqual({
      cores: 8,
      memoryBytes: 8 * GIB,
    });
  });

  it.each([
    ['200000 100000', 2],
    ['250000 100000', 3],
    ['50000 100000', 1],
    ['1600000 100000', 8],
  ])('honors the quota "%s" of a container: %d cores', (quota, cores) => {
    expect(machineLimits(files({ '/sys/fs/cgroup/cpu.max': quota }), machine).cores).toBe(cores);
  });

  it('honors a quota of the first version of control groups, where -1 is none', () => {
    const quota = (value: string) =>
      files({
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': value,
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000',
      });
    expect(machineLimits(quota('300000'), machine).cores).toBe(3);
    expect(machineLimits(quota('-1'), machine).cores).toBe(8);
  });

  it('takes the memory limit of a container whole', () => {
    expect(machineLimits(files({}), { ...machine, constrained: 2 * GIB }).memoryBytes).toBe(2 * GIB);
  });

  it('reads this machine', () => {
    const { cores, memoryBytes } = machineLimits();
    expect(cores).toBeGreaterThanOrEqual(1);
    expect(memoryBytes).toBeGreaterThan(2 ** 26);
  });
});
