import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { machineLimits } from '../../inference/machine-limits';
import { type Check, failure, ok, warning } from './check';

const MIB = 2 ** 20;

/** Checks Node, the machine, and the two native libraries. */
export async function checkRuntime(): Promise<Check[]> {
  return [
    checkNode(),
    checkUser(),
    checkMachine(),
    await checkLibrary('onnxruntime', () => import('../../pipeline/tensor-session.js')),
    await checkLibrary('sharp', () => import('../../pipeline/image/rgb-image.js')),
  ];
}

function checkNode(): Check {
  const { engines } = JSON.parse(readFileSync(join(__dirname, '..', '..', '..', 'package.json'), 'utf8')) as {
    engines: { node: string };
  };
  const wanted = engines.node.replace('>=', '');
  const { node } = process.versions;
  if (!isAtLeast(node, wanted)) {
    return failure('node', `Node ${node} is too old.`, `Install Node ${wanted} or newer.`);
  }
  // The inspector executes code for anyone who reaches its port.
  if (/--inspect/.test([process.env.NODE_OPTIONS, ...process.execArgv].join(' '))) {
    return failure('node', 'The Node inspector is enabled.', 'Remove --inspect from NODE_OPTIONS.');
  }
  return ok('node', `Node ${node} on ${process.platform} ${process.arch}.`);
}

/** Whether a version such as 20.15.1 is at least `wanted`. */
function isAtLeast(version: string, wanted: string): boolean {
  const [left, right] = [version, wanted].map((text) => text.split('.').map(Number));
  const at = right.findIndex((part, i) => part !== (left[i] ?? 0));
  return at < 0 || (left[at] ?? 0) > right[at];
}

function checkUser(): Check {
  if (process.getuid?.() !== 0) return ok('user', 'The process does not run as root.');
  const advice = 'Run it as a dedicated user (docs/operations.md).';
  return warning('user', 'The process runs as root and decodes untrusted files.', advice);
}

function checkMachine(): Check {
  const { cores, memoryBytes } = machineLimits();
  const limit = process.constrainedMemory();
  const isConstrained = limit > 0 && limit < totalmem();
  const source = isConstrained ? 'the limit of the control group' : '80 % of the machine; no limit is set';
  return ok(
    'machine',
    `${cores} ${cores === 1 ? 'core' : 'cores'}, ${Math.round(memoryBytes / MIB)} MiB of memory (${source}).`,
  );
}

/** Loads a library as the workers do, through the one folder that may import it. */
async function checkLibrary(name: string, load: () => Promise<unknown>): Promise<Check> {
  try {
    await load();
    return ok(name, `The native library of ${name} loads.`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const advice =
      'Install the packages on this machine, with their optional dependencies: npm ci. The image needs glibc.';
    return failure(
      name,
      `The native library of ${name} does not load${code == null ? '' : ` (${code})`}.`,
      advice,
    );
  }
}
