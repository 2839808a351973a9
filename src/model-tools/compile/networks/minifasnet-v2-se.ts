import type { OnnxGraph } from '../../onnx/onnx-builder';
import type { OnnxModel } from '../../../models/onnx/onnx-schema';
import { GraphTranscriber } from '../../onnx/transcribe-graph';
import { imageInput } from './layers';

/**
 * Builds MiniFASNetV2SE for 128 pixels.
 *
 * Input `image`: uint8 [N, 128, 128, 3] NHWC BGR, 0..255, a face with its surroundings.
 * Output `scores`: float32 [N, 3], softmax over real, flat attack (print or screen), attack with depth (mask).
 *
 * @see faceplugin-face-recognition-js@0.0.1:model/fr_liveness.onnx. Differs: BGR, as the weights require (the code of
 * the package passes RGB, which makes the scores meaningless); the softmax is included; the batch is open, fixed only
 * by the last Reshape of the file.
 */
export function buildMinifasnetV2Se(graph: OnnxGraph, source: OnnxModel): void {
  const network = new GraphTranscriber(graph, source, { input: imageInput(graph, 128) });
  // The end of the file: convolution, Reshape, MatMul, BatchNormalization, MatMul.
  const [normed] = network.producer('output').input;
  const [projected] = network.producer(normed).input;
  const [flat] = network.producer(projected).input;
  const [features] = network.producer(flat).input;
  const rest = new GraphTranscriber(graph, source, {
    [flat]: graph.node('Flatten', [network.copy(features)], { axis: { int: 1 } }),
  });
  const scores = graph.node('Softmax', [rest.copy('output')], { axis: { int: 1 } });
  graph.output('scores', scores, 'float32', ['N', 3]);
}
