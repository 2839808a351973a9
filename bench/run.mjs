import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

/*
 * npm run bench -- <scenario> [--write]
 *
 * A scenario gives { command, notes, columns, rows }. The table is printed; --write also puts it into
 * docs/benchmarks.md, in the place of the scenario's last one.
 */

const SCENARIOS = ['verify', 'boot'];
const [name] = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
if (!SCENARIOS.includes(name)) {
  console.error(`usage: npm run bench -- <${SCENARIOS.join(' | ')}> [--write]`);
  process.exit(2);
}

const { default: scenario } = await import(`./${name}.mjs`);
const { notes, columns, rows } = await scenario((line) => console.error(line));
const line = (cells) => `| ${cells.join(' | ')} |`;
const table = [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
const machine = `${cpus().length} x ${cpus()[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`;
const text = [
  `Command: \`npm run bench -- ${name}\`. Date: ${new Date().toISOString().slice(0, 10)}. Machine: ${machine}.`,
  table,
  ...notes,
].join('\n\n');
console.log(`\n${text}\n`);

if (process.argv.includes('--write')) {
  const path = fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url));
  const begin = `<!-- bench ${name}: written by \`npm run bench -- ${name} --write\` -->`;
  const end = `<!-- end of bench ${name} -->`;
  const document = readFileSync(path, 'utf8');
  const from = document.indexOf(begin);
  if (from < 0) throw new Error(`docs/benchmarks.md has no place for ${name}: add ${begin} and ${end}`);
  writeFileSync(
    path,
    `${document.slice(0, from + begin.length)}\n\n${text}\n\n${document.slice(document.indexOf(end))}`,
  );
}
