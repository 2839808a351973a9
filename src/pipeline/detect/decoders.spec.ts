import type { CardDetection } from '../../models/model-card';
import type { Candidate } from './candidate';
import { decodeRetinaface, decodeUltraLight } from './retinaface';
import { decodeRetinafaceInsightface } from './retinaface-insightface';
import { decodeScrfd } from './scrfd';
import { decodeSsdMobilenet } from './ssd-mobilenet';
import { decodeYunet } from './yunet';

const tensor = (values: number, width: number) => ({
  data: new Float32Array(values * width),
  dims: [1, values, width],
});
const detection = (extra: Partial<CardDetection> = {}): CardDetection => ({
  passes: [],
  nmsIou: 0.5,
  enlarge: false,
  ...extra,
});
const box = ({ x1, y1, x2, y2 }: Candidate) =>
  [x1, y1, x2, y2].map((value) => Math.round(value * 1000) / 1000);

describe(decodeSsdMobilenet.name, () => {
  it('scales corners given as (y, x) to the canvas, clips them, and takes scores from the threshold on', () => {
    const boxes = tensor(3, 4);
    boxes.data.set([0.25, 0.5, 0.75, 1.5, -0.5, 0, 0.5, 0.5, 0, 0, 1, 1]);
    const scores = { data: new Float32Array([0.5, 0.9, 0.49]), dims: [1, 3] };
    const found = decodeSsdMobilenet([boxes, scores], { width: 512, height: 512 }, detection(), 0.5);
    expect(found.map(box)).toEqual([
      [256, 128, 512, 384],
      [0, 0, 256, 256],
    ]);
    expect(found.map(({ detectionScore }) => detectionScore)).toEqual([0.5, Math.fround(0.9)]);
    expect(found[0].landmarks).toBeUndefined();
  });

  it('scales each axis with its own side of the canvas', () => {
    const boxes = tensor(1, 4);
    boxes.data.set([0.25, 0.5, 0.75, 0.75]);
    const scores = { data: new Float32Array([1]), dims: [1, 1] };
    const found = decodeSsdMobilenet([boxes, scores], { width: 200, height: 40 }, detection(), 0);
    expect(found.map(box)).toEqual([[100, 10, 150, 30]]);
  });
});

describe(decodeYunet.name, () => {
  /** 64 x 32 pixels: 8 x 4, 4 x 2 and 2 x 1 cells. */
  const cells = [32, 8, 2];
  const outputs = () => [1, 1, 4, 10].flatMap((width) => cells.map((count) => tensor(count, width)));

  it('decodes a cell of the second stride', () => {
    const heads = outputs();
    const cell = 6; // column 2, row 1 of 4 x 2
    heads[1].data[cell] = 0.64;
    heads[4].data[cell] = 1;
    heads[7].data.set([0.5, -0.25, Math.log(2), Math.log(3)], cell * 4);
    heads[10].data.set([0, 0, 1, 0, 0.5, 0.5, 0, 1, 1, 1], cell * 10);
    const [found, ...rest] = decodeYunet(heads, { width: 64, height: 32 }, detection(), 0.79);
    expect(rest).toEqual([]);
    expect(found.detectionScore).toBeCloseTo(0.8, 6);
    expect(box(found)).toEqual([40 - 16, 12 - 24, 40 + 16, 12 + 24]);
    expect(found.landmarks).toEqual([
      { x: 32, y: 16 },
      { x: 48, y: 16 },
      { x: 40, y: 24 },
      { x: 32, y: 32 },
      { x: 48, y: 32 },
    ]);
  });

  it('is the geometric mean of class and objectness, each kept within 0 and 1', () => {
    const heads = outputs();
    heads[0].data.set([4, -1, 0.25]);
    heads[3].data.set([0.25, 1, 1]);
    const found = decodeYunet(heads, { width: 64, height: 32 }, detection(), 0.1);
    expect(found.map(({ detectionScore }) => detectionScore)).toEqual([0.5, 0.5]);
  });

  it.each([
    [0.5, 1],
    [0.5 + 1e-9, 0],
  ])('takes a score of 0.5 inclusively (threshold %d)', (minDetectionScore, count) => {
    const heads = outputs();
    heads[0].data[3] = 0.25;
    heads[3].data[3] = 1;
    const found = decodeYunet(heads, { width: 64, height: 32 }, detection(), minDetectionScore);
    expect(found).toHaveLength(count);
  });

  it('walks cells row by row in every stride', () => {
    const heads = outputs();
    // The last cell of each: (7, 3) of 8 x 4, (3, 1) of 4 x 2, (1, 0) of 2 x 1.
    cells.forEach((count, level) => {
      heads[level].data[count - 1] = 1;
      heads[3 + level].data[count - 1] = 1;
    });
    const found = decodeYunet(heads, { width: 64, height: 32 }, detection(), 0.5);
    expect(found.map(box)).toEqual([
      [52, 20, 60, 28],
      [40, 8, 56, 24],
      [16, -16, 48, 16],
    ]);
  });

  it('takes its strides from the card', () => {
    const heads = [1, 1, 4, 10].map((width) => tensor(2, width));
    heads[0].data[1] = 1;
    heads[1].data[1] = 1;
    const found = decodeYunet(heads, { width: 128, height: 64 }, detection({ strides: [64] }), 0.5);
    expect(found.map(box)).toEqual([[32, -32, 96, 32]]);
  });
});

