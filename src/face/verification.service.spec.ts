import { FaceError } from '../errors';
import { FakeFaceModel } from './fake-face-model';
import { VerificationService } from './verification.service';

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
      threshold: 0.5,
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

  it('compares the face at the centre under centerLargest', async () => {
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
