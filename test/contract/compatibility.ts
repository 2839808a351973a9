import type { Type } from '@nestjs/common';
import {
  DeepfaceAnalyzeDto,
  DeepfaceIndexDto,
  DeepfaceRegisterDto,
  DeepfaceRepresentDto,
  DeepfaceSearchDto,
  DeepfaceVerifyDto,
} from '../../src/server/deepface/deepface-options.dto';
import type { DeepfaceRoute } from '../../src/server/deepface/dialect';
import {
  DEEPFACE_DETECTORS,
  DEEPFACE_EMBEDDERS,
  howToGet,
  SKIP,
} from '../../src/server/deepface/model-names';

/*
 * The tables of routes, fields and quirks in docs/compatibility.md: written from here (src/docs.spec.ts), and checked against
 * the DTOs (compatibility.spec.ts).
 */

type Verdict = 'same' | 'better' | 'different';

interface FieldEntry {
  /** Default of DeepFace, and where another holds here, that. */
  deepface: string;
  here?: string;
  verdict: Verdict;
  note?: string;
}

interface RouteEntry {
  /** Names of the image fields. */
  images: readonly string[];
  /** Of the fields beside the images; `null` where there are none. */
  dto: Type;
  fields: Readonly<Record<string, FieldEntry>>;
}

const MODEL: FieldEntry = {
  deepface: '`VGG-Face`',
  here: 'the first of `FACE_EMBEDDERS`',
  verdict: 'different',
  note: 'Requests never load a model. The default answers for names of DeepFace that are not loaded. The response names the model that was used',
};
const DETECTOR: FieldEntry = {
  deepface: '`opencv`',
  here: 'the first of `FACE_DETECTORS`',
  verdict: 'different',
  note: 'The default answers for names of DeepFace that are not loaded. `skip` is available',
};
const METRIC: FieldEntry = { deepface: '`cosine`', verdict: 'same', note: 'All four metrics' };
const L2: FieldEntry = { deepface: '`false`', verdict: 'same' };
const OPTIONS: RouteEntry['fields'] = {
  detector_backend: DETECTOR,
  enforce_detection: {
    deepface: '`true`',
    verdict: 'same',
    note: '`false`: if no face is found, the whole image is the face, with confidence 0',
  },
  align: {
    deepface: '`true`',
    verdict: 'same',
    note: '`false`: the face is cropped by its box without alignment',
  },
  anti_spoofing: {
    deepface: '`false`',
    here: '`FACE_PRESENTATION_ATTACK`: `off`',
    verdict: 'same',
    note: '`true` requires `FACE_PRESENTATION_ATTACK_MODELS`; without them it is rejected, because a check must not be left out, and the error says how to load them. DeepFace uses `minifasnet-v2,minifasnet-v1-se`',
  },
};
const STORE_OPTIONS: RouteEntry['fields'] = {
  ...OPTIONS,
  model_name: MODEL,
  l2_normalize: L2,
  expand_percentage: {
    deepface: '`0`',
    verdict: 'different',
    note: 'Must be 0: boxes cannot be enlarged',
  },
  normalization: {
    deepface: '`base`',
    verdict: 'different',
    note: 'Has no effect: the card of the model defines the normalization, so that a request cannot get it wrong',
  },
};

export const COMPATIBILITY_ROUTES: Readonly<Record<DeepfaceRoute, RouteEntry>> = {
  '/verify': {
    images: ['img1', 'img2'],
    dto: DeepfaceVerifyDto,
    fields: {
      ...OPTIONS,
      model_name: MODEL,
      distance_metric: METRIC,
      threshold: {
        deepface: 'not supported',
        here: 'of model and metric',
        verdict: 'better',
        note: 'Overrides the default; 0 is allowed. Rejected together with a `model_name` that is substituted. `confidence` depends on the threshold of the model, as in the library',
      },
    },
  },
  '/represent': {
    images: ['img'],
    dto: DeepfaceRepresentDto,
    fields: {
      ...OPTIONS,
      model_name: {
        ...MODEL,
        note: 'Requests never load a model. A model that is not loaded is rejected: embeddings are never substituted. `x-likeness-model` names the card',
      },
      max_faces: { deepface: '`null`', here: 'none', verdict: 'same', note: 'Largest first; 0 is rejected' },
    },
  },
  '/analyze': {
    images: ['img'],
    dto: DeepfaceAnalyzeDto,
    fields: {
      ...OPTIONS,
      align: {
        ...OPTIONS.align,
        verdict: 'different',
        note: 'Ignored: faces are cropped as the model of the action requires',
      },
      actions: {
        deepface: 'all four',
        here: 'all that have a loaded model',
        verdict: 'different',
        note: 'The default models cover age, gender and emotion. Actions without a model are left out, and `x-likeness-omitted` names them. If no requested action has a model, the error says how to load one',
      },
    },
  },
  '/register': {
    images: ['img'],
    dto: DeepfaceRegisterDto,
    fields: {
      ...STORE_OPTIONS,
      img_name: { deepface: 'path of the image, or a UUID', here: 'a UUID per face', verdict: 'same' },
    },
  },
  '/search': {
    images: ['img'],
    dto: DeepfaceSearchDto,
    fields: {
      ...STORE_OPTIONS,
      distance_metric: {
        ...METRIC,
        verdict: 'better',
        note: 'Also used with `ann`, where DeepFace uses another metric',
      },
      search_method: {
        deepface: '`exact`',
        verdict: 'better',
        note: '`ann` is exact as well: it needs no index and misses no face',
      },
      similarity_search: {
        deepface: '`false`',
        verdict: 'better',
        note: 'Works with `ann`, where DeepFace returns nothing',
      },
      k: {
        deepface: '`null`',
        here: 'none',
        verdict: 'same',
        note: 'At most 1000 results per face of the image',
      },
    },
  },
  '/build/index': {
    images: [],
    dto: DeepfaceIndexDto,
    fields: {
      model_name: MODEL,
      detector_backend: DETECTOR,
      align: { deepface: '`true`', verdict: 'same' },
      l2_normalize: L2,
    },
  },
};