describe(decodeRetinaface.name, () => {
  it('walks anchors by stride, row, column and size', () => {
    const settings = detection({ strides: [8, 16], minSizes: [[10, 20], [64]] });
    const canvas = { width: 16, height: 24 }; // 2 x 3 and 1 x 2 cells: 12 and 2 anchors
    const [loc, conf, landms] = [tensor(14, 4), tensor(14, 2), tensor(14, 10)];
    const anchors = [
      { index: 5, x: 4, y: 12, size: 20 }, // stride 8, row 1, column 0, second size
      { index: 13, x: 8, y: 24, size: 64 }, // stride 16, row 1
    ];
    for (const { index } of anchors) {
      conf.data[index * 2 + 1] = 0.9;
      loc.data.set([1, -1, Math.log(2) / 0.2, 0], index * 4);
      landms.data.set([1, 2], index * 10);
    }
    const found = decodeRetinaface([loc, conf, landms], canvas, settings, 0.9 - 1e-6);
    expect(found.map(box)).toEqual(
      anchors.map(({ x, y, size }) =>
        [
          x + 0.1 * size - size,
          y - 0.1 * size - size / 2,
          x + 0.1 * size + size,
          y - 0.1 * size + size / 2,
        ].map((value) => Math.round(value * 1000) / 1000),
      ),
    );
    found.forEach(({ landmarks }, i) => {
      const { x, y, size } = anchors[i];
      expect(landmarks?.[0].x).toBeCloseTo(x + 0.1 * size, 4);
      expect(landmarks?.[0].y).toBeCloseTo(y + 0.2 * size, 4);
      expect(landmarks?.[4]).toEqual({ x, y });
    });
  });

  it('gives every anchor its own place and size', () => {
    const settings = detection({ strides: [8, 16], minSizes: [[10, 20], [64]] });
    const [loc, conf, landms] = [tensor(10, 4), tensor(10, 2), tensor(10, 10)];
    conf.data.fill(1);
    const found = decodeRetinaface([loc, conf, landms], { width: 16, height: 16 }, settings, 0.5);
    const square = (x: number, y: number, size: number) => [
      x - size / 2,
      y - size / 2,
      x + size / 2,
      y + size / 2,
    ];
    expect(found.map(box)).toEqual([
      square(4, 4, 10),
      square(4, 4, 20),
      square(12, 4, 10),
      square(12, 4, 20),
      square(4, 12, 10),
      square(4, 12, 20),
      square(12, 12, 10),
      square(12, 12, 20),
      square(8, 8, 64),
    ]);
  });

  it('counts the cells that the edge of the canvas cuts', () => {
    // 20 x 9 pixels at stride 8: 3 x 2 cells.
    const settings = detection({ strides: [8], minSizes: [[10]] });
    const [loc, conf, landms] = [tensor(6, 4), tensor(6, 2), tensor(6, 10)];
    conf.data[3 * 2 + 1] = 1;
    const found = decodeRetinaface([loc, conf, landms], { width: 20, height: 9 }, settings, 0.5);
    expect(found.map(box)).toEqual([[-1, 7, 9, 17]]);
  });

  it('reads the score of the face, not of the background, and takes it inclusively', () => {
    const settings = detection({ strides: [8], minSizes: [[10]] });
    const [loc, conf, landms] = [tensor(2, 4), tensor(2, 2), tensor(2, 10)];
    conf.data.set([0.5, 0.5, 1, 0]);
    const decode = (minDetectionScore: number) =>
      decodeRetinaface([loc, conf, landms], { width: 16, height: 8 }, settings, minDetectionScore);
    expect(decode(0.5).map(({ detectionScore }) => detectionScore)).toEqual([0.5]);
    expect(decode(0.5 + 1e-9)).toEqual([]);
  });
});

