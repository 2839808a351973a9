import { type Command, InvalidArgumentError, Option } from 'commander';
import { existsSync } from 'node:fs';
import { type Scope, SCOPES } from '../server/http/auth/api-key';
import {
  generateKey,
  type KeyFileContent,
  type KeyFileEntry,
  keyNameProblem,
  parseKeyFile,
  permissionsOf,
  readKeyFileContent,
  sha256,
  timeProblem,
} from '../server/http/auth/key-file';
import { FaceError } from '../errors';
import { galleryIdProblem } from '../gallery/gallery-rules';
import { writeSecretAtomically } from '../models/write-atomically';
import { examples, integer, jsonOption, type JsonOption } from './options';
import { printJson, printLine, printTable } from './print';

interface FileOption extends JsonOption {
  file?: string;
}

interface CreateOptions extends FileOption {
  scopes: Scope[];
  galleries?: string[];
  requestsPerMinute?: number;
  expires?: string;
  thresholds: boolean;
  distances: boolean;
}

const MAX_REQUESTS_PER_MINUTE = 1_000_000;
const DAY_MS = 86_400_000;
/** Ten years. */
const MAX_DAYS = 3650;

export function addKeysCommand(program: Command): void {
  const keys = program.command('keys').description('Create, list and revoke the API keys of a service.');
  keys
    .command('create')
    .description(
      'Create an API key and print it, once. Its SHA-256 is added to the key file; without a key file, the entry to add is printed.',
    )
    .argument('<name>', 'name of the key in logs and metrics', keyName)
    .requiredOption('--scopes <list>', `comma-separated scopes of the key: ${SCOPES.join(', ')}`, scopes)
    .option(
      '--galleries <list>',
      'comma-separated galleries that the key can access (default: all)',
      galleries,
    )
    .option(
      '--requests-per-minute <count>',
      'maximum number of requests per minute (default: no limit per key)',
      integer(1, MAX_REQUESTS_PER_MINUTE),
    )
    .option(
      '--expires <when>',
      'expiry of the key: a time such as 2027-01-31T00:00:00Z, or days from now such as 90d (default: never)',
      expiry,
    )
    .option('--no-thresholds', 'reject thresholds and error rates in its requests')
    .option(
      '--no-distances',
      'return decisions and a rounded similarity only, without distances; implies --no-thresholds',
    )
    .addOption(fileOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'likeness keys create front-door --scopes verify --file keys.json',
        'likeness keys create visitor --scopes verify,identify --galleries staff --expires 90d --file keys.json',
      ),
    )
    .action(createKey);
  keys
    .command('list')
    .description('List the keys of the key file: names, scopes, limits and expiry.')
    .addOption(fileOption())
    .addOption(jsonOption())
    .action(listKeys);
  keys
    .command('revoke')
    .description('Remove a key from the key file. A running service rejects it within about a second.')
    .argument('<name>', 'name of the key', keyName)
    .addOption(fileOption())
    .addOption(jsonOption())
    .action(revokeKey);
}

function fileOption(): Option {
  return new Option('--file <path>', 'the key file').env('FACE_API_KEYS_FILE');
}

async function createKey(name: string, { file, json, ...options }: CreateOptions): Promise<void> {
  const key = generateKey();
  const entry: KeyFileEntry = {
    name,
    sha256: sha256(key).toString('hex'),
    scopes: options.scopes,
    ...(options.galleries == null ? {} : { galleries: options.galleries }),
    ...(options.expires == null ? {} : { expiresAt: options.expires }),
    ...(options.requestsPerMinute == null ? {} : { requestsPerMinute: options.requestsPerMinute }),
    ...(options.thresholds ? {} : { maySetThresholds: false }),
    ...(options.distances ? {} : { maySeeDistances: false }),
  };
  if (file) await addToFile(file, entry);
  if (json) return printJson({ key, entry });
  printLine(key);
  // On stderr, so that the key alone can be piped.
  process.stderr.write(
    file
      ? `${name}: added to ${file}. The key is not stored: save it now.\n`
      : `${name}: add this entry to \`keys\` of the key file. The key is not stored: save it now.\n${JSON.stringify(entry, null, 2)}\n`,
  );
}

