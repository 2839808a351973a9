import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as protobuf from 'protobufjs/light';
import { OnnxGraph } from '../../model-tools/onnx/onnx-builder';
import { decodeModel, encodeModel, encodeNode, ONNX_DATA_TYPE, type OnnxModel } from './onnx-schema';
import { fieldsOf, lengthDelimited } from './protobuf-fields';
import { rewriteModel } from './rewrite-model';

const CHANNELS = 3;
let dir: string;
beforeAll(() => (dir = mkdtempSync(join(tmpdir(), 'likeness-rewrite-'))));
afterAll(() => rmSync(dir, { recursive: true }));

/** A convolution and a PRelu with a slope of the given shape. */
function preluGraph(
  slopeShape: number[] = [CHANNELS, 1, 1],
  slopes: number[] = Array.from({ length: slopeShape[0] }, (_, i) => 0.3 - 0.4 * i),
): OnnxGraph {
  const graph = new OnnxGraph('prelu');
  const x = graph.input('x', 'float32', ['N', CHANNELS, 5, 4]);
  const weights = Float32Array.from({ length: CHANNELS * CHANNELS * 9 }, (_, i) => Math.sin(i + 1));
  const kernel = graph.constant('float32', [CHANNELS, CHANNELS, 3, 3], weights, 'kernel');
  const slope = graph.constant('float32', slopeShape, Float32Array.from(slopes), 'slope');
  const activated = graph.node('PRelu', [graph.conv(x, { kernel, padding: 'same' }), slope]);
  graph.output('y', activated, 'float32', ['N', CHANNELS, 5, 4]);
  return graph;
}

/** Changes the decoded model to a form that the builder never writes. */
function changed(graph: OnnxGraph, change: (model: OnnxModel) => void): Buffer {
  const model = decodeModel(graph.toBytes());
  change(model);
  return encodeModel(model);
}

function run(...models: Uint8Array[]): number[][] {
  const files = models.map((bytes, i) => {
    const file = join(dir, `${i}.onnx`);
    writeFileSync(file, bytes);
    return file;
  });
  const script = join(__dirname, '../../../test/support/run-graphs.mjs');
  return JSON.parse(execFileSync(process.execPath, [script, ...files], { encoding: 'utf8' }));
}

/** Runs both models, and expects the same outputs, including negative ones. */
function expectSameOutputs(bytes: Uint8Array, rewritten: Uint8Array): void {
  const [before, after] = run(bytes, rewritten);
  expect(after).toHaveLength(before.length);
  expect(before.some((value) => value < 0)).toBe(true);
  expect(Math.max(...before.map((value, i) => Math.abs(value - after[i])))).toBeLessThan(1e-6);
}

const opTypes = (bytes: Uint8Array) => decodeModel(bytes).graph.node.map(({ opType }) => opType);
const valuesOf = ({ rawData }: { rawData: Uint8Array }) => [
  ...new Float32Array(Uint8Array.from(rawData).buffer),
];

/** A field with a number or a string, encoded as in protobuf. */
const field = (id: number, content: string | Uint8Array) =>
  Buffer.concat(lengthDelimited(id, [typeof content === 'string' ? Buffer.from(content) : content]));
const varint = (id: number, value: number) =>
  protobuf.Writer.create()
    .uint32(id << 3)
    .uint32(value)
    .finish();

/** A model with hand-written fields of a graph, surrounded by unknown fields. */
function modelOf(graphFields: Uint8Array[], opset = 13): Buffer {
  return Buffer.concat([
    varint(1, 8),
    field(14, 'metadata before'),
    field(7, Buffer.concat(graphFields)),
    field(8, varint(2, opset)),
    field(20, 'training info after'),
  ]);
}
const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

