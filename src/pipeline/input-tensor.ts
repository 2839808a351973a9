import type { CardInput } from '../model-store/model-card';
import type { OutputTensor, TensorSession } from './tensor-session';

/**
 * Brings RGB pixels into the form a graph takes: layout, colour order, value = (pixel - mean) / std.
 *
 * @param pixels - `Uint8Array [N * H * W * 3]` NHWC RGB, 0..255.
 */
export function toInputTensor(
  pixels: Uint8Array,
  batch: number,
  width: number,
  height: number,
  input: CardInput,
): { data: Uint8Array | Float32Array; dims: number[] } {
  if (input.layout === 'NHWC' && input.dtype === 'uint8' && input.colorOrder === 'RGB') {
    return { data: pixels, dims: [batch, height, width, 3] };
  }
  const plane = width * height;
  const data = new (input.dtype === 'uint8' ? Uint8Array : Float32Array)(batch * plane * 3);
  const isPlanar = input.layout === 'NCHW';
  for (let channel = 0; channel < 3; channel++) {
    const from = input.colorOrder === 'RGB' ? channel : 2 - channel;
    const scale = 1 / input.std[channel];
    const shift = -input.mean[channel] * scale;
    for (let n = 0; n < batch; n++) {
      let source = n * plane * 3 + from;
      let target = n * plane * 3 + (isPlanar ? channel * plane : channel);
      const step = isPlanar ? 1 : 3;
      for (let i = 0; i < plane; i++, source += 3, target += step)
        data[target] = pixels[source] * scale + shift;
    }
  }
  return { data, dims: isPlanar ? [batch, 3, height, width] : [batch, height, width, 3] };
}

/**
 * Runs crops of one size through a graph in as few runs as its largest batch allows.
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
