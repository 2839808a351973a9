import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SCOPES, type Scope } from '../../src/server/http/auth/api-key';
import { SCOPES_EXTENSION } from '../../src/server/http/auth/scopes.decorator';
import { createApp, type TestApp } from '../support/create-app';
import { exampleAddress } from '../support/example-address';
import { writeKeyFile } from '../support/key-file';
import { rootDir } from '../support/paths';
import { tempFolders } from '../support/temp-folder';

/*
 * Every route against every scope. The routes come from the OpenAPI document, and what each needs from the table of
 * docs/security.md, which people review: a route that has no scope, or another one than the table, fails here.
 * UPDATE_DOCS=1 regenerates the table.
 */

const DOCUMENT = join(rootDir, 'docs', 'security.md');
const BEGIN = '<!-- table: scopes -->';
const END = '<!-- end of table: scopes -->';
const WITHOUT_KEY = 'no key';
const ANY_KEY = 'any key';

interface Operation {
  [SCOPES_EXTENSION]?: Scope[];
}

interface Route {
  name: string;
  method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  address: string;
  operation: Operation;
}

describe('authorization', () => {
  const makeFolder = tempFolders();
  const entries = Object.fromEntries([
    ...SCOPES.map((scope) => [`only-${scope}`, { scopes: [scope] }]),
    ...SCOPES.map((scope) => [`no-${scope}`, { scopes: SCOPES.filter((other) => other !== scope) }]),
    ['all', { scopes: [...SCOPES] }],
  ]) as Record<string, { scopes: Scope[] }>;
  let service: TestApp;
  let keys: Record<string, string>;
  let routes: Route[];

  beforeAll(async () => {
    const keyFile = writeKeyFile(makeFolder(), entries);
    keys = keyFile.keys;
    service = await createApp({ FACE_API_KEYS_FILE: keyFile.file });
    const response = await service.http.get('/openapi.json').set('x-api-key', keys.all).expect(200);
    const paths = response.body.paths as Record<string, Record<string, Operation>>;
    routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        name: `${method.toUpperCase()} ${path}`,
        method: method as Route['method'],
        address: exampleAddress(path),
        operation,
      })),
    );
  });
  afterAll(() => service.app.close());

  /** What the table says: scopes by the name of the route; `null` where it needs no key. */
  const readTable = (): Map<string, Scope[] | null> => {
    const [, table = ''] = readFileSync(DOCUMENT, 'utf8').split(BEGIN);
    const rows = [...table.split(END)[0].matchAll(/^\| `([A-Z]+ [^`]+)` \| (.+) \|$/gm)];
    return new Map(
      rows.map(([, name, needs]) => [
        name,
        needs === WITHOUT_KEY ? null : [...needs.matchAll(/`(\w+)`/g)].map(([, scope]) => scope as Scope),
      ]),
    );
  };

  const call = ({ method, address }: Route, key?: string) => {
    const request = service.http[method](address);
    return key == null ? request : request.set('authorization', `Bearer ${key}`);
  };

  it('is documented for every route in docs/security.md', () => {
    const needsOf = ({ [SCOPES_EXTENSION]: scopes }: Operation) =>
      scopes == null ? WITHOUT_KEY : scopes.map((scope) => `\`${scope}\``).join(' and ') || ANY_KEY;
    const rows = routes.map(({ name, operation }) => `| \`${name}\` | ${needsOf(operation)} |`);
    const table = `\n\n${['| route | scopes |', '| --- | --- |', ...rows].join('\n')}\n\n`;
    const text = readFileSync(DOCUMENT, 'utf8');
    const [before, rest] = text.split(BEGIN);
    const [present, after] = rest.split(END);
    if (process.env.UPDATE_DOCS) writeFileSync(DOCUMENT, [before, BEGIN, table, END, after].join(''));
    else expect(present).toBe(table);
  });

  it('leaves three routes open', () => {
    const open = [...readTable()].filter(([, scopes]) => scopes == null).map(([name]) => name);
    expect(open.sort()).toEqual(['GET /', 'GET /health/live', 'GET /health/ready']);
  });

  it('lets each key into the routes of its scopes, and into no other', async () => {
    const table = readTable();
    const wrong: string[] = [];
    for (const route of routes) {
      const needed = table.get(route.name) ?? null;
      const expected = needed == null ? 'in' : 401;
      const outcomeOf = async (key?: string) => {
        const { status } = await call(route, key);
        return status === 401 || status === 403 ? status : 'in';
      };
      const check = (who: string, outcome: unknown, right: unknown) => {
        if (outcome !== right) wrong.push(`${route.name} for ${who}: ${outcome}, not ${right}`);
      };
      check('nobody', await outcomeOf(), expected);
      for (const [name, { scopes }] of Object.entries(entries)) {
        const isAllowed = (needed ?? []).every((scope) => scopes.includes(scope));
        check(name, await outcomeOf(keys[name]), isAllowed ? 'in' : 403);
      }
    }
    expect(wrong).toEqual([]);
    expect(routes.length).toBe(table.size);
  });

  it.each(['/docs', '/docs/', '/docs/swagger-ui.css', '/openapi.json', '/OPENAPI.JSON'])(
    'opens %s without a key',
    async (path) => {
      expect((await service.http.get(path).redirects(1)).status).toBe(200);
    },
  );

  it.each(['/no-such-route', '/docs-of-mine', '/docs/no-such-page', '/openapi.yaml'])(
    'serves nothing at %s, and says so with a key only, unless it is under /docs/',
    async (path) => {
      const isOpen = path.startsWith('/docs/');
      expect((await service.http.get(path)).status).toBe(isOpen ? 404 : 401);
      for (const scope of SCOPES) {
        expect((await service.http.get(path).set('x-api-key', keys[`only-${scope}`])).status).toBe(404);
      }
    },
  );
});
