import {
  confidenceOf,
  CURVE_KEYS,
  DEEPFACE_METRICS,
  type DeepFaceMetric,
  THRESHOLDS,
  thresholdOf,
  vectorsApart,
} from './deepface-formulas';
import { DEEPFACE_THRESHOLDS, findConfidence } from '../../src/server/deepface/confidence';
import { ok, type Setup } from './shapes';
import { SMALL_DIMENSIONS } from './small-embedders';

/** Models that can be loaded; what DeepFace calls DeepFace is not among them. */
const loaded = THRESHOLDS.filter(({ model }) => model !== 'DeepFace');

/** The tables of DeepFace over HTTP: embeddings go in that lie a known distance apart. */
export function thresholdCases(setup: () => Setup): void {
  const apart = async (model: string, metric: DeepFaceMetric, distance: number, fields: object = {}) => {
    const [img1, img2] = vectorsApart(metric, distance, model === 'Dlib' ? 128 : SMALL_DIMENSIONS);
    const answer = await setup().wire.json('/verify', {
      img1,
      img2,
      model_name: model,
      distance_metric: metric,
      ...fields,
    });
    return ok(answer);
  };

  it('every model but Buffalo_L has a curve for every metric', () => {
    expect(CURVE_KEYS).toHaveLength(40);
    expect(CURVE_KEYS.some((key) => key.startsWith('Buffalo_L'))).toBe(false);
  });

  describe.each(loaded)('$model by $metric', ({ model, metric, threshold }) => {
    it(`has the threshold ${threshold}`, async () => {
      const body = await apart(model, metric, threshold / 2);
      expect(body).toMatchObject({ model, similarity_metric: metric, threshold });
    });

    it('decides on both sides of it, with the confidence of the published curve', async () => {
      for (const factor of [0.25, 0.6, 0.98, 1.02, 1.3, 1.7]) {
        const distance = threshold * factor;
        const body = await apart(model, metric, distance);
        expect(Math.abs(body.distance - distance)).toBeLessThan(Math.max(1.5e-6, distance * 1e-6));
        expect(body.verified).toBe(factor < 1);
        // The distance comes rounded: half of its last digit moves the confidence by less than this.
        expect(Math.abs(body.confidence - confidenceOf(model, metric, body.distance))).toBeLessThan(0.011);
        if (body.verified) expect(body.confidence).toBeGreaterThanOrEqual(51);
        else expect(body.confidence).toBeLessThanOrEqual(49);
      }
    });
  });

  it('the table has the models and figures of DeepFace, and no others', () => {
    const rows = Object.entries(DEEPFACE_THRESHOLDS).flatMap(([model, row]) =>
      DEEPFACE_METRICS.map((metric) => ({ model, metric, threshold: row[metric] })),
    );
    expect(rows).toHaveLength(44);
    expect(rows).toEqual(expect.arrayContaining([...THRESHOLDS]));
  });

  it.each(DEEPFACE_METRICS)(
    'DeepFace by %s, which no card stands for, has the confidence of the published curve',
    (metric) => {
      const threshold = thresholdOf('DeepFace', metric);
      for (const factor of [0, 0.25, 0.6, 0.98, 1, 1.02, 1.3, 1.7]) {
        const distance = threshold * factor;
        expect(findConfidence(distance, 'DeepFace', metric, factor <= 1)).toBeCloseTo(
          confidenceOf('DeepFace', metric, distance),
          2,
        );
      }
    },
  );

  it('a threshold of the request moves the decision and not the confidence', async () => {
    const distance = thresholdOf('VGG-Face', 'cosine') * 1.1;
    const plain = await apart('VGG-Face', 'cosine', distance);
    const moved = await apart('VGG-Face', 'cosine', distance, { threshold: 0.9 });
    expect([plain.verified, moved.verified]).toEqual([false, true]);
    expect(moved.confidence).toBe(plain.confidence);
  });
}
