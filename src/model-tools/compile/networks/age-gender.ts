import type { OnnxGraph } from '../../onnx/onnx-builder';
import type { WeightsManifest } from '../weights-manifest';
import { convolve, fullyConnected, globalMean, meanFreeInput, plainKernel, separable } from './layers';

/**
 * Builds the age and gender network, a small Xception with two heads.
 *
 * Input `image`: uint8 [N, 112, 112, 3] NHWC RGB, 0..255, the face zero-padded to a square.
 * Output `age`: float32 [N, 1], years, not bounded. Output `gender`: float32 [N, 2], softmax over male, female.
 *
 * @see vladmandic/face-api@1.7.15:src/xception/TinyXception.ts and src/ageGenderNet/AgeGenderNet.ts
 */
export function buildAgeGender(graph: OnnxGraph, manifest: WeightsManifest): void {
  const entry = plainKernel(manifest, 'entry_flow/conv_in/filters', 'entry_flow/conv_in/bias');
  let x = convolve(graph, meanFreeInput(graph, 112), entry, { strides: [2, 2], padding: 'same' });
  x = graph.relu(x);
  // The output of the entry convolution is already rectified, so the first block does not rectify it again.
  x = reductionBlock(graph, manifest, x, x, 'entry_flow/reduction_block_0');
  x = reductionBlock(graph, manifest, x, graph.relu(x), 'entry_flow/reduction_block_1');
  x = mainBlock(graph, manifest, x, 'middle_flow/main_block_0');
  x = mainBlock(graph, manifest, x, 'middle_flow/main_block_1');
  x = reductionBlock(graph, manifest, x, graph.relu(x), 'exit_flow/reduction_block');
  x = graph.relu(separable(graph, manifest, x, 'exit_flow/separable_conv'));

  const features = globalMean(graph, x);
  graph.output('age', fullyConnected(graph, manifest, features, 'fc/age'), 'float32', ['N', 1]);
  const gender = graph.node('Softmax', [fullyConnected(graph, manifest, features, 'fc/gender')]);
  graph.output('gender', gender, 'float32', ['N', 2]);
}

/** Halves rows and columns; `rectified` feeds the separable layers, `x` the shortcut. */
function reductionBlock(
  graph: OnnxGraph,
  manifest: WeightsManifest,
  x: string,
  rectified: string,
  block: string,
): string {
  const first = separable(graph, manifest, rectified, `${block}/separable_conv0`);
  const second = separable(graph, manifest, graph.relu(first), `${block}/separable_conv1`);
  const pooled = graph.pool('MaxPool', second, [3, 3], { strides: [2, 2], padding: 'same' });
  const expansion = plainKernel(manifest, `${block}/expansion_conv/filters`, `${block}/expansion_conv/bias`);
  return graph.add(pooled, convolve(graph, x, expansion, { strides: [2, 2], padding: 'same' }));
}

function mainBlock(graph: OnnxGraph, manifest: WeightsManifest, x: string, block: string): string {
  let out = x;
  for (const layer of ['separable_conv0', 'separable_conv1', 'separable_conv2']) {
    out = separable(graph, manifest, graph.relu(out), `${block}/${layer}`);
  }
  return graph.add(out, x);
}
