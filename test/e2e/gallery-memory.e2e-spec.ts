import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { rootDir } from '../support/paths';

describe('memory of a gallery', () => {
  it('counts at least the heap that subjects and references take, and at most twice that', async () => {
    const script = join(rootDir, 'test', 'support', 'weigh-gallery.mjs');
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, rootDir]);
    const { measured, counted } = JSON.parse(stdout) as { measured: number; counted: number };
    expect(counted).toBeGreaterThan(measured);
    expect(counted).toBeLessThan(2 * measured);
  });
});
