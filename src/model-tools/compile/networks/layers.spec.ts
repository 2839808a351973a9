import { foldScale, toDepthwiseOihw, toOihw, type Kernel } from './layers';

describe(toOihw.name, () => {
  it('moves [H, W, in, out] to [out, in, H, W]', () => {
    const shape = [2, 3, 4, 5];
    // Every value says where it stands: its four digits are h, w, i and o.
    const data = new Float32Array(2 * 3 * 4 * 5);
    let at = 0;
    for (let h = 0; h < 2; h++)
      for (let w = 0; w < 3; w++)
        for (let i = 0; i < 4; i++) for (let o = 0; o < 5; o++) data[at++] = h * 1000 + w * 100 + i * 10 + o;

    const result = toOihw({ shape, data });

    expect(result.shape).toEqual([5, 4, 2, 3]);
    const value = (o: number, i: number, h: number, w: number) => result.data[((o * 4 + i) * 2 + h) * 3 + w];
    expect(value(0, 0, 0, 0)).toBe(0);
    expect(value(4, 3, 1, 2)).toBe(1234);
    expect(value(2, 0, 1, 0)).toBe(1002);
    expect(value(1, 3, 0, 2)).toBe(231);
  });
});

describe(toDepthwiseOihw.name, () => {
  it('moves [H, W, C, 1] to [C, 1, H, W]', () => {
    const result = toDepthwiseOihw({ shape: [1, 2, 3, 1], data: Float32Array.of(0, 1, 2, 10, 11, 12) });
    expect(result.shape).toEqual([3, 1, 1, 2]);
    expect(Array.from(result.data)).toEqual([0, 10, 1, 11, 2, 12]);
  });
});

describe(foldScale.name, () => {
  it('scales weights and bias per output channel and adds the offset to the bias', () => {
    const kernel: Kernel = {
      name: 'k',
      shape: [2, 1, 1, 2],
      data: Float32Array.of(1, 2, 3, 4),
      bias: Float32Array.of(1, -1),
    };
    const folded = foldScale(kernel, [2, 10], [0.5, 0.25]);
    expect(Array.from(folded.data)).toEqual([2, 4, 30, 40]);
    expect(Array.from(folded.bias)).toEqual([2.5, -9.75]);
    expect(Array.from(kernel.data)).toEqual([1, 2, 3, 4]);
  });
});
