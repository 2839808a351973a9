import { withoutDistances } from './hide-distances.interceptor';

describe(withoutDistances.name, () => {
  it('leaves the decision and a similarity of one decimal place', () => {
    const answer = {
      verified: true,
      decision: 'match',
      falseMatchRate: 0.000001,
      distance: 0.31,
      similarity: 0.6949,
      threshold: 0.5,
      probe: { box: { x: 1, y: 2, width: 3, height: 4 }, detectionScore: 0.98 },
    };
    expect(withoutDistances(answer)).toEqual({
      ...answer,
      falseMatchRate: null,
      distance: null,
      similarity: 0.7,
    });
  });

  it('finds the results in lists, and leaves metadata as they are', () => {
    const metadata = { distance: 7, similarity: 0.123 };
    const candidate = { rank: 1, subjectId: 'ada', distance: 0.4, similarity: -0.04, metadata };
    expect(withoutDistances({ faces: [{ unknown: false, candidates: [candidate] }] })).toEqual({
      faces: [{ unknown: false, candidates: [{ ...candidate, distance: null, similarity: 0, metadata }] }],
    });
    const match = { distance: 0.4, confidence: 91.2, threshold: 0.5 };
    expect(withoutDistances({ results: [[match]] })).toEqual({
      results: [[{ ...match, distance: null, confidence: null }]],
    });
  });

  it('leaves dates and bytes whole', () => {
    const answer = { at: new Date(0), bytes: Buffer.from('abc'), distance: 1 };
    const hidden = withoutDistances(answer) as typeof answer;
    expect([hidden.at, hidden.bytes, hidden.distance]).toEqual([answer.at, answer.bytes, null]);
    expect(hidden.at).toBe(answer.at);
  });

  it('changes nothing else', () => {
    const answer = {
      faces: [{ embedding: [0.1, 0.2], confidence: 0.9, falseMatchRate: 0.1 }],
      at: null,
      text: 'a',
    };
    expect(withoutDistances(answer)).toEqual(answer);
    expect(withoutDistances(undefined)).toBeUndefined();
  });
});
