import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A table of docs/accuracy.md. */
export class Table {
  private readonly rows: string[][] = [];

  constructor(
    /** Of its place in the file: `<!-- NAME table: ... -->`. */
    private readonly name: string,
    private readonly headings: readonly string[],
  ) {}

  add(...cells: string[]): void {
    if (cells.length !== this.headings.length) throw new Error(`A row of ${this.name} has a wrong length.`);
    this.rows.push(cells);
  }

  /** Prints the table; writes it into docs/accuracy.md where WRITE_DOCS is set. */
  write(): void {
    const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
    const table = [this.headings, this.headings.map(() => '---'), ...this.rows].map(line).join('\n');
    process.stdout.write(`\n${table}\n\n`);
    if (!process.env.WRITE_DOCS) return;
    const path = join(__dirname, '..', '..', 'docs', 'accuracy.md');
    const text = readFileSync(path, 'utf8');
    const begin = `<!-- ${this.name} table: written by \`npm run accuracy:write\` -->`;
    const start = text.indexOf(begin);
    const end = text.indexOf(`<!-- end of ${this.name} table -->`);
    if (start === -1 || end === -1) throw new Error(`docs/accuracy.md has no place for table ${this.name}.`);
    writeFileSync(path, `${text.slice(0, start)}${begin}\n\n${table}\n\n${text.slice(end)}`);
  }
}

/** A fraction. */
export function percent(fraction: number): string {
  return `${(fraction * 100).toFixed(2)} %`;
}

/** A share with its counts. */
export function ofCount(count: number, total: number): string {
  return `${percent(count / total)} (${grouped(count)} of ${grouped(total)})`;
}

/** 1,120,500. */
export function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
