/**
 * Runs compiled models and the ONNX files that their weights come from on the pictures of golden-inputs.cjs, and prints the
 * largest difference of each output, as JSON: { "<model name>": { "<output>": number } }.
 *
 * A process of its own, because onnxruntime-node refuses the typed arrays of Jest's sandbox (jestjs/jest#11864).
 *
 * Usage: node compare-originals.mjs '{"<model name>":{"compiled":"<path>","original":"<path>"}}'
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import inputs from '../golden/golden-inputs.cjs';

const { KINDS, goldenInput } = inputs;

/** Of the RFB-320 at 320 x 240: anchor sides by stride, and the variances of its encoding. */
const ANCHORS = { 8: [10, 16, 24], 16: [32, 48], 32: [64, 96], 64: [128, 192, 256] };
const [CENTER_VARIANCE, SIZE_VARIANCE] = [0.1, 0.2];

/** For each network: size and normalization of the original's input, and how our outputs become the original's. */
const NETWORKS = {
  'mobilefacenet-512': {
    width: 112,
    height: 112,
    mean: 127.5,
    toOriginal: ({ embedding }) => ({ output: Array.from(embedding.data) }),
  },
  'rfb-320': {
    width: 320,
    height: 240,
    mean: 127,
    toOriginal: ({ scores, boxes }) => ({
      scores: Array.from(scores.data),
      boxes: decode(boxes.data, 320, 240),
    }),
  },
};

/** Corners in fractions of the picture, as the original gives them. */
function decode(boxes, width, height) {
  const corners = [];
  for (const [stride, sides] of Object.entries(ANCHORS)) {
    const [rows, columns] = [Math.ceil(height / stride), Math.ceil(width / stride)];
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        for (const side of sides) {
          const [dx, dy, dw, dh] = boxes.subarray(corners.length, corners.length + 4);
          const x = ((column + 0.5) / columns) * width + dx * CENTER_VARIANCE * side;
          // Anchors are cut to the picture: that of 256 is 240 high.
          const sideY = Math.min(side, height);
          const y = ((row + 0.5) / rows) * height + dy * CENTER_VARIANCE * sideY;
          const [w, h] = [side * Math.exp(dw * SIZE_VARIANCE), sideY * Math.exp(dh * SIZE_VARIANCE)];
          corners.push((x - w / 2) / width, (y - h / 2) / height, (x + w / 2) / width, (y + h / 2) / height);
        }
      }
    }
  }
  return corners;
}

/** The top rows of a square picture. */
const picture = (kind, width, height) => goldenInput(kind, width).subarray(0, width * height * 3);

async function compare(name, { compiled, original }) {
  const { width, height, mean, toOriginal } = NETWORKS[name];
  const [ours, theirs] = await Promise.all([compiled, original].map((file) => InferenceSession.create(file)));
  const largest = {};
  for (const kind of KINDS) {
    const pixels = picture(kind, width, height);
    const planar = new Float32Array(pixels.length);
    const plane = width * height;
    for (let i = 0; i < plane; i++) {
      for (let channel = 0; channel < 3; channel++) {
        planar[channel * plane + i] = (pixels[i * 3 + channel] - mean) / 128;
      }
    }
    const expected = await theirs.run({ input: new Tensor('float32', planar, [1, 3, height, width]) });
    const received = toOriginal(
      await ours.run({ image: new Tensor('uint8', pixels, [1, height, width, 3]) }),
    );
    for (const [output, values] of Object.entries(received)) {
      const { data } = expected[output];
      if (data.length !== values.length) throw new Error(`${name}: ${values.length} values for ${output}`);
      const difference = values.reduce((max, value, i) => Math.max(max, Math.abs(value - data[i])), 0);
      largest[output] = Math.max(largest[output] ?? 0, difference);
    }
  }
  return largest;
}

const report = {};
for (const [name, files] of Object.entries(JSON.parse(process.argv[2])))
  report[name] = await compare(name, files);
process.stdout.write(JSON.stringify(report));
