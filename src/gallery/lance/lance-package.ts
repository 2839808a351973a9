import { createRequire } from 'node:module';
import { FaceError } from '../../errors';

/** What of the two optional packages is used. */
export interface LancePackage {
  lancedb: typeof import('@lancedb/lancedb');
  arrow: typeof import('apache-arrow');
}

/**
 * The optional packages `@lancedb/lancedb` and `apache-arrow`. Loaded when a store is opened and not before: the native library
 * alone is 147 MB, and nobody else needs it.
 *
 * @param load - finds a package by its name.
 * @throws {FaceError} GALLERY_STORE_INVALID where one is absent or does not load here.
 */
export function loadLancePackage(load: (name: string) => unknown = createRequire(__filename)): LancePackage {
  try {
    return {
      lancedb: load('@lancedb/lancedb') as LancePackage['lancedb'],
      arrow: load('apache-arrow') as LancePackage['arrow'],
    };
  } catch (cause) {
    throw new FaceError(
      'GALLERY_STORE_INVALID',
      'Galleries in LanceDB need the packages @lancedb/lancedb and apache-arrow: npm install @lancedb/lancedb@0.30.0 apache-arrow@18.1.0.',
      {},
      { cause },
    );
  }
}
