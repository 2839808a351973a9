import { parseModelCard } from '../../model-card';
import { OnnxGraph } from '../../onnx/onnx-builder';
import { decodeModel, type OnnxDataType } from '../../onnx/onnx-schema';
import { KerasNetwork, matchLayers } from '../keras-network';
import { ARCHITECTURES } from '.';

const pinned = { sha256: '0'.repeat(64), bytes: 1 };

/** Only what goes in and comes out is looked at. */
class GraphWithoutWeights extends OnnxGraph {
  override constant(dataType: OnnxDataType, _dims: number[], _data: unknown, name?: string): string {
    return super.constant(dataType, [0], new Float32Array(), name);
  }
}

describe.each(Object.keys(ARCHITECTURES))('architecture %s', (name) => {
  const { build, card } = ARCHITECTURES[name];

  it('has a card that is sound', () => {
    expect(parseModelCard({ name, file: `${name}.onnx`, ...card, ...pinned }, `${name}.json`)).toMatchObject(
      card,
    );
  });

  it('has the outputs and the input that its card says', () => {
    const net = new KerasNetwork();
    build(net);
    const layers = net.weightedLayers();
    const file = layers.map((layer) => ({
      name: layer.name,
      tensors: layer.tensors.map((tensor) => ({ path: '', shape: tensor.shape })),
    }));
    const graph = new GraphWithoutWeights(name);
    net.write(graph, matchLayers(layers, file), () => new Float32Array());
    const { input, output } = decodeModel(graph.toBytes()).graph;
    const sizes = (value: (typeof input)[0]) =>
      value.type.tensorType.shape.dim.map(({ dimValue, dimParam }) => (dimParam ? -1 : dimValue));
    expect(output.map((value) => ({ name: value.name, dims: sizes(value) }))).toEqual(card.outputs);
    const { width, height, multipleOf, channels = 3 } = card.input;
    const open = multipleOf != null;
    expect(input.map(sizes)).toEqual([[-1, channels, open ? -1 : height, open ? -1 : width]]);
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