describe(rewriteModel.name, () => {
  it.each([
    ['one slope per channel', [CHANNELS, 1, 1]],
    ['one slope for all', [1]],
  ])('splits PRelu with %s, and keeps the outputs', (_, shape) => {
    const bytes = preluGraph(shape).toBytes();
    const before = Buffer.from(bytes);
    const rewritten = rewriteModel(bytes);
    expect(bytes.equals(before)).toBe(true);
    expect(opTypes(rewritten)).toEqual(['Conv', 'Relu', 'Mul', 'Mul', 'Add', 'Identity']);
    const { initializer } = decodeModel(rewritten).graph;
    const [complement, , slope] = initializer;
    expect(slope.name).toBe('slope');
    expect([complement, slope].map(({ dims }) => dims)).toEqual([shape, shape]);
    const [complements, slopes] = [complement, slope].map(valuesOf);
    expect(complements).toEqual(slopes.map((slope) => Math.fround(1 - slope)));
    expectSameOutputs(bytes, rewritten);
  });

  it('writes 1 - slope once for nodes that share a slope', () => {
    const graph = new OnnxGraph('shared');
    const x = graph.input('x', 'float32', ['N', 4]);
    const slope = graph.floats([0.5], [1]);
    const twice = graph.node('PRelu', [
      graph.sub(graph.node('PRelu', [x, slope]), graph.floats([0.25])),
      slope,
    ]);
    graph.output('y', twice, 'float32', ['N', 4]);
    const bytes = graph.toBytes();
    const rewritten = rewriteModel(bytes);
    expect(decodeModel(rewritten).graph.initializer).toHaveLength(3);
    expectSameOutputs(bytes, rewritten);
  });

  it('works on models of the format before 4, whose initializers are inputs too', () => {
    const bytes = changed(preluGraph(), (model) => {
      model.irVersion = 3;
      model.opsetImport[0].version = 8;
      model.graph.input.push(
        ...model.graph.initializer.map(({ name, dims, dataType }) => ({
          name,
          type: {
            tensorType: { elemType: dataType, shape: { dim: dims.map((dimValue) => ({ dimValue })) } },
          },
        })),
      );
    });
    const rewritten = rewriteModel(bytes);
    expect(opTypes(rewritten)).not.toContain('PRelu');
    expectSameOutputs(bytes, rewritten);
  });

  it('gives new values names that occur nowhere', () => {
    const bytes = changed(preluGraph(), (model) => {
      for (const node of model.graph.node) {
        node.input = node.input.map((name) => (name === 'slope' ? 'split_prelu_0' : name));
      }
      model.graph.initializer[1].name = 'split_prelu_0';
      model.graph.name = 'split_prelu__';
    });
    const rewritten = rewriteModel(bytes);
    const { initializer, node } = decodeModel(rewritten).graph;
    const names = [...initializer.map(({ name }) => name), ...node.flatMap(({ output }) => output)];
    expect(new Set(names).size).toBe(names.length);
    expect(initializer.map(({ name }) => name)).toEqual(['split_prelu___0', 'kernel', 'split_prelu_0']);
    expectSameOutputs(bytes, rewritten);
  });

  it.each<[what: string, bytes: () => Uint8Array]>([
    [
      'neither PRelu nor tiny weights',
      () => {
        const graph = new OnnxGraph('plain');
        const x = graph.input('x', 'float32', ['N', 2]);
        graph.output('y', graph.mul(x, graph.floats([3e-20, 1], [2])), 'float32', ['N', 2]);
        return graph.toBytes();
      },
    ],
    [
      'a slope that is computed',
      () => {
        const graph = new OnnxGraph('computed');
        const x = graph.input('x', 'float32', ['N', 2]);
        graph.output('y', graph.node('PRelu', [x, graph.mul(x, x)]), 'float32', ['N', 2]);
        return graph.toBytes();
      },
    ],
    ['a slope too large to be split', () => preluGraph([1], [9]).toBytes()],
    ['a slope that is no number', () => preluGraph([1], [NaN]).toBytes()],
    [
      'operators that broadcast in another way',
      () => changed(preluGraph(), (model) => (model.opsetImport[0].version = 6)),
    ],
    ['no version of the operators', () => changed(preluGraph(), (model) => (model.opsetImport = []))],
    [
      'a slope of another type',
      () =>
        changed(preluGraph(), (model) => {
          model.graph.initializer[1].dataType = ONNX_DATA_TYPE.int32;
        }),
    ],
    [
      'a PRelu of another domain',
      () =>
        modelOf([
          field(
            1,
            Buffer.concat([
              encodeNode({ name: 'n', opType: 'PRelu', input: ['x', 's'], output: ['y'], attribute: [] }),
              field(7, 'com.example'),
            ]),
          ),
          field(5, Buffer.concat([varint(1, 1), varint(2, 1), field(8, 's'), field(9, floats(0.5))])),
        ]),
    ],
    [
      'tiny values in raw data of another type',
      () =>
        modelOf([
          field(
            5,
            Buffer.concat([
              varint(1, 1),
              varint(2, ONNX_DATA_TYPE.int32),
              field(8, 'i'),
              field(9, floats(1e-30)),
            ]),
          ),
        ]),
    ],
    [
      'tiny values in a subgraph',
      () =>
        modelOf([
          field(
            1,
            Buffer.concat([
              field(4, 'If'),
              field(
                5,
                field(6, field(5, Buffer.concat([varint(2, 1), field(8, 't'), field(9, floats(1e-30))]))),
              ),
            ]),
          ),
        ]),
    ],
    ['nothing at all', () => new Uint8Array(0)],
  ])('gives the same buffer back for a model with %s', (_, make) => {
    const bytes = make();
    expect(rewriteModel(bytes)).toBe(bytes);
  });

  it('flushes raw, packed and single values, and keeps every other byte', () => {
    const head = (name: string) => Buffer.concat([varint(1, 3), varint(2, 1), field(8, name)]);
    const single = (value: number) =>
      Buffer.concat([
        protobuf.Writer.create()
          .uint32((4 << 3) | 5)
          .finish(),
        floats(value),
      ]);
    const make = (tiny: number) =>
      modelOf([
        field(2, 'graph name'),
        field(
          5,
          Buffer.concat([
            field(12, 'doc string'),
            head('raw'),
            field(9, floats(1, tiny, -2)),
            field(3, 'segment'),
          ]),
        ),
        field(13, 'value info'),
        field(5, Buffer.concat([field(4, floats(tiny, 3, -tiny || 0)), head('packed')])),
        field(5, Buffer.concat([head('single'), single(4), single(tiny), single(5)])),
        field(5, Buffer.concat([head('external'), field(13, 'location'), varint(14, 1)])),
        field(15, 'sparse initializer'),
      ]);
    const bytes = make(1e-25);
    const before = Buffer.from(bytes);
    expect(Buffer.from(rewriteModel(bytes)).equals(make(0))).toBe(true);
    expect(bytes.equals(before)).toBe(true);
  });

  it('keeps fields that it does not know byte by byte where it splits nodes', () => {
    const other = field(
      1,
      Buffer.concat([
        field(4, 'Other'),
        field(5, field(5, field(8, 'tensor of an attribute'))),
        field(9, 'new'),
      ]),
    );
    const slope = field(
      5,
      Buffer.concat([varint(1, 2), varint(2, 1), field(8, 's'), field(4, floats(0.5, -1))]),
    );
    const node = { name: 'n', opType: 'PRelu', input: ['x', 's'], output: ['y'], attribute: [] };
    const before = [other, slope, field(13, 'value info'), field(99, 'unknown'), varint(100, 7)];
    const rewritten = rewriteModel(modelOf([...before, field(1, encodeNode(node)), other]));
    const graph = [...fieldsOf(rewritten)].find(({ id }) => id === 7)!.content;
    const added = [...fieldsOf(graph)].slice(before.length, -1);
    expect(added.map(({ id }) => id)).toEqual([5, 1, 1, 1, 1]);
    const addedBytes = graph.subarray(added[0].start, added[4].end);
    const expected = modelOf([...before, addedBytes, other]);
    expect(Buffer.from(rewritten).equals(expected)).toBe(true);
    const { initializer, node: nodes } = decodeModel(rewritten).graph;
    expect(valuesOf(initializer[1])).toEqual([0.5, 2]);
    expect(initializer[1].dims).toEqual([2]);
    expect(nodes[4]).toMatchObject({ name: 'n', opType: 'Add', output: ['y'] });
  });

  it('refuses bytes that end too early, or are something else', () => {
    const bytes = preluGraph().toBytes();
    const invalid = expect.objectContaining({ code: 'MODEL_INVALID' });
    for (const length of [1, 40, bytes.length >> 1, bytes.length - 1]) {
      expect(() => rewriteModel(bytes.subarray(0, length))).toThrow(invalid);
    }
    expect(() => rewriteModel(Buffer.from('no model'))).toThrow(invalid);
    // A complete message with a truncated graph.
    expect(() =>
      rewriteModel(modelOf([field(1, 'x').subarray(0, 2), field(5, Buffer.from([0x4a, 9]))])),
    ).toThrow(invalid);
  });
});
