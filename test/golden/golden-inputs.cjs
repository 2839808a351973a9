'use strict';

/**
 * Synthetic pictures for the parity test, the same on every machine: integer arithmetic only, no files, no people.
 * Shared by make-goldens.mjs (which runs the peer on them) and the golden spec (which runs our models on them).
 */

/** Kinds of picture: smooth blobs, plain noise, a cartoon face that fills the frame, and a small one off the center. */
const KINDS = ['blobs', 'noise', 'face', 'portrait'];

/** Input size in pixels, and the outputs, of every compiled model. */
const NETWORKS = {
  'ssd-mobilenetv1': { size: 512, outputs: ['boxes', 'scores'] },
  'face-landmark-68': { size: 112, outputs: ['landmarks'] },
  'face-resnet-128': { size: 150, outputs: ['embedding'] },
  'age-gender': { size: 112, outputs: ['age', 'gender'] },
  'face-expression': { size: 112, outputs: ['expressions'] },
};

/** Side of the square the pictures are drawn in; pixels are sampled from it. */
const CANVAS = 1024;

const SKIN = [224, 172, 138];
const CLOTH = [58, 74, 112];
const HAIR = [62, 44, 36];
const WHITE = [240, 238, 235];
const DARK = [34, 26, 24];
const LIPS = [172, 74, 78];
const LIGHT = [236, 190, 158];
const SHADE = [186, 134, 104];

/** The parts of a cartoon face, back to front: center, half axes (in thousandths of the face radius) and color. */
const FACE_PARTS = [
  [0, 2000, 1900, 1075, CLOTH],
  [0, 900, 357, 520, SHADE],
  [0, -189, 823, 959, HAIR],
  [0, 60, 704, 879, SKIN],
  [-338, -133, 218, 128, SHADE],
  [338, -133, 221, 167, SHADE],
  [-338, -237, 189, 59, HAIR],
  [338, -237, 189, 36, HAIR],
  [-338, -113, 147, 55, WHITE],
  [338, -113, 144, 52, WHITE],
  [-338, -113, 73, 66, DARK],
  [338, -113, 58, 74, DARK],
  [60, 110, 90, 240, SHADE],
  [0, 90, 60, 240, LIGHT],
  [0, 290, 150, 70, SHADE],
  [0, 445, 312, 80, LIPS],
  [0, 445, 229, 21, DARK],
];

/** Pseudo-random bytes. @see Numerical Recipes, third edition, section 7.1: the constants of `ranqd1`. */
function randomBytes(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  };
}

function clampByte(value) {
  return Math.max(0, Math.min(255, value));
}

function insideEllipse(x, y, centerX, centerY, radiusX, radiusY) {
  const dx = (x - centerX) * radiusY;
  const dy = (y - centerY) * radiusX;
  return dx * dx + dy * dy <= radiusX * radiusX * radiusY * radiusY;
}

function blobs(x, y) {
  const color = [x >> 2, y >> 2, (2 * CANVAS - x - y) >> 3];
  const centers = [
    [300, 260, 200],
    [700, 420, 260],
    [480, 800, 180],
  ];
  centers.forEach(([centerX, centerY, radius], channel) => {
    const distance = (x - centerX) * (x - centerX) + (y - centerY) * (y - centerY);
    const inside = Math.max(0, radius * radius - distance);
    color[channel] += Math.floor((inside * 160) / (radius * radius));
  });
  return color;
}

function cartoon(centerX, centerY, radius) {
  const parts = FACE_PARTS.map(([dx, dy, halfWidth, halfHeight, paint]) => {
    const [x, y, radiusX, radiusY] = [dx, dy, halfWidth, halfHeight].map((value) =>
      Math.trunc((value * radius) / 1000),
    );
    return { x: centerX + x, y: centerY + y, radiusX, radiusY, paint };
  }).reverse();
  return (x, y) => {
    const background = [120 + (y >> 4), 140 + (x >> 5), 170 - (y >> 5)];
    const top = parts.find((part) => insideEllipse(x, y, part.x, part.y, part.radiusX, part.radiusY));
    // Light from the upper left, so that the face is not flat.
    const side = Math.trunc(((2 * (centerX - x) + centerY - y) * 16) / radius);
    const light = Math.max(-40, Math.min(40, side));
    return (top ? top.paint : background).map((value) => value + light);
  };
}

const PAINTERS = {
  blobs,
  noise: () => [0, 0, 0],
  face: cartoon(512, 530, 480),
  portrait: cartoon(459, 425, 221),
};

/** How far noise moves a channel, in both directions together; 256 replaces the picture. */
const NOISE_SPAN = { blobs: 1, noise: 256, face: 13, portrait: 9 };

/**
 * Draws one picture.
 *
 * @param {string} kind one of KINDS
 * @param {number} size width and height in pixels
 * @returns {Uint8Array} [size * size * 3] HWC RGB, 0..255
 */
function goldenInput(kind, size) {
  const paint = PAINTERS[kind];
  const span = NOISE_SPAN[kind];
  const random = randomBytes(size + kind.length);
  const pixels = new Uint8Array(size * size * 3);
  let offset = 0;
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const x = Math.floor(((2 * column + 1) * CANVAS) / (2 * size));
      const y = Math.floor(((2 * row + 1) * CANVAS) / (2 * size));
      for (const channel of paint(x, y)) {
        const shift = span === 256 ? random() : ((random() * span) >> 8) - (span >> 1);
        pixels[offset++] = clampByte(channel + shift);
      }
    }
  }
  return pixels;
}

module.exports = { KINDS, NETWORKS, goldenInput };
