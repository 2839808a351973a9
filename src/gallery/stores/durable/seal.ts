import { createCipheriv, createDecipheriv } from 'node:crypto';

/** A constant nonce is safe, as each key seals one content and is never used again. */
const NONCE = Buffer.alloc(12);
const TAG_BYTES = 16;

/**
 * Encrypts with AES-256-GCM.
 *
 * @param key - 32 bytes, never used for another content.
 * @param binding - associated data: unsealing needs the same.
 */
export function seal(key: Uint8Array, content: Uint8Array, binding: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, NONCE).setAAD(binding);
  return Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

/**
 * Decrypts the output of {@link seal}.
 *
 * @returns `undefined` if it is damaged, or was sealed with another key or binding.
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
