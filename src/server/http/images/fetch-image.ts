import dns from 'node:dns';
import { type ClientRequest, get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Response } from 'express';
import type { AppConfig } from '../../config/app.config';
import { FaceError } from '../../../errors';
import { type ImagePlace, imageTooLarge, type ImageUrl, nameOf } from './parse-image';
import { isPublicAddress } from './public-address';
import { clientLeft } from '../request/request-limits';

/** Rules of the operator for fetching images. */
export interface FetchRules {
  /**
   * Host names, with a port unless it is the default: these can have any address. `*.name` allows the subdomains of a
   * name, `*` every host at the default ports; both only at public addresses. Empty: no fetching.
   */
  hosts: readonly string[];
  maxImageBytes: number;
  /** Milliseconds in all, redirects included. */
  timeoutMs: number;
  /** Aborts when the client disconnects. */
  signal: AbortSignal;
}

/** Fetches the images of one request. Resources are created on first use. */
export class ImageFetcher {
  private rules?: FetchRules;
  private readonly givenUp = new AbortController();

  constructor(
    private readonly config: AppConfig,
    private readonly response: Response,
  ) {}

  /** As {@link fetchImage}; aborts when the client disconnects. */
  fetch(image: ImageUrl, place: ImagePlace): Promise<Buffer> {
    const { imageUrlHosts: hosts, imageUrlTimeoutMs: timeoutMs, face } = this.config;
    this.rules ??= {
      hosts,
      timeoutMs,
      maxImageBytes: face.maxImageBytes,
      signal: AbortSignal.any([clientLeft(this.response), this.givenUp.signal]),
    };
    return fetchImage(image, place, this.rules);
  }

  /** Waits for all images. If one fails, the others are aborted. */
  async all<T>(images: readonly Promise<T>[]): Promise<T[]> {
    try {
      return await Promise.all(images);
    } catch (error) {
      this.givenUp.abort();
      throw error;
    }
  }
}

const MAX_REDIRECTS = 3;
const REDIRECTS = [301, 302, 303, 307, 308];

/**
 * Fetches an image from a URL of the caller without giving access to the internal network (SSRF). The host must be on
 * the operator's list, and the resolved address is checked for the connection that is used, so that DNS rebinding has
 * no effect. Both are checked again for every redirect.
 *
 * @throws {FaceError} IMAGE_URL_REFUSED if it is not allowed, IMAGE_URL_FAILED if it cannot be fetched,
 * IMAGE_TOO_LARGE, IMAGE_EMPTY, all with `details.field`.
 */
export async function fetchImage({ url }: ImageUrl, place: ImagePlace, rules: FetchRules): Promise<Buffer> {
  const signal = AbortSignal.any([rules.signal, AbortSignal.timeout(rules.timeoutMs)]);
  try {
    let current = url;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await open(current, place, rules.hosts, signal);
      const { statusCode = 0 } = response;
      const { location } = response.headers;
      if (statusCode === 200) return await readBody(response, place, rules.maxImageBytes);
      response.destroy();
      if (!REDIRECTS.includes(statusCode) || location === undefined || !URL.canParse(location, current.href))
        throw failed(place, { status: statusCode });
      current = new URL(location, current);
    }
    throw failed(place);
  } catch (error) {
    if (error instanceof FaceError) throw error;
    if (rules.signal.aborted) throw new FaceError('REQUEST_ABORTED', 'The client closed the connection.');
    throw failed(place, {}, error);
  }
}

async function open(
  url: URL,
  place: ImagePlace,
  hosts: readonly string[],
  signal: AbortSignal,
): Promise<IncomingMessage> {
  if (!['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '')
    throw refused(place, 'must be an http or https URL without credentials');
  const rules = hosts.filter((host) => matches(host, url));
  if (rules.length === 0) throw refused(place, 'is on a host that the operator does not allow');
  // Other ports of a public address belong to other services, such as mail, databases and consoles.
  if (rules.every((rule) => rule === '*') && !['', '80', '443'].includes(url.port))
    throw refused(place, 'must use port 80 or 443');
  const isNamed = rules.some((rule) => !rule.startsWith('*'));
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  if (!isNamed && isIP(literal) !== 0 && !isPublicAddress(literal)) throw notPublic(place);
  return new Promise((resolve, reject) => {
    const get = url.protocol === 'https:' ? getHttps : getHttp;
    const request: ClientRequest = get(
      url,
      {
        agent: false,
        signal,
        lookup: isNamed ? undefined : publicLookup(place),
        headers: { accept: 'image/*', 'accept-encoding': 'identity', 'user-agent': 'likeness' },
      },
      resolve,
    );
    request.once('error', reject);
  });
}

function matches(host: string, url: URL): boolean {
  if (host === '*') return true;
  if (host.startsWith('*.')) return url.host.endsWith(host.slice(1).toLowerCase());
  return url.host === host.toLowerCase();
}

/** Resolves with the system's lookup; fails if any address is not public. */
function publicLookup(place: ImagePlace): LookupFunction {
  return (hostname, options, callback) => {
    dns.lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '', 0);
      if (!addresses.every(({ address }) => isPublicAddress(address)))
        return callback(notPublic(place), '', 0);
      if (options.all) return callback(null, addresses);
      callback(null, addresses[0].address, addresses[0].family);
    });
  };
}

async function readBody(
  response: IncomingMessage,
  place: ImagePlace,
  maxImageBytes: number,
): Promise<Buffer> {
  const tooLarge = () => {
    response.destroy();
    return imageTooLarge(place, maxImageBytes);
  };
  if (Number(response.headers['content-length'] ?? 0) > maxImageBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxImageBytes) throw tooLarge();
    chunks.push(chunk);
  }
  if (!response.complete) throw failed(place);
  if (size === 0)
    throw new FaceError('IMAGE_EMPTY', `The URL for ${nameOf(place)} returned 0 bytes.`, {
      ...place,
    });
  return Buffer.concat(chunks);
}

function notPublic(place: ImagePlace): FaceError {
  return refused(place, 'resolves to an address that is not public');
}

function refused(place: ImagePlace, problem: string): FaceError {
  return new FaceError('IMAGE_URL_REFUSED', `The URL for ${nameOf(place)} ${problem}.`, { ...place });
}

/** Details go to the log only: they could reveal the internal network. */
function failed(place: ImagePlace, details: { status?: number } = {}, cause?: unknown): FaceError {
  const text = `The image could not be fetched from the URL for ${nameOf(place)}.`;
  return new FaceError('IMAGE_URL_FAILED', text, { ...place, ...details }, { cause });
}
