import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { promisify } from 'node:util';
import { createContext, runInContext } from 'node:vm';
import type * as ClientModule from '../../src/client';
import { rootDir } from '../support/paths';

const { name } = JSON.parse(readFileSync(join(rootDir, 'package.json'), 'utf8')) as { name: string };
const run = async (...args: string[]) =>
  (await promisify(execFile)(process.execPath, args, { cwd: rootDir })).stdout.trim();

describe('the built client', () => {
  it('loads itself and openapi-fetch alone', async () => {
    const code = `require('${name}/client'); console.log(JSON.stringify(Object.keys(require.cache)))`;
    const loaded = JSON.parse(await run('-e', code)) as string[];
    const ours = loaded.filter((path) => !path.includes(`${sep}node_modules${sep}openapi-fetch${sep}`));
    expect(ours.length).toBeGreaterThan(1);
    expect(ours.filter((path) => dirname(path) !== join(rootDir, 'dist', 'client'))).toEqual([]);
  });

  it('is imported by name from an ES module', async () => {
    const code = `import { createLikenessClient, LikenessError } from '${name}/client';
      console.log(typeof createLikenessClient, typeof LikenessError)`;
    expect(await run('--input-type=module', '-e', code)).toBe('function function');
  });

  it('works with the globals of a browser', async () => {
    const sent: string[] = [];
    const fetch = async (request: Request) => {
      sent.push(`${request.method} ${request.url} ${[...(await request.formData()).keys()].join()}`);
      return Response.json({ verified: true });
    };
    const { createLikenessClient } = loadInBrowser({ fetch });
    const likeness = createLikenessClient({ baseUrl: 'http://likeness.test', timeoutMs: 10_000 });
    const image = new Blob(['image']);
    expect(await likeness.verify(image, image)).toEqual({ verified: true });
    await likeness.enroll('staff', 'ada', image);
    expect(sent).toEqual([
      'POST http://likeness.test/v1/verify probe,reference',
      'POST http://likeness.test/v1/galleries/staff/subjects/ada/references image',
    ]);
  });
});

/** The client as a bundler puts it into a page: none of the globals and modules of Node. */
function loadInBrowser(more: object): typeof ClientModule {
  const globals = {
    AbortSignal,
    Blob,
    clearTimeout,
    crypto,
    FormData,
    Headers,
    Request,
    Response,
    setTimeout,
    URL,
  };
  const context = createContext({ ...globals, ...more });
  const loaded = new Map<string, object>();
  const load = (path: string): object => {
    const module = { exports: loaded.get(path) ?? {} };
    if (loaded.has(path)) return module.exports;
    loaded.set(path, module.exports);
    const requireHere = (request: string) =>
      load(
        request === 'openapi-fetch'
          ? require.resolve('openapi-fetch')
          : require.resolve(join(dirname(path), request)),
      );
    const source = `(function (exports, module, require) { ${readFileSync(path, 'utf8')}\n})`;
    (runInContext(source, context, { filename: path }) as (...args: unknown[]) => void)(
      module.exports,
      module,
      requireHere,
    );
    return module.exports;
  };
  return load(join(rootDir, 'dist', 'client', 'index.js')) as typeof ClientModule;
}
