import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { rootDir } from '../support/paths';

/** Modules of the app that the code in the document imports beside its own. */
const APP_FILES: Readonly<Record<string, string>> = {
  'settings.ts': `
    export class Settings { workers = 2; keyFile = 'keys.json'; }
    export class SettingsModule {}`,
  'app.module.ts': 'export class AppModule {}',
};

/** The TypeScript blocks of docs/nest.md. */
function blocks(): string[] {
  const text = readFileSync(join(rootDir, 'docs', 'nest.md'), 'utf8');
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code);
}

/** Problems that the compiler finds in files, checked against the sources of the package. */
function problemsOf(files: ReadonlyMap<string, string>): string[] {
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(join(rootDir, 'tsconfig.json'), (path) => ts.sys.readFile(path)).config,
    ts.sys,
    rootDir,
  );
  Object.assign(options, {
    noEmit: true,
    skipLibCheck: true,
    noUnusedLocals: false,
    rootDir: undefined,
    paths: {
      'nest-likeness': [join(rootDir, 'src', 'index.ts')],
      'nest-likeness/testing': [join(rootDir, 'src', 'testing.ts')],
    },
  } satisfies ts.CompilerOptions);
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.directoryExists = undefined;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.getSourceFile = (path, version, ...rest) => {
    const text = files.get(path);
    return text == null ? getSourceFile(path, version, ...rest) : ts.createSourceFile(path, text, version);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  return [...files.keys()].flatMap((path) => {
    const file = program.getSourceFile(path)!;
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ messageText }) =>
        `${path.slice(rootDir.length)}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
    );
  });
}

describe('docs/nest.md', () => {
  const app = join(rootDir, 'src', 'docs-app');

  it('has TypeScript that compiles', () => {
    const files = new Map(Object.entries(APP_FILES).map(([name, text]) => [join(app, name), text]));
    const codes = blocks();
    expect(codes.length).toBeGreaterThan(6);
    codes.forEach((code, i) => {
      const isController = code.includes('export class BadgeController');
      files.set(join(app, isController ? 'badge.controller.ts' : `block-${i}.ts`), code);
    });
    files.set(
      join(app, 'wrong.ts'),
      `import { LikenessServerModule } from 'nest-likeness'; LikenessServerModule.forRoot({ prefix: 1 });`,
    );
    const problems = problemsOf(files);
    // The last file shows that problems are found.
    expect(problems).toEqual([
      expect.stringMatching(/^\/src\/docs-app\/wrong\.ts: .*not assignable to type 'string'/),
    ]);
  });
});
