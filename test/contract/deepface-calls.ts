import type { DeepfaceRoute } from '../../src/server/deepface/dialect';
import type { Photos } from './photos';
import { type Area, AREA_KEYS, ok, refused } from './shapes';
import type { Answer } from './wire';

/*
 * What DeepFace documents and tests of its API, in our own words, and how the service answers it with nothing configured: the
 * table of calls in docs/compatibility.md. deepface-calls.e2e-spec.ts sends every one of them.
 *
 * Facts: serengil/deepface@243209f, tests/unit/test_api.py and deepface/api/postman.
 */

/** How a call carries its images. */
export type SentAs = 'path' | 'URL' | 'data URI' | 'file';

export interface DeepfaceCall {
  /** Where DeepFace has it. */
  source: 'Documentation' | 'Postman' | 'API tests';
  title: string;
  route: DeepfaceRoute;
  carrier: 'JSON' | 'JSON without content type' | 'multipart' | 'form';
  /** How DeepFace's call carries its images. Paths and URLs are rejected: the call is repeated with the images in it. */
  sentAs: SentAs;
  /** Photos by field; `not an image`: bytes that are no image. */
  images: Readonly<Record<string, keyof Photos | 'not an image'>>;
  fields?: Readonly<Record<string, unknown>>;
  /** False: its client does not get what DeepFace answers: not even by another model. */
  works: boolean;
  /** What differs from the answer of DeepFace. */
  note?: string;
  /** Checks what DeepFace's test checks, or what the note says. */
  check: (answer: Answer) => void;
}

/** Every documented field of a route at the default of DeepFace. */
const DETECTION = {
  detector_backend: 'opencv',
  enforce_detection: true,
  align: true,
  anti_spoofing: false,
} as const;
const STORE = {
  ...DETECTION,
  model_name: 'VGG-Face',
  l2_normalize: false,
  expand_percentage: 0,
  normalization: 'base',
} as const;
const PAIR = { img1: 'person', img2: 'personAgain' } as const;
const ONE = { img: 'person' } as const;

const SUBSTITUTED = 'by the default models; the answer names them';
const NO_RACE = 'without race, which has no model';
const NOT_LOADED = 'embeddings are never substituted; the error says how to import the model';

