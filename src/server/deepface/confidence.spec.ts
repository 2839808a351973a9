import { METRICS } from '../../pipeline/face.types';
import { DEEPFACE_THRESHOLDS, type DeepfaceModelName, findConfidence, round } from './confidence';

const MODELS = Object.keys(DEEPFACE_THRESHOLDS) as DeepfaceModelName[];
const PAIRS = MODELS.flatMap((model) => METRICS.map((metric) => ({ model, metric })));

describe(findConfidence.name, () => {
  // Worked out by hand from peers.md 3.5 and appendix A, to show each step: see the comments.
  it.each([
    // d = 0.3; 100 * sigmoid(-6.6125 * 0.3 + 3.1455) = 76.1657; (76.1657 - 20.788) / (88.2848 - 20.788) * 49 + 51
    { model: 'VGG-Face', metric: 'cosine', distance: 0.3, isWithin: true, confidence: 91.2 },
    // d = 0.8; 100 * sigmoid(-6.6125 * 0.8 + 3.1455) = 10.4848; (10.4848 - 3.4578) / (20.5567 - 3.4578) * 20
    { model: 'VGG-Face', metric: 'cosine', distance: 0.8, isWithin: false, confidence: 8.22 },
    // Divided by the normalizer where that is above 1: d = 12 / 18.735288, so that the sigmoid gives 18.0828
    { model: 'Facenet', metric: 'euclidean', distance: 12, isWithin: false, confidence: 16.89 },
  ] as const)(
    '$model $metric $distance: $confidence',
    ({ model, metric, distance, isWithin, confidence }) => {
      expect(findConfidence(distance, model, metric, isWithin)).toBe(confidence);
    },
  );

  it.each(PAIRS)(
    'of $model, $metric falls with the distance, and jumps at the threshold',
    ({ model, metric }) => {
      const threshold = DEEPFACE_THRESHOLDS[model][metric];
      const within = [0.01, 0.25, 0.5, 0.75, 1].map((part) =>
        findConfidence(part * threshold, model, metric, true),
      );
      const beyond = [1.01, 1.25, 1.5, 2].map((part) =>
        findConfidence(part * threshold, model, metric, false),
      );
      const all = [...within, ...beyond];
      expect(all).toEqual([...all].sort((a, b) => b - a));
      expect(Math.min(...within)).toBeGreaterThanOrEqual(51);
      expect(Math.max(...beyond)).toBeLessThanOrEqual(49);
      for (const confidence of all) expect(confidence).toBe(round(confidence, 2));
    },
  );

  it.each([
    [0, true, 100],
    [-1e-9, true, 100],
    [0, false, 0],
  ])('at distance %p, within the threshold: %p, is %p', (distance, isWithin, confidence) => {
    expect(findConfidence(distance, 'SFace', 'cosine', isWithin)).toBe(confidence);
  });

  it.each([null, 'Buffalo_L'] as const)('says 51 or 49 for %p, which has no parameters', (model) => {
    expect(findConfidence(0.1, model, 'cosine', true)).toBe(51);
    expect(findConfidence(0.9, model, 'cosine', false)).toBe(49);
  });
});
