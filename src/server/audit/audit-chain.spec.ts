import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AuditEntry, auditKeys, CHAIN_START, chainLine, hashSubject } from './audit-chain';
import { verifyAudit } from './verify-audit';

const { chain: KEY, subjects: SUBJECT_KEY } = auditKeys('a secret of the test suite, long enough');
const dir = mkdtempSync(join(tmpdir(), 'likeness-audit-'));
afterAll(() => rmSync(dir, { recursive: true }));

function entry(subject: string): AuditEntry {
  return {
    time: '2026-11-28T12:00:00.000Z',
    action: 'identify',
    key: 'till',
    address: '192.0.2.7',
    gallery: 'staff',
    subject,
    outcome: 'match',
    similarity: 0.75,
    requestId: 'r-1',
  };
}

/** A chain of as many lines. */
function chainOf(count: number, key: Buffer | null = KEY): string[] {
  let end = CHAIN_START;
  return Array.from({ length: count }, (_, i) => {
    const { line, ...next } = chainLine(end, entry(`person ${i}`), key);
    end = next;
    return line;
  });
}

let fileCount = 0;
function write(lines: readonly string[]): string {
  const file = join(dir, `${++fileCount}.jsonl`);
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''));
  return file;
}

const check = (lines: readonly string[], key: Buffer | null = KEY) => verifyAudit([write(lines)], { key });

describe('the chain of the audit stream', () => {
  it.each([
    ['with a key', KEY],
    ['without a key', null],
  ])('holds as it was written, %s', async (_, key) => {
    const lines = chainOf(5, key);
    const last = JSON.parse(lines[4]) as { hash: string };
    expect(await check(lines, key)).toEqual({
      lineCount: 5,
      firstSequence: 1,
      end: { sequence: 5, hash: last.hash },
      endsWithStop: false,
      broken: null,
    });
  });

  it('names the hash of each line in the next', () => {
    const lines = chainOf(3).map((line) => JSON.parse(line) as { previous: string; hash: string });
    expect(lines[0].previous).toBe(CHAIN_START.hash);
    expect(lines[1].previous).toBe(lines[0].hash);
    expect(lines[2].previous).toBe(lines[1].hash);
  });

  const without = (lines: string[], at: number) => lines.filter((_, i) => i !== at);
  const changed = (lines: string[], at: number) =>
    lines.map((line, i) => (i === at ? line.replace('192.0.2.7', '192.0.2.8') : line));

  it.each<[string, (lines: string[]) => string[], number]>([
    ['a changed line', (lines) => changed(lines, 2), 3],
    ['a changed first line', (lines) => changed(lines, 0), 1],
    ['a changed last line', (lines) => changed(lines, 4), 5],
    ['a removed line', (lines) => without(lines, 2), 3],
    ['a removed first line', (lines) => without(lines, 0), 1],
    ['two lines swapped', ([a, b, c, d, e]) => [a, c, b, d, e], 2],
    ['a line twice', ([a, b, c, d, e]) => [a, b, b, c, d, e], 3],
    [
      'a line of another chain',
      ([a, b, c, d, e]) => [a, b, chainLine(CHAIN_START, entry('x'), KEY).line, c, d, e],
      3,
    ],
    ['text between the lines', ([a, b, c, d, e]) => [a, '', b, c, d, e], 2],
    ['a cut line', ([a, b, c, d, e]) => [a, b, c, d, e.slice(0, 40)], 5],
  ])('finds %s', async (_, tamper, line) => {
    const { broken, lineCount } = await check(tamper(chainOf(5)));
    expect(broken).toMatchObject({ line });
    expect(lineCount).toBe(line - 1);
  });

  it('finds a stream that was rewritten without the key', async () => {
    expect((await check(chainOf(3, null))).broken).toMatchObject({ line: 1 });
  });

  it('goes on from file to file, and finds one that is missing', async () => {
    const lines = chainOf(6);
    const files = [write(lines.slice(0, 2)), write(lines.slice(2, 4)), write(lines.slice(4))];
    const options = { key: KEY };
    expect(await verifyAudit(files, options)).toMatchObject({ lineCount: 6, broken: null });
    expect((await verifyAudit([files[0], files[2]], options)).broken).toMatchObject({
      file: files[2],
      line: 1,
    });
    expect((await verifyAudit(files.slice(1), options)).broken).toMatchObject({ file: files[1], line: 1 });
    expect(await verifyAudit(files.slice(1), { key: KEY, isPartial: true })).toMatchObject({
      firstSequence: 3,
      broken: null,
    });
  });
});

describe(hashSubject.name, () => {
  it('depends on subject, gallery and key', () => {
    const other = auditKeys('another secret of the test suite').subjects;
    const hashes = [
      hashSubject('staff', 'ada', SUBJECT_KEY),
      hashSubject('staff', 'bob', SUBJECT_KEY),
      hashSubject('guests', 'ada', SUBJECT_KEY),
      hashSubject('staff', 'ada', other),
    ];
    expect(new Set(hashes).size).toBe(4);
    expect(hashSubject('staff', 'ada', SUBJECT_KEY)).toBe(hashes[0]);
  });

  it('is the same for all forms of one id', () => {
    const [composed, decomposed] = ['Jos\u00e9', 'Jose\u0301'].map((id) =>
      hashSubject('staff', id, SUBJECT_KEY),
    );
    expect(decomposed).toBe(composed);
  });
});
