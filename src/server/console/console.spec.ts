import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ALL_FEATURES } from '../config/features';
import { FACE_ERRORS } from '../../errors';
import { MODEL_TASKS } from '../../models/model-card';
import { PAGE_FOLDER } from './console';

/** Of all files together, in bytes: the page loads at once also on a slow line. */
const MAX_BYTES = 150_000;

const root = join(__dirname, '..', '..', '..');
const files = readdirSync(PAGE_FOLDER);
const textOf = (name: string) => readFileSync(join(PAGE_FOLDER, name), 'utf8');

/** Tables of docs/accuracy.md that the page shows, by their name in its data. */
const TABLES = {
  pairs: 'pairs table',
  cfp250: 'cfp250 table',
  groups: 'groups table',
  gallerySizes: 'gallery sizes table',
  presentationAttack: 'presentation attack table',
};

/** The cells of a table of docs/accuracy.md. */
function readTable(name: string): { heads: string[]; rows: string[][] } {
  const text = readFileSync(join(root, 'docs', 'accuracy.md'), 'utf8');
  const [, rest] = text.split(`<!-- ${name}: written by \`npm run accuracy:write\` -->`);
  const [heads, , ...rows] = rest
    .split(`<!-- end of ${name} -->`)[0]
    .trim()
    .split('\n')
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );
  return { heads, rows };
}

describe('the files of the console', () => {
  it(`weigh less than ${MAX_BYTES / 1000} kB together`, () => {
    const bytes = files.reduce((sum, name) => sum + Buffer.byteLength(textOf(name)), 0);
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(MAX_BYTES);
  });

  it.each(files)('%s loads nothing from elsewhere, and nothing from the root of the host', (name) => {
    const addresses = textOf(name).match(/(https?:)?\/\/[\w.-]+\.\w+[^\s'"`]*/g) ?? [];
    expect(addresses.filter((address) => address !== 'http://www.w3.org/2000/svg')).toEqual([]);
    expect(textOf(name).match(/(src|href)="\/|fetch\(['"`]\/|url\(/g)).toBeNull();
  });

  it.each(files)('%s has neither inline code nor text that becomes markup', (name) => {
    expect(textOf(name)).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(/);
    expect(textOf(name)).not.toMatch(/ style="|<style|<script(?! type="module" src=)/);
  });

  it('show the figures of docs/accuracy.md (UPDATE_DOCS=1 copies them)', () => {
    const figures = Object.fromEntries(Object.entries(TABLES).map(([key, name]) => [key, readTable(name)]));
    const path = join(PAGE_FOLDER, 'accuracy.json');
    if (process.env.UPDATE_DOCS) writeFileSync(path, `${JSON.stringify(figures, null, 1)}\n`);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(figures);
    for (const { heads, rows } of Object.values(figures)) {
      expect(rows.length).toBeGreaterThan(0);
      for (const row of rows) expect(row).toHaveLength(heads.length);
    }
  });
});

describe('the texts of the console', () => {
  const texts = textOf('strings.mjs');

  it('have no figure of their own', () => {
    expect(texts.match(/\d[\d.,]*\s*%/g)?.filter((figure) => !['99 %', '95 %'].includes(figure))).toEqual([]);
  });

  it('have words for errors and tasks that exist only', () => {
    const codes = [...texts.matchAll(/^ {4}([A-Z][A-Z_]+):/gm)].map(([, code]) => code);
    expect(codes.length).toBeGreaterThan(10);
    expect(codes.filter((code) => code !== 'OFFLINE' && !Object.hasOwn(FACE_ERRORS, code))).toEqual([]);
    const [, tasks] = /tasks: \{(.*?)\}/s.exec(texts) as RegExpExecArray;
    const names = [...tasks.matchAll(/^\s+'?([\w-]+)'?:/gm)].map(([, task]) => task);
    expect(names.length).toBeGreaterThan(4);
    expect(names.filter((task) => !(MODEL_TASKS as readonly string[]).includes(task))).toEqual([]);
  });

  it('are in one file', () => {
    // Text of two words or more in quotes that is neither a class, a selector nor a type.
    const others = files.filter((name) => name.endsWith('.mjs') && name !== 'strings.mjs');
    const sentences = others.flatMap((name) => textOf(name).match(/'[A-Z][a-z]+ [a-z]+[^']*'/g) ?? []);
    expect(sentences).toEqual([]);
  });
});

it('asks for features that exist only', () => {
  const asked = files
    .filter((name) => name.endsWith('.mjs'))
    .flatMap((name) => [...textOf(name).matchAll(/(?:feature: |features\.has\()'(\w+)'/g)])
    .map(([, feature]) => feature);
  expect(new Set(asked)).toEqual(new Set(['verify', 'galleries', 'identify', 'detect']));
  for (const feature of asked) expect([...ALL_FEATURES]).toContain(feature);
});
