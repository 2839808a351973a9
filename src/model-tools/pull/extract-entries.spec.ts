import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeZip, type ZipFile } from '../../../test/support/make-zip';
import { seededRandom } from '../../../test/support/seeded-random';
import { tempFolders } from '../../../test/support/temp-folder';
import { extractEntries, MAX_FILE_BYTES } from './extract-entries';

const makeFolder = tempFolders();
const random = seededRandom(3);
const weights = Buffer.from(Array.from({ length: 200_000 }, () => Math.floor(random() * 256)));
const good: ZipFile = { name: 'det.onnx', content: weights };

/** Extracts `det.onnx` from a zip and returns its content. */
async function extract(zip: Buffer, name = 'det.onnx'): Promise<Buffer> {
  const path = join(makeFolder(), 'pack.zip');
  writeFileSync(path, zip);
  const chunks: Uint8Array[] = [];
  const save = async (content: AsyncIterable<Uint8Array>) => {
    for await (const chunk of content) chunks.push(chunk);
  };
  await extractEntries(path, [{ name, save }]);
  expect(readdirSync(join(path, '..'))).toEqual(['pack.zip']);
  return Buffer.concat(chunks);
}

describe(extractEntries.name, () => {
  it.each<[string, ZipFile[]]>([
    ['deflated', [good]],
    ['stored', [{ ...good, deflated: false }]],
    [
      'in folders, among other files',
      [{ name: 'a/README' }, { name: 'b/README' }, { ...good, name: 'pack/v2/det.onnx' }],
    ],
  ])('reads a file that is %s', async (_, files) => {
    expect((await extract(makeZip(files))).equals(weights)).toBe(true);
  });

  const link = 0o120777;
  it.each<[string, Buffer, RegExp]>([
    ['a path that leads out', makeZip([good, { name: '../../etc/cron.d/x' }]), /invalid relative path/],
    [
      'a path that leads out, of the wanted file',
      makeZip([{ ...good, name: 'a/../../det.onnx' }]),
      /invalid relative path/,
    ],
    ['an absolute path', makeZip([good, { name: '/etc/passwd' }]), /absolute path/],
    ['a path of another system', makeZip([good, { name: '..\\x' }]), /invalid characters/],
    ['a drive', makeZip([good, { name: 'C:/x' }]), /absolute path/],
    [
      'a link',
      makeZip([good, { name: 'other', content: Buffer.from('/etc/passwd'), mode: link }]),
      /other is a link/,
    ],
    ['the file twice', makeZip([good, { ...good, name: 'again/det.onnx' }]), /two files det\.onnx/],
    ['an encrypted file', makeZip([{ ...good, flags: 1 }]), /is encrypted/],
    ['strong encryption', makeZip([{ ...good, flags: 0x41 }]), /encryption is not supported/],
    ['no such file', makeZip([{ ...good, name: 'other.onnx' }]), /has no file det\.onnx/],
    ['a folder of that name', makeZip([{ name: 'det.onnx/' }]), /has no file det\.onnx/],
    [
      'a wrong checksum',
      makeZip([{ ...good, says: { crc: 1 } }]),
      /checksum \(CRC-32\) of det\.onnx is wrong/,
    ],
    ['more than it says', makeZip([{ ...good, says: { size: 1000 } }]), /too many bytes/],
    ['less than it says', makeZip([{ ...good, says: { size: 1_000_000 } }]), /not enough bytes/],
    ['too large a file', makeZip([{ ...good, says: { size: MAX_FILE_BYTES + 1 } }]), /more than \d+ bytes/],
    [
      'too many files',
      makeZip(Array.from({ length: 1001 }, (_, i) => ({ name: `${i}` }))),
      /more than 1000 entries/,
    ],
    ['its end cut off', makeZip([good]).subarray(0, -40), /signature not found/],
    ['its beginning cut off', makeZip([good]).subarray(100), /./],
    ['no zip at all', Buffer.from('<html>Not found</html>'), /not a zip file/],
    ['nothing', Buffer.alloc(0), /./],
  ])('refuses a zip with %s', async (_, zip, reason) => {
    const error = await extract(zip).then(
      () => null,
      (thrown: Error & { details: unknown }) => thrown,
    );
    expect(error).toMatchObject({
      code: 'MODEL_ARCHIVE_INVALID',
      message: expect.stringMatching(/^The pack pack\.zip cannot be used: [^/]/),
      details: { file: 'pack.zip' },
    });
    expect(error?.message).toMatch(reason);
  });

  it('refuses data that is damaged', async () => {
    const zip = makeZip([{ ...good, content: Buffer.alloc(100_000, 'abc') }]);
    // The first byte of the deflated data: a block of a nonexistent type.
    zip[30 + 'det.onnx'.length] = 0xff;
    await expect(extract(zip)).rejects.toMatchObject({ code: 'MODEL_ARCHIVE_INVALID' });
  });

  it('stops a bomb at the size that it states', async () => {
    const bomb = makeZip([
      { name: 'det.onnx', content: Buffer.alloc(64 * 1024 ** 2), says: { size: 100_000 } },
    ]);
    let taken = 0;
    const path = join(makeFolder(), 'bomb.zip');
    writeFileSync(path, bomb);
    const save = async (content: AsyncIterable<Uint8Array>) => {
      for await (const chunk of content) taken += chunk.length;
    };
    await expect(extractEntries(path, [{ name: 'det.onnx', save }])).rejects.toMatchObject({
      code: 'MODEL_ARCHIVE_INVALID',
    });
    expect(taken).toBeLessThanOrEqual(100_000);
  });

  it('passes on what the one who saves throws', async () => {
    const path = join(makeFolder(), 'pack.zip');
    writeFileSync(path, makeZip([good]));
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { syscall: 'write' });
    const save = () => Promise.reject(full);
    await expect(extractEntries(path, [{ name: 'det.onnx', save }])).rejects.toBe(full);
  });
});
