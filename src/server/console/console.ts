import type { NextFunction, Response } from 'express';
import helmet from 'helmet';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { AppConfig } from '../config/app.config';
import type { AppRequest } from '../http/request/request-id';

/** Folder of the page. The build copies it. */
export const PAGE_FOLDER = join(__dirname, 'page');
const PAGE = 'index.html';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
};

interface StaticFile {
  type: string;
  etag: string;
  body: Buffer;
}

/** Only files of the page itself run, and no text becomes markup. Photos are shown from memory (`blob:`). */
const setConsoleHeaders = helmet({
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      imgSrc: ["'self'", 'blob:', 'data:'],
      connectSrc: ["'self'"],
      baseUri: ["'none'"],
      formAction: ["'none'"],
      frameAncestors: ["'none'"],
      requireTrustedTypesFor: ["'script'"],
      trustedTypes: ["'none'"],
    },
  },
  xFrameOptions: { action: 'deny' },
  // TLS is up to the proxy, see browsers.ts.
  strictTransportSecurity: false,
});

/**
 * Middleware that serves the console: the page at `/console`, and at `/` to browsers; its files at `/console/*`. They hold no
 * data, so no key protects them; the page asks for a key when the API does.
 *
 * All links of the page are relative, so it works under any prefix. Other requests for `/` go on to the DeepFace API.
 */
export function serveConsole({ features }: Pick<AppConfig, 'features'>) {
  const files = new Map<string, StaticFile>();
  const add = (name: string, body: Buffer) => files.set(name, staticFile(name, body));
  for (const name of readdirSync(PAGE_FOLDER)) add(name, readFileSync(join(PAGE_FOLDER, name)));
  add('features.json', Buffer.from(JSON.stringify({ features: [...features] })));

  return (request: AppRequest, response: Response, next: NextFunction): void => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return next();
    const path = request.path.toLowerCase();
    if (path === '/') {
      response.vary('Accept');
      if (!isBrowser(request)) return next();
      const [url] = request.originalUrl.split('?');
      // Relative links need the slash after a prefix.
      if (!url.endsWith('/')) return response.redirect(302, `${url.slice(url.lastIndexOf('/') + 1)}/`);
    }
    if (path === '/console/') return response.redirect(302, '../console');
    const name = path === '/' || path === '/console' ? PAGE : /^\/console\/([^/]+)$/.exec(path)?.[1];
    const file = files.get(name ?? '');
    if (file == null) return next();
    setConsoleHeaders(request, response, () => send(file, request, response));
  };
}

/** Sends a file, or 304 if the browser has it. Its name does not change with its content, so browsers must ask. */
function send({ type, etag, body }: StaticFile, request: AppRequest, response: Response): void {
  response.set({ 'Content-Type': type, 'Cache-Control': 'no-cache', ETag: etag });
  if (request.fresh) response.status(304).end();
  else response.set('Content-Length', String(body.length)).end(request.method === 'HEAD' ? undefined : body);
}

function staticFile(name: string, body: Buffer): StaticFile {
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  return { type: TYPES[extname(name)], etag, body };
}

/** Browsers name HTML when they open a page; clients of the DeepFace API do not. */
function isBrowser(request: AppRequest): boolean {
  return /\btext\/html\b/i.test(request.get('accept') ?? '');
}
