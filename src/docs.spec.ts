import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fieldRows, nameRows, quirkRows } from '../test/contract/compatibility';
import { callRows } from '../test/contract/deepface-calls';
import { CONFIG_VARIABLES } from './server/config/config-variables';
import { FACE_ERRORS } from './errors';
import { DEFAULT_FACE_OPTIONS } from './face/face.options';
import { type MetricEntry, METRICS } from './server/metrics/metrics';
import { DEFAULT_COMPILED_MODELS } from './models/compiled-models';
import { MODEL_TASKS, type ModelCard, parseModelCard } from './models/model-card';
import { commandToGet } from './models/model-store';

/*
 * The tables of the documentation are those of the code. `UPDATE_DOCS=1 npm run test:unit -- docs` regenerates them.
 */

const root = join(__dirname, '..');

const TABLES: { file: string; name: string; lines: string[] }[] = [
  { file: 'docs/models.md', name: 'models', lines: modelsTable() },
  { file: 'docs/configuration.md', name: 'configuration', lines: configurationTable() },
  { file: 'docs/api.md', name: 'errors', lines: errorTable() },
  { file: 'docs/operations.md', name: 'metrics', lines: metricsTable() },
  { file: 'docs/compatibility.md', name: 'calls', lines: callsTable() },
  { file: 'docs/compatibility.md', name: 'names', lines: namesTable() },
  { file: 'docs/compatibility.md', name: 'fields', lines: fieldsTable() },
  { file: 'docs/compatibility.md', name: 'quirks', lines: quirksTable() },
];

describe('docs/security-owasp.md', () => {
  const text = readFileSync(join(root, 'docs', 'security-owasp.md'), 'utf8');

  it('names the ten risks, each with a test', () => {
    const rows = [...text.matchAll(/^\| API(\d+) .*$/gm)];
    expect(rows.map(([, number]) => Number(number))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for (const [row] of rows) expect(row).toMatch(/`(src|test)\/[^`]+spec\.ts`/);
  });

  it('names test files that exist', () => {
    const files = [...text.matchAll(/`((?:src|test)\/[^`]+)`/g)].map(([, file]) => file);
    expect(files.length).toBeGreaterThan(10);
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });
});

describe.each(TABLES)('$file', ({ file, name, lines }) => {
  it(`has the table of ${name} as the code has it`, () => {
    const path = join(root, file);
    const text = readFileSync(path, 'utf8');
    const begin = `<!-- table: ${name} -->`;
    const end = `<!-- end of table: ${name} -->`;
    const from = text.indexOf(begin);
    const to = text.indexOf(end);
    expect([from, to]).not.toContain(-1);
    const table = `\n\n${lines.join('\n')}\n\n`;
    if (process.env.UPDATE_DOCS) {
      writeFileSync(path, text.slice(0, from + begin.length) + table + text.slice(to));
    } else {
      expect(text.slice(from + begin.length, to)).toBe(table);
    }
  });
});

describe('links between documents', () => {
  const securityPages = readdirSync(join(root, 'docs')).filter((file) => /^security-.*\.md$/.test(file));

  it.each([
    ...securityPages.map((file) => `docs/${file}`),
    'SECURITY.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    'README.md',
    'docs/api.md',
    'docs/architecture.md',
    'docs/accuracy.md',
    'docs/benchmarks.md',
    'docs/cli.md',
    'docs/client.md',
    'docs/compatibility.md',
    'docs/configuration.md',
    'docs/console.md',
    'docs/deployment.md',
    'docs/install.md',
    'docs/limits.md',
    'docs/models.md',
    'docs/nest.md',
    'docs/operations.md',
    'docs/security.md',
    'models/LICENSES.md',
    'models/README.md',
  ])('of %s lead to files', (file) => {
    const folder = join(root, file, '..');
    const text = readFileSync(join(root, file), 'utf8');
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)];
    const dead = links.filter(([, path, anchor]) => {
      const target = path === '' ? join(root, file) : join(folder, path);
      return !existsSync(target) || (anchor != null && !anchorsOf(target).includes(anchor));
    });
    expect(dead.map(([link]) => link)).toEqual([]);
  });
});

it('README.md has fewer than 250 lines', () => {
  expect(readFileSync(join(root, 'README.md'), 'utf8').split('\n').length).toBeLessThan(250);
});

