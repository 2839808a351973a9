import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';

/** Limits of the machine and of the container for this process. */
export interface MachineLimits {
  /** Cores, the quota of a container counted; a part of a core counts as one. */
  cores: number;
  /** Bytes: the limit of the container, or 80 % of the memory of the machine, which other processes need too. */
  memoryBytes: number;
}

const SHARE_OF_MACHINE = 0.8;

/**
 * Reads the limits of the machine and of the container around this process.
 *
 * @param read - reads a file of the system as text; throws where there is none.
 */
export function machineLimits(
  read: (path: string) => string = (path) => readFileSync(path, 'utf8'),
  machine = { cores: availableParallelism(), memory: totalmem(), constrained: process.constrainedMemory() },
): MachineLimits {
  const quota = cpuQuota(read) ?? Infinity;
  // Node gives 0, or a number beyond all memory, where there is no limit.
  const isConstrained = machine.constrained > 0 && machine.constrained < machine.memory;
  return {
    cores: Math.max(1, Math.min(machine.cores, Math.ceil(quota))),
    memoryBytes: isConstrained ? machine.constrained : Math.floor(machine.memory * SHARE_OF_MACHINE),
  };
}

/**
 * Cores that the control group allows, as a fraction; Node counts those of the machine.
 *
 * @see `Documentation/admin-guide/cgroup-v2.rst` of Linux: cpu.max holds quota and period; version 1 has a file of each.
 */
function cpuQuota(read: (path: string) => string): number | null {
  const [quota, period] = words(read, '/sys/fs/cgroup/cpu.max') ?? [
    words(read, '/sys/fs/cgroup/cpu/cpu.cfs_quota_us')?.[0],
    words(read, '/sys/fs/cgroup/cpu/cpu.cfs_period_us')?.[0],
  ];
  const cores = Number(quota) / Number(period);
  return cores > 0 && Number.isFinite(cores) ? cores : null;
}

function words(read: (path: string) => string, path: string): string[] | null {
  try {
    return read(path).trim().split(/\s+/);
  } catch {
    return null;
  }
}