export const DEEPFACE_CALLS: readonly DeepfaceCall[] = [
  {
    source: 'Documentation',
    title: 'verify, all fields at their defaults',
    route: '/verify',
    carrier: 'JSON without content type',
    sentAs: 'path',
    images: PAIR,
    fields: { ...DETECTION, model_name: 'VGG-Face', distance_metric: 'cosine' },
    works: true,
    note: SUBSTITUTED,
    check: verifies,
  },
  {
    source: 'Documentation',
    title: 'analyze, all fields at their defaults',
    route: '/analyze',
    carrier: 'JSON without content type',
    sentAs: 'path',
    images: ONE,
    fields: { ...DETECTION, actions: ['age', 'gender', 'emotion', 'race'] },
    works: true,
    note: NO_RACE,
    check: analyzes,
  },
  {
    source: 'Documentation',
    title: 'register, all fields at their defaults',
    route: '/register',
    carrier: 'JSON without content type',
    sentAs: 'path',
    images: ONE,
    fields: { ...STORE, img_name: 'person.jpg' },
    works: true,
    note: SUBSTITUTED,
    check: (answer) => expect(ok(answer)).toEqual({ inserted: 1 }),
  },
  {
    source: 'Documentation',
    title: 'build/index, all fields at their defaults',
    route: '/build/index',
    carrier: 'JSON without content type',
    sentAs: 'path',
    images: {},
    fields: {
      model_name: 'VGG-Face',
      detector_backend: 'opencv',
      align: true,
      l2_normalize: false,
    },
    works: true,
    note: SUBSTITUTED,
    check: (answer) => expect(ok(answer)).toEqual({ message: 'Index built successfully' }),
  },
  {
    source: 'Documentation',
    title: 'search, all fields at their defaults',
    route: '/search',
    carrier: 'JSON without content type',
    sentAs: 'path',
    images: { img: 'personAgain' },
    fields: {
      ...STORE,
      distance_metric: 'cosine',
      search_method: 'exact',
      similarity_search: false,
      k: null,
    },
    works: true,
    note: SUBSTITUTED,
    check: (answer) => expect(namesOf(answer)).toEqual([['person.jpg']]),
  },
  {
    source: 'Documentation',
    title: 'search by the index',
    route: '/search',
    carrier: 'JSON without content type',
    sentAs: 'path',
    images: { img: 'personAgain' },
    fields: { ...STORE, search_method: 'ann' },
    works: true,
    note: SUBSTITUTED,
    check: (answer) => expect(namesOf(answer)).toEqual([['person.jpg']]),
  },
  {
    source: 'Documentation',
    title: 'represent, all fields at their defaults',
    route: '/represent',
    carrier: 'JSON without content type',
    sentAs: 'path',
    images: ONE,
    fields: { ...DETECTION, model_name: 'VGG-Face', max_faces: null },
    works: false,
    note: NOT_LOADED,
    check: asksForImport('vgg-face vgg_face_weights.h5', 'VGG-Face'),
  },
  {
    source: 'Postman',
    title: 'verify with Facenet, mtcnn and euclidean',
    route: '/verify',
    carrier: 'JSON',
    sentAs: 'path',
    images: PAIR,
    fields: { model_name: 'Facenet', detector_backend: 'mtcnn', distance_metric: 'euclidean' },
    works: true,
    note: `${SUBSTITUTED}, and the metric \`euclidean_l2\``,
    check: verifies,
  },
  {
    source: 'Postman',
    title: 'verify two files with Facenet',
    route: '/verify',
    carrier: 'multipart',
    sentAs: 'file',
    images: PAIR,
    fields: { model_name: 'Facenet' },
    works: true,
    note: SUBSTITUTED,
    check: verifies,
  },
  {
    source: 'Postman',
    title: 'analyze by all four actions',
    route: '/analyze',
    carrier: 'JSON',
    sentAs: 'path',
    images: ONE,
    fields: { actions: ['age', 'gender', 'emotion', 'race'] },
    works: true,
    note: NO_RACE,
    check: analyzes,
  },
  {
    source: 'Postman',
    title: 'analyze a file by actions in quotes',
    route: '/analyze',
    carrier: 'multipart',
    sentAs: 'file',
    images: ONE,
    fields: { actions: '"[age, gender]"' },
    works: true,
    check: (answer) => expect(keysOf(answer)).toEqual(['age', 'gender', 'dominant_gender']),
  },
  {
    source: 'Postman',
    title: 'represent with Facenet',
    route: '/represent',
    carrier: 'JSON',
    sentAs: 'path',
    images: ONE,
    fields: { model_name: 'Facenet' },
    works: false,
    note: NOT_LOADED,
    check: asksForImport('facenet facenet_weights.h5', 'Facenet'),
  },
  {
    source: 'Postman',
    title: 'represent a file with Facenet',
    route: '/represent',
    carrier: 'multipart',
    sentAs: 'file',
    images: ONE,
    fields: { model_name: 'Facenet' },
    works: false,
    note: NOT_LOADED,
    check: asksForImport('facenet facenet_weights.h5', 'Facenet'),
  },
  {
    source: 'API tests',
    title: 'verify two photos of one person (twice: as true positive and as true negative)',
    route: '/verify',
    carrier: 'JSON',
    sentAs: 'path',
    images: PAIR,
    works: true,
    check: verifies,
  },
  {
    source: 'API tests',
    title: 'verify two files with Facenet, mtcnn and euclidean',
    route: '/verify',
    carrier: 'multipart',
    sentAs: 'file',
    images: PAIR,
    fields: { model_name: 'Facenet', detector_backend: 'mtcnn', distance_metric: 'euclidean' },
    works: true,
    note: `${SUBSTITUTED}, where the test expects \`Facenet\` and \`mtcnn\``,
    check: (answer) => {
      verifies(answer);
      expect(answer.body).toMatchObject({
        model: 'mobilefacenet-512',
        detector_backend: 'rfb-320',
        similarity_metric: 'euclidean_l2',
      });
    },
  },
  {
    source: 'API tests',
    title: 'verify images that are sent as text of a form',
    route: '/verify',
    carrier: 'form',
    sentAs: 'data URI',
    images: PAIR,
    works: true,
    check: verifies,
  },
  {
    source: 'API tests',
    title: 'analyze with the defaults',
    route: '/analyze',
    carrier: 'JSON',
    sentAs: 'path',
    images: ONE,
    works: true,
    note: NO_RACE,
    check: analyzes,
  },
  {
    source: 'API tests',
    title: 'analyze a photo of several people',
    route: '/analyze',
    carrier: 'JSON',
    sentAs: 'URL',
    images: { img: 'group' },
    works: true,
    note: NO_RACE,
    check: (answer) => {
      analyzes(answer);
      expect(answer.body.results).toHaveLength(3);
    },
  },
  {
    source: 'API tests',
    title: 'analyze the same photo as a data URI',
    route: '/analyze',
    carrier: 'JSON',
    sentAs: 'data URI',
    images: { img: 'group' },
    works: true,
    note: NO_RACE,
    check: analyzes,
  },
  {
    source: 'API tests',
    title: 'analyze a file with mtcnn and a list of actions as text',
    route: '/analyze',
    carrier: 'multipart',
    sentAs: 'file',
    images: ONE,
    fields: { actions: '["age", "gender"]', detector_backend: 'mtcnn' },
    works: true,
    note: SUBSTITUTED,
    check: (answer) => expect(keysOf(answer)).toEqual(['age', 'gender', 'dominant_gender']),
  },
  ...(
    [
      ['/verify', 'verifying', { img1: 'not an image', img2: 'not an image' }],
      ['/represent', 'representing', { img: 'not an image' }],
      ['/analyze', 'analyzing', { img: 'not an image' }],
    ] as const
  ).map(([route, verb, images]): DeepfaceCall => ({
    source: 'API tests',
    title: `${route.slice(1)} a path that is missing, and a file that is not an image: 400`,
    route,
    carrier: 'JSON',
    sentAs: 'path',
    images,
    works: true,
    check: (answer) => expect(refused(answer, 'either', verb)).not.toBe(''),
  })),
  {
    source: 'API tests',
    title: 'coordinates of faces are whole numbers',
    route: '/represent',
    carrier: 'JSON',
    sentAs: 'data URI',
    images: ONE,
    fields: { detector_backend: 'opencv' },
    works: true,
    note: SUBSTITUTED,
    check: (answer) => {
      const { facial_area } = ok(answer).results[0] as { facial_area: Area };
      const numbers = AREA_KEYS.flatMap((key) => facial_area[key]);
      expect([numbers.length, numbers.every(Number.isInteger)]).toEqual([8, true]);
    },
  },
  {
    source: 'API tests',
    title: 'represent with the defaults: 4096 numbers of VGG-Face',
    route: '/represent',
    carrier: 'JSON',
    sentAs: 'path',
    images: ONE,
    works: false,
    note: '512 numbers of the default embedder, which `x-likeness-model` names',
    check: (answer) => {
      expect(ok(answer).results[0].embedding).toHaveLength(512);
      expect(answer.headers.get('x-likeness-model')).toBe('mobilefacenet-512');
    },
  },
  ...(
    [
      ['a data URI', 'JSON', 'data URI'],
      ['a URL', 'JSON', 'URL'],
      ['a file', 'multipart', 'file'],
      ['a path in multipart', 'multipart', 'path'],
    ] as const
  ).map(([what, carrier, sentAs]): DeepfaceCall => ({
    source: 'API tests',
    title: `represent ${what} with Facenet and mtcnn`,
    route: '/represent',
    carrier,
    sentAs,
    images: ONE,
    fields: { model_name: 'Facenet', detector_backend: 'mtcnn' },
    works: false,
    note: NOT_LOADED,
    check: asksForImport('facenet facenet_weights.h5', 'Facenet'),
  })),
];

