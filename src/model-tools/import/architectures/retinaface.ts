import type { KerasNetwork, KerasValue } from '../keras-network';
import type { KerasArchitecture } from './architecture';

/** Epsilon of all batch norms; from MXNet, the origin of the weights. */
const EPSILON = 1.9999999494757503e-5;

/** Units, filters of the narrow convolutions and stride of the first unit; the last convolution has four times as many. */
const STAGES = [
  { units: 3, filters: 64, strides: 1 },
  { units: 4, filters: 128, strides: 2 },
  { units: 6, filters: 256, strides: 2 },
  { units: 3, filters: 512, strides: 2 },
];

/** Defines RetinaFace; names are those of the layers in Keras. */
class RetinafaceNetwork {
  constructor(private readonly net: KerasNetwork) {}

  /** Results of stages 2, 3 and 4 before their strided convolution, and of the end: strides 8, 16, 32. */
  private backbone(): { taps: KerasValue[]; top: KerasValue } {
    const { net } = this;
    // Any size: rows and columns are open.
    let x = this.norm(net.input([null, null, 3]), 'bn_data');
    x = net.conv(net.zeroPad(x, 3), 64, 7, { name: 'conv0', strides: 2, bias: false });
    x = net.relu(this.norm(x, 'bn0'));
    x = net.maxPool(net.zeroPad(x, 1), 3, { strides: 2 });
    const taps: KerasValue[] = [];
    STAGES.forEach(({ units, filters, strides }, stage) => {
      for (let unit = 1; unit <= units; unit++) {
        const { sum, tap } = this.unit(
          x,
          `stage${stage + 1}_unit${unit}`,
          filters,
          unit === 1 ? strides : null,
        );
        if (unit === 1) taps.push(tap);
        x = sum;
      }
    });
    return { taps: taps.slice(2), top: net.relu(this.norm(x, 'bn1')) };
  }

  /**
   * Unit of a pre-activation ResNet.
   *
   * @param strides - stride of the first unit of a stage, which has a convolution in its shortcut; `null` for the
   * others.
   */
  private unit(x: KerasValue, name: string, filters: number, strides: number | null) {
    const { net } = this;
    const conv = (value: KerasValue, part: string, count: number, size: number, stride = 1) =>
      net.conv(value, count, size, { name: `${name}_${part}`, strides: stride, bias: false });
    const activate = (value: KerasValue, part: string) => net.relu(this.norm(value, `${name}_${part}`));
    const start = activate(x, 'bn1');
    const tap = activate(conv(start, 'conv1', filters, 1), 'bn2');
    const middle = activate(conv(net.zeroPad(tap, 1), 'conv2', filters, 3, strides ?? 1), 'bn3');
    const end = conv(middle, 'conv3', 4 * filters, 1);
    const shortcut = strides == null ? x : conv(start, 'sc', 4 * filters, 1, strides);
    return { sum: net.add([end, shortcut]), tap };
  }

  private norm(x: KerasValue, name: string): KerasValue {
    return this.net.batchNorm(x, { name, epsilon: EPSILON });
  }

  /** Convolution with bias and batch norm that keeps rows and columns. */
  private convNorm(x: KerasValue, name: string, filters: number, size: 1 | 3): KerasValue {
    const padded = size === 3 ? this.net.zeroPad(x, 1) : x;
    return this.norm(this.net.conv(padded, filters, size, { name }), `${name}_bn`);
  }

  /** Joins a level of the pyramid with the level above, with half the rows and columns. */
  private joinLevels(above: KerasValue, level: KerasValue, name: string): KerasValue {
    // Keras crops the center of the enlarged level; with sizes that are multiples of 32, there is nothing to crop.
    const sum = this.net.add([level, this.net.upsample(above, 2)]);
    return this.net.relu(this.convNorm(sum, name, 256, 3));
  }

