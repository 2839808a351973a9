import ipaddr from 'ipaddr.js';
import type { AppConfig } from '../../config/app.config';
import { FaceError } from '../../../errors';

type Exposure = Pick<AppConfig, 'host' | 'apiKeysFile' | 'isAuthRequired'>;

/**
 * Refuses to serve a public address by mistake.
 *
 * @returns what the operator must see at the boot; `null` where nothing is open to others.
 * @throws {FaceError} FACE_OPTIONS_INVALID when HOST is public, there are no API keys, and FACE_AUTH is not off; also when
 * there are keys and FACE_AUTH is off.
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
      `HOST=${host} opens the service to other machines, and it has no API keys. Either set FACE_API_KEYS_FILE ` +
        '("likeness keys create" makes the keys), or set FACE_AUTH=off to let everyone who reaches the service do everything.',
      { variable: 'HOST' },
    );
  }
  return (
    `FACE_AUTH=off: everyone who reaches ${host} can compare, enroll, identify and delete. ` +
    'Set FACE_API_KEYS_FILE to change that.'
  );
}

/** Whether only this machine reaches the address. Other names than localhost may lead anywhere. */
function isLoopback(host: string): boolean {
  return ipaddr.isValid(host) ? ipaddr.process(host).range() === 'loopback' : host === 'localhost';
}