interface QuirkEntry {
  what: string;
  deepface: string;
  here: string;
  verdict: Verdict;
  why: string;
}

const COMPATIBILITY_QUIRKS: readonly QuirkEntry[] = [
  {
    what: 'Body: JSON, multipart',
    deepface: 'supported',
    here: 'supported; files and text parts can be mixed',
    verdict: 'better',
    why: 'If one part is a file, DeepFace ignores images in text parts',
  },
  {
    what: 'Body: form without a file',
    deepface: 'fails with the pinned Flask: `415` inside a 400',
    here: 'supported',
    verdict: 'better',
    why: 'DeepFace documents it as supported',
  },
  {
    what: 'Body: JSON from curl without a content type',
    deepface: 'read as a form, fails',
    here: 'read as JSON',
    verdict: 'better',
    why: "The curl samples in DeepFace's README have none",
  },
  {
    what: '`img1_path`, `img2_path`, `img_path`',
    deepface: 'up to 0.0.90',
    here: 'accepted besides the new names',
    verdict: 'better',
    why: 'Older clients keep working',
  },
  {
    what: 'Image: data URI',
    deepface: 'JPEG and PNG',
    here: 'JPEG, PNG, WebP, GIF, AVIF, TIFF',
    verdict: 'better',
    why: 'The decoder decides, not the media type of the URI',
  },
  {
    what: 'Image: raw base64',
    deepface: 'treated as a path and rejected',
    here: 'supported',
    verdict: 'better',
    why: 'The value is unambiguous',
  },
  {
    what: 'Image: path of a file on the server',
    deepface: 'any file that the process can read',
    here: 'rejected',
    verdict: 'different',
    why: 'Callers of an API must not read files of the server',
  },
  {
    what: 'Image: URL',
    deepface: 'fetched from any host, without limits',
    here: 'fetched from the hosts of `FACE_IMAGE_URL_HOSTS`, none by default',
    verdict: 'different',
    why: 'A server that fetches any URL gives its callers access to the internal network',
  },
  {
    what: 'Image: list in `img`',
    deepface: 'a list of lists in `results`',
    here: 'the same, also as repeated parts of a form; at most `FACE_MAX_IMAGES`',
    verdict: 'better',
    why: 'Lists are processed in parallel. As in DeepFace, one failed image fails the request',
  },
  {
    what: '`img1`, `img2` of /verify: list of numbers',
    deepface: 'an embedding; its area is all null',
    here: 'the same, also as text in a form',
    verdict: 'same',
    why: '',
  },
  {
    what: 'EXIF orientation',
    deepface: 'depends on the build of OpenCV',
    here: 'applied; areas refer to the upright image',
    verdict: 'better',
    why: 'Phone photos would otherwise be rotated',
  },
  {
    what: 'Rotated photos without EXIF',
    deepface: 'not corrected: no face is found, or a wrong one',
    here: 'rotated by 90, 180 or 270 degrees if that makes the faces upright; areas refer to the image before',
    verdict: 'better',
    why: 'Embeddings of rotated faces are similar for different people',
  },
  {
    what: 'Faces that cannot be aligned',
    deepface: 'compared',
    here: 'treated as no face: with `enforce_detection=false`, the whole image is used',
    verdict: 'different',
    why: 'Embeddings of badly aligned faces are similar for different people',
  },
  {
    what: 'Booleans in forms',
    deepface: '`"false"` is true',
    here: '`true`, `false`, `1` and `0` in any case; others are rejected',
    verdict: 'better',
    why: 'A client that sends "false" means false',
  },
  {
    what: 'Unknown fields; null; empty text',
    deepface: 'unknown fields are ignored',
    here: 'unknown fields are ignored; null and empty mean absent',
    verdict: 'same',
    why: '',
  },
  {
    what: 'Names of models and detectors that are not loaded',
    deepface: 'loaded at the first request',
    here: 'the default answers, and `x-likeness-substitute` says so; embedders in /represent are rejected; names of cards are accepted too',
    verdict: 'different',
    why: 'Clients keep working, and no request takes half a minute',
  },
  {
    what: 'Names without an equivalent: opencv, ssd, mtcnn, fastmtcnn, dlib, mediapipe, centerface, yolo, DeepFace',
    deepface: 'available',
    here: 'as names that are not loaded',
    verdict: 'different',
    why: '',
  },
  {
    what: 'Names that DeepFace does not have',
    deepface: 'an error',
    here: 'an error, unless it is the name of a card or an alias',
    verdict: 'same',
    why: '',
  },
  {
    what: '`model`, `model_name`, `detector_backend` in responses',
    deepface: 'name as requested',
    here: "name as requested; for a substitute and for the default, DeepFace's name if there is one, otherwise that of the card",
    verdict: 'different',
    why: 'The response names the model that worked',
  },
  {
    what: '`euclidean` with an embedder that has no threshold for it, such as the default',
    deepface: 'every model has a threshold',
    here: '`euclidean_l2` answers, and the response and `x-likeness-substitute` say so; with an own `threshold` it stays `euclidean`',
    verdict: 'different',
    why: 'The lengths of the vectors carry no calibrated meaning',
  },
  {
    what: 'Embeddings as `img1`, `img2` of /verify, with a `model_name` that is not loaded',
    deepface: 'compared',
    here: 'rejected',
    verdict: 'different',
    why: 'Embeddings of different models do not compare',
  },
  {
    what: 'Alignment',
    deepface: 'rotated by the eyes, box letterboxed',
    here: 'by five points for models trained with them; imported models (`upright-crop`) as in DeepFace',
    verdict: 'better',
    why: 'SFace: 99.4 % on LFW by five points, 93.0 % in DeepFace. Distances change with the alignment, so check your own thresholds',
  },
  {
    what: 'Border of half the image before detection',
    deepface: 'added if `align` is on',
    here: "only if the detector's card requires it, in a second pass",
    verdict: 'better',
    why: 'It quadruples the pixels and loses small faces',
  },
  {
    what: 'Thresholds',
    deepface: 'table by model and metric',
    here: 'the same table; cards unknown to DeepFace have their own thresholds',
    verdict: 'same',
    why: 'The native routes use the calibration or thresholds of the cards, measured with the alignment of this service',
  },
  {
    what: '`confidence`',
    deepface: 'a formula fitted on 300 pairs',
    here: 'the same formula and parameters',
    verdict: 'same',
    why: 'It is not a probability',
  },
  {
    what: '`angular` of equal vectors',
    deepface: 'can be NaN',
    here: '0',
    verdict: 'better',
    why: 'The cosine is clipped to [-1, 1]',
  },
  {
    what: 'Several faces in /verify',
    deepface: 'closest pair of all',
    here: 'the same',
    verdict: 'same',
    why: '',
  },
  {
    what: '`enforce_detection: false`, and neither image of /verify has a face',
    deepface: 'the whole images are compared and often verify',
    here: '`verified` is false regardless of the distance; `reason` is `no_face`',
    verdict: 'different',
    why: 'Of 20 pairs of photos of objects, 18 verified. As in DeepFace, an image with a face is compared with one without, and so are whole images with `skip`',
  },
  {
    what: 'Order of faces',
    deepface: 'that of the detector',
    here: 'largest first',
    verdict: 'different',
    why: 'The order does not depend on the detector',
  },
  {
    what: 'Areas',
    deepface: 'whole pixels, clipped to the image; eyes named by the side of the person, null outside',
    here: 'the same',
    verdict: 'same',
    why: '',
  },
  {
    what: '`nose`, `mouth_left`, `mouth_right`',
    deepface: 'retinaface only',
    here: 'the same',
    verdict: 'same',
    why: '',
  },
  {
    what: 'Area with `skip`',
    deepface: '`w` and `h` swapped, no eyes',
    here: '`w` is the width, `h` the height; eyes are null',
    verdict: 'better',
    why: '',
  },
  {
    what: 'Spoof',
    deepface: '`Spoof detected in the given image.`',
    here: 'the same, with the name of the image',
    verdict: 'same',
    why: 'Also if the image shows too little around the face, and with `skip`: a face that was not checked is not genuine',
  },
  {
    what: '`is_real`, `antispoof_score`',
    deepface: 'library only',
    here: 'in /represent and /analyze, with `anti_spoofing`',
    verdict: 'better',
    why: 'The score is available without a second request',
  },
  {
    what: 'Store of /register',
    deepface: 'a database that is loaded completely for each search',
    here: 'galleries `deepface-<contract>`, one per embedder, which /v1/galleries lists, exports and deletes',
    verdict: 'better',
    why: '`FACE_GALLERY_STORE` selects the store',
  },
  {
    what: 'The same face of the same image again',
    deepface: 'an error',
    here: 'not added and not counted in `inserted`; identified by the bytes of the image, the area and the options',
    verdict: 'better',
    why: 'A client can safely repeat a request',
  },
  {
    what: '/search without any registered face for these options',
    deepface: 'an error',
    here: 'an error',
    verdict: 'same',
    why: 'An empty list means that nobody is similar',
  },
  {
    what: '`target_x` … `target_h` of /search',
    deepface: 'area of the face in the image of the request',
    here: 'the same',
    verdict: 'same',
    why: '',
  },
  {
    what: '`id` of /search',
    deepface: 'a number or text of the database',
    here: 'text: the subject of the gallery',
    verdict: 'different',
    why: '',
  },
  {
    what: '`euclidean` in /search',
    deepface: 'compares all',
    here: 'exact, by the stored lengths of the raw vectors; rejected if more than 1000 faces are too close to rank',
    verdict: 'same',
    why: '',
  },
  {
    what: 'Errors: no image in the request',
    deepface: '400 `{"exception"}`',
    here: 'the same',
    verdict: 'same',
    why: '',
  },
  {
    what: 'Errors: others',
    deepface: '400 `{"error": "Exception while …"}` with a traceback',
    here: 'the same, without the traceback',
    verdict: 'better',
    why: 'It shows the inside of the server to everybody',
  },
  {
    what: 'Errors: too large, busy, too late, own fault',
    deepface: 'none, or 400',
    here: '413, 429, 499, 500, 503, 504, 507: `{"error", "code", "requestId"}`, Retry-After',
    verdict: 'better',
    why: 'A client can tell what is worth another try',
  },
  {
    what: 'Token',
    deepface: '`DEEPFACE_AUTH_TOKEN`; 401 `{"message"}`',
    here: 'the same, compared in constant time, before the body is read',
    verdict: 'better',
    why: '',
  },
  {
    what: 'CORS',
    deepface: 'every origin',
    here: 'the origins of `FACE_CORS_ORIGINS`, none by default; POST from pages of other origins is rejected',
    verdict: 'different',
    why: 'Any page that a user opens could enroll faces and search for them',
  },
  {
    what: '`GET /`',
    deepface: '`<h1>Welcome to DeepFace API v…!</h1>`',
    here: 'the same heading, with the name of this service',
    verdict: 'same',
    why: '',
  },
];

