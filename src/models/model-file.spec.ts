import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkModelFile, isModelFile, readModelFile, sha256OfFile } from './model-file';
import type { ModelCard } from './model-card';

// Longer than a read chunk, and not a multiple of it.
const bytes = Buffer.alloc(3 * 1024 ** 2 + 7, 'weights');
const sha256 = createHash('sha256').update(bytes).digest('hex');
const card = { name: 'mine', sha256 } as ModelCard;

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'likeness-file-'));
  path = join(dir, 'mine.onnx');
  writeFileSync(path, bytes);
});
afterEach(() => rmSync(dir, { recursive: true }));

/** Error of the operation. */
type Refusal = Error & { details: unknown; cause: { code: string } };

function refusal(work: Promise<unknown>): Promise<Refusal> {
  return work.then(
    () => Promise.reject(new Error('It was accepted.')),
    (reason: Refusal) => reason,
  );
}

describe(sha256OfFile.name, () => {
  it('is that of the whole file', async () => {
    expect(await sha256OfFile(path)).toBe(sha256);
  });

  it('tells of every byte that it has read', async () => {
    let read = 0;
    await sha256OfFile(path, (count) => (read += count));
    expect(read).toBe(bytes.length);
  });

  it('lets the event loop turn while it reads', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    writeFileSync(path, Buffer.alloc(64 * 1024 ** 2));
    await sha256OfFile(path);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(1);
  });
});

describe(isModelFile.name, () => {
  it.each<[string, Partial<ModelCard>, boolean]>([
    ['the sha256 and the size of the card', { sha256, bytes: bytes.length }, true],
    ['the sha256 of a card without size', { sha256 }, true],
    ['another size', { sha256, bytes: bytes.length + 1 }, false],
    ['another sha256', { sha256: sha256.replace(/^./, 'x'), bytes: bytes.length }, false],
  ])('says of a file with %s what it is', async (_, pinned, is) => {
    expect(await isModelFile(path, pinned as ModelCard)).toBe(is);
  });

  it('says no of a folder, and of what is not there', async () => {
    expect([await isModelFile(dir, card), await isModelFile(`${path}.none`, card)]).toEqual([false, false]);
  });
});

describe.each([
  ['checkModelFile', checkModelFile],
  ['readModelFile', readModelFile],
])('%s', (_, check: (path: string, card: ModelCard) => Promise<unknown>) => {
  it('takes the file of the card', async () => {
    const read = await check(path, card);
    // Bytes are compared as such: a comparison that prints differences takes seconds for megabytes.
    expect(read instanceof Uint8Array ? bytes.equals(read) : read).toBe(
      check === readModelFile ? true : undefined,
    );
  });

  it('refuses another file with both hashes, and names no folder', async () => {
    writeFileSync(path, 'other');
    const received = createHash('sha256').update('other').digest('hex');
    const error = await refusal(check(path, card));
    expect(error).toMatchObject({
      code: 'MODEL_CHECKSUM_MISMATCH',
      message: `Expected sha256 ${sha256} for the file mine.onnx of model mine but it is ${received}.`,
      details: { file: 'mine.onnx', model: 'mine', expected: sha256, received },
    });
    expect(JSON.stringify([error.message, error.details])).not.toContain(dir);
  });

  it.each(['absent.onnx', '.'])('refuses %s, which cannot be read', async (name) => {
    const error = await refusal(check(join(dir, name), card));
    expect(error).toMatchObject({ code: 'MODEL_NOT_FOUND', details: {} });
    expect(error.message).toMatch(/^The file \S+ of model mine cannot be read\.$/);
    expect(error.cause).toMatchObject({ code: expect.stringMatching(/^(ENOENT|EISDIR)$/) });
  });
});