  /** Context module: windows of 3, 5 and 7, the wider ones as chains of 3. */
  private context(x: KerasValue, name: string): KerasValue {
    const { net } = this;
    const context = `${name}_det_context_conv`;
    const near = this.convNorm(x, `${name}_det_conv1`, 256, 3);
    const shared = net.relu(this.convNorm(x, `${context}1`, 128, 3));
    const middle = this.convNorm(shared, `${context}2`, 128, 3);
    const far = this.convNorm(
      net.relu(this.convNorm(shared, `${context}3_1`, 128, 3)),
      `${context}3_2`,
      128,
      3,
    );
    return net.relu(net.concat([near, middle, far]));
  }

  private heads(x: KerasValue, stride: number): void {
    const { net } = this;
    const head = (kind: string, filters: number) =>
      net.conv(x, filters, 1, { name: `face_rpn_${kind}_stride${stride}` });
    const logits = head('cls_score', 4);
    // Two backgrounds, then two faces, of the two anchors; the softmax over a pair is a sigmoid of its difference.
    const scores = net.custom([logits], logits.shape, (graph, [all]) => {
      const background = graph.slice(all, 1, 0, 2);
      const face = graph.slice(all, 1, 2, 4);
      const pair = [graph.sub(background, face), graph.sub(face, background)];
      return graph.node('Sigmoid', [graph.concat(pair, 1)]);
    });
    net.output(`scores_${stride}`, scores);
    net.output(`boxes_${stride}`, head('bbox_pred', 8));
    net.output(`landmarks_${stride}`, head('landmark_pred', 20));
  }

  build(): void {
    const { taps, top } = this.backbone();
    const lateral = (x: KerasValue, name: string) => this.net.relu(this.convNorm(x, name, 256, 1));
    const level32 = lateral(top, 'ssh_c3_lateral');
    const level16 = this.joinLevels(level32, lateral(taps[1], 'ssh_c2_lateral'), 'ssh_c2_aggr');
    const level8 = this.joinLevels(level16, lateral(taps[0], 'ssh_m1_red_conv'), 'ssh_c1_aggr');
    this.heads(this.context(level32, 'ssh_m3'), 32);
    this.heads(this.context(level16, 'ssh_m2'), 16);
    this.heads(this.context(level8, 'ssh_m1'), 8);
  }
}

/** Nine outputs: scores, boxes and landmarks of each stride. */
const OUTPUTS = [32, 16, 8].flatMap((stride) =>
  [
    { name: 'scores', size: 4 },
    { name: 'boxes', size: 8 },
    { name: 'landmarks', size: 20 },
  ].map(({ name, size }) => ({ name: `${name}_${stride}`, dims: [-1, -1, -1, size] })),
);

/**
 * RetinaFace on ResNet50 (Deng et al. 2019), as InsightFace trained it.
 *
 * @see serengil/retinaface@29d593f:retinaface/model/retinaface_model.py, retinaface/RetinaFace.py
 */
export const RETINAFACE: KerasArchitecture = {
  build: (net) => new RetinafaceNetwork(net).build(),
  card: {
    title: 'RetinaFace, ResNet50 (InsightFace)',
    task: 'detect',
    family: 'retinaface-insightface',
    input: {
      // DeepFace resizes the shorter side to 512 pixels, without its border; 640 for the longer side is closest to that
      // for 4:3 photos.
      width: 640,
      height: 640,
      multipleOf: 32,
      layout: 'NCHW',
      dtype: 'float32',
      colorOrder: 'RGB',
      mean: [0, 0, 0],
      std: [1, 1, 1],
      maxBatch: 1,
    },
    outputs: OUTPUTS,
    detection: {
      // With a border, faces that fill the image are found too.
      passes: [
        { border: 0, minDetectionScore: 0.9 },
        { border: 0.5, minDetectionScore: 0.9 },
      ],
      nmsIou: 0.4,
      enlarge: true,
      landmarkModel: 'face-landmark-68',
      strides: [32, 16, 8],
      minSizes: [
        [512, 256],
        [128, 64],
        [32, 16],
      ],
    },
    license: {
      name: 'InsightFace model license',
      commercialUse: false,
      note: 'Weights of InsightFace, for non-commercial research; the code that publishes them is MIT.',
    },
    trainingData: 'WIDER FACE.',
    source: 'retinaface.h5 of the release v1.0 of serengil/deepface_models',
  },
};
