import type { FetchResponse, MaybeOptionalInit } from 'openapi-fetch';
import type { EmbeddingInput, ImageInput } from './image-body';
import type { paths } from './openapi';
import type { RetryOptions } from './retry';

/**
 * Options of a client.
 *
 * @publicApi
 */
export interface LikenessClientOptions extends RetryOptions {
  /** URL of the service, for example `http://127.0.0.1:3000`; in a page of the service itself, `''`. */
  baseUrl: string;
  /** API key, sent as `Authorization: Bearer`. */
  apiKey?: string;
  /** More headers of every request. */
  headers?: Record<string, string>;
  /** Sends the requests. @defaultValue the global `fetch` */
  fetch?: (request: Request) => Promise<Response>;
  /** Time limit of every call with its repeats, in milliseconds. @defaultValue none, because the service has its own */
  timeoutMs?: number;
}

/**
 * Options of one call.
 *
 * @publicApi
 */
export interface CallOptions {
  /** Aborts the call. The service then drops images that wait in its queue. */
  signal?: AbortSignal;
  /** Time limit of this call with its repeats, in milliseconds. @defaultValue that of the client */
  timeoutMs?: number;
}

/**
 * Options of an enrollment.
 *
 * @publicApi
 */
export interface EnrollCallOptions extends CallOptions {
  /** Makes the enrollment safe to repeat, also by a later call. @defaultValue a random key for each call */
  idempotencyKey?: string;
}

type HttpMethod = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** Paths that have a method. */
type PathOf<Method extends HttpMethod> = {
  [Path in keyof paths]: paths[Path] extends Record<Method, object> ? Path : never;
}[keyof paths];

/** The second argument is optional if the operation needs neither parameters nor a body. */
type Init<Given> = object extends Given ? [(Given & CallOptions)?] : [Given & CallOptions];

/** A successful response: its body as `data`, and the response with its headers. */
type Answer<Operation, Given> = Extract<
  FetchResponse<Operation & Record<string, unknown>, Given, `${string}/${string}`>,
  { data: unknown }
>;

/**
 * Calls a path of the API with one HTTP method.
 *
 * @param path - as in the OpenAPI document, with its parameters in braces.
 * @param init - `params` (`path`, `query`, `header`), `body`, and options of `fetch`; typed for each path.
 * @throws {LikenessError} the error response of the service.
 *
 * @publicApi
 */
export type LikenessMethod<Method extends HttpMethod> = <
  Path extends PathOf<Method>,
  Given extends MaybeOptionalInit<paths[Path], Method>,
>(
  path: Path,
  ...init: Init<Given>
) => Promise<Answer<paths[Path][Method], Given>>;

type Post<Path extends PathOf<'post'>> = paths[Path]['post'];
type JsonOf<Path extends PathOf<'post'>> =
  Post<Path> extends { requestBody: { content: { 'application/json': infer Body } } } ? Body : never;
type OptionsOf<Path extends PathOf<'post'>, Images extends string = never> = Flat<
  Omit<JsonOf<Path>, Images | keyof EmbeddingInput>
>;
type ResponseOf<Path extends PathOf<'post'>> =
  Post<Path> extends { responses: { 200: { content: { 'application/json': infer Body } } } } ? Body : never;
/** Shown by editors as one object. */
type Flat<Type> = { [Key in keyof Type]: Type[Key] };
/** The response to a list, and to a single image. */
type OfList<Response> = Extract<Response, { results: unknown }>;
type OfOne<Response> = Exclude<Response, { results: unknown }>;

type References = '/v1/galleries/{galleryId}/subjects/{subjectId}/references';
type Enroll = '/v1/galleries/{galleryId}/enroll';
type Identify = '/v1/galleries/{galleryId}/identify';
type VerifySubject = '/v1/galleries/{galleryId}/subjects/{subjectId}/verify';

/** @publicApi */
export type VerifyOptions = OptionsOf<'/v1/verify', 'probe' | 'reference'>;
/** @publicApi */
export type VerifyResponse = ResponseOf<'/v1/verify'>;
/** @publicApi */
export type RepresentOptions = OptionsOf<'/v1/represent', 'image'>;
/** @publicApi */
export type RepresentResponse = OfOne<ResponseOf<'/v1/represent'>>;
/** @publicApi */
export type RepresentListResponse = OfList<ResponseOf<'/v1/represent'>>;
/** @publicApi */
export type DetectOptions = OptionsOf<'/v1/detect', 'image'>;
/** @publicApi */
export type DetectResponse = ResponseOf<'/v1/detect'>;
/** @publicApi */
export type AnalyzeOptions = OptionsOf<'/v1/analyze', 'image'>;
/** @publicApi */
export type AnalyzeResponse = ResponseOf<'/v1/analyze'>;
/** @publicApi */
export type EnrollOptions = OptionsOf<References, 'image'>;
/** @publicApi */
export type EnrollResponse = OfOne<ResponseOf<References>>;
/** @publicApi */
export type EnrollListResponse = OfList<ResponseOf<References>>;
/** @publicApi */
export type EnrollItemsOptions = OptionsOf<Enroll, 'image' | 'items'>;
/** @publicApi */
export type IdentifyOptions = OptionsOf<Identify, 'probe'>;
/** @publicApi */
export type IdentifyResponse = ResponseOf<Identify>;
/** @publicApi */
export type VerifySubjectOptions = OptionsOf<VerifySubject, 'probe'>;
/** @publicApi */
export type VerifySubjectResponse = ResponseOf<VerifySubject>;

/**
 * One item of `enrollItems`: a subject with an image or an embedding.
 *
 * @publicApi
 */
export interface EnrollItem {
  /** Id of the subject, which is created if it does not exist. */
  subjectId: string;
  image?: ImageInput;
  /** Instead of an image: an embedding returned by `represent`, with its `contract`. */
  embedding?: number[];
  contract?: string;
  /** Flat metadata of the reference. */
  metadata?: Record<string, string | number | boolean>;
  /** Expiry, ISO 8601 with time zone: from then on the reference never matches; `null`: never. */
  expiresAt?: string | null;
}
