/**
 * Weights of a network, from a seed: the same seed gives the same weights on every machine.
 *
 * They are drawn so that activations stay near one through the depth of the network: an error of one layer is then
 * seen at the output, neither lost in noise nor blown up.
 */

/** Numbers in [0, 1) by Marsaglia's xorshift32 (Xorshift RNGs, J. Stat. Software 8(14), 2003). */
export function uniformSource(seed) {
  // Zero is the one state that xorshift never leaves.
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x100000000;
  };
  for (let i = 0; i < 8; i++) next();
  return next;
}

function uniform(count, from, to, next) {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = from + (to - from) * next();
  return values;
}

/** Numbers that a kernel sums for one output: all but the last dimension, or the window alone of a depthwise one. */
function fanIn(shape, depthwise) {
  return depthwise ? shape[0] * shape[1] : shape.slice(0, -1).reduce((product, size) => product * size, 1);
}

/**
 * Draws one weight.
 *
 * @param role - last part of its name in Keras: kernel, bias, gamma, moving_variance...
 * @param isScaled - of a batch normalization, that it has a gamma: variances are small then, so that the epsilon counts,
 *   and gammas make up for it.
 * @param range - [from, to], in place of the usual range of the role.
 * @param gain - variance of the output of a kernel for an input of mean square one. 2 makes up for a ReLU after it
 *   (He et al. 2015, https://arxiv.org/abs/1502.01852).
 */
export function randomWeight(role, shape, seed, { gain = 2, range, isScaled = false } = {}) {
  const next = uniformSource(seed);
  const count = shape.reduce((product, size) => product * size, 1);
  if (range !== undefined) return uniform(count, range[0], range[1], next);
  switch (role) {
    case 'kernel':
    case 'depthwise_kernel': {
      // A uniform variable on [-a, a] has the variance a^2 / 3.
      const limit = Math.sqrt((3 * gain) / fanIn(shape, role === 'depthwise_kernel'));
      return uniform(count, -limit, limit, next);
    }
    case 'gamma':
      return uniform(count, 0.1, 0.24, next);
    case 'moving_variance':
      return isScaled ? uniform(count, 0.02, 0.04, next) : uniform(count, 0.6, 1.4, next);
    case 'alpha':
      return uniform(count, 0.05, 0.45, next);
    case 'bias':
    case 'beta':
    case 'moving_mean':
      return uniform(count, -0.2, 0.2, next);
    default:
      throw new Error(`Expected a weight of a known role but received "${role}"`);
  }
}
