import { ARCFACE } from './arcface';
import type { Architecture } from './architecture';
import { DEEPID } from './deepid';
import { EMOTION } from './emotion';
import { FACENET, FACENET512 } from './facenet';
import { GHOSTFACENET } from './ghostfacenet';
import { MINIFASNET_V1_SE, MINIFASNET_V2 } from './minifasnet';
import { OPENFACE } from './openface';
import { RETINAFACE } from './retinaface';
import { VGG_FACE } from './vgg-face';
import { AGE, GENDER, RACE } from './vgg-face-attributes';

/** All importable architectures by the name of their card. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  'vgg-face': VGG_FACE,
  facenet: FACENET,
  facenet512: FACENET512,
  arcface: ARCFACE,
  openface: OPENFACE,
  deepid: DEEPID,
  ghostfacenet: GHOSTFACENET,
  retinaface: RETINAFACE,
  age: AGE,
  gender: GENDER,
  race: RACE,
  emotion: EMOTION,
  'minifasnet-v2': MINIFASNET_V2,
  'minifasnet-v1-se': MINIFASNET_V1_SE,
};
