import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AuditEntry, auditKeys } from './audit-chain';
import { type AuditChange, AuditFile, type AuditFileOptions } from './audit-file';
import { verifyAudit } from './verify-audit';

const { chain: KEY } = auditKeys('a secret of the test suite, long enough');

interface WrittenLine extends AuditEntry {
  sequence: number;
}

describe(AuditFile.name, () => {
  let dir: string;
  let path: string;
  let notices: string[];
  let changes: AuditChange[];

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'likeness-audit-'));
    path = join(dir, 'audit.jsonl');
    notices = [];
    changes = [];
  });
  afterEach(() => {
    jest.restoreAllMocks();
    rmSync(dir, { recursive: true });
  });

  const open = (options: Partial<AuditFileOptions> = {}) =>
    AuditFile.open({
      path,
      key: KEY,
      maxBytes: 1_000_000,
      onNotice: (level, message) => notices.push(`${level}: ${message}`),
      onChange: (change) => changes.push(change),
      ...options,
    });
  /** Oldest first: the names of full files sort by age, and the one that is being written has none. */
  const files = () => {
    const names = readdirSync(dir).sort();
    const isFull = (name: string) => name !== 'audit.jsonl';
    return [...names.filter(isFull), ...names.filter((name) => !isFull(name))].map((name) => join(dir, name));
  };
  const lines = () =>
    files().flatMap((file) =>
      readFileSync(file, 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as WrittenLine),
    );
  const entry = (subject: string): AuditEntry => ({
    time: new Date(0).toISOString(),
    action: 'verify',
    key: null,
    address: '127.0.0.1',
    gallery: 'staff',
    subject,
    outcome: 'match',
    requestId: 'r',
  });
  const written = () => changes.reduce((sum, change) => sum + change.written, 0);
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  const check = () => verifyAudit(files(), { key: KEY });

  it('writes lines in their order, and all before it is closed', async () => {
    const file = await open();
    for (let i = 0; i < 500; i++) file.append(entry(`person ${i}`));
    await file.close();
    const all = lines();
    expect(all.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 502 }, (_, i) => i + 1));
    expect(all.slice(1, -1).map(({ subject }) => subject)).toEqual(
      Array.from({ length: 500 }, (_, i) => `person ${i}`),
    );
    expect([all[0].action, all[501].action]).toEqual(['start', 'stop']);
    expect(await check()).toMatchObject({ lineCount: 502, endsWithStop: true, broken: null });
    expect(written()).toBe(502);
  });

  it('goes on with the chain after a restart', async () => {
    for (const person of ['ada', 'bob']) {
      const file = await open();
      file.append(entry(person));
      await file.close();
    }
    expect(lines().map(({ action }) => action)).toEqual([
      'start',
      'verify',
      'stop',
      'start',
      'verify',
      'stop',
    ]);
    expect(await check()).toMatchObject({ lineCount: 6, broken: null });
  });

  it('removes a line that a crash left incomplete, and reports it in the stream', async () => {
    await (await open()).close();
    appendFileSync(path, '{"sequence":3,"time":"20');
    await (await open()).close();
    expect(lines().map(({ outcome }) => outcome)).toEqual(['ok', 'ok', 'recovered', 'ok']);
    expect(await check()).toMatchObject({ lineCount: 4, broken: null });
    expect(notices.some((notice) => notice.startsWith('warn'))).toBe(true);
  });

  it('begins the next file where one is full, also over a restart between the two', async () => {
    const file = await open({ maxBytes: 2000 });
    for (let i = 0; i < 30; i++) {
      file.append(entry(`person ${i}`));
      // The line of the start is the first. What waits while a batch is written would come into the same file.
      await until(() => written() === i + 2);
    }
    await file.close();
    expect(files().length).toBeGreaterThan(2);
    const before = (await check()).lineCount;
    expect(before).toBe(32);
    rmSync(path);
    const left = (await check()).lineCount;
    await (await open()).close();
    expect(await check()).toMatchObject({ lineCount: left + 2, broken: null });
  });

  it.each<[string, () => void]>([
    ['of another key', () => undefined],
    [
      'that was changed',
      () => writeFileSync(path, readFileSync(path, 'utf8').replace(/"ok"(?!.*"ok")/s, '"no"')),
    ],
    ['that is no line', () => appendFileSync(path, 'hello\n')],
  ])('refuses a last line %s', async (name, tamper) => {
    await (await open()).close();
    tamper();
    const key = name === 'of another key' ? auditKeys('another secret of the test suite').chain : KEY;
    await expect(open({ key })).rejects.toMatchObject({ code: 'AUDIT_FILE_INVALID' });
  });

  it('refuses a file that another has open, and a folder that is not there', async () => {
    const file = await open();
    await expect(open()).rejects.toMatchObject({ code: 'AUDIT_FILE_INVALID' });
    await file.close();
    await expect(open({ path: join(dir, 'absent', 'audit.jsonl') })).rejects.toMatchObject({
      code: 'AUDIT_FILE_INVALID',
    });
  });

  it('keeps lines that a full disk refuses, says so, and writes them once when there is space again', async () => {
    const file = await open();
    const handle = (file as unknown as { handle: { write: (bytes: Buffer) => Promise<unknown> } }).handle;
    const write = handle.write.bind(handle);
    let isFull = true;
    jest.spyOn(handle, 'write').mockImplementation((bytes: Buffer) => {
      // A disk that gets full takes the first part of a write.
      if (isFull && bytes.length > 100) return write(bytes.subarray(0, 50));
      return isFull ? Promise.reject(new Error('ENOSPC: no space left on device')) : write(bytes);
    });
    file.append(entry('ada'));
    await until(() => file.isFailing);
    expect(notices).toContain('error: the audit stream cannot be written: ENOSPC: no space left on device');
    expect(changes.at(-1)).toEqual({ written: 0, dropped: 0, isFailing: true });
    file.append(entry('bob'));
    isFull = false;
    await file.close();
    expect(lines().map(({ subject }) => subject)).toEqual([null, 'ada', 'bob', null]);
    expect(await check()).toMatchObject({ broken: null });
    expect(file.isFailing).toBe(false);
  });

  it('says that a line is lost which comes after the end', async () => {
    const file = await open();
    await file.close();
    file.append(entry('ada'));
    expect(notices).toContain('error: the audit stream is closed: a line of action verify is lost');
    expect(lines().map(({ action }) => action)).toEqual(['start', 'stop']);
  });

  it('counts the lines that it must drop, in the stream as well', async () => {
    const file = await open();
    for (let i = 0; i < 10_500; i++) file.append(entry('ada'));
    expect(file.isFailing).toBe(true);
    await file.close();
    const gap = lines().find(({ action }) => action === 'gap');
    // The first line and the last count too: one waits before the others, and the end comes after them.
    expect(gap).toMatchObject({ outcome: 'dropped', count: 10_500 + 2 - 10_000 });
    expect(await check()).toMatchObject({ broken: null });
  });
});
