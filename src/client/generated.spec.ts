import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(__dirname, '..', '..');

it('has types and a collection that are those of docs/openapi.json; `npm run generate` writes them', async () => {
  const script = join(root, '.config', 'generate.mjs');
  await expect(promisify(execFile)(process.execPath, [script, '--check'])).resolves.toEqual({
    stdout: '',
    stderr: '',
  });
});
