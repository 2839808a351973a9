import { FaceError } from '../errors';
import { thresholdsFromCosine } from '../pipeline/embed/compare-embeddings';
import { FakeFaceModel } from './fake-face-model';
import { falseMatchRate, similarityAt } from './thresholds';
import { VerificationService, type VerifyOptions } from './verification.service';

const [alice, bob, crowd, empty, pair] = ['alice', 'bob', 'crowd', 'empty', 'pair'].map((name) =>
  Buffer.from(name),
);
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error: FaceError) => [error.code, error.details.field],
  );

describe(VerificationService.name, () => {
  let model: FakeFaceModel;
  let service: VerificationService;
  beforeEach(() => {
    model = new FakeFaceModel()
      .addImage(alice, { faces: [{ person: 'alice' }] })
      .addImage(bob, { faces: [{ person: 'bob' }] })
      .addImage(crowd, { faces: [{ person: 'bob' }, { person: 'alice' }] })
      .addImage(empty, { faces: [] });
    service = new VerificationService(model);
  });

  it('verifies mated photos at distance 0, and no others', async () => {
    expect(await service.verify(alice, alice)).toMatchObject({
      verified: true,
      distance: 0,
      similarity: 1,
      threshold: expect.closeTo(0.534949, 6),
    });
    expect(await service.verify(alice, bob)).toMatchObject({ verified: false });
  });

  it('compares the largest face, also where faceSelection is present and undefined', async () => {
    for (const options of [{}, { faceSelection: undefined }, { faceSelection: 'best' as const }]) {
      expect((await service.verify(alice, crowd, options)).verified).toBe(false);
      expect((await service.verify(bob, crowd, options)).verified).toBe(true);
    }
  });

  it('compares the closest pair under all', async () => {
    const { verified, reference } = await service.verify(alice, crowd, { faceSelection: 'all' });
    expect(verified).toBe(true);
    expect(reference?.box.x).toBe(230);
  });

  it('finds the closest pair on either side, and says both its faces', async () => {
    model.addImage(pair, { faces: [{ person: 'carol' }, { person: 'dave' }, { person: 'alice' }] });
    const answer = await service.verify(pair, crowd, { faceSelection: 'all' });
    expect(answer).toMatchObject({ verified: true, distance: 0 });
    expect([answer.probe?.box.x, answer.reference?.box.x]).toEqual([440, 230]);
    const [face] = (await model.detect(pair, { faceSelection: 'best' })).faces;
    // Nothing but the detection: no embedding.
    expect((await service.verify(pair, alice)).probe).toEqual(face);
  });

  it('compares an embedding with every face under all', async () => {
    const [{ embedding }] = (await model.represent(alice)).faces;
    const given = { embedding, contract: model.embedder().contract };
    expect((await service.verify(given, crowd)).verified).toBe(false);
    const answer = await service.verify(given, crowd, { faceSelection: 'all' });
    expect(answer).toMatchObject({ verified: true, probe: null, detector: 'fake-detector' });
    expect(answer.reference?.box.x).toBe(230);
  });

  it('compares the face at the center under centerLargest', async () => {
    const at = (x: number, y: number, side: number) => ({ x, y, width: side, height: side });
    model.addImage(pair, {
      faces: [
        { person: 'bob', box: at(0, 0, 120) },
        { person: 'alice', box: at(280, 200, 80) },
      ],
    });
    expect((await service.verify(alice, pair)).verified).toBe(false);
    expect((await service.verify(alice, pair, { faceSelection: 'centerLargest' })).verified).toBe(true);
  });

  it('hands its options to both sides', async () => {
    const represent = jest.spyOn(model, 'represent');
    const options = { detector: 'fake-detector', embedder: 'fake-embedder', maxFaces: 3, minFaceSize: 7 };
    await service.verify(alice, bob, { ...options, minDetectionScore: 0 });
    expect(represent.mock.calls.map(([image]) => image)).toEqual([alice, bob]);
    for (const [, given] of represent.mock.calls) {
      expect(given).toMatchObject({ ...options, minDetectionScore: 0, faceSelection: 'best' });
    }
  });

  it('says under which metric, threshold, models and contract it decided', async () => {
    const { maxDistances, contract } = model.embedder();
    for (const metric of ['cosine', 'euclidean', 'euclidean_l2', 'angular'] as const) {
      expect(await service.verify(alice, alice, { metric })).toMatchObject({
        verified: true,
        metric,
        threshold: maxDistances[metric],
        detector: 'fake-detector',
        embedder: 'fake-embedder',
        contract,
        timings: { probe: { decodeMs: 0 }, reference: { decodeMs: 0 } },
      });
    }
  });

  it('takes a threshold of 0 and takes it inclusively', async () => {
    expect(await service.verify(alice, alice, { threshold: 0 })).toMatchObject({
      verified: true,
      threshold: 0,
    });
    expect(await service.verify(alice, bob, { threshold: 0 })).toMatchObject({
      verified: false,
      threshold: 0,
    });
    const { distance } = await service.verify(alice, bob);
    expect((await service.verify(alice, bob, { threshold: distance })).verified).toBe(true);
  });

  it('takes embeddings for either side, of any length above zero', async () => {
    const [{ embedding }] = (await model.represent(alice)).faces;
    const contract = model.embedder().contract;
    const doubled = Array.from(embedding, (value) => value * 2);
    for (const given of [embedding, doubled]) {
      const answer = await service.verify(alice, { embedding: given, contract });
      expect(answer).toMatchObject({ verified: true, reference: null, detector: 'fake-detector' });
      expect(answer.distance).toBeLessThan(1e-6);
    }
    const both = await service.verify({ embedding, contract }, { embedding, contract });
    expect(both).toMatchObject({
      distance: 0,
      detector: null,
      probe: null,
      timings: { probe: null, reference: null },
    });
  });

  it('compares raw lengths under euclidean', async () => {
    const [{ embedding }] = (await model.represent(alice)).faces;
    const side = (embeddingNorm: number) => ({
      embedding,
      contract: model.embedder().contract,
      embeddingNorm,
    });
    const { distance } = await service.verify(side(1), side(3), { metric: 'euclidean' });
    expect(distance).toBeCloseTo(2, 5);
  });

  it.each([
    ['no face', () => empty, ['FACE_NOT_DETECTED', 'reference']],
    [
      'another contract',
      () => ({ embedding: Array(512).fill(1), contract: 'other' }),
      ['EMBEDDING_CONTRACT_MISMATCH', 'reference'],
    ],
    [
      'a wrong length',
      () => ({ embedding: [1], contract: 'fake00000000' }),
      ['EMBEDDING_INVALID', 'reference'],
    ],
    [
      'no direction',
      () => ({ embedding: Array(512).fill(0), contract: 'fake00000000' }),
      ['EMBEDDING_INVALID', 'reference'],
    ],
    [
      'a norm of 0',
      () => ({ embedding: Array(512).fill(1), contract: 'fake00000000', embeddingNorm: 0 }),
      ['EMBEDDING_INVALID', 'reference'],
    ],
    [
      'no number',
      () => ({ embedding: Array(512).fill(NaN), contract: 'fake00000000' }),
      ['EMBEDDING_INVALID', 'reference'],
    ],
  ])('says which side has %s', async (_name, reference, expected) => {
    expect(await code(service.verify(alice, reference()))).toEqual(expected);
  });

  it.each([
    ['FACE_NOT_DETECTED', () => empty],
    ['EMBEDDING_CONTRACT_MISMATCH', () => ({ embedding: Array(512).fill(1), contract: 'other' })],
    ['EMBEDDING_INVALID', () => ({ embedding: [1], contract: 'fake00000000' })],
  ])('says %s of the probe as well', async (expected, probe) => {
    expect(await code(service.verify(probe(), alice))).toEqual([expected, 'probe']);
  });

  it('says what it expected of an embedding, and none of its values', async () => {
    await expect(
      service.verify(alice, { embedding: Array(511).fill(0.5), contract: 'fake00000000' }),
    ).rejects.toMatchObject({ details: { field: 'reference', expectedLength: 512, receivedLength: 511 } });
    await expect(
      service.verify(alice, { embedding: Array(512).fill(0.5), contract: 'other' }),
    ).rejects.toMatchObject({ details: { field: 'reference', expectedContract: 'fake00000000' } });
  });

  it('keeps the field that an error names itself', async () => {
    expect(await code(service.verify(alice, bob, { detector: 'yunet' }))).toEqual([
      'MODEL_UNKNOWN',
      'detector',
    ]);
    expect(await code(service.verify(alice, bob, { embedder: 'sface' }))).toEqual([
      'MODEL_UNKNOWN',
      'embedder',
    ]);
  });

  it('passes on what is no error of its own as it is', async () => {
    const crash = new TypeError('a bug');
    jest.spyOn(model, 'represent').mockRejectedValue(crash);
    await expect(service.verify(alice, bob)).rejects.toBe(crash);
  });

  it('says that several faces are ambiguous under single, and in which image', async () => {
    expect(await code(service.verify(crowd, alice, { faceSelection: 'single' }))).toEqual([
      'FACE_AMBIGUOUS',
      'probe',
    ]);
  });

  it('asks for a threshold where the card has none for the metric', async () => {
    jest.spyOn(model, 'embedder').mockReturnValue({ ...model.embedder(), maxDistances: { cosine: 0.5 } });
    await expect(service.verify(alice, bob, { metric: 'euclidean' })).rejects.toMatchObject({
      code: 'PARAMETER_INVALID',
      details: { fields: { threshold: expect.stringContaining('euclidean') } },
    });
    expect((await service.verify(alice, alice, { metric: 'euclidean', threshold: 1 })).verified).toBe(true);
  });

  describe('error rates', () => {
    const calibration = () => model.embedder().calibration!;

    it('says the rate that the threshold follows from, and how often strangers are so similar', async () => {
      expect(await service.verify(alice, alice)).toMatchObject({
        threshold: 1 - similarityAt(calibration(), 5e-5),
        targetFmr: 5e-5,
        falseMatchRate: 1e-6,
        decision: 'match',
        reason: null,
      });
      const { similarity, falseMatchRate: rate, decision } = await service.verify(alice, bob);
      expect(similarity).toBeLessThan(0.35);
      expect([rate, decision]).toEqual([falseMatchRate(calibration(), similarity), 'no_match']);
    });

    it.each(['cosine', 'euclidean_l2', 'angular'] as const)('takes a rate for metric %s', async (metric) => {
      const { threshold, targetFmr } = await service.verify(alice, alice, { metric, targetFmr: 0.003 });
      const cosine = 1 - similarityAt(calibration(), 0.003);
      expect(threshold).toBeCloseTo({ cosine, ...thresholdsFromCosine(cosine) }[metric], 12);
      expect(targetFmr).toBe(0.003);
    });

    it('takes the default rate of the module', async () => {
      const careful = new FakeFaceModel({ targetFmr: 1e-6 }).addImage(alice, { faces: [{ person: 'a' }] });
      const answer = await new VerificationService(careful).verify(alice, alice);
      expect(answer).toMatchObject({ threshold: careful.embedder().maxDistances.cosine, targetFmr: 1e-6 });
      expect(answer.threshold).toBeLessThan(model.embedder().maxDistances.cosine as number);
    });

    it('lets a threshold win over a rate', async () => {
      const answer = await service.verify(alice, alice, { threshold: 0.1, targetFmr: 0.1 });
      expect(answer).toMatchObject({ threshold: 0.1, targetFmr: null, falseMatchRate: 1e-6 });
    });

    it('refuses a rate for metric euclidean, which takes the threshold of the card', async () => {
      await expect(service.verify(alice, bob, { metric: 'euclidean', targetFmr: 0.1 })).rejects.toMatchObject(
        {
          code: 'PARAMETER_INVALID',
          details: { fields: { targetFmr: expect.stringContaining('euclidean') } },
        },
      );
      const answer = await service.verify(alice, alice, { metric: 'euclidean' });
      expect(answer).toMatchObject({ threshold: 1, targetFmr: null, falseMatchRate: 1e-6 });
    });

    it('goes by the card, without rates, where the embedder has no calibration', async () => {
      jest
        .spyOn(model, 'embedder')
        .mockReturnValue({ ...model.embedder(), calibration: null, maxDistances: { cosine: 0.3 } });
      const answer = await service.verify(alice, alice);
      expect(answer).toMatchObject({ threshold: 0.3, targetFmr: null, falseMatchRate: null });
      await expect(service.verify(alice, alice, { targetFmr: 0.01 })).rejects.toMatchObject({
        code: 'PARAMETER_INVALID',
        details: {
          fields: { targetFmr: expect.stringMatching(/fake-embedder has none.*`likeness calibrate`/) },
        },
      });
    });

    it('says no rate of faces that were not aligned', async () => {
      const rate = async (options: VerifyOptions, probe = alice) =>
        (await service.verify(probe, alice, options)).falseMatchRate;
      expect(await rate({ align: false })).toBeNull();
      expect(await rate({ wholeImage: 'always' })).toBeNull();
      expect(await rate({ wholeImage: 'ifNoFace' }, empty)).toBeNull();
      expect(await rate({ wholeImage: 'ifNoFace' })).toBe(1e-6);
    });
  });

  describe('review', () => {
    it('is for what is near the threshold, whatever verified says', async () => {
      const { distance } = await service.verify(alice, bob);
      const decided = async (threshold: number, reviewMargin?: number) => {
        const { verified, decision } = await service.verify(alice, bob, { threshold, reviewMargin });
        return [verified, decision];
      };
      expect(await decided(distance + 0.1)).toEqual([true, 'match']);
      expect(await decided(distance + 0.1, 0.11)).toEqual([true, 'review']);
      expect(await decided(distance - 0.1, 0.11)).toEqual([false, 'review']);
      expect(await decided(distance - 0.1, 0.09)).toEqual([false, 'no_match']);
      expect(await decided(distance, 0)).toEqual([true, 'match']);
    });

    it('has the margin of the module by default', async () => {
      const careful = new FakeFaceModel({ reviewMargin: 0.2 }).addImage(alice, { faces: [{ person: 'a' }] });
      const verify = (reviewMargin?: number) =>
        new VerificationService(careful).verify(alice, alice, { threshold: 0.1, reviewMargin });
      expect((await verify()).decision).toBe('review');
      expect((await verify(0.05)).decision).toBe('match');
    });
  });

  describe('images without a face', () => {
    const refused = { verified: false, decision: 'no_match', reason: 'no_face', falseMatchRate: null };

    it('never verify each other under ifNoFace, whatever is asked for', async () => {
      for (const options of [{}, { threshold: 2 }, { targetFmr: 0.5 }, { reviewMargin: 2 }]) {
        const answer = await service.verify(empty, empty, { wholeImage: 'ifNoFace', ...options });
        expect(answer).toMatchObject({ ...refused, distance: 0 });
      }
    });

    it('are compared with a face, with an embedding, and under always', async () => {
      const compared = { reason: null, falseMatchRate: null };
      expect(await service.verify(empty, alice, { wholeImage: 'ifNoFace' })).toMatchObject(compared);
      const [{ embedding }] = (await model.represent(empty, { wholeImage: 'ifNoFace' })).faces;
      const given = { embedding, contract: model.embedder().contract };
      const answers = [
        service.verify(empty, given, { wholeImage: 'ifNoFace' }),
        service.verify(empty, empty, { wholeImage: 'always' }),
      ];
      for (const answer of answers) {
        expect(await answer).toMatchObject({ ...compared, verified: true, decision: 'match' });
      }
    });
  });

  describe('faces that are not aligned', () => {
    const sideways = Buffer.from('sideways');
    beforeEach(() => model.addImage(sideways, { faces: [{ person: 'alice', aligned: false }] }));

    it('are refused, with that detail', async () => {
      await expect(service.verify(alice, sideways)).rejects.toMatchObject({
        code: 'FACE_NOT_DETECTED',
        details: { field: 'reference', reason: 'not_aligned', unalignedCount: 1 },
      });
      await expect(service.verify(alice, empty)).rejects.toMatchObject({
        code: 'FACE_NOT_DETECTED',
        details: { field: 'reference' },
      });
    });

    it('never verify each other as whole images under ifNoFace', async () => {
      const answer = await service.verify(sideways, empty, { wholeImage: 'ifNoFace', threshold: 2 });
      expect(answer).toMatchObject({ verified: false, reason: 'no_face' });
    });

    it('are those of an image that may not be turned', async () => {
      model.addImage(sideways, { rotation: 90, faces: [{ person: 'alice' }] });
      const { verified, images } = await service.verify(sideways, alice);
      expect(verified).toBe(true);
      expect([images.probe?.rotation, images.reference?.rotation]).toEqual([90, 0]);
      await expect(service.verify(sideways, alice, { autoRotate: false })).rejects.toMatchObject({
        details: { reason: 'not_aligned' },
      });
    });
  });

  it('drops the other side when one fails', async () => {
    let dropped = false;
    const represent = model.represent.bind(model);
    jest.spyOn(model, 'represent').mockImplementation((image, options) => {
      if (image !== bob) return represent(image, options);
      return new Promise((_resolve, reject) =>
        options?.signal?.addEventListener('abort', () => {
          dropped = true;
          reject(new FaceError('REQUEST_ABORTED', 'dropped'));
        }),
      );
    });
    expect(await code(service.verify(empty, bob))).toEqual(['FACE_NOT_DETECTED', 'probe']);
    expect(dropped).toBe(true);
  });

  it('looks at both images at the same time', async () => {
    const represent = model.represent.bind(model);
    let started = 0;
    let meet: () => void = () => undefined;
    const both = new Promise<void>((resolve) => (meet = resolve));
    jest.spyOn(model, 'represent').mockImplementation(async (image, options) => {
      if (++started === 2) meet();
      await both;
      return represent(image, options);
    });
    expect((await service.verify(alice, alice)).verified).toBe(true);
  });

  it("hands on the caller's signal to both sides, and aborts neither when both succeed", async () => {
    const represent = jest.spyOn(model, 'represent');
    const caller = new AbortController();
    await service.verify(alice, bob, { signal: caller.signal });
    const signals = represent.mock.calls.map(([, options]) => options?.signal);
    expect(signals.map((signal) => signal?.aborted)).toEqual([false, false]);
    caller.abort();
    expect(signals.map((signal) => signal?.aborted)).toEqual([true, true]);
  });

  it("does not abort the caller's signal when a side fails", async () => {
    const caller = new AbortController();
    const failed = service.verify(empty, bob, { signal: caller.signal });
    expect(await code(failed)).toEqual(['FACE_NOT_DETECTED', 'probe']);
    expect(caller.signal.aborted).toBe(false);
  });
});
