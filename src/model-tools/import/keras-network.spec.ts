import { decodeModel, type OnnxModel } from '../../models/onnx/onnx-schema';
import { OnnxGraph } from '../onnx/onnx-builder';
import { KerasNetwork, matchLayers } from './keras-network';
import type { KerasLayer } from './keras-weights';

/** Layers of a file, as declared by the network. */
function fileOf(net: KerasNetwork, rename = (name: string) => name): KerasLayer[] {
  return net.weightedLayers().map(({ name, tensors }) => ({
    name: rename(name),
    tensors: tensors.map((tensor) => ({ path: `/${name}/${tensor.name}`, shape: tensor.shape })),
  }));
}

const ascending = (shape: readonly number[]) =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i);

/** Writes a network with the values 0, 1, 2, ... in every tensor, in the order of Keras. */
function written(net: KerasNetwork): OnnxModel['graph'] {
  const graph = new OnnxGraph('net');
  net.write(graph, matchLayers(net.weightedLayers(), fileOf(net)), (_layer, { shape }, place) => {
    const data = ascending(shape);
    if (place == null) return data;
    const moved = new Float32Array(data.length);
    data.forEach((value, i) => (moved[place(i)] = value));
    return moved;
  });
  return decodeModel(graph.toBytes()).graph;
}

function constant({ initializer }: OnnxModel['graph'], name: string) {
  const { dims, rawData } = initializer.find((tensor) => tensor.name === name) as (typeof initializer)[0];
  return {
    dims,
    data: Array.from({ length: rawData.length / 4 }, (_, i) => Buffer.from(rawData).readFloatLE(i * 4)),
  };
}

describe(KerasNetwork.name, () => {
  it('moves kernels from [H, W, in, out] to [out, in, H, W]', () => {
    const net = new KerasNetwork();
    net.output('y', net.conv(net.input([4, 4, 2]), 3, [1, 2], { name: 'conv' }));
    const { dims, data } = constant(written(net), 'conv/kernel');
    expect(dims).toEqual([3, 2, 1, 2]);
    // Element [0, w, i, o] of Keras is (w * 2 + i) * 3 + o.
    expect(data).toEqual([0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11]);
  });

  it('moves depthwise kernels from [H, W, C, 1] to [C, 1, H, W]', () => {
    const net = new KerasNetwork();
    net.output('y', net.depthwiseConv(net.input([4, 4, 3]), 2, { name: 'depthwise', bias: false }));
    const graph = written(net);
    const { dims, data } = constant(graph, 'depthwise/depthwise_kernel');
    expect(dims).toEqual([3, 1, 2, 2]);
    expect(data).toEqual([0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
    const conv = graph.node.find(({ opType }) => opType === 'Conv');
    expect(conv?.attribute.find(({ name }) => name === 'group')?.i).toBe(3);
  });

  it('moves slopes of each element from [H, W, C] to [C, H, W]', () => {
    const net = new KerasNetwork();
    net.output('y', net.prelu(net.input([1, 2, 3]), { name: 'prelu', sharedAxes: false }));
    expect(constant(written(net), 'prelu/alpha')).toEqual({ dims: [3, 1, 2], data: [0, 3, 1, 4, 2, 5] });
  });

  it('flattens in the order of Keras, so that a dense kernel stays as it is', () => {
    const net = new KerasNetwork();
    net.output('y', net.dense(net.flatten(net.input([2, 2, 3])), 1, { name: 'dense' }));
    const graph = written(net);
    expect(graph.node.map(({ opType }) => opType)).toEqual(['Transpose', 'Flatten', 'Gemm', 'Identity']);
    expect(graph.node[0].attribute[0].ints).toEqual([0, 2, 3, 1]);
    expect(constant(graph, 'dense/kernel')).toEqual({ dims: [12, 1], data: Array.from(ascending([12])) });
  });

  it('leaves layers that no output needs out of the graph, and expects them in the file', () => {
    const net = new KerasNetwork();
    const body = net.conv(net.input([4, 4, 1]), 2, 3, { name: 'body' });
    net.kerasOutputs([net.dense(net.flatten(body), 9, { name: 'classes' })]);
    net.output('y', net.flatten(body));
    expect(fileOf(net).map(({ name }) => name)).toEqual(['body', 'classes']);
    expect(written(net).initializer.map(({ name }) => name)).toEqual(['body/kernel', 'body/bias']);
  });

  it.each([
    [5, 3, 1, 'valid', 3],
    [5, 3, 2, 'valid', 2],
    [6, 3, 2, 'valid', 2],
    [5, 3, 2, 'same', 3],
    [6, 1, 4, 'same', 2],
  ] as const)(
    'computes sizes as TensorFlow: %d, window %d, stride %d, %s',
    (size, window, strides, padding, expected) => {
      const net = new KerasNetwork();
      const x = net.input([size, size, 1]);
      expect(net.conv(x, 7, window, { strides, padding }).shape).toEqual([expected, expected, 7]);
      expect(net.maxPool(x, window, { strides, padding }).shape).toEqual([expected, expected, 1]);
    },
  );
});

describe('order of the layers of Keras', () => {
  it('is by depth from the outputs, and by the walk back from them within a depth', () => {
    const net = new KerasNetwork();
    const image = net.input([8, 8, 4]);
    // Created in another order than in files of Keras.
    const short = net.conv(image, 4, 1, { name: 'short' });
    const first = net.conv(image, 4, 1, { name: 'first' });
    const second = net.conv(first, 4, 1, { name: 'second' });
    const sum = net.add([second, short]);
    net.output('y', net.conv(sum, 4, 1, { name: 'last' }));
    // Depths: first 3; second and short 2, where the sum names second before short; last 0.
    expect(net.weightedLayers().map(({ name }) => name)).toEqual(['first', 'second', 'short', 'last']);
  });

  it('takes the longest way', () => {
    const net = new KerasNetwork();
    const image = net.input([8, 8, 4]);
    const side = net.conv(image, 4, 1, { name: 'side' });
    const main = net.conv(side, 4, 1, { name: 'main' });
    const branch = net.conv(image, 4, 1, { name: 'branch' });
    net.output('y', net.add([branch, net.add([main, side])]));
    // branch is one step from the end, side four.
    expect(net.weightedLayers().map(({ name }) => name)).toEqual(['side', 'main', 'branch']);
  });
});

describe(matchLayers.name, () => {
  const network = () => {
    const net = new KerasNetwork();
    const a = net.conv(net.input([8, 8, 4]), 4, 1, { name: 'a' });
    net.output('y', net.conv(a, 4, 1, { name: 'b' }));
    return net;
  };
  const match = (net: KerasNetwork, file: KerasLayer[]) =>
    [...matchLayers(net.weightedLayers(), file)].map(([layer, { name }]) => `${layer.name}=${name}`);

  it('goes by name where both have the same', () => {
    const net = network();
    expect(match(net, fileOf(net).reverse())).toEqual(['a=a', 'b=b']);
  });

  it('goes by order where they do not', () => {
    const net = network();
    expect(
      match(
        net,
        fileOf(net, (name) => `conv2d_${name}`),
      ),
    ).toEqual(['a=conv2d_a', 'b=conv2d_b']);
  });

  it('goes by order where only some names are the same, as made-up names may be by chance', () => {
    const net = network();
    const [a, b] = fileOf(net);
    expect(
      match(net, [
        { ...a, name: 'b' },
        { ...b, name: 'c' },
      ]),
    ).toEqual(['a=b', 'b=c']);
  });
});