async function addToFile(file: string, entry: KeyFileEntry): Promise<void> {
  const { keys }: KeyFileContent = existsSync(file) ? readKeyFileContent(file) : { keys: [] };
  if (keys.some(({ name }) => name === entry.name)) {
    throw new FaceError('PARAMETER_INVALID', `The key file already has a key named ${entry.name}.`);
  }
  await writeKeyFile(file, [...keys, entry]);
}

async function revokeKey(name: string, { file, json }: FileOption): Promise<void> {
  const { keys } = readKeyFileContent(requireFile(file));
  const others = keys.filter((key) => key.name !== name);
  if (others.length === keys.length) {
    throw new FaceError('PARAMETER_INVALID', `The key file has no key named ${name}.`);
  }
  await writeKeyFile(file as string, others);
  if (json) printJson({ revoked: name, keyCount: others.length });
  else printLine(`${name}: revoked. Remaining keys: ${others.length}.`);
}

function requireFile(file: string | undefined): string {
  if (file) return file;
  throw new FaceError('PARAMETER_INVALID', '--file or FACE_API_KEYS_FILE is required.');
}

async function writeKeyFile(file: string, keys: readonly KeyFileEntry[]): Promise<void> {
  const text = `${JSON.stringify({ keys }, null, 2)}\n`;
  // Enforces the limits of the whole file.
  parseKeyFile(text);
  await writeSecretAtomically(file, Buffer.from(text));
}

function listKeys({ file, json }: FileOption): void {
  const { keys } = readKeyFileContent(requireFile(file));
  if (json) return printJson({ keys: keys.map(({ sha256: _sha256, ...entry }) => entry) });
  printTable(
    ['name', 'scopes', 'galleries', 'requests/min', 'thresholds', 'distances', 'expires'],
    keys.map((key) => [
      key.name,
      key.scopes.join(','),
      key.galleries?.join(',') ?? 'all',
      String(key.requestsPerMinute ?? '-'),
      permissionsOf(key).maySetThresholds ? 'yes' : 'no',
      permissionsOf(key).maySeeDistances ? 'yes' : 'no',
      key.expiresAt == null ? 'never' : `${key.expiresAt}${isPast(key.expiresAt) ? ' (expired)' : ''}`,
    ]),
  );
}

function keyName(name: string): string {
  const problem = keyNameProblem(name);
  if (problem == null) return name;
  throw new InvalidArgumentError(`It ${problem}.`);
}

/** @returns ISO 8601, UTC. */
function expiry(text: string): string {
  const [, days] = /^(\d{1,4})d$/.exec(text) ?? [];
  if (days == null && timeProblem(text) != null) {
    throw new InvalidArgumentError('Expected a time such as 2027-01-31T00:00:00Z, or days such as 90d.');
  }
  const ms = days == null ? Date.parse(text) : Date.now() + Number(days) * DAY_MS;
  if (ms > Date.now() && Number(days ?? 1) <= MAX_DAYS) return new Date(ms).toISOString();
  throw new InvalidArgumentError(`Expected a time in the future, or 1 to ${MAX_DAYS} days.`);
}

function isPast(time: string): boolean {
  return Date.parse(time) <= Date.now();
}

function scopes(list: string): Scope[] {
  const names = items(list);
  const unknown = names.find((name) => !SCOPES.includes(name as Scope));
  if (unknown == null) return names as Scope[];
  throw new InvalidArgumentError(`Expected scopes among ${SCOPES.join(', ')}.`);
}

function galleries(list: string): string[] {
  const ids = items(list);
  if (ids.every((id) => galleryIdProblem(id) == null)) return ids;
  throw new InvalidArgumentError(`Each ${galleryIdProblem('')}.`);
}

/** Splits a comma-separated list, without duplicates. */
function items(list: string): string[] {
  return [...new Set(list.split(',').map((item) => item.trim()))];
}
