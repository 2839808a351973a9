import type { NextFunction, Response } from 'express';
import helmet from 'helmet';
import { isIP } from 'node:net';
import type { AppConfig } from '../../config/app.config';
import { FaceError } from '../../../errors';
import { MODEL_HEADER, OMITTED_HEADER, SUBSTITUTE_HEADER } from '../../deepface/substitutes';
import { REVISION_HEADER, STALE_HEADER } from './gallery-revision';
import type { AppRequest } from './request-id';

/*
 * A browser lends its network access and credentials to every page. These middlewares block pages of other sites: those
 * that send requests across sites (CSRF), and those whose host name resolves to the address of the service (DNS
 * rebinding).
 */

/**
 * Methods without side effects (RFC 9110, section 9.2.1). Without CORS, a page of another site cannot read their
 * responses.
 */
const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS'];

/** Sets headers of every response against caching and content sniffing of biometric data. */
export function answerHeaders(_request: AppRequest, response: Response, next: NextFunction): void {
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Cache-Control', 'no-store');
  next();
}

/** Paths of HTML pages: Swagger UI with its files, and the welcome page of the DeepFace API. */
const HTML_PATH = /^\/(docs(\/.*)?)?$/i;

/**
 * Pages load and call only the service itself. TLS is up to the proxy: without TLS, upgraded requests would fail, and
 * strict transport security would apply to the whole domain.
 */
const setPageHeaders = helmet({
  contentSecurityPolicy: {
    directives: {
      styleSrc: ["'self'", "'unsafe-inline'"],
      fontSrc: ["'self'"],
      upgradeInsecureRequests: null,
    },
  },
  strictTransportSecurity: false,
});

/** Sets helmet's headers on HTML pages. They have no effect on other responses. */
export function pageHeaders(request: AppRequest, response: Response, next: NextFunction): void {
  if (HTML_PATH.test(request.path)) setPageHeaders(request, response, next);
  else next();
}

/**
 * Rejects requests for another host name with HOST_NOT_ALLOWED. IP addresses, `localhost` and the name that the service
 * listens on are always allowed, because no page of another site has such an origin. If the operator lists no names,
 * requests through trusted proxies are allowed, because these route by name. Health is available under every name, for
 * load balancers.
 */
export function refuseOtherHosts({ host: listeningHost, allowedHosts }: AppConfig) {
  const allowed = ['localhost', '*.localhost', listeningHost.toLowerCase(), ...allowedHosts];
  return (request: AppRequest, _response: Response, next: NextFunction): void => {
    const { host } = request.headers;
    // HTTP/1.0 has no Host header; browsers always send one.
    if (host == null || isHealth(request)) return next();
    const name = hostnameOf(host);
    if (isIP(name) !== 0 || allowed.some((rule) => matches(rule, name))) return next();
    if (allowedHosts.length === 0 && isFromProxy(request)) return next();
    next(
      new FaceError(
        'HOST_NOT_ALLOWED',
        'The service does not accept requests for this host name. The operator can allow it in FACE_ALLOWED_HOSTS.',
      ),
    );
  };
}

/**
 * Rejects requests with side effects, uploads included, from pages of unlisted sites with ORIGIN_NOT_ALLOWED. Clients
 * other than browsers do not send the checked headers.
 */
export function refuseOtherOrigins({ corsOrigins }: AppConfig) {
  return (request: AppRequest, _response: Response, next: NextFunction): void => {
    if (SAFE_METHODS.includes(request.method) || isSameOrigin(request)) return next();
    if (corsOrigins.includes(request.get('origin') ?? '')) return next();
    next(
      new FaceError(
        'ORIGIN_NOT_ALLOWED',
        'The request comes from a page of another site. The operator can allow its origin in FACE_CORS_ORIGINS.',
      ),
    );
  };
}

/** CORS options for the listed origins, including the readable headers; `cors` answers preflight requests. */
export function corsOptions({ corsOrigins }: AppConfig) {
  return {
    origin: [...corsOrigins],
    exposedHeaders: [
      'x-request-id',
      'Server-Timing',
      'Retry-After',
      'RateLimit',
      'RateLimit-Policy',
      REVISION_HEADER,
      STALE_HEADER,
      SUBSTITUTE_HEADER,
      OMITTED_HEADER,
      MODEL_HEADER,
    ],
    maxAge: 600,
  };
}

/** Whether it is a health check, which no limit of callers applies to. */
export function isHealth({ path }: AppRequest): boolean {
  return path.toLowerCase().startsWith('/health/');
}

/**
 * Checks `Sec-Fetch-Site`, which no page can set, otherwise `Origin`, because over plain http browsers send the former
 * to localhost only. Another port is another origin, even on the same site.
 */
function isSameOrigin(request: AppRequest): boolean {
  const site = request.get('sec-fetch-site');
  if (site != null) return site === 'same-origin' || site === 'none';
  const origin = request.get('origin');
  if (origin == null) return true;
  // Behind a proxy the host of the page is in X-Forwarded-Host, which no page can send to another origin.
  return URL.canParse(origin) && new URL(origin).host === (request.host ?? '').toLowerCase();
}

/** Whether the connection comes from a proxy of FACE_TRUST_PROXY. */
function isFromProxy({ app, socket }: AppRequest): boolean {
  const isTrusted = app.get('trust proxy fn') as (address: string | undefined, hop: number) => boolean;
  return isTrusted(socket.remoteAddress, 0);
}

function matches(rule: string, name: string): boolean {
  if (rule === '*') return true;
  return rule.startsWith('*.') ? name.endsWith(rule.slice(1)) : name === rule;
}

/** Host header without port, brackets and trailing dot. */
function hostnameOf(host: string): string {
  return host
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();
}
