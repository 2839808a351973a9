const { abs, round } = Math;

/** Covers the rounding of the error itself, and vectors whose length is 1 only to single precision. */
const MARGIN = 1.001;
/** Below it, single precision loses digits. Only the zero vector of an empty row is this small. */
const SMALLEST_SCALE = 1e-30;

/**
 * Quantizes a vector to integer codes with one scale.
 *
 * @param {Float32Array} vector - [D]
 * @param {Int8Array | Int16Array} codes - [D], written.
 * @param {number} largest - the code of the element with the largest magnitude.
 * @returns {{ scale: number, error: number }} scale: single precision; error: upper bound of the length of
 *   `vector - scale * codes`.
 */
function quantize(vector, codes, largest) {
  let peak = 0;
  for (let i = 0; i < vector.length; i++) {
    const magnitude = abs(vector[i]);
    if (magnitude > peak) peak = magnitude;
  }
  const scale = Math.fround(peak / largest);
  if (scale < SMALLEST_SCALE) {
    codes.fill(0);
    return { scale: 0, error: peak * Math.sqrt(vector.length) };
  }
  let squares = 0;
  for (let i = 0; i < vector.length; i++) {
    const code = round(vector[i] / scale);
    const rest = vector[i] - code * scale;
    codes[i] = code;
    squares += rest * rest;
  }
  return { scale, error: Math.sqrt(squares) * MARGIN };
}

module.exports = { quantize };