describe(decodeUltraLight.name, () => {
  it('divides the canvas into as many cells as there are, also where the last are cut', () => {
    // 20 x 9 pixels at stride 8: 3 x 2 cells.
    const settings = detection({ strides: [8], minSizes: [[10]] });
    const [scores, boxes] = [tensor(6, 2), tensor(6, 4)];
    scores.data[3 * 2 + 1] = 1;
    const found = decodeUltraLight([scores, boxes], { width: 20, height: 9 }, settings, 0.5);
    expect(found.map(box)).toEqual([[-1.667, 1.75, 8.333, 11.75]]);
    expect(found[0].landmarks).toBeUndefined();
  });

  it('has no anchor that is higher than 240 pixels, and counts offsets in its sides', () => {
    const settings = detection({ strides: [64], minSizes: [[192, 256]] });
    const [scores, boxes] = [tensor(2, 2), tensor(2, 4)];
    scores.data.set([0, 0.9, 0, 0.8]);
    boxes.data.set([1, 1, 0, 0, 1, 1, 0, 0]);
    const found = decodeUltraLight([scores, boxes], { width: 64, height: 64 }, settings, 0.5);
    expect(found.map(box)).toEqual(
      [
        [32 + 19.2 - 96, 32 + 19.2 - 96, 32 + 19.2 + 96, 32 + 19.2 + 96],
        [32 + 25.6 - 128, 32 + 24 - 120, 32 + 25.6 + 128, 32 + 24 + 120],
      ].map((values) => values.map((value) => Math.round(value * 1000) / 1000)),
    );
    expect(found.map(({ detectionScore }) => detectionScore)).toEqual([0.9, 0.8].map(Math.fround));
  });
});

describe(decodeScrfd.name, () => {
  it('takes a score that is no number for none', () => {
    const heads = [1, 4, 10].flatMap((width) => [32, 8, 2].map((count) => tensor(count * 2, width)));
    heads[0].data.fill(NaN);
    expect(decodeScrfd(heads, { width: 64, height: 32 }, detection(), 0)).toHaveLength(2 * (8 + 2));
  });

  it('has two anchors a cell, at its corner, with distances in strides', () => {
    const cells = [32, 8, 2];
    const heads = [1, 4, 10].flatMap((width) => cells.map((count) => tensor(count * 2, width)));
    const anchor = 2 * 9 + 1; // stride 8: column 1, row 1 of 8 x 4
    heads[0].data[anchor] = 0.7;
    heads[3].data.set([1, 0.5, 2, 3], anchor * 4);
    heads[6].data.set([-1, 1], anchor * 10);
    const [found, ...rest] = decodeScrfd(heads, { width: 64, height: 32 }, detection(), 0.5);
    expect(rest).toEqual([]);
    expect(box(found)).toEqual([0, 4, 24, 32]);
    expect(found.landmarks?.[0]).toEqual({ x: 0, y: 16 });
    expect(found.landmarks?.[1]).toEqual({ x: 8, y: 8 });
  });

  it('decodes both anchors of a cell, of every stride', () => {
    const cells = [32, 8, 2];
    const heads = [1, 4, 10].flatMap((width) => cells.map((count) => tensor(count * 2, width)));
    // The last cell of each: (7, 3) of 8 x 4, (3, 1) of 4 x 2, (1, 0) of 2 x 1.
    cells.forEach((count, level) => {
      const anchor = 2 * (count - 1);
      heads[level].data.set([0.5, 0.75], anchor);
      heads[3 + level].data.set([1, 1, 1, 1, 0, 0, 2, 2], anchor * 4);
    });
    const decode = (minDetectionScore: number) =>
      decodeScrfd(heads, { width: 64, height: 32 }, detection(), minDetectionScore);
    expect(decode(0.5).map(box)).toEqual([
      [48, 16, 64, 32],
      [56, 24, 72, 40],
      [32, 0, 64, 32],
      [48, 16, 80, 48],
      [0, -32, 64, 32],
      [32, 0, 96, 64],
    ]);
    // Inclusive: only the first anchor of each falls below.
    expect(decode(0.5 + 1e-9).map(({ detectionScore }) => detectionScore)).toEqual([0.75, 0.75, 0.75]);
  });
});