const VERDICTS: Record<Verdict, string> = { same: 'same', better: '**better**', different: '**different**' };

/** Rows of the table of fields. */
export function fieldRows(): string[] {
  return Object.entries(COMPATIBILITY_ROUTES).flatMap(([route, { images, fields }]) => [
    ...images.map((name) => row([`\`${route}\``, `\`${name}\``, 'required', 'required', VERDICTS.same, ''])),
    ...Object.entries(fields).map(([name, { deepface, here = deepface, verdict, note = '' }]) =>
      row([`\`${route}\``, `\`${name}\``, deepface, here, VERDICTS[verdict], note]),
    ),
  ]);
}

/** Rows of the table of quirks. */
export function quirkRows(): string[] {
  return COMPATIBILITY_QUIRKS.map(({ what, deepface, here, verdict, why }) =>
    row([what, deepface, here, VERDICTS[verdict], why]),
  );
}

/** Rows of the table of names. */
export function nameRows(): string[] {
  const rows = [
    ...Object.entries(DEEPFACE_EMBEDDERS).map(([name, model]) => ['model_name', name, model] as const),
    ...Object.entries(DEEPFACE_DETECTORS).map(([name, model]) => ['detector_backend', name, model] as const),
  ].map(([field, name, { cards, weights }]) => {
    return row([
      `\`${field}\``,
      `\`${name}\``,
      cards.map((card) => `\`${card}\``).join(', else '),
      `\`${howToGet(cards[0], weights)}\``,
    ]);
  });
  return [...rows, row(['`detector_backend`', `\`${SKIP}\``, 'none: the whole image is the face', ''])];
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
