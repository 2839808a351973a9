import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startService } from './service.mjs';
import { median } from './statistics.mjs';

const RUNS = 7;

/** From the start of the process to `/health/ready` answering 200, with and without prepared models. */
export default async function boot(log) {
  const rows = [];
  for (const [label, isFirst] of [
    ['first boot: default models prepared for the machine', true],
    ['later boots: prepared models at hand', false],
  ]) {
    const times = [];
    for (let run = 0; run < RUNS; run++) {
      const dir = isFirst ? mkdtempSync(join(tmpdir(), 'likeness-bench-')) : undefined;
      const service = await startService(dir ? { FACE_CACHE_DIR: dir } : {});
      times.push(service.readyMs);
      await service.stop();
      if (dir) rmSync(dir, { recursive: true });
    }
    log(`${label}: ${median(times).toFixed(0)} ms`);
    rows.push([label, ...[Math.min(...times), median(times), Math.max(...times)].map((ms) => ms.toFixed(0))]);
  }
  return {
    columns: ['', 'min ms', 'median ms', 'max ms'],
    rows,
    notes: [`${RUNS} boots each, default settings, all five default models in every worker, warmed.`],
  };
}
