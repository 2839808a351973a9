import type { ConvOptions, Dimension, OnnxGraph, WindowOptions } from '../../onnx/onnx-builder';
import type { WeightsManifest, WeightTensor } from '../weights-manifest';

/**
 * Mean color (R, G, B) of the training pictures of the 112 and 150 pixel networks.
 *
 * @see vladmandic/face-api@1.7.15:src/faceRecognitionNet/FaceRecognitionNet.ts, `meanRgb` (dlib's constants).
 */
const MEAN_RGB = [122.782, 117.001, 104.298];

/** Weights and bias of a convolution in the layout of ONNX, with a name for the graph. */
export interface Kernel {
  name: string;
  /** Float32 [C out, C in / groups, H, W]. */
  shape: number[];
  data: Float32Array;
  /** Float32 [C out]. */
  bias: Float32Array;
}

/** Converts a TensorFlow kernel [H, W, in, out] into an ONNX one [out, in, H, W]. */
export function toOihw({
  shape,
  data,
}: Pick<WeightTensor, 'shape' | 'data'>): Pick<Kernel, 'shape' | 'data'> {
  const [height, width, inputs, outputs] = shape;
  const area = height * width;
  const result = new Float32Array(data.length);
  let from = 0;
  for (let pixel = 0; pixel < area; pixel++) {
    for (let input = 0; input < inputs; input++) {
      for (let output = 0; output < outputs; output++) {
        result[(output * inputs + input) * area + pixel] = data[from++];
      }
    }
  }
  return { shape: [outputs, inputs, height, width], data: result };
}

/** Converts a TensorFlow depthwise kernel [H, W, C, 1] into an ONNX one [C, 1, H, W], for use with C groups. */
export function toDepthwiseOihw({
  shape,
  data,
}: Pick<WeightTensor, 'shape' | 'data'>): Pick<Kernel, 'shape' | 'data'> {
  const [height, width, channels] = shape;
  // One input and C output channels use the same memory: [H, W, C, 1] and [H, W, 1, C] hold the same bytes.
  return toOihw({ shape: [height, width, 1, channels], data });
}

/** Reads a plain convolution; `weights` and `bias` are the names of its tensors. */
export function plainKernel(manifest: WeightsManifest, weights: string, bias: string): Kernel {
  return { name: weights, ...toOihw(manifest.tensor(weights)), bias: manifest.tensor(bias).data };
}

/**
 * Folds y = convolution(x) * factor + offset, per output channel, into the convolution.
 *
 * @param factor - float [C out]; float64 if computed, so that it is rounded only once.
 */
export function foldScale(kernel: Kernel, factor: ArrayLike<number>, offset: ArrayLike<number>): Kernel {
  const perChannel = kernel.data.length / factor.length;
  return {
    ...kernel,
    data: kernel.data.map((value, i) => value * factor[Math.floor(i / perChannel)]),
    bias: kernel.bias.map((value, i) => value * factor[i] + offset[i]),
  };
}

/** Adds a convolution with the weights of `kernel` as constants of the graph. */
export function convolve(
  graph: OnnxGraph,
  x: string,
  { name, shape, data, bias }: Kernel,
  options: Omit<ConvOptions, 'kernel' | 'bias'> = {},
): string {
  const kernelName = graph.constant('float32', shape, data, name);
  const biasName = graph.constant('float32', [bias.length], bias, `${name}/bias`);
  return graph.conv(x, { kernel: kernelName, bias: biasName, ...options });
}

/** Adds a depthwise 3x3 and a pointwise 1x1 convolution with "same" padding, then the bias: one "separable" layer. */
export function separable(
  graph: OnnxGraph,
  manifest: WeightsManifest,
  x: string,
  layer: string,
  strides: WindowOptions['strides'] = [1, 1],
): string {
  const name = `${layer}/depthwise_filter`;
  const depthwise = toDepthwiseOihw(manifest.tensor(name));
  const groups = depthwise.shape[0];
  // The layer has one bias, after the pointwise part.
  const spread = convolve(
    graph,
    x,
    { name, ...depthwise, bias: new Float32Array(groups) },
    { strides, padding: 'same', groups },
  );
  return convolve(graph, spread, plainKernel(manifest, `${layer}/pointwise_filter`, `${layer}/bias`));
}

/**
 * Adds the common input of all networks and converts it to floats.
 *
 * @param height - in pixels, or a name for a size known only at run time.
 * @returns uint8 [N, height, width, 3] NHWC, 0..255, named `image`, as float32 [N, 3, height, width] NCHW, 0..255; the
 * color order stays.
 */
export function imageInput(graph: OnnxGraph, height: Dimension, width = height): string {
  const image = graph.input('image', 'uint8', ['N', height, width, 3]);
  return graph.node('Cast', [graph.transpose(image, [0, 3, 1, 2])], { to: { int: 1 } });
}

/** Adds {@link imageInput} followed by (value - mean color) / 255. */
export function meanFreeInput(graph: OnnxGraph, size: number): string {
  const centered = graph.sub(imageInput(graph, size), graph.floats(MEAN_RGB, [1, 3, 1, 1]));
  return graph.div(centered, graph.floats([255]));
}

/** Adds the mean over all rows and columns: [N, C, H, W] becomes [N, C]. */
export function globalMean(graph: OnnxGraph, x: string): string {
  return graph.node('Flatten', [graph.node('GlobalAveragePool', [x])], { axis: { int: 1 } });
}

/** Adds a fully connected layer: [N, in] becomes [N, out]. */
export function fullyConnected(
  graph: OnnxGraph,
  manifest: WeightsManifest,
  x: string,
  layer: string,
): string {
  const weights = manifest.tensor(`${layer}/weights`);
  const bias = manifest.tensor(`${layer}/bias`);
  return graph.node('Gemm', [
    x,
    graph.constant('float32', [...weights.shape], weights.data, weights.name),
    graph.constant('float32', [...bias.shape], bias.data, bias.name),
  ]);
}

/**
 * Adds a dense block: four layers, each on the sum of all previous results; halves rows and columns.
 *
 * @param isFirst - whether the first layer is a plain convolution, as in `dense0`.
 * @see vladmandic/face-api@1.7.15:src/faceFeatureExtractor/denseBlock.ts, `denseBlock4`.
 */
function denseBlock(
  graph: OnnxGraph,
  manifest: WeightsManifest,
  x: string,
  block: string,
  isFirst: boolean,
): string {
  const first = `${block}/conv0`;
  const halved = isFirst
    ? convolve(graph, x, plainKernel(manifest, `${first}/filters`, `${first}/bias`), {
        strides: [2, 2],
        padding: 'same',
      })
    : separable(graph, manifest, x, first, [2, 2]);
  let sum = graph.relu(halved);
  for (const layer of ['conv1', 'conv2', 'conv3']) {
    // Relu does not change the first sum: it has no negative values.
    const input = layer === 'conv1' ? sum : graph.relu(sum);
    sum = graph.add(sum, separable(graph, manifest, input, `${block}/${layer}`));
  }
  return graph.relu(sum);
}

/** Adds the common part of the landmark and the expression network: image 112x112 to float32 [N, 256] features. */
export function denseFeatures(graph: OnnxGraph, manifest: WeightsManifest): string {
  let x = meanFreeInput(graph, 112);
  for (const block of ['dense0', 'dense1', 'dense2', 'dense3']) {
    x = denseBlock(graph, manifest, x, block, block === 'dense0');
  }
  return globalMean(graph, x);
}
