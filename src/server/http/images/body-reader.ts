import { Injectable } from '@nestjs/common';
import type { Response } from 'express';
import type { IncomingMessage } from 'node:http';
import { AppConfig } from '../../config/app.config';
import { FaceError } from '../../../errors';
import { FaceModel } from '../../../face/face-model';
import { nextTurn, takeTurn } from '../../../turns';
import { callerOf } from '../request/caller';
import { mediaType } from './media-type';
import { type JsonLimits, JsonScan, parseScanned } from '../request/parse-json';
import type { AppRequest } from '../request/request-id';
import { UploadAccount } from './upload-account';

/**
 * Minimum bytes of a body per window: 8 KiB/s is the uplink of a phone at the edge of its cell. Slower bodies are
 * aborted.
 */
export const MIN_BYTES_PER_WINDOW = 80 * 1024;
export const WINDOW_MS = 10_000;

/** Unread rest of a rejected body that is drained; with a longer rest, the connection is closed. */
export const MAX_REST_BYTES = 64 * 1024;

/** Bytes to copy per turn of the event loop: about 3 ms if every memory page is new. */
const SLICE_BYTES = 2 * 1024 * 1024;

/** Limits of a body. */
export interface BodyLimits {
  maxBytes: number;
  /**
   * Whether the body contains images. If the queue is full, a body over {@link MAX_REST_BYTES} is then rejected unread;
   * a shorter one would be drained anyway. @defaultValue false
   */
  holdsImages?: boolean;
}

/** Limits of a JSON body. */
export interface JsonBodyLimits extends JsonLimits, BodyLimits {}

/**
 * Reads bodies into memory after the guards of a route, within the limits of the route and of one shared {@link
 * UploadAccount}. Compressed bodies are rejected.
 */
@Injectable()
export class BodyReader {
  private readonly account: UploadAccount;

  constructor(
    config: AppConfig,
    private readonly model: FaceModel,
  ) {
    this.account = new UploadAccount(config.uploadBytes);
  }

  /** Bytes of all bodies being received or processed. */
  get heldBytes(): number {
    return this.account.heldBytes;
  }

  /**
   * Reads the whole body. Its bytes count in the account until the response is sent.
   *
   * @param look - called with each chunk; reading stops if it throws.
   * @throws {FaceError} CONTENT_TYPE_UNSUPPORTED for a Content-Encoding, REQUEST_TOO_LARGE, QUEUE_FULL,
   * CALLER_QUEUE_FULL, CALLER_QUARANTINED, REQUEST_TIMEOUT if it arrives too slowly, REQUEST_ABORTED.
   */
  async read(
    request: AppRequest,
    response: Response,
    { maxBytes, holdsImages }: BodyLimits,
    look?: (chunk: Buffer) => void,
  ): Promise<Buffer> {
    refuseEncoded(request);
    const limit = Math.min(maxBytes, this.account.maxBytes);
    const announced = Number(request.headers['content-length'] ?? 0);
    if (announced > limit) throw tooLarge(limit);
    if (response.closed || request.destroyed) throw aborted();
    // NaN, so not small, for an unknown length.
    const isSmall = Number(request.headers['content-length']) <= MAX_REST_BYTES;
    const refuseWhileFull = () => {
      const refusal = holdsImages && !isSmall ? this.model.refusal(callerOf(request)) : null;
      if (refusal != null) throw refusal;
    };
    refuseWhileFull();
    const upload = this.account.open(callerOf(request), announced);
    response.once('close', () => upload.close());
    const chunks: Buffer[] = [];
    let received = 0;
    await receive(request, (chunk) => {
      received += chunk.length;
      if (received > limit) throw tooLarge(limit);
      upload.grow(chunk.length);
      look?.(chunk);
      chunks.push(chunk);
    }).catch((error: unknown) => {
      // Its bytes are released although the rest may still be arriving.
      upload.close();
      throw error;
    });
    // Many bodies can end in the same turn, and the queue can be full by now.
    await takeTurn();
    refuseWhileFull();
    return joined(chunks, received);
  }

