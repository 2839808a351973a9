import type { NextFunction, Response } from 'express';
import helmet from 'helmet';
import { isIP } from 'node:net';
import type { AppConfig } from '../../config/app.config';
import { FaceError } from '../../../errors';
import { REVISION_HEADER, STALE_HEADER } from './gallery-revision';
import type { AppRequest } from './request-id';

/*
 * A browser lends its place in the network, and whatever opens doors there, to every page that it shows. These middlewares
 * keep pages of other sites out: pages that send requests across sites (CSRF), and pages that pass for the service itself by
 * a name of their own that leads to its address (DNS rebinding).
 */

/** Methods that change nothing (RFC 9110, section 9.2.1); without CORS a page of another site cannot read their answers. */
const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS'];

/** Sets headers of every answer: biometric data is kept by no cache, and taken for no other type than it is sent as. */
export function answerHeaders(_request: AppRequest, response: Response, next: NextFunction): void {
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Cache-Control', 'no-store');
  next();
}

/** Addresses that answer with HTML: the Swagger page with its files, and the page of the DeepFace API. */
const HTML_PATH = /^\/(docs(\/.*)?)?$/i;

/**
 * Pages load and call nothing but the service itself. TLS is the proxy's affair: without it upgraded requests lead nowhere,
 * and strict transport security would be promised for the whole domain.
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

/** Sets helmet's headers on HTML pages; on answers for programs they would say nothing. */
export function pageHeaders(request: AppRequest, response: Response, next: NextFunction): void {
  if (HTML_PATH.test(request.path)) setPageHeaders(request, response, next);
  else next();
}

/**
 * Refuses requests that name another host than the service: HOST_NOT_ALLOWED. An IP address, `localhost` and the name that the
 * service listens on are always allowed, because no page of another site can be reached there. Where the operator lists no
 * names, his proxies are believed to have chosen by name. Health is answered under every name, as load balancers ask for it.
 */
export function refuseOtherHosts({ host: listeningHost, allowedHosts }: AppConfig) {
  const allowed = ['localhost', '*.localhost', listeningHost.toLowerCase(), ...allowedHosts];
  return (request: AppRequest, _response: Response, next: NextFunction): void => {
    const { host } = request.headers;
    // HTTP/1.0 has no Host; browsers always send one.
    if (host == null || isHealth(request)) return next();
    const name = hostnameOf(host);
    if (isIP(name) !== 0 || allowed.some((rule) => matches(rule, name))) return next();
    if (allowedHosts.length === 0 && isFromProxy(request)) return next();
    next(
      new FaceError(
        'HOST_NOT_ALLOWED',
        'The service does not answer under this host name. The operator can list it in FACE_ALLOWED_HOSTS.',
      ),
    );
  };
}

/**
 * Refuses requests that change something, uploads included, from pages of sites that the operator did not list:
 * ORIGIN_NOT_ALLOWED. Clients that are no browsers send neither header.
 */
export function refuseOtherOrigins({ corsOrigins }: AppConfig) {
  return (request: AppRequest, _response: Response, next: NextFunction): void => {
    if (SAFE_METHODS.includes(request.method) || isSameOrigin(request)) return next();
    if (corsOrigins.includes(request.get('origin') ?? '')) return next();
    next(
      new FaceError(
        'ORIGIN_NOT_ALLOWED',
        'The request comes from a page of another site. The operator can list its origin in FACE_CORS_ORIGINS.',
      ),
    );
  };
}

/** What a page of a listed origin may read beside the body; `cors` answers its preflight requests. */
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
    ],
    maxAge: 600,
  };
}

/** Whether health is asked for, which no limit of callers stops. */
export function isHealth({ path }: AppRequest): boolean {
  return path.toLowerCase().startsWith('/health/');
}

/**
 * By `Sec-Fetch-Site`, which no page can set, else by `Origin`: over plain http browsers send the former to localhost alone.
 * Another port is another origin, even where the site is the same.
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

/** Host header without port, brackets and the dot of the root. */
function hostnameOf(host: string): string {
  return host
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();
}