/** DeepFace's tests of its token and of a missing database, which are about settings and not about one call. */
const SETTINGS_ROWS = [
  ['API tests', 'six routes without the token of `DEEPFACE_AUTH_TOKEN`, or with another: 401', '', 'yes', ''],
  [
    'API tests',
    'register, search and build/index without a database: 500',
    '',
    '**no**',
    'the service has its own store',
  ],
] as const;

/** Rows of the table of calls. */
export function callRows(): string[] {
  const rows = DEEPFACE_CALLS.map(({ source, title, sentAs, images, works, note = '' }) => [
    source,
    title,
    Object.keys(images).length === 0 ? '' : sentAs,
    works ? 'yes' : '**no**',
    note,
  ]);
  return [...rows, ...SETTINGS_ROWS].map((cells) => `| ${cells.join(' | ')} |`);
}

/** How many of the calls in the table work. */
export function countCalls(): { working: number; all: number } {
  const working = callRows().filter((row) => row.includes('| yes |')).length;
  return { working, all: callRows().length };
}

/** The keys that DeepFace's tests of /verify ask for, and its verdict. */
function verifies(answer: Answer): void {
  expect(ok(answer)).toMatchObject({
    verified: true,
    distance: expect.any(Number),
    threshold: expect.any(Number),
    model: expect.any(String),
    detector_backend: expect.any(String),
    similarity_metric: expect.any(String),
    facial_areas: expect.any(Object),
  });
}

/** The keys that DeepFace's tests of /analyze ask for, without race. */
function analyzes(answer: Answer): void {
  const { results } = ok(answer);
  expect(results.length).toBeGreaterThan(0);
  for (const face of results) {
    expect(face).toMatchObject({
      age: expect.any(Number),
      dominant_gender: expect.stringMatching(/^(Man|Woman)$/),
      dominant_emotion: expect.any(String),
    });
    expect(face).not.toHaveProperty('race');
  }
  expect(answer.headers.get('x-likeness-omitted')).toBe('race');
}

/** The error of /represent for a model that is not loaded. */
function asksForImport(weights: string, name: string): (answer: Answer) => void {
  const [card, file] = weights.split(' ');
  return (answer) => {
    const text = refused(answer, 'error', 'representing');
    expect(text).toContain(`likeness models import ${card} ~/.deepface/weights/${file}`);
    expect(text).toContain(`FACE_DEEPFACE_ALIASES=${name}=`);
  };
}

function namesOf(answer: Answer): string[][] {
  const { results } = ok(answer) as { results: { img_name: string }[][] };
  return results.map((rows) => rows.map(({ img_name }) => img_name));
}

/** Keys of the first face in an answer of /analyze, without its place. */
function keysOf(answer: Answer): string[] {
  const keys = Object.keys(ok(answer).results[0] as object);
  return keys.filter((key) => key !== 'region' && key !== 'face_confidence');
}
