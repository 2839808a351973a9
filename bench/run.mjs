import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { writePlot } from './plot.mjs';
import { markdownTable } from './markdown-table.mjs';

/*
 * npm run bench -- <scenario> [--write]
 *
 * A scenario gives { notes, columns, rows, plots, failures, summary }. The table is printed; --write also puts it into
 * docs/benchmarks.md, in the place of the scenario's last one, and draws its charts into docs/plots; a `summary` goes into
 * README.md in the same way. `failures` says what
 * must not happen on any machine, however slow, and did: the command fails.
 */

const SCENARIOS = [
  'deepface-story',
  'boot',
  'batch',
  'weights',
  'verify',
  'throughput',
  'reload',
  'health',
  'peer',
  'overload',
  'hostile',
  'faults',
  'swap',
  'soak',
  'gallery',
  'gallery-stores',
  'gallery-health',
  'gallery-replicas',
];
/** Environment variables that change what a scenario does: the command in the docs names those that were set. */
const VARIABLES = [
  'CLIENTS',
  'WINDOW',
  'REQUESTS',
  'INPUT',
  'KILLS',
  'TERMS',
  'ROUNDS',
  'SIZE',
  'SIZES',
  'SECONDS',
];

const [name] = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
if (!SCENARIOS.includes(name)) {
  console.error(`usage: npm run bench -- <${SCENARIOS.join(' | ')}> [--write]`);
  process.exit(2);
}

// Services that a scenario started are killed at the exit of this process, which a signal alone would skip.
for (const signal of ['SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

const { default: scenario } = await import(`./${name}.mjs`);
const result = await scenario((line) => console.error(line));
if (result.skipped) {
  console.error(`${name}: skipped, as ${result.skipped}`);
  process.exit();
}
const isWritten = process.argv.includes('--write');
const pictures = [];
for (const plot of isWritten ? (result.plots ?? []) : []) pictures.push(await writePlot(plot));

const { notes, columns, rows } = result;
const machine = `${cpus().length} x ${cpus()[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`;
const settings = VARIABLES.filter((variable) => process.env[variable] != null).map(
  (variable) => `${variable}=${process.env[variable]} `,
);
const text = [
  `Command: \`${settings.join('')}npm run bench -- ${name}\`. Date: ${new Date().toISOString().slice(0, 10)}. Machine: ${machine}.`,
  markdownTable(columns, rows),
  ...notes,
  ...pictures,
].join('\n\n');
console.log(`\n${text}\n`);

if (isWritten) {
  writeInto('docs/benchmarks.md', text);
  if (result.summary) writeInto('README.md', result.summary);
}

for (const failure of result.failures ?? []) console.error(`FAILED: ${failure}`);
if (result.failures?.length > 0) process.exitCode = 1;

/** Puts a text in the place that a document has for the scenario. */
function writeInto(document, content) {
  const path = fileURLToPath(new URL(`../${document}`, import.meta.url));
  const begin = `<!-- bench ${name}: written by \`npm run bench -- ${name} --write\` -->`;
  const end = `<!-- end of bench ${name} -->`;
  const old = readFileSync(path, 'utf8');
  const from = old.indexOf(begin);
  if (from < 0) throw new Error(`${document} has no place for ${name}: add ${begin} and ${end}`);
  writeFileSync(path, `${old.slice(0, from + begin.length)}\n\n${content}\n\n${old.slice(old.indexOf(end))}`);
}
