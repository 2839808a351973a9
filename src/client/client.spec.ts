import { createLikenessClient, type LikenessClient, type LikenessClientOptions, LikenessError } from '.';

const BYTES = new Uint8Array([1, 2, 3]);
const EMBEDDING = { embedding: [0.6, 0.8], contract: 'abc' };

/** What a request had in it. */
interface Sent {
  method: string;
  url: string;
  headers: Headers;
  body: unknown;
}

describe(createLikenessClient.name, () => {
  let sent: Sent[];
  let answers: Response[];

  beforeEach(() => {
    sent = [];
    answers = [];
  });

  const fetch = async (request: Request): Promise<Response> => {
    const { method, url, headers } = request;
    const type = headers.get('content-type') ?? '';
    const body = type.startsWith('multipart/')
      ? [...(await request.formData()).entries()]
      : type === 'application/json'
        ? await request.json()
        : await request.text();
    sent.push({ method, url, headers, body });
    request.signal.throwIfAborted();
    return answers.shift() ?? Response.json({ ok: true });
  };
  const client = (options: Partial<LikenessClientOptions> = {}): LikenessClient =>
    createLikenessClient({ baseUrl: 'http://likeness.test/', fetch, ...options });
  const refusal = (status: number, code: string, headers: Record<string, string> = { 'retry-after': '0' }) =>
    Response.json({ error: { code, message: 'No.', details: {} }, requestId: 'r' }, { status, headers });
  /** Fields of a form; a file as its name, media type and bytes. */
  const fields = async (body: unknown) =>
    Promise.all(
      (body as [string, string | File][]).map(async ([name, value]) => [
        name,
        typeof value === 'string' ? value : [...new Uint8Array(await value.arrayBuffer())],
      ]),
    );

  it('sends the key, and the path with its parameters encoded', async () => {
    const { data } = await client({ apiKey: 'k' }).DELETE('/v1/galleries/{galleryId}/subjects/{subjectId}', {
      params: { path: { galleryId: 'staff', subjectId: 'ada/lovelace ä' }, query: { receipt: true } },
    });
    expect(data).toEqual({ ok: true });
    const url = 'http://likeness.test/v1/galleries/staff/subjects/ada%2Flovelace%20%C3%A4?receipt=true';
    expect(sent).toMatchObject([{ method: 'DELETE', url }]);
    expect(sent[0].headers.get('authorization')).toBe('Bearer k');
  });

  describe('images', () => {
    const fieldsOfBytes = [
      ['probe', [1, 2, 3]],
      ['reference', [1, 2, 3]],
      ['targetFmr', '0.00001'],
    ];

    it.each<[string, () => Blob | Uint8Array | ArrayBuffer]>([
      ['a Blob', () => new Blob([BYTES], { type: 'image/png' })],
      ['a File', () => new File([BYTES], 'a.jpg')],
      ['a Uint8Array', () => BYTES],
      ['a part of a longer array', () => new Uint8Array([0, 1, 2, 3, 4]).subarray(1, 4)],
      ['a Buffer', () => Buffer.from(BYTES)],
      ['an ArrayBuffer', () => BYTES.slice().buffer],
    ])('are sent as files where one is %s', async (_name, image) => {
      await client().verify(image(), image(), { targetFmr: 1e-5 });
      expect(await fields(sent[0].body)).toEqual(fieldsOfBytes);
    });

    it('are sent as JSON where all are texts or embeddings', async () => {
      await client().verify('aGk=', EMBEDDING, { metric: 'angular' });
      expect(sent[0].body).toEqual({ probe: 'aGk=', reference: EMBEDDING, metric: 'angular' });
    });

    it('are sent as files beside texts, embeddings and options', async () => {
      await client().identify('staff', BYTES, { filter: { floor: [1, 2] }, autoRotate: false });
      await client().analyze(BYTES, { attributes: ['age', 'gender'], maxFaces: undefined });
      await client().verify(BYTES, EMBEDDING);
      expect(await Promise.all(sent.map(({ body }) => fields(body)))).toEqual([
        [
          ['probe', [1, 2, 3]],
          ['filter', '{"floor":[1,2]}'],
          ['autoRotate', 'false'],
        ],
        [
          ['image', [1, 2, 3]],
          ['attributes', 'age,gender'],
        ],
        [
          ['probe', [1, 2, 3]],
          ['reference', JSON.stringify(EMBEDDING)],
        ],
      ]);
    });

    it('are sent in lists, in their order', async () => {
      await client().represent(['aGk=', BYTES]);
      await client().represent(['aGk=']);
      expect(await fields(sent[0].body)).toEqual([
        ['image', 'aGk='],
        ['image', [1, 2, 3]],
      ]);
      expect(sent[1].body).toEqual({ image: ['aGk='] });
    });

    it('are enrolled beside items with texts and embeddings', async () => {
      const items = [
        { subjectId: 'a', image: BYTES, metadata: { floor: 3 } },
        { image: 'aGk=', subjectId: 'b' },
        { subjectId: 'c', ...EMBEDDING },
      ];
      await client().enrollItems('staff', items, { enrollmentGate: 'off' });
      await client().enrollItems('staff', items.slice(1));
      expect(await fields(sent[0].body)).toEqual([
        ['image', [1, 2, 3]],
        ['items', JSON.stringify([{ subjectId: 'a', metadata: { floor: 3 } }, items[1], items[2]])],
        ['enrollmentGate', 'off'],
      ]);
      expect(sent[1].body).toEqual({ items: items.slice(1) });
    });
  });

  describe('an enrollment', () => {
    it('has a new key for each call, or the one it is given', async () => {
      await client().enroll('staff', 'ada', EMBEDDING, { metadata: { floor: 3 }, expiresAt: null });
      await client().enroll('staff', 'ada', 'aGk=');
      await client().enroll('staff', 'ada', 'aGk=', { idempotencyKey: 'mine' });
      expect(sent.map(({ url }) => new URL(url).pathname)).toEqual(
        Array(3).fill('/v1/galleries/staff/subjects/ada/references'),
      );
      expect(sent[0].body).toEqual({ ...EMBEDDING, metadata: { floor: 3 }, expiresAt: null });
      const keys = sent.map(({ headers }) => headers.get('idempotency-key'));
      expect(keys).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), expect.any(String), 'mine']);
      expect(new Set(keys).size).toBe(3);
    });

    it('is repeated with the same key and body', async () => {
      answers.push(refusal(503, 'GALLERY_CHANGE_UNCERTAIN'));
      await client().enroll('staff', 'ada', BYTES);
      expect(sent).toHaveLength(2);
      expect(sent[1].headers.get('idempotency-key')).toBe(sent[0].headers.get('idempotency-key'));
      expect(await fields(sent[1].body)).toEqual([['image', [1, 2, 3]]]);
    });
  });

  describe('an error response', () => {
    const thrown = async (response: Response) => {
      answers.push(response);
      const error: unknown = await client({ retries: 0 })
        .GET('/v1/models')
        .catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(LikenessError);
      return error as LikenessError;
    };

    it('is thrown with all that it says', async () => {
      const body = { error: { code: 'FACE_NOT_DETECTED', message: 'No face.', details: { field: 'probe' } } };
      const headers = { 'x-request-id': 'id-1', 'retry-after': '7' };
      expect(await thrown(Response.json(body, { status: 422, headers }))).toMatchObject({
        name: 'LikenessError',
        message: 'No face.',
        code: 'FACE_NOT_DETECTED',
        status: 422,
        details: { field: 'probe' },
        requestId: 'id-1',
        retryAfter: 7,
      });
    });

    it('of the DeepFace API has its message', async () => {
      const body = { error: 'Face could not be detected.', code: 'FACE_NOT_DETECTED', requestId: 'x' };
      const error = await thrown(Response.json(body, { status: 422 }));
      expect([error.message, error.code]).toEqual(['Face could not be detected.', 'FACE_NOT_DETECTED']);
    });

    it.each([
      ['the page of a proxy', '<html>'],
      ['nothing', ''],
      ['JSON of another program', '["no"]'],
    ])('that is %s is UNEXPECTED_RESPONSE', async (_name, body) => {
      const error = await thrown(new Response(body, { status: 502 }));
      expect(error).toMatchObject({ code: 'UNEXPECTED_RESPONSE', status: 502, details: {}, requestId: null });
      expect(error.message).toContain('502');
    });

    it('has the wait of a date too', async () => {
      const date = new Date(Date.now() + 60_000).toUTCString();
      const { retryAfter } = await thrown(
        new Response('', { status: 503, headers: { 'retry-after': date } }),
      );
      expect(retryAfter).toBeGreaterThan(50);
      expect(retryAfter).toBeLessThanOrEqual(60);
    });
  });

  describe('a refused request', () => {
    const subject = '/v1/galleries/{galleryId}/subjects/{subjectId}';
    const params = { path: { galleryId: 'staff', subjectId: 'ada' } };
    const calls: Record<string, (likeness: LikenessClient) => Promise<unknown>> = {
      GET: (likeness) => likeness.GET('/v1/models'),
      PUT: (likeness) => likeness.PUT(subject, { params, body: {} }),
      DELETE: (likeness) => likeness.DELETE(subject, { params }),
      detect: (likeness) => likeness.detect(BYTES),
      identify: (likeness) => likeness.identify('staff', BYTES),
      enroll: (likeness) => likeness.enroll('staff', 'ada', BYTES),
      PATCH: (likeness) => likeness.PATCH(subject, { params, body: {} }),
      POST: (likeness) => likeness.POST('/v1/galleries', { body: { id: 'staff' } }),
      'enroll without a key': (likeness) =>
        likeness.POST(`${subject}/references`, { params, body: { image: 'aGk=' } }),
    };
    const begun = ['PATCH', 'POST', 'enroll without a key'];

    it.each(Object.keys(calls))('is repeated before its work has begun: %s', async (name) => {
      answers.push(refusal(503, 'QUEUE_FULL'), refusal(429, 'RATE_LIMIT_EXCEEDED'));
      await calls[name](client());
      expect(sent).toHaveLength(3);
      expect(sent[2].body).toEqual(sent[0].body);
    });

    it.each(Object.keys(calls))('is repeated after 503 only where that is safe: %s', async (name) => {
      answers.push(refusal(503, 'GALLERY_STORE_FAILED'));
      const called = calls[name](client());
      if (begun.includes(name)) await expect(called).rejects.toMatchObject({ code: 'GALLERY_STORE_FAILED' });
      else await called;
      expect(sent).toHaveLength(begun.includes(name) ? 1 : 2);
    });

    it.each([
      [500, 'INFERENCE_FAILED'],
      [504, 'INFERENCE_TIMEOUT'],
      [422, 'FACE_NOT_DETECTED'],
      [409, 'GALLERY_MIGRATING'],
    ])('is not repeated after %d', async (status, code) => {
      answers.push(refusal(status, code));
      await expect(client().detect(BYTES)).rejects.toMatchObject({ status, code });
      expect(sent).toHaveLength(1);
    });

    it('is repeated as often as the client may', async () => {
      for (let i = 0; i < 5; i++) answers.push(refusal(503, 'QUEUE_FULL'));
      await expect(client({ retries: 3 }).detect(BYTES)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
      expect(sent).toHaveLength(4);
      await expect(client({ retries: 0 }).detect(BYTES)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
      expect(sent).toHaveLength(5);
    });

    it('is thrown at once where the wait is too long', async () => {
      answers.push(refusal(503, 'IMAGE_QUARANTINED', { 'retry-after': '600' }));
      await expect(client().detect(BYTES)).rejects.toMatchObject({ retryAfter: 600 });
      expect(sent).toHaveLength(1);
    });

    it('waits for Retry-After', async () => {
      jest.useFakeTimers({ doNotFake: ['queueMicrotask', 'nextTick', 'setImmediate'] });
      try {
        answers.push(refusal(503, 'QUEUE_FULL', { 'retry-after': '2' }));
        const called = client().GET('/v1/models');
        while (jest.getTimerCount() === 0) await new Promise((resolve) => setImmediate(resolve));
        jest.advanceTimersByTime(1999);
        await new Promise((resolve) => setImmediate(resolve));
        expect(sent).toHaveLength(1);
        jest.advanceTimersByTime(500);
        await called;
        expect(sent).toHaveLength(2);
      } finally {
        jest.useRealTimers();
      }
    });

    it('is never repeated where it is an import', async () => {
      answers.push(refusal(503, 'NOT_READY'));
      const call = client().POST('/admin/galleries/{galleryId}/import', {
        params: { path: { galleryId: 'staff' } },
        headers: { 'content-type': 'application/x-ndjson' },
        body: '{}\n',
        bodySerializer: (body: unknown) => body,
      });
      await expect(call).rejects.toMatchObject({ code: 'NOT_READY' });
      expect(sent).toMatchObject([{ body: '{}\n' }]);
    });
  });

  describe('a call that takes too long', () => {
    it('ends with the timeout of the client or its own, also while it waits', async () => {
      for (let i = 0; i < 2; i++) answers.push(refusal(503, 'QUEUE_FULL', { 'retry-after': '20' }));
      const timedOut = { name: 'TimeoutError' };
      await expect(client({ timeoutMs: 10 }).detect(BYTES)).rejects.toMatchObject(timedOut);
      await expect(client().detect(BYTES, { timeoutMs: 10 })).rejects.toMatchObject(timedOut);
      expect(sent).toHaveLength(2);
    });

    it('ends with its signal, also where there is a timeout', async () => {
      const controller = new AbortController();
      answers.push(refusal(503, 'QUEUE_FULL', { 'retry-after': '20' }));
      const called = client({ timeoutMs: 60_000 }).GET('/v1/models', { signal: controller.signal });
      controller.abort();
      await expect(called).rejects.toMatchObject({ name: 'AbortError' });
    });
  });
});
