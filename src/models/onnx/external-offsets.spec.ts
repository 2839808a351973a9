import { externalOffsets } from './external-offsets';
import { lengthDelimited } from './protobuf-fields';

const field = (id: number, ...content: (Uint8Array | string)[]) =>
  Buffer.concat(
    lengthDelimited(
      id,
      content.map((part) => Buffer.from(part)),
    ),
  );
const entry = (key: string, value: string) => field(13, field(1, key), field(2, value));
const tensor = (name: string, ...external: Buffer[]) => field(5, field(8, name), ...external);

describe('externalOffsets', () => {
  it('reads the offset of each initializer that is in a separate file', () => {
    const first = tensor('a', entry('location', 'w'), entry('offset', '0'), entry('length', '64'));
    const second = tensor('b', entry('location', 'w'), entry('offset', '4660'), entry('length', '8'));
    const inline = tensor('c', field(9, 'raw'));
    expect(externalOffsets(field(7, first, inline, second))).toEqual([0, 4660]);
  });

  it('reads none from a graph with its weights', () => {
    expect(externalOffsets(field(7, tensor('a', field(9, 'raw'))))).toEqual([]);
  });

  it('refuses what is truncated', () => {
    expect(() => externalOffsets(field(7, tensor('a')).subarray(0, -1))).toThrow();
  });
});
