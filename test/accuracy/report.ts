import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One line of the table of pairs of docs/accuracy.md. */
export interface Row {
  set: string;
  detected?: string;
  eer?: string;
  euclideanEer?: string;
  atThreshold?: string;
  master?: string;
  falseFaces?: string;
  rolled?: string;
}

/** One line of its table of identification. */
export interface IdentificationRow {
  set: string;
  rank1?: string;
  known?: string;
  strangers?: string;
  standardGate?: string;
  strictGate?: string;
}

const ACCURACY: Record<keyof Row, string> = {
  set: 'detector + embedder',
  detected: 'lfw10: photos with a face',
  eer: 'lfw10: EER, cosine',
  euclideanEer: 'lfw10: EER, euclidean',
  atThreshold: "lfw10: at the card's cosine threshold",
  master: "master.csv: right at the card's threshold",
  falseFaces: 'nonface: photos with a false face',
  rolled: 'lfw10: EER against photos turned by',
};

const IDENTIFICATION: Record<keyof IdentificationRow, string> = {
  set: 'detector + embedder',
  rank1: 'the right person is the nearest',
  known: "enrolled, under the card's threshold: right, wrong, unknown",
  strangers: "not enrolled, under the card's threshold: falsely named",
  standardGate: 'photos that gate `standard` passes',
  strictGate: 'that `strict` passes by its limits',
};

export function percent(fraction: number): string {
  return `${(fraction * 100).toFixed(2)} %`;
}

/** Prints the tables; writes them into docs/accuracy.md where WRITE_DOCS is set. */
export function writeReport(rows: Row[], identificationRows: IdentificationRow[]): void {
  writeTable('accuracy', ACCURACY, rows);
  writeTable('identification', IDENTIFICATION, identificationRows);
}

function writeTable<Key extends string>(
  name: string,
  columns: Record<Key, string>,
  rows: Partial<Record<Key, string>>[],
): void {
  const keys = Object.keys(columns) as Key[];
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  const table = [
    line(keys.map((key) => columns[key])),
    line(keys.map(() => '---')),
    ...rows.map((row) => line(keys.map((key) => row[key] ?? '-'))),
  ].join('\n');
  process.stdout.write(`\n${table}\n\n`);
  if (!process.env.WRITE_DOCS) return;
  const path = join(__dirname, '..', '..', 'docs', 'accuracy.md');
  const text = readFileSync(path, 'utf8');
  const begin = `<!-- ${name} table: written by \`npm run accuracy:write\` -->`;
  const start = text.indexOf(begin) + begin.length;
  const end = text.indexOf(`<!-- end of ${name} table -->`);
  writeFileSync(path, `${text.slice(0, start)}\n\n${table}\n\n${text.slice(end)}`);
}
