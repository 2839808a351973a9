import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';
import { rootDir } from './paths';

/** The library surface: what `import 'nest-likeness'` and `import 'nest-likeness/testing'` resolve to. */
const ENTRIES = ['index.ts', 'testing.ts'];
const outDir = join(rootDir, 'dist');

/** The declarations of the package, as its users see them. */
export interface PublicDeclarations {
  /** By the name under which an entry exports them. */
  exports: ReadonlyMap<string, PublicSymbol>;
  /** What a name in a declaration stands for; `null` where another package or the language declares it. */
  resolve(name: ts.Node): ts.Symbol | null;
}

interface PublicSymbol {
  symbol: ts.Symbol;
  /** Exported with `export type`: nobody outside constructs it. */
  isTypeOnly: boolean;
}

/** Emits the declarations as the build does, in memory. The compiler takes 10 s for it: call it once. */
export function emitPublicDeclarations(): PublicDeclarations {
  const files = emit();
  // Without the language and the packages: their names stay unresolved, and binding takes no time.
  const options: ts.CompilerOptions = { noLib: true, types: [] };
  const host: ts.CompilerHost = {
    ...ts.createCompilerHost(options),
    getSourceFile(path, version) {
      const text = files.get(path);
      return text == null ? undefined : ts.createSourceFile(path, text, version, true);
    },
    resolveModuleNameLiterals: (names, from) =>
      names.map(({ text }) => {
        const path = resolve(dirname(from), `${text}.d.ts`);
        const isFound = text.startsWith('.') && files.has(path);
        const resolvedModule = { resolvedFileName: path, extension: ts.Extension.Dts };
        return { resolvedModule: isFound ? resolvedModule : undefined };
      }),
  };
  const program = ts.createProgram([...files.keys()], options, host);
  const checker = program.getTypeChecker();
  const withoutAlias = (symbol: ts.Symbol) =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const exported = ENTRIES.flatMap((entry) => {
    const file = program.getSourceFile(join(outDir, entry.replace(/ts$/, 'd.ts')))!;
    return checker.getExportsOfModule(checker.getSymbolAtLocation(file)!);
  });
  return {
    exports: new Map(
      exported.map((symbol) => [
        symbol.name,
        {
          symbol: withoutAlias(symbol),
          isTypeOnly: symbol.declarations!.some(ts.isTypeOnlyExportDeclaration),
        },
      ]),
    ),
    resolve(name) {
      const symbol = checker.getSymbolAtLocation(name);
      const target = symbol && withoutAlias(symbol);
      return target?.declarations == null ? null : target;
    },
  };
}

function emit(): Map<string, string> {
  const configPath = join(rootDir, 'tsconfig.json');
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(configPath, (path) => ts.sys.readFile(path)).config,
    ts.sys,
    rootDir,
  );
  const entries = ENTRIES.map((entry) => join(rootDir, 'src', entry));
  const program = ts.createProgram(entries, { ...options, sourceMap: false });
  const files = new Map<string, string>();
  program.emit(undefined, (path, text) => files.set(resolve(path), text), undefined, true);
  return files;
}
