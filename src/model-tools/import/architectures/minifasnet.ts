import type { OnnxGraph } from '../../onnx/onnx-builder';
import type { StateDict } from '../torch/state-dict';
import type { TorchArchitecture } from './architecture';

/** Epsilon of all batch norms: PyTorch's default. */
const EPSILON = 1e-5;
const SIDE = 80;
const CLASSES = 3;

/** Channels inside a block: after the first 1x1 convolution, and of the depthwise one. */
type Blocks = readonly number[];

/** Differences of the two networks. */
interface Variant {
  /** Channels inside the blocks of the three stages. */
  stages: readonly [Blocks, Blocks, Blocks];
  /** Channels inside the blocks that halve the image before each stage. */
  reductions: readonly [number, number, number];
  /** Whether the last block of each stage weighs its channels (squeeze and excitation). */
  hasExcitation: boolean;
}

/** Channels at the end of the three stages. */
const STAGE_CHANNELS = [64, 128, 128] as const;
/** Names of the stages, and of the reduction before each. */
const STAGE_NAMES = [
  ['conv_23', 'conv_3'],
  ['conv_34', 'conv_4'],
  ['conv_45', 'conv_5'],
] as const;
/** Factor by which squeeze and excitation narrows. */
const SQUEEZE = 4;

const V2: Variant = {
  stages: [
    [13, 13, 13, 13],
    [231, 52, 26, 77, 26, 26],
    [26, 26],
  ],
  reductions: [103, 231, 308],
  hasExcitation: false,
};
const V1_SE: Variant = {
  stages: [
    [13, 26, 13, 52],
    [154, 52, 26, 52, 26, 26],
    [26, 26],
  ],
  reductions: [103, 231, 308],
  hasExcitation: true,
};

interface ConvOptions {
  size?: number;
  strides?: number;
  groups?: number;
  /** The network takes BGR; its first convolution is rewritten for RGB. */
  isFirst?: boolean;
}

/** Adds the layers of a MiniFASNet to a graph, by their names in the state dict. */
class MiniFasNet {
  constructor(
    private readonly graph: OnnxGraph,
    private readonly weights: StateDict,
  ) {}

  build({ stages, reductions, hasExcitation }: Variant): void {
    const { graph } = this;
    // Raw pixels, 0 to 255.
    const pixels = graph.node('Cast', [graph.input('image', 'uint8', ['N', SIDE, SIDE, 3])], {
      to: { int: 1 },
    });
    let x = graph.transpose(pixels, [0, 3, 1, 2]);
    x = this.convPrelu(x, 'conv1', 3, 32, { size: 3, strides: 2, isFirst: true });
    x = this.convPrelu(x, 'conv2_dw', 32, 32, { size: 3, groups: 32 });
    let channels = 32;
    STAGE_NAMES.forEach(([reduction, stage], i) => {
      const out = STAGE_CHANNELS[i];
      x = this.block(x, reduction, channels, reductions[i], out, 2);
      channels = out;
      stages[i].forEach((inner, block, { length }) => {
        const name = `${stage}.model.${block}`;
        const branch = this.block(x, name, out, inner, out);
        const isLast = block === length - 1;
        x = graph.add(x, hasExcitation && isLast ? this.excite(branch, `${name}.se_module`, out) : branch);
      });
    });
    x = this.convPrelu(x, 'conv_6_sep', channels, 512);
    // Over all of the remaining 5x5 pixels.
    x = this.conv(x, 'conv_6_dw.conv', 'conv_6_dw.bn', 512, 512, { size: SIDE / 16, groups: 512 }, 0);
    x = graph.node('Flatten', [x], { axis: { int: 1 } });
    x = this.dense(x, 'linear', 512, 128, 'bn');
    x = this.dense(x, 'prob', 128, CLASSES);
    graph.output('scores', graph.node('Softmax', [x], { axis: { int: 1 } }), 'float32', ['N', CLASSES]);
  }

  /** 1x1 to `inner` channels, depthwise 3x3, 1x1 to `to` channels. */
  private block(x: string, name: string, from: number, inner: number, to: number, strides = 1): string {
    const wide = this.convPrelu(x, `${name}.conv`, from, inner);
    const seen = this.convPrelu(wide, `${name}.conv_dw`, inner, inner, { size: 3, strides, groups: inner });
    return this.conv(seen, `${name}.project.conv`, `${name}.project.bn`, inner, to);
  }

  /** Multiplies each channel by a weight in [0, 1] from the means of all channels. */
  private excite(x: string, name: string, channels: number): string {
    const { graph } = this;
    const narrow = channels / SQUEEZE;
    const means = graph.node('GlobalAveragePool', [x]);
    const squeezed = graph.relu(this.conv(means, `${name}.fc1`, `${name}.bn1`, channels, narrow));
    return graph.mul(
      x,
      graph.node('Sigmoid', [this.conv(squeezed, `${name}.fc2`, `${name}.bn2`, narrow, channels)]),
    );
  }

  private convPrelu(x: string, name: string, from: number, to: number, options?: ConvOptions): string {
    return this.prelu(this.conv(x, `${name}.conv`, `${name}.bn`, from, to, options), `${name}.prelu`, to);
  }

