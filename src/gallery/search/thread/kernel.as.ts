/*
 * The scan over one block of rows, in AssemblyScript: `npm run build:kernel` writes kernel.wasm.
 *
 * Both scan functions list, for each probe, the rows of the block that hold a vector and reach the probe's threshold. The
 * similarity of a row and a probe is identical to the bit, whatever else is scanned with them: one sum of four lanes from the
 * first element to the last, then (0 + 2) + (1 + 3).
 *
 * All addresses are byte offsets in the imported memory. A list has room for a whole block.
 */

/**
 * Rows scanned at once, one from each eighth of the block. That makes eight long runs of addresses on separate pages, which
 * the prefetchers follow; eight consecutive rows would be short runs on shared pages, which they do not follow.
 *
 * Blocks consist of whole eighths; rows past the last one have subject 0, which means empty.
 */
const TILE_ROWS: u32 = 8;
/** Row in the block, subject, similarity: u32, u32, f32. */
const ENTRY_BYTES: u32 = 12;

/**
 * Scans vectors.
 *
 * @param vectors - f32 [rows, D].
 * @param subjects - u32 [rows]; 0 for an empty row.
 * @param vectorBytes - 4 D; D is a multiple of 16.
 * @param probes - f32 [probeCount, D].
 * @param thresholds - f32 [probeCount], inclusive.
 * @param counts - u32 [probeCount]: entries of each list, written.
 * @param lists - [probeCount] lists, listBytes apart, written.
 */
