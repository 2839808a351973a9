import type { CardInput } from '../models/model-card';

/** Weights of red, green and blue in gray: the luma of ITU-R BT.601, as in OpenCV. */
const LUMA = [0.299, 0.587, 0.114] as const;

/**
 * Converts RGB pixels to the input of a graph: layout, color order or gray, value = (pixel - mean) / std, with mean and
 * std of the card or of each image.
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
  const { channels = 3, layout, dtype, colorOrder, mean, std, standardize } = input;
  const isPlanar = layout === 'NCHW';
  const dims = isPlanar ? [batch, channels, height, width] : [batch, height, width, channels];
  if (!isPlanar && channels === 3 && dtype === 'uint8' && colorOrder === 'RGB') return { data: pixels, dims };
  const plane = width * height;
  const data = new (dtype === 'uint8' ? Uint8Array : Float32Array)(batch * plane * channels);
  if (channels === 1) {
    // Rounded for a byte input, because a byte array truncates.
    const rounding = dtype === 'uint8' ? 0.5 : 0;
    for (let i = 0, source = 0; i < data.length; i++, source += 3) {
      const gray = pixels[source] * LUMA[0] + pixels[source + 1] * LUMA[1] + pixels[source + 2] * LUMA[2];
      data[i] = (gray - mean[0]) / std[0] + rounding;
    }
  } else {
    for (let channel = 0; channel < 3; channel++) {
      const from = colorOrder === 'RGB' ? channel : 2 - channel;
      const scale = 1 / std[channel];
      const shift = -mean[channel] * scale;
      for (let n = 0; n < batch; n++) {
        let source = n * plane * 3 + from;
        let target = n * plane * 3 + (isPlanar ? channel * plane : channel);
        const step = isPlanar ? 1 : 3;
        for (let i = 0; i < plane; i++, source += 3, target += step)
          data[target] = pixels[source] * scale + shift;
      }
    }
  }
  if (standardize === 'image') {
    const length = plane * channels;
    for (let n = 0; n < batch; n++) standardizeImage(data.subarray(n * length, (n + 1) * length));
  }
  return { data, dims };
}

/**
 * Standardizes the values of one image to mean 0 and standard deviation 1, over all channels together.
 *
 * An image of one single value becomes 0 throughout.
 */
function standardizeImage(values: Float32Array | Uint8Array): void {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  const deviation = Math.sqrt(squares / values.length) || 1;
  for (let i = 0; i < values.length; i++) values[i] = (values[i] - mean) / deviation;
}
