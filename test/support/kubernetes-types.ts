import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import type { Manifest } from './kustomize';
import { rootDir } from './paths';

/**
 * Checks objects against the types that Kubernetes publishes in its OpenAPI document: an unknown field, a missing one and a
 * wrong type are errors. Ranges and formats are not checked.
 *
 * @param folder - empty folder for the source that is compiled.
 * @returns messages of the compiler.
 */
export function checkManifestTypes(manifests: readonly Manifest[], folder: string): string[] {
  mkdirSync(join(folder, 'node_modules'));
  const types = join('node_modules', 'kubernetes-types');
  symlinkSync(join(rootDir, types), join(folder, types));
  const file = join(folder, 'manifests.ts');
  const lines = manifests.flatMap(({ apiVersion, kind, ...fields }, i) => [
    `import type { ${kind} as T${i} } from 'kubernetes-types/${moduleOf(apiVersion)}';`,
    `export const m${i}: T${i} = ${JSON.stringify({ apiVersion, kind, ...fields }, null, 1)};`,
  ]);
  writeFileSync(file, lines.join('\n'));
  const program = ts.createProgram([file], {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    types: [],
    lib: ['lib.es5.d.ts'],
    module: ts.ModuleKind.CommonJS,
    moduleResolution: ts.ModuleResolutionKind.Node10,
  });
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

/** Its folders are the groups without their domain; the first group has no name in manifests. */
function moduleOf(apiVersion: string): string {
  return apiVersion === 'v1' ? 'core/v1' : apiVersion.replace('.k8s.io', '');
}
