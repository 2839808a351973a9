import createFetchClient from 'openapi-fetch';
import { imageBody, type ImageField, type ImageInput, isEmbedding, itemsBody } from './image-body';
import type { paths } from './openapi';
import { sendWithRetries } from './retry';
import type {
  AnalyzeOptions,
  AnalyzeResponse,
  CallOptions,
  DetectOptions,
  DetectResponse,
  EnrollCallOptions,
  EnrollItem,
  EnrollItemsOptions,
  EnrollListResponse,
  EnrollOptions,
  EnrollResponse,
  IdentifyOptions,
  IdentifyResponse,
  LikenessClientOptions,
  LikenessMethod,
  RepresentListResponse,
  RepresentOptions,
  RepresentResponse,
  VerifyOptions,
  VerifyResponse,
  VerifySubjectOptions,
  VerifySubjectResponse,
} from './types';

export type { EmbeddingInput, ImageField, ImageInput } from './image-body';
export { LikenessError, type LikenessErrorCode } from './likeness-error';
export type { components, paths } from './openapi';
export type { RetryOptions } from './retry';
export type * from './types';

/** A path of a helper, with the parameters in it. */
interface Target {
  path: string;
  params?: Record<string, string>;
}

/**
 * Client of a Likeness service, see {@link createLikenessClient}.
 *
 * The methods in capitals call every path of the API, typed by its OpenAPI document, and resolve to `{ data, response }`;
 * the other methods build the body from images and resolve to the body of the response.
 *
 * All of them throw {@link LikenessError} for error responses. Requests that were refused with 429 or 503 are repeated
 * after `Retry-After` if that is safe, see {@link LikenessClientOptions.retries}.
 *
 * @publicApi
 */
export class LikenessClient {
  /**
   * Sends a GET request.
   *
   * @example
   * const { data } = await likeness.GET('/v1/models');
   * // data.models[0].name: 'rfb-320'
   */
  readonly GET: LikenessMethod<'get'>;
  /**
   * Sends a POST request.
   *
   * @example
   * await likeness.POST('/v1/galleries', { body: { id: 'staff', enrollmentGate: 'standard' } });
   */
  readonly POST: LikenessMethod<'post'>;
  /**
   * Sends a PUT request.
   *
   * @example
   * await likeness.PUT('/v1/galleries/{galleryId}/subjects/{subjectId}', {
   *   params: { path: { galleryId: 'staff', subjectId: 'ada' } },
   *   body: { metadata: { department: 'it' } },
   * });
   */
  readonly PUT: LikenessMethod<'put'>;
  /**
   * Sends a PATCH request.
   *
   * @example
   * const params = { path: { galleryId: 'staff' } };
   * await likeness.PATCH('/v1/galleries/{galleryId}', { params, body: { maxAgeSeconds: 31_536_000 } });
   */
  readonly PATCH: LikenessMethod<'patch'>;
  /**
   * Sends a DELETE request.
   *
   * @example
   * await likeness.DELETE('/v1/galleries/{galleryId}/subjects/{subjectId}', {
   *   params: { path: { galleryId: 'staff', subjectId: 'ada' } },
   * });
   */
  readonly DELETE: LikenessMethod<'delete'>;

