/**
 * Smallest magnitude of a kept weight.
 *
 * Processors are many times slower on denormal numbers (below 1.18e-38 in float32), and the product of two weights far
 * above that limit can still fall below it: one real network took 82 ms per face, and 13 ms without them. A smaller
 * weight changes no output: the next float32 after 1 is 1.2e-7 away.
 */
const MIN_MAGNITUDE = 1e-20;

/**
 * Sets float32 values below 1e-20 to 0.
 *
 * @param bytes - float32, little-endian, at any alignment; an incomplete last value is ignored.
 * @returns a copy with the values changed; `bytes` itself if there are none.
 */
export function flushTinyWeights(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.byteLength - (bytes.byteLength % 4);
  const first = findTiny(view, 0, end);
  if (first === end) return bytes;
  const flushed = Uint8Array.from(bytes);
  for (let at = first; at < end; at = findTiny(view, at + 4, end)) flushed.fill(0, at, at + 4);
  return flushed;
}

function findTiny(view: DataView, from: number, end: number): number {
  let at = from;
  for (; at < end; at += 4) {
    const magnitude = Math.abs(view.getFloat32(at, true));
    if (magnitude > 0 && magnitude < MIN_MAGNITUDE) break;
  }
  return at;
}
