import { FaceError } from '../../../errors';

/** @param why - follows "The gallery folder". */
export function storeInvalid(why: string, cause?: unknown): FaceError {
  return new FaceError('GALLERY_STORE_INVALID', `The gallery folder ${why}.`, {}, { cause });
}
