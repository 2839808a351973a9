import { parseModelCard } from '../../../models/model-card';
import { OnnxGraph } from '../../onnx/onnx-builder';
import { decodeModel, type OnnxDataType } from '../../../models/onnx/onnx-schema';
import { KerasNetwork, matchLayers } from '../keras-network';
import type { StateDict } from '../torch/state-dict';
import { ARCHITECTURES } from '.';
import type { Architecture } from './architecture';

const pinned = { sha256: '0'.repeat(64), bytes: 1 };

/** Only inputs and outputs are checked. */
class GraphWithoutWeights extends OnnxGraph {
  override constant(dataType: OnnxDataType, _dims: number[], _data: unknown, name?: string): string {
    return super.constant(dataType, [0], new Float32Array(), name);
  }
}

/** A state dict with every requested tensor. */
const anyWeights = {
  floats: (_name: string, dims: readonly number[]) =>
    new Float32Array(dims.reduce((product, size) => product * size, 1)),
  passOver: () => undefined,
} as unknown as StateDict;

function addTo(graph: OnnxGraph, architecture: Architecture): void {
  if ('write' in architecture) return architecture.write(graph, anyWeights);
  const net = new KerasNetwork();
  architecture.build(net);
  const layers = net.weightedLayers();
  const file = layers.map((layer) => ({
    name: layer.name,
    tensors: layer.tensors.map((tensor) => ({ path: '', shape: tensor.shape })),
  }));
  net.write(graph, matchLayers(layers, file), () => new Float32Array());
}

describe.each(Object.keys(ARCHITECTURES))('architecture %s', (name) => {
  const { card } = ARCHITECTURES[name];

  it('has a card that is sound', () => {
    expect(parseModelCard({ name, file: `${name}.onnx`, ...card, ...pinned }, `${name}.json`)).toMatchObject(
      card,
    );
  });

  it('has the outputs and the input that its card says', () => {
    const graph = new GraphWithoutWeights(name);
    addTo(graph, ARCHITECTURES[name]);
    const { input, output } = decodeModel(graph.toBytes()).graph;
    const sizes = (value: (typeof input)[0]) =>
      value.type.tensorType.shape.dim.map(({ dimValue, dimParam }) => (dimParam ? -1 : dimValue));
    expect(output.map((value) => ({ name: value.name, dims: sizes(value) }))).toEqual(card.outputs);
    const { width, height, multipleOf, channels = 3, layout } = card.input;
    const size = multipleOf != null ? [-1, -1] : [height, width];
    expect(input.map(sizes)).toEqual([layout === 'NCHW' ? [-1, channels, ...size] : [-1, ...size, channels]]);
  });
});

describe('card of family retinaface-insightface', () => {
  const parse = (changes: object) => () => {
    const { card } = ARCHITECTURES.retinaface;
    return parseModelCard({ name: 'r', file: 'r.onnx', ...card, ...pinned, ...changes }, 'r.json');
  };
  const { detection, outputs } = ARCHITECTURES.retinaface.card;

  it('has three outputs for each stride, and anchors for each', () => {
    expect(parse({})).not.toThrow();
    expect(parse({ outputs: outputs.slice(1) })).toThrow('outputs must be at least 9');
    expect(parse({ detection: { ...detection, strides: undefined } })).toThrow('detection.strides');
    expect(parse({ detection: { ...detection, minSizes: [[512, 256]] } })).toThrow('detection.minSizes');
  });
});
