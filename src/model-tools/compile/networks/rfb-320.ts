import type { OnnxGraph } from '../../onnx/onnx-builder';
import type { OnnxModel } from '../../../models/onnx/onnx-schema';
import { GraphTranscriber } from '../../onnx/transcribe-graph';
import { imageInput } from './layers';

/** Feature maps with heads, and the names of the heads in the file. */
const LEVELS = [0, 1, 2, 3];

/**
 * Builds the Ultra-Light face detector RFB-320 for pictures of any size, without the decoding of its boxes.
 *
 * Input `image`: uint8 [N, H, W, 3] NHWC RGB, 0..255. Output `scores`: float32 [N, A, 2], softmax over background and
 * face. Output `boxes`: float32 [N, A, 4], offsets to the anchors: center x, y, width, height. Anchors are in the order
 * level, row, column, size; the decoder computes them for the size of the picture.
 *
 * @see faceplugin-face-recognition-js@0.0.1:model/fr_detect.onnx, the RFB-320 of
 * Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB (MIT). Differs: the anchors of 320 x 240 and their decoding are
 * omitted, so that the size is open.
 */
export function buildRfb320(graph: OnnxGraph, source: OnnxModel): void {
  const centered = graph.sub(imageInput(graph, 'H', 'W'), graph.floats([127]));
  const network = new GraphTranscriber(graph, source, { input: graph.div(centered, graph.floats([128])) });
  const all = (heads: string, numbers: number) =>
    graph.concat(
      LEVELS.map((level) =>
        graph.reshape(network.copy(headOf(source, `${heads}.${level}.`)), [0, -1, numbers]),
      ),
      1,
    );
  const scores = graph.node('Softmax', [all('classification_headers', 2)], { axis: { int: 2 } });
  graph.output('scores', scores, 'float32', ['N', 'A', 2]);
  graph.output('boxes', all('regression_headers', 4), 'float32', ['N', 'A', 4]);
}

/** Name of the NHWC output of a head: the transposition of the last convolution with its weights. */
function headOf({ graph: { node } }: OnnxModel, weights: string): string {
  const convolution = node.findLast(({ opType, input }) => opType === 'Conv' && input[1].startsWith(weights));
  const transposition = node.find(
    ({ opType, input }) => opType === 'Transpose' && input[0] === convolution?.output[0],
  );
  return transposition?.output[0] ?? weights;
}
