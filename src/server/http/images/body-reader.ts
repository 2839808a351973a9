import { Injectable } from '@nestjs/common';
import type { Response } from 'express';
import type { IncomingMessage } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AppConfig } from '../../config/app.config';
import { FaceError } from '../../../errors';
import { FaceModel } from '../../../face/face-model';
import { callerOf } from '../request/caller';
import { EventLoopTurns } from '../request/event-loop-turns';
import { mediaType } from './media-type';
import { type JsonLimits, JsonScan, parseScanned } from '../request/parse-json';
import type { AppRequest } from '../request/request-id';
import { UploadAccount } from './upload-account';

/** A body must bring this many bytes in each window, or it is given up: 8 KiB/s is the uplink of a phone at the edge of its cell. */
export const MIN_BYTES_PER_WINDOW = 80 * 1024;
export const WINDOW_MS = 10_000;

/** The rest of a body that is thrown away where a refusal leaves it unread; the connection ends after a longer one. */
export const MAX_REST_BYTES = 64 * 1024;

/** Bytes that are copied in one turn of the event loop: some 3 ms where each page of memory is new. */
const SLICE_BYTES = 2 * 1024 * 1024;

/** Limits of a body. */
export interface BodyLimits {
  maxBytes: number;
  /**
   * True where a body of more than {@link MAX_REST_BYTES} holds images: it is refused before it is read while the workers take
   * none. A shorter one would be received in any case. @defaultValue false
   */
  holdsImages?: boolean;
}

/** Limits of a JSON body. */
export interface JsonBodyLimits extends JsonLimits, BodyLimits {}

/**
 * Reads bodies into memory: after the guards of a route, within the limits of the route, and all within one
 * {@link UploadAccount}. No body is ever inflated.
 */
@Injectable()
export class BodyReader {
  private readonly account: UploadAccount;

  constructor(
    config: AppConfig,
    private readonly model: FaceModel,
    private readonly turns: EventLoopTurns,
  ) {
    this.account = new UploadAccount(config.uploadBytes);
  }

  /** Bytes of bodies that are received or worked on now. */
  get heldBytes(): number {
    return this.account.heldBytes;
  }

  /**
   * The whole body as it was sent. It counts in the account until the answer has been sent.
   *
   * @param look - sees each chunk when it has come; where it throws, no more is read.
   * @throws {FaceError} CONTENT_TYPE_UNSUPPORTED for a Content-Encoding, REQUEST_TOO_LARGE, QUEUE_FULL, CALLER_QUEUE_FULL,
   * CALLER_QUARANTINED, REQUEST_TIMEOUT where it comes too slowly, REQUEST_ABORTED.
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
    // NaN, and no small body, where the length is not known.
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
      // Nothing of it is held any more, while the rest may be arriving for a while.
      upload.close();
      throw error;
    });
    // Many bodies may end in the same turn, and the queue may be full by now.
    await this.turns.take();
    refuseWhileFull();
    return joined(chunks, received);
  }

  /**
   * The JSON object in a body; an empty one where there is no body.
   *
   * @throws {FaceError} as {@link read}, `JsonScan` and `parseScanned`; CONTENT_TYPE_UNSUPPORTED for what is no JSON in UTF-8,
   * REQUEST_MALFORMED for JSON that is no object.
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
    // Depth and tokens are counted while it comes: of 33 MB of lists in lists the first packet is enough.
    const scan = new JsonScan(limits);
    const bytes = await this.read(request, response, limits, (chunk) => scan.add(chunk));
    return bytes.length === 0 ? {} : asObject(parseScanned(bytes));
  }
}

/** Whether a request brings a body, which may be empty. */
export function hasBody({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return headers['transfer-encoding'] != null || Number(headers['content-length'] ?? 0) > 0;
}

/** @throws {FaceError} CONTENT_TYPE_UNSUPPORTED where the body is compressed: 32 KB may inflate to 33 MB. */
export function refuseEncoded({ headers }: Pick<IncomingMessage, 'headers'>): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding.trim().toLowerCase() === 'identity') return;
  throw new FaceError('CONTENT_TYPE_UNSUPPORTED', 'Expected a body without Content-Encoding.');
}

/** @throws {FaceError} REQUEST_MALFORMED where it is none. */
export function asObject(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value != null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new FaceError('REQUEST_MALFORMED', 'Expected a JSON object.');
}

/** Chunks as one buffer. Of a long one the copy is made in slices, between which the event loop turns. */
async function joined(chunks: readonly Buffer[], length: number): Promise<Buffer> {
  if (length <= SLICE_BYTES) return Buffer.concat(chunks, length);
  // Zeroed memory would be written in one piece.
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

/** Hands over each chunk of a body until its end; stops where `take` throws, the client leaves, or too little comes. */
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
        settle(new FaceError('REQUEST_TIMEOUT', 'The body of the request arrives too slowly.'));
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
  return new FaceError('REQUEST_ABORTED', 'The client closed the connection before the answer.');
}
