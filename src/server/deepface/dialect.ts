import type { NextFunction, Response } from 'express';
import type { AppConfig } from '../config/app.config';
import { type Features, hasAnalysis } from '../config/features';
import { FaceError, type FaceErrorCode } from '../../errors';
import type { AppRequest } from '../http/request/request-id';

/** The POST routes, with the verb of each in DeepFace's error messages. */
export const DEEPFACE_ROUTES = {
  '/verify': 'verifying',
  '/represent': 'representing',
  '/analyze': 'analyzing',
  '/register': 'registering',
  '/search': 'searching',
  '/build/index': 'building index',
} as const;
export type DeepfaceRoute = keyof typeof DEEPFACE_ROUTES;

/** Features that each route needs besides `deepface`. */
const ROUTE_NEEDS: Readonly<Record<DeepfaceRoute, (features: Features) => boolean>> = {
  '/verify': (features) => features.has('verify'),
  '/represent': (features) => features.has('embeddings'),
  '/analyze': hasAnalysis,
  '/register': (features) => features.has('galleries'),
  '/search': (features) => features.has('identify'),
  '/build/index': (features) => features.has('identify'),
};

/** Whether a route of the dialect is enabled. */
export function hasDeepfaceRoute(route: DeepfaceRoute, features: Features): boolean {
  return features.has('deepface') && ROUTE_NEEDS[route](features);
}

/** A request after {@link deepfaceDialect}. */
export interface DeepfaceRequest extends AppRequest {
  /** Whether an image was sent as a file: DeepFace decodes only these before its route runs. */
  hasFiles?: boolean;
}

/** Codes that DeepFace returns as `exception`, because the request has no image. */
const EXTRACTION_CODES: readonly FaceErrorCode[] = ['IMAGE_MISSING', 'CONTENT_TYPE_UNSUPPORTED'];
/** The same for images sent as files. */
const FILE_CODES: readonly FaceErrorCode[] = ['IMAGE_EMPTY', 'IMAGE_UNSUPPORTED', 'IMAGE_CORRUPT'];
/** Statuses under 500 that DeepFace does not have; all others become its 400. */
const OWN_STATUSES = [408, 413, 429, 499];
/** DeepFace's message for a wrong token. */
const TOKEN_MESSAGE = 'Invalid or missing authentication token';

/**
 * Middleware before authentication: marks requests of the DeepFace routes, so that their errors have DeepFace's format.
 *
 * Skips routes of disabled features, which have neither this format nor the token.
 */
export function deepfaceDialect({ features }: AppConfig) {
  return (request: AppRequest, _response: Response, next: NextFunction): void => {
    const route = routeOf(request);
    if (route == null || route === '/' || !hasDeepfaceRoute(route, features)) return next();
    request.dialect = 'deepface';
    request.errorAnswer = (error) => deepfaceError(error, route, request);
    next();
  };
}

/** The route of the dialect, matched as Express does: ignoring case and a trailing slash. */
function routeOf({ method, path }: AppRequest): DeepfaceRoute | '/' | null {
  const plain = path.toLowerCase().replace(/(?<=.)\/$/, '');
  if (method === 'POST' && Object.hasOwn(DEEPFACE_ROUTES, plain)) return plain as DeepfaceRoute;
  return method === 'GET' && plain === '/' ? '/' : null;
}

/** Status and body of an error in DeepFace's format, without its traceback. */
export function deepfaceError(
  { code, message, status }: FaceError,
  route: DeepfaceRoute,
  { hasFiles = false, requestId }: Pick<DeepfaceRequest, 'hasFiles' | 'requestId'>,
): { status: number; body: object } {
  if (status === 401) return { status, body: { message: TOKEN_MESSAGE } };
  if (status === 403) return { status, body: { message } };
  if (EXTRACTION_CODES.includes(code) || (hasFiles && FILE_CODES.includes(code))) {
    return { status: 400, body: { exception: message } };
  }
  const error = `Exception while ${DEEPFACE_ROUTES[route]}: ${message}`;
  if (status < 500 && !OWN_STATUSES.includes(status)) return { status: 400, body: { error } };
  return { status, body: { error, code, requestId } };
}
