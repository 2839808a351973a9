import { blocks, quote } from './hdf5-file';

describe(blocks.name, () => {
  const listed = (shape: number[]) => [...blocks(shape)];

  it('takes a small tensor at once', () => {
    expect(listed([3, 3, 3, 8])).toEqual([
      { offset: [0n, 0n, 0n, 0n], count: [3n, 3n, 3n, 8n], elements: 216 },
    ]);
    expect(listed([5])).toEqual([{ offset: [0n], count: [5n], elements: 5 }]);
  });

  it('divides the first axis of which one index fits', () => {
    // 4096 x 4096 x 4 bytes are 64 MiB: eight times 512 rows.
    const rows = listed([1, 1, 4096, 4096]);
    expect(rows).toHaveLength(8);
    expect(rows[7]).toEqual({
      offset: [0n, 0n, 3584n, 0n],
      count: [1n, 1n, 512n, 4096n],
      elements: 512 * 4096,
    });
  });

  it.each([[[7, 7, 512, 4096]], [[3, 5, 700, 1000]], [[4_000_001]], [[2, 3_000_000]]])(
    'goes through all of %j once, in order',
    (shape) => {
      let expected = 0;
      for (const { offset, count, elements } of blocks(shape)) {
        // Index of the first element, row-major.
        const start = offset.reduce((index, at, axis) => index * shape[axis] + Number(at), 0);
        expect(start).toBe(expected);
        expect(count.reduce((product, size) => product * Number(size), 1)).toBe(elements);
        expect(elements).toBeLessThanOrEqual(2 ** 21);
        expected += elements;
      }
      expect(expected).toBe(shape.reduce((product, size) => product * size, 1));
    },
  );
});

describe(quote.name, () => {
  it('cuts long names and escapes what a terminal might obey', () => {
    expect(quote('conv\u001b[2J')).toBe('"conv\\u001b[2J"');
    expect(quote('x'.repeat(500))).toHaveLength(103);
  });
});
