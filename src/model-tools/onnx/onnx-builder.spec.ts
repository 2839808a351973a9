import { OnnxGraph } from './onnx-builder';
import { decodeModel, encodeModel, ONNX_ATTRIBUTE_TYPE, ONNX_DATA_TYPE } from '../../models/onnx/onnx-schema';

function smallGraph(): OnnxGraph {
  const graph = new OnnxGraph('small', '7');
  const image = graph.input('image', 'uint8', ['N', 4, 4, 3]);
  const pixels = graph.node('Cast', [graph.transpose(image, [0, 3, 1, 2])], { to: { int: 1 } });
  const kernel = graph.constant('float32', [2, 3, 1, 1], Float32Array.of(1, -2, 3, 4, 5, 6), 'kernel');
  const convolved = graph.conv(pixels, { kernel, strides: [2, 2], padding: 'same' });
  graph.output('result', graph.relu(convolved), 'float32', ['N', 2, 2, 2]);
  return graph;
}

describe(OnnxGraph.name, () => {
  it('writes a header that runtimes accept', () => {
    const model = decodeModel(smallGraph().toBytes());
    expect(model).toMatchObject({ irVersion: 8, producerName: 'likeness', producerVersion: '7' });
    expect(model.opsetImport).toEqual([{ domain: '', version: 17 }]);
    expect(model.graph.name).toBe('small');
  });

  it('writes inputs and outputs with types, sizes and symbolic sizes', () => {
    const { input, output } = decodeModel(smallGraph().toBytes()).graph;
    const shape = (...dim: object[]) => ({ dim });
    expect(input).toEqual([
      {
        name: 'image',
        type: {
          tensorType: {
            elemType: ONNX_DATA_TYPE.uint8,
            shape: shape({ dimParam: 'N' }, { dimValue: 4 }, { dimValue: 4 }, { dimValue: 3 }),
          },
        },
      },
    ]);
    expect(output.map(({ name }) => name)).toEqual(['result']);
    expect(output[0].type.tensorType.elemType).toBe(ONNX_DATA_TYPE.float32);
  });

  it('chains operations by the names it returned', () => {
    const { node } = decodeModel(smallGraph().toBytes()).graph;
    expect(node.map(({ opType }) => opType)).toEqual(['Transpose', 'Cast', 'Conv', 'Relu', 'Identity']);
    for (let i = 1; i < node.length; i++) expect(node[i].input[0]).toBe(node[i - 1].output[0]);
    expect(node[4].output).toEqual(['result']);
  });

  it('writes constants as little-endian bytes', () => {
    const [kernel] = decodeModel(smallGraph().toBytes()).graph.initializer;
    expect(kernel).toMatchObject({ name: 'kernel', dims: [2, 3, 1, 1], dataType: ONNX_DATA_TYPE.float32 });
    const values = Array.from({ length: 6 }, (_, i) => Buffer.from(kernel.rawData).readFloatLE(i * 4));
    expect(values).toEqual([1, -2, 3, 4, 5, 6]);
  });

  it('writes float32 values below 1e-20 as 0, those made later too, and leaves the array as it is', () => {
    const graph = new OnnxGraph('tiny');
    const values = Float32Array.of(1, 1e-40, -1e-30);
    graph.constant('float32', [3], values);
    graph.constant('float32', [3], () => values);
    for (const { rawData } of decodeModel(graph.toBytes()).graph.initializer) {
      expect([0, 4, 8].map((offset) => Buffer.from(rawData).readFloatLE(offset))).toEqual([1, 0, 0]);
    }
    expect(values[1]).toBeGreaterThan(0);
  });

  it('takes only the viewed part of a larger buffer', () => {
    const graph = new OnnxGraph('view');
    graph.constant('float32', [2], Float32Array.of(1, 2, 3, 4).subarray(1, 3));
    const { rawData } = decodeModel(graph.toBytes()).graph.initializer[0];
    expect(Buffer.from(rawData).readFloatLE(0)).toBe(2);
    expect(rawData).toHaveLength(8);
  });

  it('keeps every kind of attribute, zero and empty ones too', () => {
    const graph = new OnnxGraph('attributes');
    graph.node('Anything', [], {
      axis: { int: 0 },
      last: { int: -1 },
      epsilon: { float: 0.5 },
      mode: { string: 'linear' },
      pads: { ints: [0, 1, -1] },
      scales: { floats: [0.25, 2] },
    });
    const { attribute } = decodeModel(graph.toBytes()).graph.node[0];
    const byName = Object.fromEntries(attribute.map((entry) => [entry.name, entry]));
    expect(byName.axis).toMatchObject({ type: ONNX_ATTRIBUTE_TYPE.int, i: 0 });
    expect(byName.last).toMatchObject({ type: ONNX_ATTRIBUTE_TYPE.int, i: -1 });
    expect(byName.epsilon).toMatchObject({ type: ONNX_ATTRIBUTE_TYPE.float, f: 0.5 });
    expect(byName.mode.type).toBe(ONNX_ATTRIBUTE_TYPE.string);
    expect(Buffer.from(byName.mode.s ?? []).toString()).toBe('linear');
    expect(byName.pads).toMatchObject({ type: ONNX_ATTRIBUTE_TYPE.ints, ints: [0, 1, -1] });
    expect(byName.scales).toMatchObject({ type: ONNX_ATTRIBUTE_TYPE.floats, floats: [0.25, 2] });
  });

  it('writes int64 constants, negative ones too', () => {
    const graph = new OnnxGraph('ints');
    const x = graph.input('x', 'float32', ['N', 6]);
    graph.reshape(x, [0, -1, 3]);
    const [shape] = decodeModel(graph.toBytes()).graph.initializer;
    const bytes = Buffer.from(shape.rawData);
    expect([0, 8, 16].map((offset) => bytes.readBigInt64LE(offset))).toEqual([0n, -1n, 3n]);
    expect(shape.dataType).toBe(ONNX_DATA_TYPE.int64);
  });

  it('writes the same bytes for the same calls', () => {
    expect(smallGraph().toBytes().equals(smallGraph().toBytes())).toBe(true);
  });

  it('survives a round trip byte by byte', () => {
    const bytes = smallGraph().toBytes();
    expect(encodeModel(decodeModel(bytes)).equals(bytes)).toBe(true);
  });

  it('refuses data that do not fill the shape', () => {
    const graph = new OnnxGraph('wrong');
    expect(() => graph.constant('float32', [2, 2], new Float32Array(3))).toThrow(
      'Expected 16 bytes for float32 [2, 2] but received 12',
    );
  });

  it('refuses a name that is taken', () => {
    const graph = new OnnxGraph('twice');
    graph.input('x', 'float32', [1]);
    expect(() => graph.input('x', 'float32', [1])).toThrow('"x" is already in the graph');
  });

  it('writes the same model in pieces, each constant when its turn has come', () => {
    const made: string[] = [];
    const graph = smallGraph();
    const lazily = (name: string, values: number[]) =>
      graph.constant(
        'float32',
        [values.length],
        () => {
          made.push(name);
          return Float32Array.from(values);
        },
        name,
      );
    lazily('first', [1, 2]);
    lazily('second', Array<number>(100).fill(3));
    const pieces: Uint8Array[] = [];
    const madeBy: number[] = [];
    for (const piece of graph.toPieces()) {
      pieces.push(piece);
      madeBy.push(made.length);
    }
    // The last chunks: header and values of the first, header and values of the second.
    expect(pieces.slice(-4).map(({ length }) => length)).toEqual([
      expect.any(Number),
      8,
      expect.any(Number),
      400,
    ]);
    expect(madeBy.slice(-4)).toEqual([0, 1, 1, 2]);
    expect(made).toEqual(['first', 'second']);
    expect(decodeModel(Buffer.concat(pieces))).toEqual(decodeModel(graph.toBytes()));
  });

  it('refuses data made later that do not fill the shape', () => {
    const graph = new OnnxGraph('late');
    graph.constant('float32', [3], () => Float32Array.of(1, 2), 'late');
    expect(() => [...graph.toPieces()]).toThrow('Expected 12 bytes for float32 [3] but received 8');
  });
});