export function scanVectors(
  vectors: u32,
  subjects: u32,
  rowCount: u32,
  vectorBytes: u32,
  probes: u32,
  probeCount: u32,
  thresholds: u32,
  counts: u32,
  lists: u32,
  listBytes: u32,
): void {
  memory.fill(counts, 0, probeCount << 2);
  const runRows = (rowCount + TILE_ROWS - 1) / TILE_ROWS;
  const runBytes = runRows * vectorBytes;
  for (let row: u32 = 0; row < runRows; row++) {
    const tile = vectors + row * vectorBytes;
    let p: u32 = 0;
    for (; p + 4 <= probeCount; p += 4) {
      const probe0 = probes + p * vectorBytes;
      for (let run: u32 = 0; run < TILE_ROWS; run += 2) {
        let u = tile + run * runBytes;
        let v = u + runBytes;
        const end = u + vectorBytes;
        let q0 = probe0;
        let q1 = q0 + vectorBytes;
        let q2 = q1 + vectorBytes;
        let q3 = q2 + vectorBytes;
        let u0 = f32x4.splat(0);
        let u1 = f32x4.splat(0);
        let u2 = f32x4.splat(0);
        let u3 = f32x4.splat(0);
        let v0 = f32x4.splat(0);
        let v1 = f32x4.splat(0);
        let v2 = f32x4.splat(0);
        let v3 = f32x4.splat(0);
        while (u < end) {
          const a = v128.load(u);
          const b = v128.load(v);
          const c0 = v128.load(q0);
          u0 = f32x4.add(u0, f32x4.mul(a, c0));
          v0 = f32x4.add(v0, f32x4.mul(b, c0));
          const c1 = v128.load(q1);
          u1 = f32x4.add(u1, f32x4.mul(a, c1));
          v1 = f32x4.add(v1, f32x4.mul(b, c1));
          const c2 = v128.load(q2);
          u2 = f32x4.add(u2, f32x4.mul(a, c2));
          v2 = f32x4.add(v2, f32x4.mul(b, c2));
          const c3 = v128.load(q3);
          u3 = f32x4.add(u3, f32x4.mul(a, c3));
          v3 = f32x4.add(v3, f32x4.mul(b, c3));
          u += 16;
          v += 16;
          q0 += 16;
          q1 += 16;
          q2 += 16;
          q3 += 16;
        }
        const floor = v128.load(thresholds + (p << 2));
        const first = row + run * runRows;
        const second = first + runRows;
        noteProbes(clamp(sums(u0, u1, u2, u3)), floor, subjects, first, p, counts, lists, listBytes);
        noteProbes(clamp(sums(v0, v1, v2, v3)), floor, subjects, second, p, counts, lists, listBytes);
      }
    }
    for (; p < probeCount; p++) {
      let q = probes + p * vectorBytes;
      let r0 = tile;
      let r1 = r0 + runBytes;
      let r2 = r1 + runBytes;
      let r3 = r2 + runBytes;
      let r4 = r3 + runBytes;
      let r5 = r4 + runBytes;
      let r6 = r5 + runBytes;
      let r7 = r6 + runBytes;
      const end = r0 + vectorBytes;
      let s0 = f32x4.splat(0);
      let s1 = f32x4.splat(0);
      let s2 = f32x4.splat(0);
      let s3 = f32x4.splat(0);
      let s4 = f32x4.splat(0);
      let s5 = f32x4.splat(0);
      let s6 = f32x4.splat(0);
      let s7 = f32x4.splat(0);
      while (r0 < end) {
        const c = v128.load(q);
        const d = v128.load(q, 16);
        s0 = f32x4.add(s0, f32x4.mul(v128.load(r0), c));
        s1 = f32x4.add(s1, f32x4.mul(v128.load(r1), c));
        s2 = f32x4.add(s2, f32x4.mul(v128.load(r2), c));
        s3 = f32x4.add(s3, f32x4.mul(v128.load(r3), c));
        s4 = f32x4.add(s4, f32x4.mul(v128.load(r4), c));
        s5 = f32x4.add(s5, f32x4.mul(v128.load(r5), c));
        s6 = f32x4.add(s6, f32x4.mul(v128.load(r6), c));
        s7 = f32x4.add(s7, f32x4.mul(v128.load(r7), c));
        s0 = f32x4.add(s0, f32x4.mul(v128.load(r0, 16), d));
        s1 = f32x4.add(s1, f32x4.mul(v128.load(r1, 16), d));
        s2 = f32x4.add(s2, f32x4.mul(v128.load(r2, 16), d));
        s3 = f32x4.add(s3, f32x4.mul(v128.load(r3, 16), d));
        s4 = f32x4.add(s4, f32x4.mul(v128.load(r4, 16), d));
        s5 = f32x4.add(s5, f32x4.mul(v128.load(r5, 16), d));
        s6 = f32x4.add(s6, f32x4.mul(v128.load(r6, 16), d));
        s7 = f32x4.add(s7, f32x4.mul(v128.load(r7, 16), d));
        q += 32;
        r0 += 32;
        r1 += 32;
        r2 += 32;
        r3 += 32;
        r4 += 32;
        r5 += 32;
        r6 += 32;
        r7 += 32;
      }
      const floor = f32x4.splat(f32.load(thresholds + (p << 2)));
      const half = row + 4 * runRows;
      noteRows(clamp(sums(s0, s1, s2, s3)), floor, subjects, row, runRows, p, counts, lists, listBytes);
      noteRows(clamp(sums(s4, s5, s6, s7)), floor, subjects, half, runRows, p, counts, lists, listBytes);
    }
  }
}

/**
 * Scans codes, and computes the similarity from the vector if the codes do not rule the row out: the lists are the same as those
 * of {@link scanVectors}.
 *
 * A code vector c with scale s approximates a vector v with the error |v - s c|, and an i16 probe p with scale t a probe q with
 * the error |q - t p|. As |v| = |q| = 1, v q is at most s t (c p) plus both errors (the probe's error multiplied by the length of
 * s c, see `probeErrors`).
 *
 * @param codes - i8 [rows, D].
 * @param scales - f32 [rows].
 * @param errors - f32 [rows], at least |v - s c|.
 * @param probeCodes - i16 [probeCount, D], small enough that no sum overflows 32 bits.
 * @param probeScales - f32 [probeCount].
 * @param probeErrors - f32 [probeCount], at least |q - t p| |s c| plus the rounding of all sums.
 */
