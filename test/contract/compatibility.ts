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
  note: 'No request loads a model. The answer names the one that was used',
};
const DETECTOR: FieldEntry = {
  deepface: '`opencv`',
  here: 'the first of `FACE_DETECTORS`',
  verdict: 'different',
  note: 'As `model_name`. `skip` is there',
};
const METRIC: FieldEntry = { deepface: '`cosine`', verdict: 'same', note: 'All four metrics' };
const L2: FieldEntry = { deepface: '`false`', verdict: 'same' };
const OPTIONS: RouteEntry['fields'] = {
  detector_backend: DETECTOR,
  enforce_detection: {
    deepface: '`true`',
    verdict: 'same',
    note: '`false`: where no face is found, the whole image is the face, at confidence 0',
  },
  align: {
    deepface: '`true`',
    verdict: 'same',
    note: '`false`: the face is cut out by its box and not turned',
  },
  anti_spoofing: {
    deepface: '`false`',
    here: 'as `FACE_PRESENTATION_ATTACK` says: `off`',
    verdict: 'same',
    note: '`true` needs `FACE_PRESENTATION_ATTACK_MODELS`, and is refused without, with how to load them; `minifasnet-v2,minifasnet-v1-se` are the two of DeepFace',
  },
};
const STORE_OPTIONS: RouteEntry['fields'] = {
  ...OPTIONS,
  model_name: MODEL,
  l2_normalize: L2,
  expand_percentage: {
    deepface: '`0`',
    verdict: 'different',
    note: 'Others than 0 are refused: boxes are not enlarged here',
  },
  normalization: {
    deepface: '`base`',
    verdict: 'different',
    note: "Has no effect: the model's card says how its input is normalised, so that a request cannot get it wrong",
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
        deepface: 'not taken',
        here: 'of model and metric',
        verdict: 'better',
        note: 'Decides where it is given; 0 is allowed. `confidence` goes by the threshold of the model, as in the library',
      },
    },
  },
  '/represent': {
    images: ['img'],
    dto: DeepfaceRepresentDto,
    fields: {
      ...OPTIONS,
      model_name: MODEL,
      max_faces: { deepface: '`null`', here: 'none', verdict: 'same', note: 'Largest first; 0 is refused' },
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
        note: 'Not read: faces are cut out as the model of the action needs it',
      },
      actions: {
        deepface: 'all four',
        here: 'all that a loaded model serves',
        verdict: 'different',
        note: 'The default models serve age, gender, emotion. One that is asked for and has no model is refused, with how to load one',
      },
    },
  },
  '/register': {
    images: ['img'],
    dto: DeepfaceRegisterDto,
    fields: {
      ...STORE_OPTIONS,
      img_name: { deepface: 'path of the image, else a UUID', here: 'a UUID for each face', verdict: 'same' },
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
        note: 'Holds with `ann` too, where DeepFace takes another',
      },
      search_method: {
        deepface: '`exact`',
        verdict: 'better',
        note: '`ann` is exact as well: it needs no index and misses nothing',
      },
      similarity_search: {
        deepface: '`false`',
        verdict: 'better',
        note: 'Works with `ann`, where DeepFace answers nothing',
      },
      k: {
        deepface: '`null`',
        here: 'none',
        verdict: 'same',
        note: 'At most 1000 faces for each face of the image',
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
    deepface: 'taken',
    here: 'taken; files and text parts may be mixed',
    verdict: 'better',
    why: 'With a file among the parts DeepFace looks at files alone',
  },
  {
    what: 'Body: form without a file',
    deepface: 'fails with the pinned Flask: `415` inside a 400',
    here: 'taken',
    verdict: 'better',
    why: 'Its own documentation says that it works',
  },
  {
    what: 'Body: JSON from curl without a content type',
    deepface: 'read as a form, fails',
    here: 'read as JSON',
    verdict: 'better',
    why: "The curl samples of DeepFace's README are of this kind",
  },
  {
    what: '`img1_path`, `img2_path`, `img_path`',
    deepface: 'up to 0.0.90',
    here: 'taken beside the new names',
    verdict: 'better',
    why: 'Older clients go on',
  },
  {
    what: 'Image: data URI',
    deepface: 'JPEG and PNG',
    here: 'JPEG, PNG, WebP, GIF, AVIF, TIFF',
    verdict: 'better',
    why: 'The decoder decides, whatever the URI says',
  },
  {
    what: 'Image: raw base64',
    deepface: 'taken for a path, refused',
    here: 'taken',
    verdict: 'better',
    why: 'Nothing else can be meant',
  },
  {
    what: 'Image: path of a file on the server',
    deepface: 'read, whatever the process may read',
    here: 'refused',
    verdict: 'different',
    why: 'Callers of an API have no business with the files of the server',
  },
  {
    what: 'Image: URL',
    deepface: 'fetched from anywhere, without a limit',
    here: 'fetched from the hosts of `FACE_IMAGE_URL_HOSTS`, none by default',
    verdict: 'different',
    why: 'A server that fetches what it is told reaches what its caller cannot',
  },
  {
    what: 'Image: list in `img`',
    deepface: 'a list of lists in `results`',
    here: 'the same, also for repeated parts of a form; at most `FACE_MAX_IMAGES`',
    verdict: 'better',
    why: 'A list is worked on in parallel. One image that fails, fails the call, as there',
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
    here: 'applied; areas are in the image as it then is',
    verdict: 'better',
    why: 'Photos of telephones lie on their side without it',
  },
  {
    what: 'Photos that lie on their side or upside down without EXIF',
    deepface: 'as they are: no face is found, or a wrong one',
    here: 'turned by 90, 180 or 270 degrees where that brings the faces upright; areas stay in the pixels of the file',
    verdict: 'better',
    why: 'Two faces that lie on their side are alike, whoever they are',
  },
  {
    what: 'Faces that are found but not upright and aligned',
    deepface: 'compared all the same',
    here: 'not compared: as where no face is found, so with `enforce_detection=false` the whole image is taken',
    verdict: 'different',
    why: 'Embeddings of badly aligned faces are alike, whoever they are',
  },
  {
    what: 'Booleans in forms',
    deepface: '`"false"` is true',
    here: '`true`, `false`, `1`, `0` in any case are what they read; others are refused',
    verdict: 'better',
    why: 'Nobody means true by "false"',
  },
  {
    what: 'Unknown fields; null; empty text',
    deepface: 'unknown ones are passed over',
    here: 'unknown ones are passed over; null and empty stand for absent',
    verdict: 'same',
    why: '',
  },
  {
    what: 'Names of models and detectors',
    deepface: 'loaded at the first request',
    here: 'must be loaded; cards go by their own names too',
    verdict: 'different',
    why: 'A 400 says how to load the model, instead of a request that takes half a minute',
  },
  {
    what: 'Names that nothing stands for here: opencv, ssd, mtcnn, dlib, mediapipe, centerface, yolo, DeepFace',
    deepface: 'there',
    here: 'refused; `FACE_DEEPFACE_ALIASES=opencv=yunet` lets another stand in',
    verdict: 'different',
    why: 'The operator says so once, instead of a silent replacement',
  },
  {
    what: '`model`, `detector_backend` of answers',
    deepface: 'as asked',
    here: "as asked; else DeepFace's name of the default, else its card's",
    verdict: 'same',
    why: '',
  },
  {
    what: 'Alignment',
    deepface: 'turned by the eyes, box letterboxed',
    here: 'by five points for models that were trained so; imported models (`upright-crop`) as DeepFace does',
    verdict: 'better',
    why: 'SFace: 99.4 % on LFW by five points, 93.0 % in DeepFace. Distances move with it, so check thresholds of your own',
  },
  {
    what: 'Border of half the image before detection',
    deepface: 'added where `align` is on',
    here: "only where the detector's card says so, in a second pass",
    verdict: 'better',
    why: 'It costs four times the pixels, and small faces',
  },
  {
    what: 'Thresholds',
    deepface: 'table by model and metric',
    here: 'the same table; cards that DeepFace does not know have their own',
    verdict: 'same',
    why: 'The native routes use the calibration or the thresholds of the cards, measured with the alignment of this service',
  },
  {
    what: '`confidence`',
    deepface: 'a formula, fitted on 300 pairs',
    here: 'the same formula and parameters',
    verdict: 'same',
    why: 'It is no probability',
  },
  {
    what: '`angular` of equal vectors',
    deepface: 'may be NaN',
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
    what: '`enforce_detection: false`, and no face in either image of /verify',
    deepface: 'the whole images are compared, and often verify',
    here: '`verified` is false, whatever the distance; `reason` is `no_face`',
    verdict: 'different',
    why: 'Of 20 pairs of photos of things 18 verified. One image with a face and one without are compared as in DeepFace; so are whole images with `skip`',
  },
  {
    what: 'Order of faces',
    deepface: "the detector's",
    here: 'largest first',
    verdict: 'different',
    why: 'The same order whatever the detector',
  },
  {
    what: 'Areas',
    deepface: 'whole pixels, inside the image; eyes by the side of the person, null outside',
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
    here: 'the same, with the image that it is in',
    verdict: 'same',
    why: 'Also where too little of the surroundings is in the image to tell, with `skip` too: what was not judged is not genuine',
  },
  {
    what: '`is_real`, `antispoof_score`',
    deepface: 'of the library alone',
    here: 'in /represent and /analyze, where `anti_spoofing` was asked for',
    verdict: 'better',
    why: 'How sure the networks are is seen without a second call',
  },
  {
    what: 'Store of /register',
    deepface: 'a database, loaded as a whole for each search',
    here: 'galleries `deepface-<contract>`, one for each embedder; /v1/galleries shows, exports and deletes what is in them',
    verdict: 'better',
    why: '`FACE_GALLERY_STORE` says where they are kept',
  },
  {
    what: 'The same face of the same image again',
    deepface: 'an error',
    here: 'not added: `inserted` does not count it; by the bytes of the image, the area and the options',
    verdict: 'better',
    why: 'A client may send again what it is not sure of',
  },
  {
    what: '/search where nothing is registered that way',
    deepface: 'an error',
    here: 'an error',
    verdict: 'same',
    why: 'An empty list means that nobody is near',
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
    deepface: 'scans all',
    here: 'exact by the lengths of the raw vectors, which are kept; refused where more than 1000 faces are too near to tell',
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
    here: 'the origins of `FACE_CORS_ORIGINS`, none by default; POST from a page of another origin is refused',
    verdict: 'different',
    why: 'Any page that a user opens could enroll faces and search for them',
  },
  {
    what: '`GET /`',
    deepface: '`<h1>Welcome to DeepFace API v…!</h1>`',
    here: 'the same line, and who speaks',
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