  constructor(options: LikenessClientOptions) {
    const { baseUrl, apiKey, headers, timeoutMs: defaultTimeoutMs, fetch = globalThis.fetch } = options;
    const client = createFetchClient<paths>({
      baseUrl,
      headers: { ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}), ...headers },
      // Not `fetch` itself: browsers refuse to call it as a method of another object.
      fetch: (request) => sendWithRetries(request, (repeated) => fetch(repeated), options),
    });
    const method = (name: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE') => {
      const send = client[name] as (path: string, init: object) => Promise<unknown>;
      return (path: string, { signal, timeoutMs = defaultTimeoutMs, ...init }: CallOptions = {}) =>
        send(path, { ...init, signal: withTimeout(signal, timeoutMs) });
    };
    this.GET = method('GET') as LikenessMethod<'get'>;
    this.POST = method('POST') as LikenessMethod<'post'>;
    this.PUT = method('PUT') as LikenessMethod<'put'>;
    this.PATCH = method('PATCH') as LikenessMethod<'patch'>;
    this.DELETE = method('DELETE') as LikenessMethod<'delete'>;
  }

  /**
   * Verifies a probe against a reference (1:1).
   *
   * @throws {LikenessError} FACE_NOT_DETECTED; `details.field` is `probe` or `reference`.
   *
   * @example
   * const { verified, distance, threshold } = await likeness.verify(probe, reference, { targetFmr: 1e-5 });
   * // verified: true, distance: 0.31, threshold: 0.52
   */
  async verify(
    probe: ImageField,
    reference: ImageField,
    options: VerifyOptions & CallOptions = {},
  ): Promise<VerifyResponse> {
    return this.send({ path: '/v1/verify' }, options, (rest) => imageBody({ probe, reference }, rest));
  }

  /**
   * Returns the embeddings of the faces in one image; of a list of images, a result or an error for each.
   *
   * @throws {LikenessError} FACE_NOT_DETECTED if a single image has no face.
   *
   * @example
   * const { faces, contract } = await likeness.represent(photo, { maxFaces: 1 });
   * // faces[0].embedding: 512 numbers, contract: '924e43b94eda'
   */
  represent(image: ImageInput, options?: RepresentOptions & CallOptions): Promise<RepresentResponse>;
  represent(
    images: readonly ImageInput[],
    options?: RepresentOptions & CallOptions,
  ): Promise<RepresentListResponse>;
  async represent(
    image: ImageInput | readonly ImageInput[],
    options: RepresentOptions & CallOptions = {},
  ): Promise<RepresentResponse | RepresentListResponse> {
    return this.send({ path: '/v1/represent' }, options, (rest) => imageBody({ image }, rest));
  }

  /**
   * Detects faces: boxes, five landmarks and scores, the largest face first. An image without a face gives an empty list.
   *
   * @example
   * const { faces } = await likeness.detect(photo);
   * // faces[0].box: { x: 38, y: 34.8, width: 84, height: 104 }
   */
  async detect(image: ImageInput, options: DetectOptions & CallOptions = {}): Promise<DetectResponse> {
    return this.send({ path: '/v1/detect' }, options, (rest) => imageBody({ image }, rest));
  }

  /**
   * Estimates age, gender, expression and race of the faces in an image, as far as models for them are loaded.
   *
   * @example
   * const { faces } = await likeness.analyze(photo, { attributes: ['age', 'expression'] });
   * // faces[0].age: 31.4
   */
  async analyze(image: ImageInput, options: AnalyzeOptions & CallOptions = {}): Promise<AnalyzeResponse> {
    return this.send({ path: '/v1/analyze' }, options, (rest) => imageBody({ image }, rest));
  }

  /**
   * Enrolls an image or an embedding as a reference of a subject, which is created if it does not exist; of a list of
   * images, with a result or an error for each.
   *
   * @throws {LikenessError} REFERENCE_REJECTED if the enrollment gate rejects a single image; `details.reasons` says why.
   *
   * @example
   * const { status, reference } = await likeness.enroll('staff', 'ada', photo, { metadata: { camera: 'door' } });
   * // status: 'added', reference.id: '0d9c7a52-…'
   */
  enroll(
    galleryId: string,
    subjectId: string,
    face: ImageField,
    options?: EnrollOptions & EnrollCallOptions,
  ): Promise<EnrollResponse>;
  enroll(
    galleryId: string,
    subjectId: string,
    images: readonly ImageInput[],
    options?: EnrollOptions & EnrollCallOptions,
  ): Promise<EnrollListResponse>;
  async enroll(
    galleryId: string,
    subjectId: string,
    face: ImageField | readonly ImageInput[],
    options: EnrollOptions & EnrollCallOptions = {},
  ): Promise<EnrollResponse | EnrollListResponse> {
    const path = '/v1/galleries/{galleryId}/subjects/{subjectId}/references';
    const target = { path, params: { galleryId, subjectId } };
    return this.send(target, withKey(options), (rest) =>
      isEmbedding(face) ? { ...face, ...rest } : imageBody({ image: face }, rest),
    );
  }

  /**
   * Enrolls many subjects in one request, with a result or an error for each item.
   *
   * @example
   * const { results } = await likeness.enrollItems('staff', [
   *   { subjectId: 'ada', image: photoOfAda },
   *   { subjectId: 'grace', image: photoOfGrace },
   * ]);
   * // results[0]: { index: 0, status: 'added', reference: { … } }
   */
  async enrollItems(
    galleryId: string,
    items: readonly EnrollItem[],
    options: EnrollItemsOptions & EnrollCallOptions = {},
  ): Promise<EnrollListResponse> {
    const target = { path: '/v1/galleries/{galleryId}/enroll', params: { galleryId } };
    return this.send(target, withKey(options), (rest) => itemsBody(items, rest));
  }

  /**
   * Identifies the people in a probe (1:N).
   *
   * @example
   * const { faces } = await likeness.identify('staff', photo, { faceSelection: 'all', limit: 3 });
   * // faces[0].candidates[0]: { rank: 1, subjectId: 'ada', distance: 0.31, … }
   */
  async identify(
    galleryId: string,
    probe: ImageField,
    options: IdentifyOptions & CallOptions = {},
  ): Promise<IdentifyResponse> {
    const target = { path: '/v1/galleries/{galleryId}/identify', params: { galleryId } };
    return this.send(target, options, (rest) => imageBody({ probe }, rest));
  }

  /**
   * Verifies a probe against a subject (1:1); the most similar reference decides.
   *
   * @throws {LikenessError} SUBJECT_NOT_FOUND; REFERENCE_NOT_FOUND if the subject has no references.
   *
   * @example
   * const { verified, referenceId } = await likeness.verifySubject('staff', 'ada', photo);
   */
  async verifySubject(
    galleryId: string,
    subjectId: string,
    probe: ImageField,
    options: VerifySubjectOptions & CallOptions = {},
  ): Promise<VerifySubjectResponse> {
    const path = '/v1/galleries/{galleryId}/subjects/{subjectId}/verify';
    const target = { path, params: { galleryId, subjectId } };
    return this.send(target, options, (rest) => imageBody({ probe }, rest));
  }

  private async send<Body>(
    { path, params }: Target,
    { signal, timeoutMs, idempotencyKey, ...options }: EnrollCallOptions,
    bodyWith: (options: object) => FormData | object,
  ): Promise<Body> {
    const post = this.POST as unknown as (path: string, init: object) => Promise<{ data: Body }>;
    const header = idempotencyKey == null ? {} : { 'Idempotency-Key': idempotencyKey };
    const init = { params: { path: params, header }, body: bodyWith(options), signal, timeoutMs };
    return (await post(path, init)).data;
  }
}

/**
 * Creates a client of a Likeness service, for Node and browsers.
 *
 * @example
 * import { openAsBlob } from 'node:fs';
 * import { createLikenessClient } from 'nest-likeness/client';
 *
 * const likeness = createLikenessClient({ baseUrl: 'http://127.0.0.1:3000', apiKey: process.env.LIKENESS_KEY });
 * const { verified } = await likeness.verify(await openAsBlob('probe.jpg'), await openAsBlob('reference.jpg'));
 *
 * @publicApi
 */
export function createLikenessClient(options: LikenessClientOptions): LikenessClient {
  return new LikenessClient(options);
}

/** Not `crypto.randomUUID`, which browsers offer only to pages over https and from localhost. */
function withKey<Options extends EnrollCallOptions>(options: Options): Options {
  if (options.idempotencyKey != null) return options;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return {
    ...options,
    idempotencyKey: [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
  };
}

function withTimeout(
  signal: AbortSignal | undefined,
  timeoutMs: number | undefined,
): AbortSignal | undefined {
  if (timeoutMs == null) return signal;
  const timeout = AbortSignal.timeout(timeoutMs);
  return signal == null ? timeout : AbortSignal.any([signal, timeout]);
}
