import ipaddr from 'ipaddr.js';
import type { AppConfig } from '../../config/app.config';
import { FaceError } from '../../../errors';

type Exposure = Pick<AppConfig, 'host' | 'apiKeysFile' | 'isAuthRequired'>;

/**
 * Prevents serving a public address without authentication by mistake.
 *
 * @returns warning for the operator at startup; `null`: not exposed.
 * @throws {FaceError} FACE_OPTIONS_INVALID if HOST is public without API keys and without FACE_AUTH=off, or if there
 * are keys and FACE_AUTH is off.
 */
export function checkExposure({ host, apiKeysFile, isAuthRequired }: Exposure): string | null {
  if (apiKeysFile != null) {
    if (isAuthRequired) return null;
    throw new FaceError(
      'FACE_OPTIONS_INVALID',
      'FACE_AUTH=off and FACE_API_KEYS_FILE contradict each other: remove one of them.',
      { variable: 'FACE_AUTH' },
    );
  }
  if (isLoopback(host)) return null;
  if (isAuthRequired) {
    throw new FaceError(
      'FACE_OPTIONS_INVALID',
      `HOST=${host} exposes the service to other machines, but it has no API keys. Either set FACE_API_KEYS_FILE (create keys with "likeness keys create"), or set FACE_AUTH=off to give everyone who reaches the service full access.`,
      { variable: 'HOST' },
    );
  }
  return `FACE_AUTH=off: everyone who reaches ${host} can verify, enroll, identify and delete. Set FACE_API_KEYS_FILE to require keys.`;
}

/** Whether only this machine can reach the address. Names other than localhost can resolve to any address. */
function isLoopback(host: string): boolean {
  return ipaddr.isValid(host) ? ipaddr.process(host).range() === 'loopback' : host === 'localhost';
}
