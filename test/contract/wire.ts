/** Sends what clients of DeepFace send, in every form they have for it. Knows HTTP and nothing of the service. */

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  /** Parsed; `null` where the answer is no JSON. */
  body: any; // eslint-disable-line @typescript-eslint/no-explicit-any
}

/** The ways in which the same request can be written. */
export const ENCODINGS = [
  'json with data URIs',
  'json with raw base64',
  'multipart with files',
  'multipart with data URIs',
  'multipart with raw base64',
  'a form with data URIs',
  'a form with raw base64',
  'json that curl sends as a form',
] as const;
export type Encoding = (typeof ENCODINGS)[number];

export class Wire {
  constructor(
    readonly url: string,
    private readonly headers: Record<string, string> = {},
  ) {}

  get(path: string): Promise<Answer> {
    return this.send(path, { method: 'GET' });
  }

  /** A JSON body. */
  json(path: string, body: unknown): Promise<Answer> {
    return this.raw(path, JSON.stringify(body), 'application/json');
  }

  /** Any text as body. curl says `application/x-www-form-urlencoded` by default. */
  raw(path: string, body: string, contentType = 'application/x-www-form-urlencoded'): Promise<Answer> {
    return this.send(path, { method: 'POST', body, headers: { 'content-type': contentType } });
  }

  form(path: string, fields: Record<string, string>): Promise<Answer> {
    return this.raw(path, new URLSearchParams(fields).toString());
  }

  /** Buffers become files, strings text parts; a list repeats the part. */
  multipart(
    path: string,
    fields: Record<string, Buffer | string | readonly (Buffer | string)[]>,
    fileName = 'photo.jpg',
  ): Promise<Answer> {
    const body = new FormData();
    for (const [name, value] of Object.entries(fields)) {
      for (const part of Array.isArray(value) ? value : [value]) {
        if (typeof part === 'string') body.append(name, part);
        else body.append(name, new Blob([new Uint8Array(part as Buffer)]), fileName);
      }
    }
    return this.send(path, { method: 'POST', body });
  }

  /** The same request in one of its forms. */
  encoded(
    path: string,
    encoding: Encoding,
    images: Record<string, Buffer>,
    fields: Record<string, string> = {},
  ): Promise<Answer> {
    const [carrier, value] = encoding.split(' with ');
    const write = value === 'raw base64' ? (image: Buffer) => image.toString('base64') : dataUri;
    const texts = Object.fromEntries(Object.entries(images).map(([name, image]) => [name, write(image)]));
    switch (carrier) {
      case 'json':
        return this.json(path, { ...texts, ...fields });
      case 'multipart':
        return this.multipart(path, { ...(value === 'files' ? images : texts), ...fields });
      case 'a form':
        return this.form(path, { ...texts, ...fields });
      default:
        return this.raw(path, JSON.stringify({ ...texts, ...fields }));
    }
  }

  private async send(path: string, init: RequestInit): Promise<Answer> {
    const response = await fetch(this.url + path, { ...init, headers: { ...this.headers, ...init.headers } });
    const text = await response.text();
    let body: unknown = null;
    try {
      body = JSON.parse(text);
    } catch {
      // HTML, or nothing: the text says it.
    }
    return { status: response.status, headers: response.headers, text, body };
  }
}

export function dataUri(image: Buffer): string {
  const isPng = image.subarray(1, 4).toString('latin1') === 'PNG';
  return `data:image/${isPng ? 'png' : 'jpeg'};base64,${image.toString('base64')}`;
}
