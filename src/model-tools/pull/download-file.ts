import { type IncomingHttpHeaders, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { type FileHandle, readFile, rename, rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HttpProxyAgent } from 'http-proxy-agent';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { getProxyForUrl } from 'proxy-from-env';
import { FaceError } from '../../errors';
import { writeAtomically } from '../../models/write-atomically';

const MAX_REDIRECTS = 5;
const REDIRECTS = [301, 302, 303, 307, 308];
/** Statuses of temporary failures: too early, too many requests, and failures of servers and proxies. */
const PASSING_STATUS = [408, 425, 429, 500, 502, 503, 504];
/** Longest accepted Retry-After of a server. */
const MAX_RETRY_AFTER_MS = 120_000;
/** Node's error codes of untrusted certificates: a retry does not help. */
const UNTRUSTED = /^(ERR_TLS_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/;

/** Retry policy of a download. */
export interface RetryPolicy {
  /** Milliseconds without a byte after which a connection is closed. */
  stallMs: number;
  /** Total number of attempts. */
  attempts: number;
  /** Milliseconds before the second attempt; doubled before each later one. */
  retryMs: number;
}

export const DEFAULT_RETRY_POLICY: RetryPolicy = { stallMs: 30_000, attempts: 6, retryMs: 1000 };

/** Description of a download. */
export interface DownloadSource {
  url: string;
  /** Pinned size in bytes; `null` if none is pinned. */
  bytes: number | null;
  /** Most bytes accepted without a pinned size. */
  maxBytes: number;
  /** True if the operator names a server without TLS: only then may a download use http. */
  allowHttp: boolean;
}

export interface DownloadEvents {
  /** @param total - `null` while the size is unknown. */
  onBytes(done: number, total: number | null): void;
  onNotice(message: string): void;
}

/** Origin of a part: it is resumed only if the server still has the same file. */
interface PartOrigin {
  url: string;
  /** Strong ETag or Last-Modified. */
  validator: string;
}

/** Temporary failure: the next attempt may succeed. */
class PassingFailure extends Error {
  constructor(
    message: string,
    readonly retryAfterMs?: number,
  ) {
    super(message);
  }
}

/** Permanent failure: every further attempt would fail. */
class LastingFailure extends Error {}

/**
 * Downloads a file into a part, retries temporary failures, and resumes the part of an earlier attempt or process if
 * the file on the server is unchanged.
 *
 * The caller must verify the bytes: statements of a server are no proof.
 *
 * @param part - open for reading and writing, and locked by the caller.
 * @param partPath - its path. Beside it, `<partPath>.json` holds the origin of the part.
 * @returns whether the part combines more than one response.
 * @throws {FaceError} MODEL_DOWNLOAD_FAILED naming URL and reason.
 */
export async function downloadFile(
  part: FileHandle,
  partPath: string,
  source: DownloadSource,
  events: DownloadEvents,
  retryPolicy: RetryPolicy,
): Promise<{ resumed: boolean }> {
  for (let attempt = 1; ; attempt++) {
    try {
      const result = await tryOnce(part, partPath, source, events, retryPolicy);
      await part.sync();
      return result;
    } catch (error) {
      const isPassing = error instanceof PassingFailure;
      if (!isPassing && !(error instanceof LastingFailure)) throw error;
      const waitMs = isPassing ? (error.retryAfterMs ?? retryPolicy.retryMs * 2 ** (attempt - 1)) : 0;
      if (!isPassing || attempt === retryPolicy.attempts || waitMs > MAX_RETRY_AFTER_MS) {
        throw downloadFailed(source.url, error);
      }
      events.onNotice(`${basename(source.url)}: ${error.message}; retrying in ${Math.ceil(waitMs / 1000)} s`);
      await sleep(waitMs);
    }
  }
}

function downloadFailed(url: string, { message }: Error): FaceError {
  return new FaceError('MODEL_DOWNLOAD_FAILED', `The download of ${url} failed: ${message}.`, { url });
}

async function tryOnce(
  part: FileHandle,
  partPath: string,
  source: DownloadSource,
  { onBytes }: DownloadEvents,
  { stallMs }: RetryPolicy,
): Promise<{ resumed: boolean }> {
  const limit = source.bytes ?? source.maxBytes;
  const present = (await part.stat()).size;
  if (present > 0 && present === source.bytes) return { resumed: true };
  const origin = await readOrigin(partPath);
  const from = origin?.url === source.url && present < limit ? present : 0;
  const headers: Record<string, string> =
    from > 0 && origin != null ? { range: `bytes=${from}-`, 'if-range': origin.validator } : {};
  const watch = new StallWatch(stallMs);
  try {
    const response = await getFollowing(source, headers, watch);
    const { statusCode, headers: answer } = response;
    if (statusCode === 416) {
      // The file of unpinned size was already complete, according to the server; its hash decides.
      if (answer['content-range'] === `bytes */${from}`) return { resumed: true };
      await restartPart(part, partPath);
      throw new PassingFailure('it has no more than what is here, which is not the file');
    }
    const resumed = statusCode === 206;
    const { start, total } = resumed ? rangeOf(answer) : { start: 0, total: lengthOf(answer) };
    if (resumed && (from === 0 || start !== from)) {
      await restartPart(part, partPath);
      throw new PassingFailure('it answers with another part than was asked for');
    }
    if (total != null && source.bytes != null && total !== source.bytes) {
      // The part may belong to a replaced file; the current file is then refused on its own.
      if (!resumed) throw new LastingFailure(`it offers ${total} bytes where ${source.bytes} are pinned`);
      await restartPart(part, partPath);
      throw new PassingFailure(`it resumes a file of ${total} bytes where ${source.bytes} are pinned`);
    }
    if (total != null && total > limit)
      throw new LastingFailure(`it offers ${total} bytes, over the limit of ${limit}`);
    if (!resumed) {
      await restartPart(part, partPath);
      await writeOrigin(partPath, source.url, answer);
    }
    let position = start;
    onBytes(position, total ?? source.bytes);
    for await (const chunk of received(response, watch)) {
      if (position + chunk.length > limit) throw new LastingFailure(`it sends more than ${limit} bytes`);
      await writeAll(part, chunk, position);
      position += chunk.length;
      onBytes(position, total ?? source.bytes);
    }
    if (position < (source.bytes ?? total ?? 0)) {
      throw new PassingFailure(`it ends after ${position} of ${source.bytes ?? total} bytes`);
    }
    return { resumed };
  } finally {
    watch.end();
  }
}

/** Closes an idle connection, and everything open when an attempt ends, however it ends. */
class StallWatch {
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;

  constructor(ms: number) {
    const stalled = new PassingFailure(`nothing comes for ${ms / 1000} s`);
    this.timer = setTimeout(() => this.controller.abort(stalled), ms);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Restarts the idle timer. */
  refresh(): void {
    this.timer.refresh();
  }

  end(): void {
    clearTimeout(this.timer);
    this.controller.abort();
  }
}

async function getFollowing(
  source: DownloadSource,
  headers: Record<string, string>,
  watch: StallWatch,
): Promise<IncomingMessage> {
  let url = new URL(source.url);
  assertAllowed(url, source.allowHttp);
  for (let redirects = 0; ; redirects++) {
    const response = await get(url, headers, watch);
    const { statusCode = 0 } = response;
    if ([200, 206, 416].includes(statusCode)) return response;
    response.destroy();
    if (!REDIRECTS.includes(statusCode)) throw refused(statusCode, response.headers);
    if (redirects === MAX_REDIRECTS)
      throw new LastingFailure(`it redirects more than ${MAX_REDIRECTS} times`);
    const { location } = response.headers;
    if (typeof location !== 'string' || !URL.canParse(location, url.href)) {
      throw new LastingFailure('it redirects to no URL');
    }
    const next = new URL(location, url);
    // After https, only https.
    assertAllowed(next, source.allowHttp && url.protocol === 'http:');
    url = next;
  }
}

function assertAllowed({ protocol, host }: URL, allowHttp: boolean): void {
  if (protocol === 'https:' || (allowHttp && protocol === 'http:')) return;
  throw new LastingFailure(`it leads to ${protocol}//${host}, which is not https`);
}

/** A separate connection for each request: requests are few, and a redirect may bypass a proxy or need one. */
function get(url: URL, headers: Record<string, string>, watch: StallWatch): Promise<IncomingMessage> {
  const agent = proxyFor(url) ?? false;
  const send = url.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const options = {
      agent,
      signal: watch.signal,
      // A compressed response would not match the pinned file.
      headers: { 'user-agent': 'likeness', 'accept-encoding': 'identity', ...headers },
    };
    send(url, options, (response) => {
      // Even an unread response can emit an error.
      resolve(response.on('error', () => undefined));
    })
      .on('error', (error) => reject(toFailure(error, watch)))
      .end();
  });
}

/** Without TLS, the proxy gets the full URL; with TLS, a request for a tunnel. */
function proxyFor(url: URL): HttpProxyAgent<string> | HttpsProxyAgent<string> | null {
  const proxy = getProxyForUrl(url.href);
  if (proxy === '') return null;
  // The URL of a proxy may contain a password, so it is not shown.
  if (!/^https?:/i.test(proxy) || !URL.canParse(proxy)) {
    throw new LastingFailure('HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is no URL of an http or https proxy');
  }
  return url.protocol === 'https:' ? new HttpsProxyAgent(proxy) : new HttpProxyAgent(proxy);
}

/** Chunks of a response. Connection failures are distinguished from disk failures. */
async function* received(
  response: IncomingMessage,
  watch: StallWatch,
): AsyncGenerator<Uint8Array, void, void> {
  const chunks = (response as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await chunks.next().catch((error: unknown) => {
        throw toFailure(error, watch);
      });
      if (done) return;
      watch.refresh();
      yield value;
    }
  } finally {
    response.destroy();
  }
}

