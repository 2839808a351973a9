import type { OnnxGraph } from '../../onnx/onnx-builder';
import type { WeightsManifest } from '../weights-manifest';
import { denseFeatures, fullyConnected } from './layers';

/**
 * Builds the expression network.
 *
 * Input `image`: uint8 [N, 112, 112, 3] NHWC RGB, 0..255, the face zero-padded to a square.
 * Output `expressions`: float32 [N, 7], softmax over neutral, happy, sad, angry, fearful, disgusted, surprised.
 *
 * @see vladmandic/face-api@1.7.15:src/faceExpressionNet/FaceExpressionNet.ts
 */
export function buildFaceExpression(graph: OnnxGraph, manifest: WeightsManifest): void {
  const logits = fullyConnected(graph, manifest, denseFeatures(graph, manifest), 'fc');
  graph.output('expressions', graph.node('Softmax', [logits]), 'float32', ['N', 7]);
}
