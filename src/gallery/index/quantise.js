/**
 * Writes whole numbers that stand for a vector, at one scale.
 *
 * @param {Float32Array} vector - [D]
 * @param {Int8Array | Int16Array} codes - [D], written.
 * @param {number} largest - the code of the element with the largest magnitude.
 * @returns {{ scale: number, error: number }} scale: single precision; error: length of the vector less its codes times the
 *   scale, or a little more.
 */
function quantise(vector, codes, largest) {
  let peak = 0;
  for (let i = 0; i < vector.length; i++) peak = Math.max(peak, Math.abs(vector[i]));
  const scale = Math.fround(peak / largest);
  if (!(scale > 0)) {
    codes.fill(0);
    return { scale: 0, error: peak * Math.sqrt(vector.length) };
  }
  let squares = 0;
  for (let i = 0; i < vector.length; i++) {
    // The scale is rounded: the peak may come out past the largest code.
    const code = Math.max(-largest, Math.min(largest, Math.round(vector[i] / scale)));
    codes[i] = code;
    squares += (vector[i] - code * scale) ** 2;
  }
  return { scale, error: Math.sqrt(squares) * MARGIN };
}

/** For the rounding of the error itself, and for vectors whose length is 1 to single precision only. */
const MARGIN = 1.001;

module.exports = { quantise };
