import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const root = join(__dirname, '..', '..');

interface Schema {
  $ref?: string;
  example?: unknown;
  type?: string;
  default?: unknown;
  enum?: unknown[];
  properties?: Record<string, Schema>;
  required?: string[];
}
interface Parameter {
  in: string;
  name: string;
  example?: unknown;
  schema?: Schema;
}
interface Operation {
  parameters?: (Parameter | { $ref: string })[];
  requestBody?: { content: Record<string, { example?: unknown; schema?: Schema }> };
}
const document = JSON.parse(readFileSync(join(root, 'docs', 'openapi.json'), 'utf8')) as {
  paths: Record<string, Record<string, Operation>>;
  components: { parameters: Record<string, Parameter>; schemas: Record<string, Schema> };
};

const WRONG = [
  `GET('/v1/model')`,
  `GET('/v1/verify')`,
  `GET('/v1/galleries/{galleryId}')`,
  `GET('/v1/galleries', { params: { query: { page: 1 } } })`,
  `POST('/v1/verify', { body: { probe: 'aGk=' } })`,
  `POST('/v1/verify')`,
];

/** What the code of docs/client.md has from its surroundings. */
const PRELUDE = `import type { LikenessClient } from 'nest-likeness/client';
declare const likeness: LikenessClient, controller: AbortController, input: { files: File[] | null };
declare const photo: Blob, groupPhoto: Blob, probe: Blob, reference: Blob, bytes: Uint8Array;`;

describe('the types of the client', () => {
  const calls = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => callOf(path, method, operation)),
  );
  const blocks = documentedBlocks();
  /** Messages of each call, right and wrong. */
  let ofCalls: string[][];
  let ofBlocks: string[][];
  // The compiler takes seconds: once for all.
  beforeAll(() => {
    const lines = [...calls, ...WRONG].map((call) => `await likeness.${call};`);
    const head = `${PRELUDE}\nexport async function calls() {`;
    const [first, ...others] = problemsOf([[head, ...lines, '}'].join('\n'), ...blocks]);
    const begin = head.split('\n').length;
    ofCalls = lines.map((text, i) =>
      first
        .filter(({ line }) => line === begin + i)
        .map(({ message }) => `${text.slice(0, 150)}: ${message}`),
    );
    ofBlocks = others.map((problems, i) =>
      problems.map(({ line, message }) => `${blocks[i].split('\n')[line]}: ${message}`),
    );
  });

  it('have every operation, with its parameters and its examples', () => {
    expect(calls.length).toBeGreaterThan(50);
    expect(ofCalls.slice(0, calls.length).flat()).toEqual([]);
  });

  it('refuse a path, a method, a parameter and a body that the document does not have', () => {
    const accepted = WRONG.filter((_call, i) => ofCalls[calls.length + i].length === 0);
    expect(accepted).toEqual([]);
  });

  it('accept the code of docs/client.md', () => {
    expect(blocks.length).toBeGreaterThan(5);
    expect(ofBlocks.flat()).toEqual([]);
  });
});

/** Source of a call with its JSON body. Forms are left out: the type of a `FormData` says nothing of its fields. */
function callOf(path: string, method: string, { parameters = [], requestBody }: Operation): string {
  const params: Record<string, Record<string, unknown>> = {};
  for (const given of parameters) {
    const parameter = '$ref' in given ? document.components.parameters[given.$ref.split('/').pop()!] : given;
    (params[parameter.in] ??= {})[parameter.name] = valueOf(parameter);
  }
  const { content = {} } = requestBody ?? {};
  const media = content['application/json'] ?? Object.values(content)[0];
  const body = media && valueOf(media);
  return `${method.toUpperCase()}('${path}', ${JSON.stringify({ params, body })})`;
}

/** The example of a parameter or a body, otherwise its required properties, otherwise any value of its type. */
function valueOf({ example, schema = {} }: { example?: unknown; schema?: Schema }): unknown {
  if (schema.$ref != null) schema = document.components.schemas[schema.$ref.split('/').pop()!];
  const given = example ?? schema.example ?? schema.default ?? schema.enum?.[0];
  if (given != null) return given;
  const { type = 'string', properties = {}, required = [] } = schema;
  if (type !== 'object') return { boolean: true, integer: 1, number: 1 }[type] ?? 'x';
  return Object.fromEntries(required.map((name) => [name, valueOf({ schema: properties[name] })]));
}

/** The code of docs/client.md as modules: imports stay outside of the function that makes `await` and repeated names possible. */
function documentedBlocks(): string[] {
  const text = readFileSync(join(root, 'docs', 'client.md'), 'utf8');
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => {
    const lines = code.split('\n');
    const imports = lines.filter((line) => line.startsWith('import '));
    const body = lines.filter((line) => !line.startsWith('import '));
    return [PRELUDE, ...imports, 'export async function block() {', ...body, '}'].join('\n');
  });
}

/** What the compiler says of each module that uses the client, by line. */
function problemsOf(modules: readonly string[]): { line: number; message: string }[][] {
  const files = new Map(modules.map((text, i) => [join(__dirname, `module-${i}.ts`), text]));
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(join(root, 'tsconfig.json'), (file) => ts.sys.readFile(file)).config,
    ts.sys,
    root,
  );
  const paths = { 'nest-likeness/client': [join(__dirname, 'index.ts')] };
  const given: ts.CompilerOptions = { ...options, noEmit: true, noUnusedLocals: false, paths };
  const host = ts.createCompilerHost(given);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.getSourceFile = (file, version) =>
    files.has(file) ? ts.createSourceFile(file, files.get(file)!, version) : getSourceFile(file, version);
  const program = ts.createProgram([...files.keys()], given, host);
  return [...files.keys()].map((path) => {
    const source = program.getSourceFile(path)!;
    return program.getSemanticDiagnostics(source).map(({ messageText, start }) => ({
      line: source.getLineAndCharacterOfPosition(start ?? 0).line,
      message: ts.flattenDiagnosticMessageText(messageText, '\n').slice(0, 500),
    }));
  });
}
