import type { CardInput } from '../models/model-card';
import { toInputTensor } from './input-tensor';
import type { OutputTensor, TensorSession } from './tensor-session';

/**
 * Runs crops of one size through a graph, in as few runs as its largest batch allows.
 *
 * @param pixels - `Uint8Array [N * H * W * 3]` NHWC RGB, N crops.
 * @returns each output with N rows.
 */
export async function runBatch(
  session: TensorSession,
  input: CardInput,
  pixels: Uint8Array,
  batch: number,
): Promise<OutputTensor[]> {
  const { width, height, maxBatch } = input;
  const crop = width * height * 3;
  const parts: OutputTensor[][] = [];
  for (let start = 0; start < batch; start += maxBatch) {
    const count = Math.min(maxBatch, batch - start);
    const part = pixels.subarray(start * crop, (start + count) * crop);
    const { data, dims } = toInputTensor(part, count, width, height, input);
    parts.push(await session.run(data, dims));
  }
  return parts.length === 1 ? parts[0] : parts[0].map((_, index) => concat(parts.map((part) => part[index])));
}

function concat(parts: OutputTensor[]): OutputTensor {
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  const rows = parts.reduce((sum, part) => sum + part.dims[0], 0);
  return { data, dims: [rows, ...parts[0].dims.slice(1)] };
}
