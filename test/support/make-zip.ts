import { crc32, deflateRawSync } from 'node:zlib';

/** One file of a zip, and what is to be wrong with it. */
export interface ZipFile {
  name: string;
  content?: Buffer;
  /** What the headers say of the content instead of the truth. */
  says?: { size?: number; crc?: number };
  /** Unix mode, for example of a symbolic link. */
  mode?: number;
  /** General purpose flags: 1 is encryption. */
  flags?: number;
  /** Stored where false. */
  deflated?: boolean;
}

/** Writes a zip byte by byte (PKWARE APPNOTE 4.3), so that it can be as wrong as a suite wants it. */
export function makeZip(files: readonly ZipFile[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const {
    name,
    content = Buffer.alloc(0),
    says = {},
    mode = 0o100644,
    flags = 0,
    deflated = true,
  } of files) {
    const data = deflated ? deflateRawSync(content) : content;
    const fileName = Buffer.from(name);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0); // version needed
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(deflated ? 8 : 0, 4);
    common.writeUInt32LE(says.crc ?? crc32(content), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(says.size ?? content.length, 18);
    common.writeUInt16LE(fileName.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, fileName, data]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(mode * 0x10000, 6);
    rest.writeUInt32LE(offset, 10);
    // Made by version 2.0 on Unix, so that the mode counts.
    directory.push(Buffer.from('PK\x01\x02\x14\x03', 'latin1'), common, rest, fileName);
    parts.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}
