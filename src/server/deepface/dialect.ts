import type { NextFunction, Response } from 'express';
import type { AppConfig } from '../config/app.config';
import { type Features, hasAnalysis } from '../config/features';
import { FaceError, type FaceErrorCode } from '../../errors';
import type { AppRequest } from '../http/request/request-id';

/** The POST routes, with what DeepFace says of them in its errors. */
export const DEEPFACE_ROUTES = {
  '/verify': 'verifying',
  '/represent': 'representing',
  '/analyze': 'analyzing',
  '/register': 'registering',
  '/search': 'searching',
  '/build/index': 'building index',
} as const;
export type DeepfaceRoute = keyof typeof DEEPFACE_ROUTES;

/** Capabilities that each route needs beside `deepface`. */
const ROUTE_NEEDS: Readonly<Record<DeepfaceRoute, (features: Features) => boolean>> = {
  '/verify': (features) => features.has('verify'),
  '/represent': (features) => features.has('embeddings'),
  '/analyze': hasAnalysis,
  '/register': (features) => features.has('galleries'),
  '/search': (features) => features.has('identify'),
  '/build/index': (features) => features.has('identify'),
};

/** Whether a route of the dialect is there. */
export function hasDeepfaceRoute(route: DeepfaceRoute, features: Features): boolean {
  return features.has('deepface') && ROUTE_NEEDS[route](features);
}

/** A request that {@link deepfaceDialect} has seen. */
export interface DeepfaceRequest extends AppRequest {
  /** An image came as a file: DeepFace decodes those, and no others, before its route begins. */
  hasFiles?: boolean;
}

/** Codes that DeepFace answers with `exception`: it did not find an image in the request. */
const EXTRACTION_CODES: readonly FaceErrorCode[] = ['IMAGE_MISSING', 'CONTENT_TYPE_UNSUPPORTED'];
/** The same where the image came as a file. */
const FILE_CODES: readonly FaceErrorCode[] = ['IMAGE_EMPTY', 'IMAGE_UNSUPPORTED', 'IMAGE_CORRUPT'];
/** Statuses under 500 that DeepFace has no answer for; all others are its 400. */
const OWN_STATUSES = [408, 413, 429, 499];
/** What DeepFace says where its token is wrong. */
const TOKEN_MESSAGE = 'Invalid or missing authentication token';

/**
 * Middleware before the key is checked: marks requests of the DeepFace routes, and gives their errors DeepFace's shapes.
 *
 * Not for routes of capabilities that are switched off: neither their shapes nor the token are for routes that are not there.
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

/** The dialect's route that Express will take, by the same rules: case and a slash at the end do not matter. */
function routeOf({ method, path }: AppRequest): DeepfaceRoute | '/' | null {
  const plain = path.toLowerCase().replace(/(?<=.)\/$/, '');
  if (method === 'POST' && Object.hasOwn(DEEPFACE_ROUTES, plain)) return plain as DeepfaceRoute;
  return method === 'GET' && plain === '/' ? '/' : null;
}

/** Status and body of an error as DeepFace has them; as it words its errors, without its traceback. */
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
