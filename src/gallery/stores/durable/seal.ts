import { createCipheriv, createDecipheriv } from 'node:crypto';

/** One for all: a key seals one bundle and is never used again. */
const NONCE = Buffer.alloc(12);
const TAG_BYTES = 16;

/**
 * Encrypts with AES-256-GCM.
 *
 * @param key - 32 bytes, used for nothing else, ever.
 * @param binding - associated data: what was sealed opens only with the same.
 */
export function seal(key: Uint8Array, content: Uint8Array, binding: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, NONCE).setAAD(binding);
  return Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

/**
 * Opens what {@link seal} made.
 *
 * @returns `undefined` where it is damaged, or of another key or binding.
 */
export function unseal(key: Uint8Array, sealed: Uint8Array, binding: Uint8Array): Buffer | undefined {
  if (sealed.length < TAG_BYTES) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, NONCE, { authTagLength: TAG_BYTES }).setAAD(binding);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const content = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
  try {
    decipher.final();
    return content;
  } catch {
    return undefined;
  }
}
