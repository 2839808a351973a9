import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { load, loadAll } from 'js-yaml';

/** An object of Kubernetes. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  [field: string]: any;
}

interface Patch {
  path: string;
  target?: { group: string; name: string };
}

interface Kustomization {
  apiVersion: string;
  kind: string;
  resources?: string[];
  components?: string[];
  patches?: Patch[];
}

/** Fields whose lists a strategic merge joins by this field of their items; it replaces other lists. */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  env: 'name',
  volumes: 'name',
  volumeMounts: 'mountPath',
};

/**
 * The objects of an overlay, as `kubectl kustomize` builds them from resources, components and strategic merge patches.
 *
 * @throws for every other field of a kustomization, so that nothing is left out in silence, and for a patch without a target.
 */
export function kustomize(folder: string, inherited: readonly Manifest[] = []): Manifest[] {
  const text = readFileSync(join(folder, 'kustomization.yaml'), 'utf8');
  const {
    resources = [],
    components = [],
    patches = [],
    apiVersion,
    kind,
    ...unknown
  } = load(text) as Kustomization;
  if (Object.keys(unknown).length > 0) throw new Error(`${folder}: ${Object.keys(unknown)} is not known`);
  const version = kind === 'Component' ? 'v1alpha1' : 'v1beta1';
  if (apiVersion !== `kustomize.config.k8s.io/${version}`)
    throw new Error(`${folder}: ${kind} of ${apiVersion}`);
  let built = [...inherited];
  for (const resource of resources) {
    const path = join(folder, resource);
    built.push(...(statSync(path).isDirectory() ? kustomize(path) : readManifests(path)));
  }
  for (const component of components) built = kustomize(join(folder, component), built);
  for (const { path, target } of patches) {
    const patch = readManifests(join(folder, path))[0];
    const isTarget = (one: Manifest) =>
      target == null
        ? one.kind === patch.kind && one.metadata.name === patch.metadata.name
        : one.apiVersion.startsWith(`${target.group}/`) && one.metadata.name === target.name;
    if (!built.some(isTarget)) throw new Error(`${folder}: ${path} patches nothing`);
    built = built.map((one) =>
      isTarget(one) ? { ...(merge(one, patch) as Manifest), kind: one.kind } : one,
    );
  }
  return built;
}

/** All objects of a file. */
export function readManifests(file: string): Manifest[] {
  return loadAll(readFileSync(file, 'utf8')) as Manifest[];
}

type Item = Record<string, unknown>;
const isItem = (value: unknown): value is Item =>
  value != null && typeof value === 'object' && !Array.isArray(value);

function merge(base: unknown, patch: unknown, field = ''): unknown {
  const key = MERGE_KEYS[field];
  if (Array.isArray(base) && Array.isArray(patch) && key != null) {
    const patched = (base as Item[]).map((item) => {
      const change = (patch as Item[]).find((one) => one[key] === item[key]);
      return change == null ? item : merge(item, change);
    });
    const known = (base as Item[]).map((item) => item[key]);
    return [...patched, ...(patch as Item[]).filter((item) => !known.includes(item[key]))];
  }
  if (!isItem(base) || !isItem(patch)) return patch;
  const changes = Object.entries(patch).map(([name, value]) => [
    name,
    name in base ? merge(base[name], value, name) : value,
  ]);
  return { ...base, ...Object.fromEntries(changes) };
}
