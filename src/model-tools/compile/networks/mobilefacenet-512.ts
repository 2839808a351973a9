import type { OnnxGraph } from '../../onnx/onnx-builder';
import type { OnnxModel } from '../../../models/onnx/onnx-schema';
import { GraphTranscriber } from '../../onnx/transcribe-graph';
import { imageInput } from './layers';

/**
 * Builds MobileFaceNet with 512 outputs.
 *
 * Input `image`: uint8 [N, 112, 112, 3] NHWC BGR, 0..255, aligned on the ArcFace template.
 * Output `embedding`: float32 [N, 512], not normalized.
 *
 * (value - 127.5) / 128 precedes the first convolution and is not folded into it, because the convolution pads with 0
 * after it.
 *
 * @see faceplugin-face-recognition-js@0.0.1:model/fr_feature.onnx. Differs: BGR, as the weights require (the code of
 * the package passes RGB; figures in docs/accuracy.md); the batch is open, fixed only by the last Reshape of the file.
 */
export function buildMobilefacenet512(graph: OnnxGraph, source: OnnxModel): void {
  const centered = graph.sub(imageInput(graph, 112), graph.floats([127.5]));
  const network = new GraphTranscriber(graph, source, { input: graph.div(centered, graph.floats([128])) });
  const [features] = network.producer('output').input;
  const embedding = graph.node('Flatten', [network.copy(features)], { axis: { int: 1 } });
  graph.output('embedding', embedding, 'float32', ['N', 512]);
}