function toFailure(error: unknown, { signal }: StallWatch): Error {
  if (signal.reason instanceof PassingFailure) return signal.reason;
  const { code, message } = error as NodeJS.ErrnoException;
  const reason = message === '' || message == null ? (code ?? 'the connection failed') : message;
  if (code != null && UNTRUSTED.test(code)) return new LastingFailure(reason);
  return new PassingFailure(reason);
}

function refused(statusCode: number, { 'retry-after': retryAfter }: IncomingHttpHeaders): Error {
  const reason = `it answers with status ${statusCode}`;
  if (PASSING_STATUS.includes(statusCode)) return new PassingFailure(reason, retryAfterMs(retryAfter));
  return new LastingFailure(reason);
}

/** Retry-After is a number of seconds or a date (RFC 9110, 10.2.3). */
function retryAfterMs(value: string | undefined): number | undefined {
  if (value == null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** `bytes <start>-<end>/<size or *>` (RFC 9110, 14.4). */
function rangeOf({ 'content-range': range }: IncomingHttpHeaders): { start: number; total: number | null } {
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(String(range)) ?? [];
  return { start: Number(start), total: total == null || total === '*' ? null : Number(total) };
}

function lengthOf({ 'content-length': length }: IncomingHttpHeaders): number | null {
  return length == null ? null : Number(length);
}

const originPath = (partPath: string) => `${partPath}.json`;

async function readOrigin(partPath: string): Promise<PartOrigin | null> {
  try {
    return JSON.parse(await readFile(originPath(partPath), 'utf8')) as PartOrigin;
  } catch {
    // Absent or damaged: a part of unknown origin is useless.
    return null;
  }
}

/** Only a strong validator proves that bytes are the same (RFC 9110, 13.1.5). */
async function writeOrigin(
  partPath: string,
  url: string,
  { etag, ...headers }: IncomingHttpHeaders,
): Promise<void> {
  const isStrong = etag != null && !etag.startsWith('W/');
  const validator = isStrong ? etag : headers['last-modified'];
  if (validator == null) return;
  await writeAtomically(
    originPath(partPath),
    Buffer.from(JSON.stringify({ url, validator } satisfies PartOrigin)),
  );
}

/** The origin is removed first: a part never has the origin of another. */
async function restartPart(part: FileHandle, partPath: string): Promise<void> {
  await rm(originPath(partPath), { force: true });
  await part.truncate(0);
}

/** Removes a part and its origin. */
export async function removePart(partPath: string): Promise<void> {
  await rm(originPath(partPath), { force: true });
  await rm(partPath, { force: true });
}

/**
 * Renames a part to its file. Nothing is removed afterwards: a part at the old path then belongs to another process.
 */
export async function publishPart(partPath: string, path: string): Promise<void> {
  await rm(originPath(partPath), { force: true });
  await rename(partPath, path);
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}
