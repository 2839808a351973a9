import { FaceError } from '../../errors';

/** MODEL_IMPORT_FAILED; `layer` names the invalid layer, if there is one. */
export function importError(message: string, details: { layer?: string } = {}, cause?: unknown): FaceError {
  return new FaceError('MODEL_IMPORT_FAILED', message, details, cause == null ? undefined : { cause });
}
