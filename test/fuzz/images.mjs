import fc from 'fast-check';
import { createRequire } from 'node:module';
import { crc32 } from 'node:zlib';
import sharp from 'sharp';

const { goldenInput } = createRequire(import.meta.url)('../golden/golden-inputs.cjs');

/** Side of the drawn portrait, pixels: the default detector finds its face. */
const SIDE = 200;
/** Bytes at the start of a file where most formats keep their headers. */
const HEADER_BYTES = 128;

/** An image by its name and the edits made to it. It is printed as those, never as its bytes. */
export class FuzzImage {
  constructor(base, edits = []) {
    this.base = base;
    this.edits = edits;
  }

  toBytes() {
    return this.edits.reduce((bytes, edit) => apply(bytes, edit), this.base.bytes);
  }

  toString() {
    return this.edits.length === 0
      ? `<image ${this.base.name}>`
      : `<image ${this.base.name}, ${JSON.stringify(this.edits)}>`;
  }
}

/** One image of every format that is read, in the variants that take other paths of the decoders; and files that are no image. */
export async function baseImages() {
  const picture = () =>
    sharp(goldenInput('portrait', 512), { raw: { width: 512, height: 512, channels: 3 } }).resize(SIDE, SIDE);
  const frames = async () =>
    sharp(await Promise.all([picture(), picture().negate()].map((frame) => frame.png().toBuffer())), {
      join: { animated: true },
    });
  const encoded = {
    jpeg: picture().jpeg(),
    'progressive jpeg': picture().jpeg({ progressive: true }),
    'gray jpeg': picture().grayscale().jpeg(),
    'CMYK jpeg': picture().toColourspace('cmyk').jpeg(),
    'turned jpeg with a profile': picture().withMetadata({ orientation: 6 }).withIccProfile('p3').jpeg(),
    png: picture().png(),
    'png of 16 bits': picture().toColourspace('rgb16').png(),
    'png with a palette': picture().png({ palette: true }),
    'interlaced png with alpha': picture().ensureAlpha(0.5).png({ progressive: true }),
    webp: picture().webp(),
    'lossless webp': picture().webp({ lossless: true }),
    'animated webp': (await frames()).webp(),
    gif: picture().gif(),
    'animated gif': (await frames()).gif(),
    avif: picture().avif({ effort: 0 }),
    tiff: picture().tiff({ compression: 'lzw' }),
    'tiff in tiles': picture().tiff({ compression: 'deflate', tile: true, tileWidth: 64, tileHeight: 64 }),
    'tiff of jpeg': picture().tiff({ compression: 'jpeg' }),
  };
  const images = await Promise.all(
    Object.entries(encoded).map(async ([name, image]) => ({ name, bytes: await image.toBuffer() })),
  );
  const others = {
    svg: '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/hostname"/></svg>',
    pdf: '%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>',
    heic: '\0\0\0\u0018ftypheic\0\0\0\0mif1heic',
    ppm: `P6 99999 99999 255\n${'a'.repeat(99)}`,
    text: 'no picture, only words',
    nothing: '',
  };
  return [
    ...images,
    ...Object.entries(others).map(([name, text]) => ({ name, bytes: Buffer.from(text, 'latin1') })),
  ];
}

/** Images as they are, and with bytes changed, cut off, taken out, put in twice or appended, and with other sizes in the header. */
export function imageArbitrary(bases) {
  const base = fc.constantFrom(...bases);
  return fc.oneof(
    { weight: 2, arbitrary: base.map((one) => new FuzzImage(one)) },
    {
      weight: 5,
      arbitrary: fc
        .tuple(base, fc.array(editArbitrary(), { minLength: 1, maxLength: 6 }))
        .map(([one, edits]) => new FuzzImage(one, edits)),
    },
  );
}

function editArbitrary() {
  // A fraction of the file, so that an edit means the same for every base.
  const at = fc.integer({ min: 0, max: 9999 }).map((part) => part / 10_000);
  const length = fc.oneof(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 4096 }));
  const side = fc.oneof(
    fc.constantFrom(0, 1, 2, 65_535, 2 ** 31 - 1, 2 ** 32 - 1),
    fc.integer({ min: 0, max: 30_000 }),
  );
  const byte = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.integer({ min: 0, max: 255 }));
  return fc.oneof(
    { weight: 4, arbitrary: fc.record({ edit: fc.constant('set'), at, byte }) },
    {
      weight: 4,
      arbitrary: fc.record({
        edit: fc.constant('header'),
        offset: fc.integer({ min: 0, max: HEADER_BYTES - 1 }),
        byte,
      }),
    },
    { weight: 2, arbitrary: fc.record({ edit: fc.constant('cut'), at }) },
    { weight: 1, arbitrary: fc.record({ edit: fc.constant('remove'), at, length }) },
    { weight: 1, arbitrary: fc.record({ edit: fc.constant('repeat'), at, length }) },
    { weight: 1, arbitrary: fc.record({ edit: fc.constant('append'), length, byte }) },
    { weight: 2, arbitrary: fc.record({ edit: fc.constant('size'), width: side, height: side }) },
  );
}

function apply(bytes, { edit, at, offset, byte, length, width, height }) {
  const from = Math.floor((at ?? 0) * bytes.length);
  const changed = Buffer.from(bytes);
  switch (edit) {
    case 'set':
      if (from < changed.length) changed[from] = byte;
      return changed;
    case 'header':
      if (offset < changed.length) changed[offset] = byte;
      return changed;
    case 'cut':
      return bytes.subarray(0, from);
    case 'remove':
      return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + length)]);
    case 'repeat':
      return Buffer.concat([bytes.subarray(0, from + length), bytes.subarray(from)]);
    case 'append':
      return Buffer.concat([bytes, Buffer.alloc(length, byte)]);
    case 'size':
      return withSize(changed, width, height);
  }
}

/** Writes other sides into the header of a PNG, JPEG or GIF, with the checksum that makes a decoder believe it. */
function withSize(bytes, width, height) {
  if (bytes.length > 33 && bytes.toString('latin1', 12, 16) === 'IHDR') {
    bytes.writeUInt32BE(width, 16);
    bytes.writeUInt32BE(height, 20);
    bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29);
  } else if (bytes.length > 10 && bytes.toString('latin1', 0, 3) === 'GIF') {
    bytes.writeUInt16LE(width & 0xffff, 6);
    bytes.writeUInt16LE(height & 0xffff, 8);
  } else {
    // Start of a frame, baseline or progressive: marker, length (2), bits (1), height (2), width (2).
    const frame = Math.max(bytes.indexOf('ffc0', 0, 'hex'), bytes.indexOf('ffc2', 0, 'hex'));
    if (frame >= 0 && frame + 9 <= bytes.length) {
      bytes.writeUInt16BE(height & 0xffff, frame + 5);
      bytes.writeUInt16BE(width & 0xffff, frame + 7);
    }
  }
  return bytes;
}