  /** A convolution without bias and its batch norm, as one convolution. */
  private conv(
    x: string,
    name: string,
    norm: string,
    from: number,
    to: number,
    { size = 1, strides = 1, groups = 1, isFirst = false }: ConvOptions = {},
    padding = (size - 1) / 2,
  ): string {
    const dims = [to, from / groups, size, size];
    let kernel = this.weights.floats(`${name}.weight`, dims);
    if (isFirst) kernel = channelsReversed(kernel, to, from);
    const bias = this.fold(kernel, norm, to);
    return this.graph.node(
      'Conv',
      [x, this.constant(`${name}/kernel`, dims, kernel), this.constant(`${name}/bias`, [to], bias)],
      {
        strides: { ints: [strides, strides] },
        // PyTorch pads both sides equally, while `SAME` of ONNX would pad only the end.
        pads: { ints: [padding, padding, padding, padding] },
        group: { int: groups },
      },
    );
  }

  /** x W^T, with its batch norm if it has one. */
  private dense(x: string, name: string, from: number, to: number, norm?: string): string {
    const kernel = this.weights.floats(`${name}.weight`, [to, from]);
    const bias = norm == null ? null : this.fold(kernel, norm, to);
    const inputs = [x, this.constant(`${name}/kernel`, [to, from], kernel)];
    if (bias != null) inputs.push(this.constant(`${name}/bias`, [to], bias));
    return this.graph.node('Gemm', inputs, { transB: { int: 1 } });
  }

  /** max(x, 0) + slope * min(x, 0), as (1 - slope) * max(x, 0) + slope * x: the runtime's own PReLU is far slower. */
  private prelu(x: string, name: string, channels: number): string {
    return this.graph.prelu(x, [1, channels, 1, 1], this.weights.floats(`${name}.weight`, [channels]));
  }

  /** Multiplies the filters by the scale of a batch norm, and returns its offset. */
  private fold(kernel: Float32Array, norm: string, filters: number): Float32Array {
    const [gamma, beta, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map((part) =>
      this.weights.floats(`${norm}.${part}`, [filters]),
    );
    this.weights.passOver(`${norm}.num_batches_tracked`);
    const perFilter = kernel.length / filters;
    return beta.map((shift, filter) => {
      const scale = gamma[filter] / Math.sqrt(variance[filter] + EPSILON);
      for (let i = filter * perFilter; i < (filter + 1) * perFilter; i++) kernel[i] *= scale;
      return shift - mean[filter] * scale;
    });
  }

  private constant(name: string, dims: number[], values: Float32Array): string {
    return this.graph.constant('float32', dims, values, name);
  }
}

/** A kernel [to, from, 3, 3] for input channels in the opposite order. */
function channelsReversed(kernel: Float32Array, to: number, from: number): Float32Array {
  const area = kernel.length / (to * from);
  const result = new Float32Array(kernel.length);
  for (let filter = 0; filter < to; filter++) {
    for (let channel = 0; channel < from; channel++) {
      const source = (filter * from + (from - 1 - channel)) * area;
      result.set(kernel.subarray(source, source + area), (filter * from + channel) * area);
    }
  }
  return result;
}

/**
 * MiniFASNet of Silent-Face-Anti-Spoofing for 80x80 pixels: MobileFaceNet, pruned.
 *
 * Its publisher defines class 1 as a genuine face, but not the two others. On its sample photos of flat attacks, the
 * third class responds: both count as `print_or_screen`.
 *
 * @see minivision-ai/Silent-Face-Anti-Spoofing@f679b7c:src/model_lib/MiniFASNet.py (Apache-2.0)
 * @see serengil/deepface@0286511:deepface/models/spoofing/FasNet.py
 */
function architecture(title: string, file: string, scale: number, variant: Variant): TorchArchitecture {
  return {
    write: (graph, weights) => new MiniFasNet(graph, weights).build(variant),
    card: {
      title,
      task: 'presentation-attack',
      family: 'context-crop',
      input: {
        width: SIDE,
        height: SIDE,
        layout: 'NHWC',
        dtype: 'uint8',
        colorOrder: 'RGB',
        mean: [0, 0, 0],
        std: [1, 1, 1],
        maxBatch: 16,
      },
      outputs: [{ name: 'scores', dims: [-1, CLASSES] }],
      presentationAttack: {
        scale,
        minRealScore: 0.5,
        labels: ['print_or_screen', 'real', 'print_or_screen'],
      },
      license: {
        name: 'Apache-2.0',
        commercialUse: true,
        note: 'As the repository that the weights are in.',
      },
      trainingData: 'Photos of the publisher, which it does not publish.',
      source: `${file} of minivision-ai/Silent-Face-Anti-Spoofing, resources/anti_spoof_models`,
    },
  };
}

export const MINIFASNET_V2 = architecture('MiniFASNetV2', '2.7_80x80_MiniFASNetV2.pth', 2.7, V2);
export const MINIFASNET_V1_SE = architecture('MiniFASNetV1SE', '4_0_0_80x80_MiniFASNetV1SE.pth', 4, V1_SE);
