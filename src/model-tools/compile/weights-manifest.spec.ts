import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WeightsManifest } from './weights-manifest';

const MANIFEST = [
  {
    paths: ['tiny.bin'],
    weights: [
      {
        name: 'conv/filters',
        shape: [1, 1, 1, 3],
        dtype: 'float32',
        quantization: { dtype: 'uint8', scale: 0.1, min: -0.3 },
      },
      { name: 'conv/bias', shape: [2], dtype: 'float32' },
      { name: 'stack/axis', shape: [], dtype: 'int32', quantization: { dtype: 'uint8', scale: 1, min: 3 } },
    ],
  },
];

const BYTES = Buffer.alloc(12);
BYTES.set([0, 3, 255]);
BYTES.writeFloatLE(1.5, 3);
BYTES.writeFloatLE(-2, 7);

describe(WeightsManifest.name, () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'likeness-weights-'));
    await writeFile(join(folder, 'tiny-weights_manifest.json'), JSON.stringify(MANIFEST));
    await writeFile(join(folder, 'tiny.bin'), BYTES);
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('turns bytes into floats as byte * scale + min, rounded once', async () => {
    const { shape, data } = (await WeightsManifest.read(folder, 'tiny')).tensor('conv/filters');
    expect(shape).toEqual([1, 1, 1, 3]);
    expect(Array.from(data)).toEqual([0, 3, 255].map((byte) => Math.fround(byte * 0.1 + -0.3)));
  });

  it('reads plain floats at any offset', async () => {
    const { data } = (await WeightsManifest.read(folder, 'tiny')).tensor('conv/bias');
    expect(Array.from(data)).toEqual([1.5, -2]);
  });

  it('joins the files of all groups', async () => {
    await writeFile(join(folder, 'a.bin'), BYTES.subarray(0, 5));
    await writeFile(join(folder, 'b.bin'), BYTES.subarray(5));
    const groups = [{ ...MANIFEST[0], paths: ['a.bin', 'b.bin'] }];
    await writeFile(join(folder, 'split-weights_manifest.json'), JSON.stringify(groups));
    const { data } = (await WeightsManifest.read(folder, 'split')).tensor('conv/bias');
    expect(Array.from(data)).toEqual([1.5, -2]);
  });

  it('throws MODEL_INVALID naming the tensor when the file is cut short', async () => {
    await writeFile(join(folder, 'tiny.bin'), BYTES.subarray(0, 9));
    await expect(WeightsManifest.read(folder, 'tiny')).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: 'tiny: weights end at byte 9, inside "conv/bias" (3 to 11)',
    });
  });

  it('throws MODEL_INVALID when bytes are left over', async () => {
    await writeFile(join(folder, 'tiny.bin'), Buffer.concat([BYTES, BYTES]));
    await expect(WeightsManifest.read(folder, 'tiny')).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: 'tiny: expected 12 bytes of weights but received 24',
    });
  });

  it('throws MODEL_INVALID naming a missing tensor', async () => {
    const manifest = await WeightsManifest.read(folder, 'tiny');
    expect(() => manifest.tensor('conv/scale')).toThrow('tiny: no tensor named "conv/scale"');
  });

  it('throws MODEL_INVALID for a tensor that holds no floats', async () => {
    const manifest = await WeightsManifest.read(folder, 'tiny');
    expect(() => manifest.tensor('stack/axis')).toThrow('"stack/axis" is int32, not float32');
  });

  it('throws MODEL_INVALID for an unknown quantization', () => {
    const quantization = { dtype: 'uint16', scale: 1, min: 0 };
    const weights = [{ name: 'x', shape: [1], dtype: 'float32', quantization }];
    expect(() => new WeightsManifest('tiny', [{ paths: [], weights }], Buffer.alloc(2))).toThrow(
      '"x" is quantized as "uint16", which is not supported',
    );
  });

  it('finds the tensors that a network forgot', async () => {
    const manifest = await WeightsManifest.read(folder, 'tiny');
    manifest.tensor('conv/filters');
    expect(() => manifest.assertAllUsed(['stack/'])).toThrow('tiny: unused tensors: conv/bias');
    manifest.tensor('conv/bias');
    expect(() => manifest.assertAllUsed(['stack/'])).not.toThrow();
    expect(() => manifest.assertAllUsed()).toThrow('stack/axis');
  });

  it.each([
    ['not json', 'is not valid JSON'],
    ['[{"paths":[]}]', 'is not a list of weight groups'],
    ['{}', 'is not'],
  ])('throws MODEL_INVALID for the manifest %s', async (text, message) => {
    await writeFile(join(folder, 'tiny-weights_manifest.json'), text);
    const reading = WeightsManifest.read(folder, 'tiny');
    await expect(reading).rejects.toMatchObject({ code: 'MODEL_INVALID' });
    await expect(reading).rejects.toThrow(message);
  });

  it('throws MODEL_NOT_FOUND without the folder when a file is absent', async () => {
    await rm(join(folder, 'tiny.bin'));
    await expect(WeightsManifest.read(folder, 'tiny')).rejects.toMatchObject({
      code: 'MODEL_NOT_FOUND',
      message: 'Weight file tiny.bin cannot be read',
      details: { file: 'tiny.bin' },
    });
  });
});
