import type { OnnxGraph, WindowOptions } from '../../onnx/onnx-builder';
import type { WeightsManifest } from '../weights-manifest';
import { convolve, foldScale, imageInput, plainKernel, toDepthwiseOihw, type Kernel } from './layers';

/** Added to the variance of a batch norm. @see vladmandic/face-api@1.7.15:src/ssdMobilenetv1/mobileNetV1.ts */
const BATCH_NORM_EPSILON = 0.0010000000474974513;

/** Depthwise layers that halve rows and columns; same source. */
const STRIDED_LAYERS = [2, 4, 6, 12];

/** Number of default boxes over all six feature maps. */
const ANCHOR_COUNT = 5118;

/** Tensors not needed for inference: constants of the pre- and postprocessing of the training graph. */
export const SSD_LEFTOVERS = [
  'Preprocessor/',
  'Postprocessor/',
  'concat_1/axis',
  'Prediction/BoxPredictor_0/stack/',
  'Prediction/BoxPredictor_0/strided_slice/',
  ...[0, 1, 2, 3, 4, 5].map((head) => `Prediction/BoxPredictor_${head}/stack_1/`),
];

/**
 * Builds the SSD face detector on MobileNet v1, without non-maximum suppression.
 *
 * Input `image`: uint8 [N, 512, 512, 3] NHWC RGB, 0..255, the picture zero-padded to a square at the right or bottom.
 * Output `boxes`: float32 [N, 5118, 4], corners ymin, xmin, ymax, xmax as fractions of that square, may leave [0, 1].
 * Output `scores`: float32 [N, 5118], detection score, [0, 1].
 *
 * @see vladmandic/face-api@1.7.15:src/ssdMobilenetv1/mobileNetV1.ts, predictionLayer.ts and outputLayer.ts
 */
export function buildSsdMobilenetV1(graph: OnnxGraph, manifest: WeightsManifest): void {
  const network = new SsdNetwork(graph, manifest);
  const { encodings, logits } = network.predict(network.features());
  graph.output('boxes', decodeBoxes(graph, manifest, encodings), 'float32', ['N', ANCHOR_COUNT, 4]);
  // Of the three classes, the first is background and the third unused.
  const scores = graph.node('Sigmoid', [graph.slice(logits, 2, 1, 2)]);
  graph.output('scores', graph.reshape(scores, [0, -1]), 'float32', ['N', ANCHOR_COUNT]);
}

class SsdNetwork {
  private readonly zero: string;
  private readonly six: string;

  constructor(
    private readonly graph: OnnxGraph,
    private readonly manifest: WeightsManifest,
  ) {
    this.zero = graph.floats([0]);
    this.six = graph.floats([6]);
  }

  /** Adds backbone and extra layers; returns the six input feature maps of the heads, largest first. */
  features(): string[] {
    const { graph } = this;
    const image = imageInput(graph, 512);
    const scaled = graph.sub(graph.div(image, graph.floats([127.5])), graph.floats([1]));
    let x = this.pointwise(scaled, 'MobilenetV1/Conv2d_0_pointwise', [2, 2]);
    const maps: string[] = [];
    for (let layer = 1; layer <= 13; layer++) {
      x = this.depthwise(
        x,
        `MobilenetV1/Conv2d_${layer}_depthwise`,
        STRIDED_LAYERS.includes(layer) ? [2, 2] : [1, 1],
      );
      x = this.pointwise(x, `MobilenetV1/Conv2d_${layer}_pointwise`);
      if (layer === 11 || layer === 13) maps.push(x);
    }
    for (let layer = 0; layer < 8; layer += 2) {
      x = this.pointwise(x, `Prediction/Conv2d_${layer}_pointwise`);
      x = this.pointwise(x, `Prediction/Conv2d_${layer + 1}_pointwise`, [2, 2]);
      maps.push(x);
    }
    return maps;
  }

  /** Adds a box and a class head on every map; returns [N, 5118, 4] box encodings and [N, 5118, 3] class logits. */
  predict(maps: string[]): { encodings: string; logits: string } {
    const all = (kind: string, numbers: number) =>
      this.graph.concat(
        maps.map((map, head) => this.head(map, `Prediction/BoxPredictor_${head}/${kind}`, numbers)),
        1,
      );
    return { encodings: all('BoxEncodingPredictor', 4), logits: all('ClassPredictor', 3) };
  }

  private head(map: string, layer: string, numbers: number): string {
    const predicted = convolve(
      this.graph,
      map,
      plainKernel(this.manifest, `${layer}/weights`, `${layer}/biases`),
    );
    return this.graph.reshape(this.graph.transpose(predicted, [0, 2, 3, 1]), [0, -1, numbers]);
  }

  private pointwise(x: string, layer: string, strides?: WindowOptions['strides']): string {
    const kernel = plainKernel(this.manifest, `${layer}/weights`, `${layer}/convolution_bn_offset`);
    return this.clip(convolve(this.graph, x, kernel, { strides, padding: 'same' }));
  }

  private depthwise(x: string, layer: string, strides: WindowOptions['strides']): string {
    const kernel = this.depthwiseKernel(layer);
    return this.clip(convolve(this.graph, x, kernel, { strides, padding: 'same', groups: kernel.shape[0] }));
  }

  /** The depthwise kernel with its batch norm folded in. */
  private depthwiseKernel(layer: string): Kernel {
    const [gamma, beta, mean, variance] = ['gamma', 'beta', 'moving_mean', 'moving_variance'].map((part) =>
      Array.from(this.manifest.tensor(`${layer}/BatchNorm/${part}`).data),
    );
    const name = `${layer}/depthwise_weights`;
    const factor = gamma.map((value, i) => value / Math.sqrt(variance[i] + BATCH_NORM_EPSILON));
    const offset = beta.map((value, i) => value - mean[i] * factor[i]);
    const kernel = {
      name,
      ...toDepthwiseOihw(this.manifest.tensor(name)),
      bias: new Float32Array(factor.length),
    };
    return foldScale(kernel, factor, offset);
  }

  private clip(x: string): string {
    return this.graph.node('Clip', [x, this.zero, this.six]);
  }
}

/** Converts box encodings [N, 5118, 4] (center y, x, height, width, relative to the anchors) into corners. */
function decodeBoxes(graph: OnnxGraph, manifest: WeightsManifest, encodings: string): string {
  const anchors = manifest.tensor('Output/extra_dim').data;
  const sizes: number[] = [];
  const centers: number[] = [];
  for (let i = 0; i < anchors.length; i += 4) {
    const [ymin, xmin, ymax, xmax] = anchors.subarray(i, i + 4);
    sizes.push(ymax - ymin, xmax - xmin);
    centers.push((ymin + ymax) / 2, (xmin + xmax) / 2);
  }
  const size = graph.floats(sizes, [1, ANCHOR_COUNT, 2]);
  const center = graph.floats(centers, [1, ANCHOR_COUNT, 2]);

  const shift = graph.div(graph.slice(encodings, 2, 0, 2), graph.floats([10]));
  const middle = graph.add(graph.mul(shift, size), center);
  const growth = graph.node('Exp', [graph.div(graph.slice(encodings, 2, 2, 4), graph.floats([5]))]);
  const half = graph.div(graph.mul(growth, size), graph.floats([2]));
  return graph.concat([graph.sub(middle, half), graph.add(middle, half)], 2);
}