  /**
   * Reads the JSON object in a body; an empty object without a body.
   *
   * @throws {FaceError} as {@link read}, `JsonScan` and `parseScanned`; CONTENT_TYPE_UNSUPPORTED unless it is JSON in
   * UTF-8, REQUEST_MALFORMED unless it is an object.
   */
  async readJson(
    request: AppRequest,
    response: Response,
    limits: JsonBodyLimits,
  ): Promise<Record<string, unknown>> {
    if (!hasBody(request)) return {};
    if (mediaType(request) !== 'application/json' || !isUtf8(request)) {
      throw new FaceError('CONTENT_TYPE_UNSUPPORTED', 'Expected Content-Type application/json, in UTF-8.');
    }
    // Depth and tokens are counted on arrival: the first packet suffices to reject 33 MB of nested lists.
    const scan = new JsonScan(limits);
    const bytes = await this.read(request, response, limits, (chunk) => scan.add(chunk));
    return bytes.length === 0 ? {} : asObject(parseScanned(bytes, scan));
  }
}

/** Whether a request has a body, which can be empty. */
export function hasBody({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return headers['transfer-encoding'] != null || Number(headers['content-length'] ?? 0) > 0;
}

/** @throws {FaceError} CONTENT_TYPE_UNSUPPORTED for a compressed body: 32 KB can inflate to 33 MB. */
export function refuseEncoded({ headers }: Pick<IncomingMessage, 'headers'>): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding.trim().toLowerCase() === 'identity') return;
  throw new FaceError('CONTENT_TYPE_UNSUPPORTED', 'Expected a body without Content-Encoding.');
}

/** @throws {FaceError} REQUEST_MALFORMED unless it is an object. */
export function asObject(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value != null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new FaceError('REQUEST_MALFORMED', 'Expected a JSON object.');
}

/** Joins chunks into one buffer. Long bodies are copied in slices, with turns of the event loop between them. */
async function joined(chunks: readonly Buffer[], length: number): Promise<Buffer> {
  if (length <= SLICE_BYTES) return Buffer.concat(chunks, length);
  // Zeroing the memory would block for its whole length.
  const whole = Buffer.allocUnsafeSlow(length);
  let at = 0;
  let nextPause = SLICE_BYTES;
  for (const chunk of chunks) {
    at += chunk.copy(whole, at);
    if (at < nextPause) continue;
    nextPause = at + SLICE_BYTES;
    await nextTurn();
  }
  return whole;
}

/**
 * Passes on each chunk of a body until its end. Stops if `take` throws, the client disconnects, or the body is too
 * slow.
 */
function receive(request: IncomingMessage, take: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let inWindow = 0;
    const settle = (error?: unknown) => {
      clearInterval(timer);
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      if (error == null) resolve();
      else reject(error as Error);
    };
    const onData = (chunk: Buffer) => {
      inWindow += chunk.length;
      try {
        take(chunk);
      } catch (error) {
        settle(error);
      }
    };
    const onEnd = () => settle();
    const onClose = () => settle(aborted());
    const timer = setInterval(() => {
      if (inWindow < MIN_BYTES_PER_WINDOW) {
        settle(new FaceError('REQUEST_TIMEOUT', 'The request body arrives too slowly.'));
      }
      inWindow = 0;
    }, WINDOW_MS);
    request.on('data', onData).once('end', onEnd).once('close', onClose).once('error', onClose);
  });
}

function isUtf8({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  const [, charset = 'utf-8'] = /;\s*charset="?([^";\s]*)/i.exec(headers['content-type'] ?? '') ?? [];
  return /^utf-?8$/i.test(charset);
}

function tooLarge(maxBytes: number): FaceError {
  return new FaceError('REQUEST_TOO_LARGE', `Expected a body of at most ${maxBytes} bytes.`, { maxBytes });
}

function aborted(): FaceError {
  return new FaceError('REQUEST_ABORTED', 'The client closed the connection before the response.');
}