export function scanCodes(
  codes: u32,
  scales: u32,
  errors: u32,
  probeCodes: u32,
  probeScales: u32,
  probeErrors: u32,
  vectors: u32,
  subjects: u32,
  rowCount: u32,
  vectorBytes: u32,
  probes: u32,
  probeCount: u32,
  thresholds: u32,
  counts: u32,
  lists: u32,
  listBytes: u32,
): void {
  memory.fill(counts, 0, probeCount << 2);
  const codeBytes = vectorBytes >> 2;
  const probeCodeBytes = vectorBytes >> 1;
  const runRows = (rowCount + TILE_ROWS - 1) / TILE_ROWS;
  const runBytes = runRows * codeBytes;
  for (let row: u32 = 0; row < runRows; row++) {
    const tile = codes + row * codeBytes;
    let p: u32 = 0;
    for (; p + 4 <= probeCount; p += 4) {
      for (let run: u32 = 0; run < TILE_ROWS; run++) {
        let u = tile + run * runBytes;
        const end = u + codeBytes;
        let q0 = probeCodes + p * probeCodeBytes;
        let q1 = q0 + probeCodeBytes;
        let q2 = q1 + probeCodeBytes;
        let q3 = q2 + probeCodeBytes;
        let s0 = i32x4.splat(0);
        let s1 = i32x4.splat(0);
        let s2 = i32x4.splat(0);
        let s3 = i32x4.splat(0);
        while (u < end) {
          const low = v128.load_ext<i8>(u);
          const high = v128.load_ext<i8>(u, 8);
          s0 = i32x4.add(s0, i32x4.dot_i16x8_s(low, v128.load(q0)));
          s1 = i32x4.add(s1, i32x4.dot_i16x8_s(low, v128.load(q1)));
          s2 = i32x4.add(s2, i32x4.dot_i16x8_s(low, v128.load(q2)));
          s3 = i32x4.add(s3, i32x4.dot_i16x8_s(low, v128.load(q3)));
          s0 = i32x4.add(s0, i32x4.dot_i16x8_s(high, v128.load(q0, 16)));
          s1 = i32x4.add(s1, i32x4.dot_i16x8_s(high, v128.load(q1, 16)));
          s2 = i32x4.add(s2, i32x4.dot_i16x8_s(high, v128.load(q2, 16)));
          s3 = i32x4.add(s3, i32x4.dot_i16x8_s(high, v128.load(q3, 16)));
          u += 16;
          q0 += 32;
          q1 += 32;
          q2 += 32;
          q3 += 32;
        }
        const at = row + run * runRows;
        const scale = f32x4.mul(
          f32x4.splat(f32.load(scales + (at << 2))),
          v128.load(probeScales + (p << 2)),
        );
        const error = f32x4.add(f32x4.splat(f32.load(errors + (at << 2))), v128.load(probeErrors + (p << 2)));
        const most = f32x4.add(f32x4.mul(scale, f32x4.convert_i32x4_s(intSums(s0, s1, s2, s3))), error);
        let open = i32x4.bitmask(f32x4.ge(most, v128.load(thresholds + (p << 2))));
        for (; open != 0; open &= open - 1) {
          const probe = p + ctz(open);
          noteExactly(at, probe, vectors, vectorBytes, probes, thresholds, subjects, counts, lists, listBytes);
        }
      }
    }
    for (; p < probeCount; p++) {
      for (let run: u32 = 0; run < TILE_ROWS; run += 4) {
        let r0 = tile + run * runBytes;
        let r1 = r0 + runBytes;
        let r2 = r1 + runBytes;
        let r3 = r2 + runBytes;
        const end = r0 + codeBytes;
        let q = probeCodes + p * probeCodeBytes;
        let s0 = i32x4.splat(0);
        let s1 = i32x4.splat(0);
        let s2 = i32x4.splat(0);
        let s3 = i32x4.splat(0);
        while (r0 < end) {
          const low = v128.load(q);
          const high = v128.load(q, 16);
          s0 = i32x4.add(s0, i32x4.dot_i16x8_s(v128.load_ext<i8>(r0), low));
          s1 = i32x4.add(s1, i32x4.dot_i16x8_s(v128.load_ext<i8>(r1), low));
          s2 = i32x4.add(s2, i32x4.dot_i16x8_s(v128.load_ext<i8>(r2), low));
          s3 = i32x4.add(s3, i32x4.dot_i16x8_s(v128.load_ext<i8>(r3), low));
          s0 = i32x4.add(s0, i32x4.dot_i16x8_s(v128.load_ext<i8>(r0, 8), high));
          s1 = i32x4.add(s1, i32x4.dot_i16x8_s(v128.load_ext<i8>(r1, 8), high));
          s2 = i32x4.add(s2, i32x4.dot_i16x8_s(v128.load_ext<i8>(r2, 8), high));
          s3 = i32x4.add(s3, i32x4.dot_i16x8_s(v128.load_ext<i8>(r3, 8), high));
          q += 32;
          r0 += 16;
          r1 += 16;
          r2 += 16;
          r3 += 16;
        }
        const at = row + run * runRows;
        const scale = f32x4.mul(
          spread(scales + (at << 2), runRows << 2),
          f32x4.splat(f32.load(probeScales + (p << 2))),
        );
        const error = f32x4.add(
          spread(errors + (at << 2), runRows << 2),
          f32x4.splat(f32.load(probeErrors + (p << 2))),
        );
        const most = f32x4.add(f32x4.mul(scale, f32x4.convert_i32x4_s(intSums(s0, s1, s2, s3))), error);
        let open = i32x4.bitmask(f32x4.ge(most, f32x4.splat(f32.load(thresholds + (p << 2)))));
        for (; open != 0; open &= open - 1) {
          const open1 = at + ctz(open) * runRows;
          noteExactly(open1, p, vectors, vectorBytes, probes, thresholds, subjects, counts, lists, listBytes);
        }
      }
    }
  }
}

