import ts from 'typescript';
import { emitPublicDeclarations, type PublicDeclarations } from '../test/support/public-declarations';

/** What users inject or import into their modules. */
const INJECTED = [
  'FaceModule',
  'FaceModel',
  'VerificationService',
  'RepresentationService',
  'DetectionService',
  'AnalysisService',
  'GalleryModule',
  'GalleryService',
  'GalleryStore',
  'LikenessServerModule',
  'FaceErrorFilter',
];

describe('the library surface', () => {
  let declarations: PublicDeclarations;
  beforeAll(() => (declarations = emitPublicDeclarations()));

  it('exports every type that its signatures use', () => {
    expect(missingTypes(declarations)).toEqual([]);
  });

  it('is searched for types that are left out', () => {
    const { exports, resolve } = declarations;
    const without = new Map([...exports].filter(([name]) => name !== 'ImageFaces'));
    expect(missingTypes({ exports: without, resolve })).toEqual(
      expect.arrayContaining(['FaceModel: ImageFaces', 'Representation: ImageFaces']),
    );
  });

  it('shows an example of every public method of what users inject', () => {
    const methods = INJECTED.flatMap((name) =>
      publicMethods(declarations.exports.get(name)!.symbol).map((method) => ({ name, method })),
    );
    expect(new Set(methods.map(({ name }) => name))).toEqual(new Set(INJECTED));
    const withoutExample = methods.filter(({ method }) => !hasExample(method));
    expect(withoutExample.map(({ name, method }) => `${name}.${method.name.getText()}`)).toEqual([]);
  });
});

/** Types of this package that an export uses and no entry exports, as `export: type`. */
function missingTypes({ exports, resolve }: PublicDeclarations): string[] {
  const exported = new Set([...exports.values()].map(({ symbol }) => symbol));
  const missing = new Set<string>();
  for (const [name, { symbol, isTypeOnly }] of exports) {
    const seen = new Set(exported);
    const visit = (node: ts.Node): void => {
      if (ts.isClassElement(node) && !isPublic(node)) return;
      if (ts.isConstructorDeclaration(node) && isTypeOnly) return;
      const target = usedSymbol(node, resolve);
      if (target != null && !seen.has(target)) {
        seen.add(target);
        if (needsName(target)) missing.add(`${name}: ${target.name}`);
        else target.declarations?.forEach(visit);
      }
      ts.forEachChild(node, visit);
    };
    symbol.declarations?.forEach(visit);
  }
  return [...missing].sort();
}

/** Without those that only Nest calls. */
function publicMethods({ declarations = [] }: ts.Symbol): ts.MethodDeclaration[] {
  const members = declarations.filter(ts.isClassDeclaration).flatMap(({ members }) => [...members]);
  return members
    .filter(ts.isMethodDeclaration)
    .filter((method) => isPublic(method) && !/^on(Module|Application)/.test(method.name.getText()));
}

function hasExample(method: ts.MethodDeclaration): boolean {
  return ts.getJSDocTags(method).some(({ tagName }) => tagName.text === 'example');
}

function isPublic(member: ts.ClassElement): boolean {
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;
  return (ts.getCombinedModifierFlags(member) & hidden) === 0;
}

/** What a type reference, a base type or a `typeof` names. */
function usedSymbol(node: ts.Node, resolve: PublicDeclarations['resolve']): ts.Symbol | null {
  if (ts.isTypeReferenceNode(node)) return resolve(node.typeName);
  if (ts.isExpressionWithTypeArguments(node)) return resolve(node.expression);
  if (ts.isTypeQueryNode(node)) return resolve(node.exprName);
  if (ts.isImportTypeNode(node) && node.qualifier != null) return resolve(node.qualifier);
  return null;
}

/**
 * Whether users must be able to import it. Constants (`typeof REASONS`), type parameters and aliases private to their file only
 * stand for a type that is spelled out where they are declared.
 */
function needsName(symbol: ts.Symbol): boolean {
  if (symbol.flags & ts.SymbolFlags.TypeParameter) return false;
  if (symbol.flags & ts.SymbolFlags.TypeAlias)
    return symbol.declarations!.some(
      (node) => ts.getCombinedModifierFlags(node as ts.Declaration) & ts.ModifierFlags.Export,
    );
  return (symbol.flags & ts.SymbolFlags.Type) !== 0;
}
