import type { Architecture } from './architecture';
import { RETINAFACE } from './retinaface';
import { VGG_FACE } from './vgg-face';

/** Every architecture that can be imported, by the name of its card. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  'vgg-face': VGG_FACE,
  retinaface: RETINAFACE,
};