/**
 * Reads memory like a scan, in eight runs at once, without using it: the upper bound for the speed of a scan.
 *
 * @param bytes - a multiple of 512.
 */
export function read(from: u32, bytes: u32): i32 {
  const runBytes = bytes / TILE_ROWS;
  const end = from + runBytes;
  let r0 = from;
  let r1 = r0 + runBytes;
  let r2 = r1 + runBytes;
  let r3 = r2 + runBytes;
  let r4 = r3 + runBytes;
  let r5 = r4 + runBytes;
  let r6 = r5 + runBytes;
  let r7 = r6 + runBytes;
  let s0 = i32x4.splat(0);
  let s1 = i32x4.splat(0);
  let s2 = i32x4.splat(0);
  let s3 = i32x4.splat(0);
  let s4 = i32x4.splat(0);
  let s5 = i32x4.splat(0);
  let s6 = i32x4.splat(0);
  let s7 = i32x4.splat(0);
  while (r0 < end) {
    s0 = v128.xor(s0, line(r0));
    s1 = v128.xor(s1, line(r1));
    s2 = v128.xor(s2, line(r2));
    s3 = v128.xor(s3, line(r3));
    s4 = v128.xor(s4, line(r4));
    s5 = v128.xor(s5, line(r5));
    s6 = v128.xor(s6, line(r6));
    s7 = v128.xor(s7, line(r7));
    r0 += 64;
    r1 += 64;
    r2 += 64;
    r3 += 64;
    r4 += 64;
    r5 += 64;
    r6 += 64;
    r7 += 64;
  }
  const even = v128.xor(v128.xor(s0, s2), v128.xor(s4, s6));
  const odd = v128.xor(v128.xor(s1, s3), v128.xor(s5, s7));
  return i32x4.extract_lane(v128.xor(even, odd), 0);
}

// @ts-ignore: decorator
@inline
function line(at: u32): v128 {
  return v128.xor(v128.xor(v128.load(at), v128.load(at, 16)), v128.xor(v128.load(at, 32), v128.load(at, 48)));
}

