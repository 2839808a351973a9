import type { OnnxGraph, WindowOptions } from '../../onnx/onnx-builder';
import type { WeightsManifest } from '../weights-manifest';
import { convolve, foldScale, globalMean, meanFreeInput, plainKernel } from './layers';

const INPUT_SIZE = 150;

/** A value of the graph with its shape, for the arithmetic of a down block. */
interface Features {
  value: string;
  /** Number of rows and of columns. */
  size: number;
  channels: number;
}

/**
 * Builds dlib's face recognition network, a ResNet of 29 layers.
 *
 * Input `image`: uint8 [N, 150, 150, 3] NHWC RGB, 0..255, the aligned face. Output `embedding`: float32 [N, 128], the
 * raw output of the network, not of unit length (about 1.2 to 1.5).
 *
 * @see vladmandic/face-api@1.7.15:src/faceRecognitionNet/FaceRecognitionNet.ts and residualLayer.ts
 */
export function buildFaceResnet128(graph: OnnxGraph, manifest: WeightsManifest): void {
  const stem = unit(graph, manifest, meanFreeInput(graph, INPUT_SIZE), 'conv32_down', { strides: [2, 2] });
  let x: Features = {
    value: graph.pool('MaxPool', graph.relu(stem), [3, 3], { strides: [2, 2] }),
    size: windows(windows(INPUT_SIZE, 7), 3),
    channels: 32,
  };
  for (const block of ['conv32_1', 'conv32_2', 'conv32_3']) x = residual(graph, manifest, x, block);
  x = down(graph, manifest, x, 'conv64_down', 64);
  for (const block of ['conv64_1', 'conv64_2', 'conv64_3']) x = residual(graph, manifest, x, block);
  x = down(graph, manifest, x, 'conv128_down', 128);
  for (const block of ['conv128_1', 'conv128_2']) x = residual(graph, manifest, x, block);
  x = down(graph, manifest, x, 'conv256_down', 256);
  for (const block of ['conv256_1', 'conv256_2']) x = residual(graph, manifest, x, block);
  x = down(graph, manifest, x, 'conv256_down_out', 256);

  const { name, shape, data } = manifest.tensor('fc');
  const embedding = graph.node('MatMul', [
    globalMean(graph, x.value),
    graph.constant('float32', [...shape], data, name),
  ]);
  graph.output('embedding', embedding, 'float32', ['N', 128]);
}

/** Number of windows of `window` rows with stride 2 in `size` rows. */
function windows(size: number, window: number): number {
  return Math.floor((size - window) / 2) + 1;
}

/** Convolution and bias, times a scale, plus an offset, all in one convolution. */
function unit(
  graph: OnnxGraph,
  manifest: WeightsManifest,
  x: string,
  layer: string,
  window: WindowOptions,
): string {
  const kernel = plainKernel(manifest, `${layer}/conv/filters`, `${layer}/conv/bias`);
  const factor = manifest.tensor(`${layer}/scale/weights`).data;
  const offset = manifest.tensor(`${layer}/scale/biases`).data;
  return convolve(graph, x, foldScale(kernel, factor, offset), window);
}

function residual(graph: OnnxGraph, manifest: WeightsManifest, x: Features, block: string): Features {
  const first = graph.relu(unit(graph, manifest, x.value, `${block}/conv1`, { padding: 'same' }));
  const second = unit(graph, manifest, first, `${block}/conv2`, { padding: 'same' });
  return { ...x, value: graph.relu(graph.add(second, x.value)) };
}

/** Residual block that halves rows and columns; missing channels, rows and columns of either path count as zeros. */
function down(
  graph: OnnxGraph,
  manifest: WeightsManifest,
  x: Features,
  block: string,
  channels: number,
): Features {
  const first = graph.relu(unit(graph, manifest, x.value, `${block}/conv1`, { strides: [2, 2] }));
  let main = unit(graph, manifest, first, `${block}/conv2`, { padding: 'same' });
  let shortcut = graph.pool('AveragePool', x.value, [2, 2], { strides: [2, 2] });

  const size = windows(x.size, 2);
  const missing = size - windows(x.size, 3);
  if (missing > 0) main = graph.padEnd(main, [0, 0, missing, missing]);
  if (channels > x.channels) shortcut = graph.padEnd(shortcut, [0, channels - x.channels, 0, 0]);
  return { value: graph.relu(graph.add(main, shortcut)), size, channels };
}
