import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One line of the table of docs/accuracy.md. */
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

const COLUMNS: Record<keyof Row, string> = {
  set: 'detector + embedder',
  detected: 'lfw10: photos with a face',
  eer: 'lfw10: EER, cosine',
  euclideanEer: 'lfw10: EER, euclidean',
  atThreshold: "lfw10: at the card's cosine threshold",
  master: "master.csv: right at the card's threshold",
  falseFaces: 'nonface: photos with a false face',
  rolled: 'lfw10: EER against photos turned by',
};

const BEGIN = '<!-- accuracy table: written by `npm run accuracy:write` -->';
const END = '<!-- end of accuracy table -->';

export function percent(fraction: number): string {
  return `${(fraction * 100).toFixed(2)} %`;
}

/** Prints the table; writes it into docs/accuracy.md where WRITE_DOCS is set. */
export function writeReport(rows: Row[]): void {
  const keys = Object.keys(COLUMNS) as (keyof Row)[];
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  const table = [
    line(keys.map((key) => COLUMNS[key])),
    line(keys.map(() => '---')),
    ...rows.map((row) => line(keys.map((key) => row[key] ?? '-'))),
  ].join('\n');
  process.stdout.write(`\n${table}\n\n`);
  if (!process.env.WRITE_DOCS) return;
  const path = join(__dirname, '..', '..', 'docs', 'accuracy.md');
  const text = readFileSync(path, 'utf8');
  const start = text.indexOf(BEGIN) + BEGIN.length;
  writeFileSync(path, `${text.slice(0, start)}\n\n${table}\n\n${text.slice(text.indexOf(END))}`);
}
