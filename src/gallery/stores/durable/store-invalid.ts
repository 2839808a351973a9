import { FaceError } from '../../../errors';

/** @param why - follows "The folder of the galleries". */
export function storeInvalid(why: string, cause?: unknown): FaceError {
  return new FaceError('GALLERY_STORE_INVALID', `The folder of the galleries ${why}.`, {}, { cause });
}