it('docs/operations.md asks for metrics that are there', () => {
  const text = readFileSync(join(root, 'docs/operations.md'), 'utf8');
  const named = [...text.matchAll(/\blikeness_\w+/g)].map(([name]) => name);
  const series = Object.entries<MetricEntry>(METRICS).flatMap(([name, { type }]) =>
    type === 'histogram' ? [name, `${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  );
  expect(named.filter((name) => !series.includes(name))).toEqual([]);
});

it('models/LICENSES.md names every model that the npm package carries', () => {
  const text = readFileSync(join(root, 'models/LICENSES.md'), 'utf8');
  const [packed] = text.split('Compiled on request');
  const named = [...packed.matchAll(/^\| `([a-z0-9-]+)`/gm)].map(([, name]) => name);
  expect(named.sort()).toEqual([...DEFAULT_COMPILED_MODELS].sort());
});

/** Anchors that GitHub gives the headings of a page. */
function anchorsOf(path: string): string[] {
  const headings = [...readFileSync(path, 'utf8').matchAll(/^#+ (.+)$/gm)];
  return headings.map(([, heading]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  );
}

function readCards(): ModelCard[] {
  const folder = join(root, 'models', 'cards');
  const cards = readdirSync(folder).map((file) =>
    parseModelCard(JSON.parse(readFileSync(join(folder, file), 'utf8')), file),
  );
  const rank = ({ name, task }: ModelCard) => [
    DEFAULT_COMPILED_MODELS.includes(name) ? 0 : 1,
    MODEL_TASKS.indexOf(task),
  ];
  return cards.sort((a, b) => {
    const [[packedA, taskA], [packedB, taskB]] = [rank(a), rank(b)];
    return packedA - packedB || taskA - taskB || a.name.localeCompare(b.name);
  });
}

function modelsTable(): string[] {
  const defaults = [DEFAULT_FACE_OPTIONS.detectors[0], DEFAULT_FACE_OPTIONS.embedders[0]];
  const rows = readCards().map(({ name, task, license, trainingData, compiled, download, source }) => {
    const isPacked = DEFAULT_COMPILED_MODELS.includes(name);
    const command = compiled || download != null ? `\`${commandToGet(name)}\`` : source;
    return [
      `\`${name}\`${defaults.includes(name) ? ' (default)' : ''}`,
      task,
      [license.name, license.note].filter((text) => text != null).join('. '),
      license.commercialUse ? 'yes' : '**no**',
      trainingData ?? 'The card does not say.',
      isPacked ? 'part of the package' : command,
    ];
  });
  return [
    '| card | task | license of the weights | commercial use | training data | where the file comes from |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows.map((cells) => `| ${cells.join(' | ')} |`),
  ];
}

function configurationTable(): string[] {
  const rows = Object.entries(CONFIG_VARIABLES).map(([name, variable]) => {
    const { doc, ...rest } = variable as {
      doc: string;
      default: unknown;
      defaultText?: string;
      range?: readonly number[];
    };
    const defaults = rest.defaultText ?? String(rest.default);
    const range = rest.range == null ? '' : `${rest.range[0]} to ${rest.range[1]}`;
    return `| \`${name}\` | \`${defaults}\` | ${range} | ${doc} |`;
  });
  return ['| variable | default | range | what |', '| --- | --- | --- | --- |', ...rows];
}

function errorTable(): string[] {
  const rows = Object.entries(FACE_ERRORS).map(
    ([code, { status, description }]) => `| \`${code}\` | ${status ?? 'never sent'} | ${description} |`,
  );
  return ['| code | status | description |', '| --- | --- | --- |', ...rows];
}

function callsTable(): string[] {
  const head = ['| from | call | image | works | difference |', '| --- | --- | --- | --- | --- |'];
  return [...head, ...callRows()];
}

function namesTable(): string[] {
  return ['| field | name | card | how to get its file |', '| --- | --- | --- | --- |', ...nameRows()];
}

function fieldsTable(): string[] {
  const head = [
    '| route | field | default in DeepFace | default here | | |',
    '| --- | --- | --- | --- | --- | --- |',
  ];
  return [...head, ...fieldRows()];
}

function quirksTable(): string[] {
  return ['| what | DeepFace | here | | why |', '| --- | --- | --- | --- | --- |', ...quirkRows()];
}

function metricsTable(): string[] {
  const rows = Object.entries<MetricEntry>(METRICS).map(
    ([name, { type, labels, help }]) =>
      `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`,
  );
  return ['| metric | type | labels | what |', '| --- | --- | --- | --- |', ...rows];
}