describe(decodeRetinafaceInsightface.name, () => {
  /** 64 x 32 pixels: 2 x 1, 4 x 2 and 8 x 4 cells of two anchors. */
  const canvas = { width: 64, height: 32 };
  const card = detection({
    strides: [32, 16, 8],
    minSizes: [
      [512, 256],
      [128, 64],
      [32, 16],
    ],
  });
  const outputs = () => [2, 8, 32].flatMap((cells) => [4, 8, 20].map((width) => tensor(cells, width)));

  it('has the anchors of InsightFace where nothing moves them', () => {
    const heads = outputs();
    // Both faces of the first cell of each stride; their backgrounds, in front of them, stay 0.
    for (const level of [0, 3, 6]) heads[level].data.set([0, 0, 0.9, 0.95]);
    const found = decodeRetinafaceInsightface(heads, canvas, card, 0.9 - 1e-6);
    expect(found.map(box)).toEqual([
      [-248, -248, 263, 263],
      [-120, -120, 135, 135],
      [-56, -56, 71, 71],
      [-24, -24, 39, 39],
      [-8, -8, 23, 23],
      [0, 0, 15, 15],
    ]);
    expect(found[1].detectionScore).toBe(Math.fround(0.95));
  });

  it('decodes an anchor of the second stride', () => {
    const heads = outputs();
    const cell = 6; // column 2, row 1 of 4 x 2: anchors sit at (39.5, 23.5)
    heads[3].data[cell * 4 + 2] = 1;
    heads[4].data.set([0.25, -0.125, Math.log(0.5), 0], cell * 8);
    heads[5].data.set([0.5, -0.5, 0, 0, 0.25, 0.25, -1, 1, 0, 1], cell * 20);
    const [found, ...rest] = decodeRetinafaceInsightface(heads, canvas, card, 0.5);
    expect(rest).toEqual([]);
    expect(box(found)).toEqual([71.5 - 31.5, 7.5 - 63.5, 71.5 + 31.5, 7.5 + 63.5]);
    expect(found.landmarks).toEqual([
      { x: 39.5 + 64, y: 23.5 - 64 },
      { x: 39.5, y: 23.5 },
      { x: 39.5 + 32, y: 23.5 + 32 },
      { x: 39.5 - 128, y: 23.5 + 128 },
      { x: 39.5, y: 23.5 + 128 },
    ]);
  });

  it('takes the second anchor of the last cell from its own place', () => {
    const heads = outputs();
    heads[6].data[31 * 4 + 3] = 0.5;
    heads[7].data.set([1, 0, 0, 0], 31 * 8 + 4);
    heads[8].data.set([1, 0], 31 * 20 + 10);
    const [found] = decodeRetinafaceInsightface(heads, canvas, card, 0.5);
    // Column 7, row 3: the anchor sits at (63.5, 31.5), its side is 16.
    expect(box(found)).toEqual([72, 24, 87, 39]);
    expect(found.landmarks?.[0]).toEqual({ x: 79.5, y: 31.5 });
  });

  it('passes over scores below the threshold, and NaN', () => {
    const heads = outputs();
    heads[0].data.set([0.9, 0.9, 0.4, NaN]);
    expect(decodeRetinafaceInsightface(heads, canvas, card, 0.5)).toEqual([]);
  });
});