// @ts-ignore: decorator
@inline
function noteExactly(
  row: u32,
  probe: u32,
  vectors: u32,
  vectorBytes: u32,
  probes: u32,
  thresholds: u32,
  subjects: u32,
  counts: u32,
  lists: u32,
  listBytes: u32,
): void {
  const similarity = exactly(vectors + row * vectorBytes, probes + probe * vectorBytes, vectorBytes);
  if (similarity < f32.load(thresholds + (probe << 2))) return;
  note(row, similarity, subjects, counts + (probe << 2), lists + probe * listBytes);
}

function exactly(vector: u32, probe: u32, vectorBytes: u32): f32 {
  let s = f32x4.splat(0);
  for (let at: u32 = 0; at < vectorBytes; at += 16) {
    s = f32x4.add(s, f32x4.mul(v128.load(vector + at), v128.load(probe + at)));
  }
  const even = f32x4.extract_lane(s, 0) + f32x4.extract_lane(s, 2);
  const odd = f32x4.extract_lane(s, 1) + f32x4.extract_lane(s, 3);
  return max<f32>(-1, min<f32>(1, even + odd));
}

/** Adds one row to the lists of those of four probes whose threshold it reaches. */
// @ts-ignore: decorator
@inline
function noteProbes(
  similarities: v128,
  floor: v128,
  subjects: u32,
  row: u32,
  probe: u32,
  counts: u32,
  lists: u32,
  listBytes: u32,
): void {
  let passed = i32x4.bitmask(f32x4.ge(similarities, floor));
  for (; passed != 0; passed &= passed - 1) {
    const lane = ctz(passed);
    const p = probe + lane;
    note(row, laneOf(similarities, lane), subjects, counts + (p << 2), lists + p * listBytes);
  }
}

/** Adds those of four rows, `apart` rows apart, that reach the threshold to the list of one probe. */
// @ts-ignore: decorator
@inline
function noteRows(
  similarities: v128,
  floor: v128,
  subjects: u32,
  row: u32,
  apart: u32,
  probe: u32,
  counts: u32,
  lists: u32,
  listBytes: u32,
): void {
  let passed = i32x4.bitmask(f32x4.ge(similarities, floor));
  for (; passed != 0; passed &= passed - 1) {
    const lane = ctz(passed);
    const similarity = laneOf(similarities, lane);
    note(row + lane * apart, similarity, subjects, counts + (probe << 2), lists + probe * listBytes);
  }
}

function note(row: u32, similarity: f32, subjects: u32, count: u32, list: u32): void {
  const subject = atomic.load<u32>(subjects + (row << 2));
  if (subject == 0) return;
  const length = load<u32>(count);
  const entry = list + length * ENTRY_BYTES;
  store<u32>(entry, row);
  store<u32>(entry, subject, 4);
  store<f32>(entry, similarity, 8);
  store<u32>(count, length + 1);
}

/** Loads four f32, `apart` bytes apart. */
// @ts-ignore: decorator
@inline
function spread(at: u32, apart: u32): v128 {
  let numbers = v128.load32_zero(at);
  numbers = v128.load_lane<f32>(at + apart, numbers, 1);
  numbers = v128.load_lane<f32>(at + 2 * apart, numbers, 2);
  return v128.load_lane<f32>(at + 3 * apart, numbers, 3);
}

function laneOf(values: v128, lane: u32): f32 {
  if (lane < 2) return lane == 0 ? f32x4.extract_lane(values, 0) : f32x4.extract_lane(values, 1);
  return lane == 2 ? f32x4.extract_lane(values, 2) : f32x4.extract_lane(values, 3);
}

/** Sums the lanes of each vector: (0 + 2) + (1 + 3). */
// @ts-ignore: decorator
@inline
function sums(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
}

// @ts-ignore: decorator
@inline
function intSums(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return i32x4.add(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7));
}

/** Clamps to [-1, 1], which rounding may exceed. */
// @ts-ignore: decorator
@inline
function clamp(similarities: v128): v128 {
  return f32x4.pmax(f32x4.splat(-1), f32x4.pmin(f32x4.splat(1), similarities));
}
