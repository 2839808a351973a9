import { S } from './strings.mjs';

const STORAGE = 'likeness-key';

/** An error response of the service, or a failed connection (`code` is then `OFFLINE`). */
class ApiError extends Error {
  constructor(status, { code, message, details = {} }, requestId, retryAfter) {
    super(message);
    Object.assign(this, { status, code, details, requestId, retryAfter });
  }
}

/** The key, kept for this tab only. */
export const keyStore = {
  get: () => sessionStorage.getItem(STORAGE),
  set(key) {
    if (key == null) sessionStorage.removeItem(STORAGE);
    else sessionStorage.setItem(STORAGE, key);
    keyStore.onchange();
  },
  /** Set by the page, which shows whether there is a key. */
  onchange: () => {},
  /** Set by the page: asks the user for a key after this error. Resolves to whether one was given. */
  ask: async () => false,
};

let asking = null;

/** Asks once, however many calls need a key at the same time. */
function askForKey(error) {
  asking ??= keyStore.ask(error).finally(() => (asking = null));
  return asking;
}

/**
 * Sends a request. The path is relative to the page, so that it works under a prefix.
 *
 * `ask` says when the user is asked for a key: `never`, `missing` (the request needs a valid one; the default), or
 * `always` (also if the key lacks a permission).
 *
 * @returns the JSON of the response, its text for other types, or null.
 * @throws {ApiError}
 */
export async function call(method, path, { json, form, ask = 'missing', signal } = {}) {
  for (;;) {
    const key = keyStore.get();
    const headers = { accept: 'application/json', ...(key == null ? {} : { 'x-api-key': key }) };
    if (json != null) headers['content-type'] = 'application/json';
    const body = form ?? (json == null ? undefined : JSON.stringify(json));
    try {
      return await read(await send(`./${path}`, { method, headers, body, signal }));
    } catch (error) {
      const isMissing = error.status === 401;
      const isForbidden = error.code === 'FORBIDDEN';
      // A key that is not valid is not sent again: attempts with invalid keys are counted.
      if (isMissing && key != null && keyStore.get() === key) keyStore.set(null);
      const mayAsk = (isMissing && ask !== 'never') || (isForbidden && ask === 'always');
      if (!mayAsk) throw error;
      // Another call may have got a key meanwhile.
      if ([key, null].includes(keyStore.get()) && !(await askForKey(error))) throw error;
    }
  }
}

async function send(url, options) {
  try {
    return await fetch(url, { cache: 'no-store', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, { code: 'OFFLINE', message: S.errors.OFFLINE }, null, null);
  }
}

async function read(response) {
  const type = response.headers.get('content-type') ?? '';
  const body = type.includes('json') ? await response.json() : await response.text();
  if (response.ok) return body === '' ? null : body;
  const error = body?.error ?? { code: `HTTP_${response.status}`, message: S.errors.http(response.status) };
  throw new ApiError(
    response.status,
    error,
    body?.requestId ?? response.headers.get('x-request-id'),
    response.headers.get('retry-after'),
  );
}

/** A multipart body. Lists become several parts, objects JSON. Undefined values are left out. */
export function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item == null) continue;
      if (item instanceof Blob) form.append(name, item, item.name ?? 'photo.jpg');
      else form.append(name, typeof item === 'object' ? JSON.stringify(item) : String(item));
    }
  }
  return form;
}
