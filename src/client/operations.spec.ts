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

describe('the types of the client', () => {
  const calls = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => callOf(path, method, operation)),
  );
  let problems: string[][];
  // The compiler takes seconds: once for all.
  beforeAll(() => (problems = problemsOf([...calls, ...WRONG])));

  it('have every operation, with its parameters and its examples', () => {
    expect(calls.length).toBeGreaterThan(50);
    expect(problems.slice(0, calls.length).flat()).toEqual([]);
  });

  it('refuse a path, a method, a parameter and a body that the document does not have', () => {
    const accepted = WRONG.filter((_call, i) => problems[calls.length + i].length === 0);
    expect(accepted).toEqual([]);
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

/** What the compiler says of each call of a client. */
function problemsOf(calls: readonly string[]): string[][] {
  const path = join(__dirname, 'calls.ts');
  const head = [
    `import { createLikenessClient } from '.';`,
    `const likeness = createLikenessClient({ baseUrl: '' });`,
    `export async function calls() {`,
  ];
  const text = [...head, ...calls.map((call) => `await likeness.${call};`), '}'].join('\n');
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(join(root, 'tsconfig.json'), (file) => ts.sys.readFile(file)).config,
    ts.sys,
    root,
  );
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (file) => file === path || fileExists(file);
  host.getSourceFile = (file, version) =>
    file === path ? ts.createSourceFile(file, text, version) : getSourceFile(file, version);
  const program = ts.createProgram([path], { ...options, noEmit: true }, host);
  const problems = calls.map((): string[] => []);
  for (const { messageText, file, start } of program.getSemanticDiagnostics(program.getSourceFile(path))) {
    const index = file!.getLineAndCharacterOfPosition(start!).line - head.length;
    const message = ts.flattenDiagnosticMessageText(messageText, '\n').slice(0, 500);
    problems[index].push(`${calls[index].slice(0, 150)}: ${message}`);
  }
  return problems;
}
