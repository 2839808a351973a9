import type { OnnxGraph } from '../../onnx/onnx-builder';
import type { WeightsManifest } from '../weights-manifest';
import { denseFeatures, fullyConnected } from './layers';

/**
 * Builds the 68 point landmark network.
 *
 * Input `image`: uint8 [N, 112, 112, 3] NHWC RGB, 0..255, the face zero-padded to a square.
 * Output `landmarks`: float32 [N, 136], x and y of each point in turn, as fractions of that square, origin top-left;
 * about [0, 1], a point may lie outside.
 *
 * @see vladmandic/face-api@1.7.15:src/faceLandmarkNet/FaceLandmark68Net.ts
 */
export function buildFaceLandmark68(graph: OnnxGraph, manifest: WeightsManifest): void {
  const landmarks = fullyConnected(graph, manifest, denseFeatures(graph, manifest), 'fc');
  graph.output('landmarks', landmarks, 'float32', ['N', 136]);
}
