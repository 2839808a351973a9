/**
 * An encoded image (JPEG, PNG, WebP, GIF, AVIF, TIFF): a `Blob` or `File`, its bytes (a `Buffer` is a `Uint8Array`), or text:
 * padded base64, a data URI, or a URL whose host the operator allows.
 *
 * Bytes are sent as files in multipart/form-data, a third smaller than base64.
 *
 * @publicApi
 */
export type ImageInput = Blob | Uint8Array | ArrayBuffer | string;

/**
 * An embedding returned by `represent`.
 *
 * @publicApi
 */
export interface EmbeddingInput {
  /** Unit vector. */
  embedding: number[];
  /** Hash of what produced it; embeddings of different contracts cannot be compared. */
  contract: string;
  /** Norm of the raw vector; used by the metric `euclidean` only. */
  embeddingNorm?: number;
}

/** Content of one image field. */
export type ImageField = ImageInput | EmbeddingInput;

/** A body with images: multipart if one of them is bytes, otherwise JSON. */
export function imageBody(
  images: Readonly<Record<string, ImageField | readonly ImageInput[]>>,
  options: object,
): FormData | object {
  if (!Object.values(images).flat().some(isBinary)) return { ...images, ...options };
  const form = new FormData();
  for (const [name, field] of Object.entries({ ...images, ...options })) {
    const parts: unknown[] = name in images && Array.isArray(field) ? field : [field];
    for (const part of parts) appendTo(form, name, part);
  }
  return form;
}

/** Body of an enrollment of many: as multipart, the images that are bytes follow the items, in their order. */
export function itemsBody(items: readonly { image?: ImageInput }[], options: object): FormData | object {
  const files = items.flatMap(({ image }) => (isBinary(image) ? [image] : []));
  if (files.length === 0) return { items, ...options };
  const withoutFiles = items.map(({ image, ...item }) => (isBinary(image) ? item : { image, ...item }));
  return imageBody({ image: files }, { items: JSON.stringify(withoutFiles), ...options });
}

/** Whether it is an embedding, not an image. */
export function isEmbedding(input: ImageField | readonly ImageInput[]): input is EmbeddingInput {
  return typeof input === 'object' && 'embedding' in input;
}

function isBinary(value: unknown): value is Exclude<ImageInput, string> {
  // ArrayBuffer.isView covers typed arrays of other realms, which jsdom and Electron have.
  return value instanceof Blob || ArrayBuffer.isView(value) || value instanceof ArrayBuffer;
}

/** Text parts are those that the service expects: lists separated by commas, objects as JSON. */
function appendTo(form: FormData, name: string, value: unknown): void {
  if (value == null) return;
  if (isBinary(value))
    form.append(name, value instanceof Blob ? value : new Blob([value as Uint8Array<ArrayBuffer>]), 'image');
  else if (Array.isArray(value)) form.append(name, value.join(','));
  else form.append(name, typeof value === 'string' ? value : JSON.stringify(value));
}
