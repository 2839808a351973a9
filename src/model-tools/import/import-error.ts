import { FaceError } from '../../errors';

/** MODEL_IMPORT_FAILED; `layer` names what is wrong where it is one layer. */
export function importError(message: string, details: { layer?: string } = {}, cause?: unknown): FaceError {
  return new FaceError('MODEL_IMPORT_FAILED', message, details, cause == null ? undefined : { cause });
}
