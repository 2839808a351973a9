/** All texts of the console. Figures come from the service and from accuracy.json, never from here. */

const LOCALE = 'en-US';
const number = (value) => value.toLocaleString(LOCALE);
const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** A rate as "1 in N", with two significant digits. */
function oneIn(rate) {
  if (rate == null) return null;
  const digits = 1 / rate;
  const step = 10 ** Math.max(0, Math.floor(Math.log10(digits)) - 1);
  return `1 in ${number(Math.round(digits / step) * step)}`;
}

const percent = (share) => `${number(Number((share * 100).toPrecision(2)))} %`;

/** The ends of a calibration: beyond them, a rate is only known to be at most, or at least, this. */
const [SMALLEST_RATE, LARGEST_RATE] = [1e-6, 0.5];

function falseMatch(rate) {
  if (rate == null)
    return 'The false match rate is unknown: this embedder has no calibration, or a face is not aligned.';
  const bound = rate <= SMALLEST_RATE ? 'At most ' : rate >= LARGEST_RATE ? 'At least ' : '';
  return `${bound}${oneIn(rate)} pairs of strangers are this similar.`;
}

const FIELD_WORDS = { probe: 'first photo', reference: 'second photo' };

const REJECTIONS = {
  SEVERAL_FACES: 'several faces',
  FACE_TOO_SMALL: 'the face is too small',
  LOW_DETECTION_SCORE: 'the face is unclear',
  BLURRED: 'blurred',
  TOO_DARK: 'too dark',
  TOO_BRIGHT: 'too bright',
  EXTREME_POSE: 'the head is turned too far',
  NEAR_ANOTHER_SUBJECT: 'too similar to another subject',
  FAR_FROM_OWN_REFERENCES: 'too different from the other references of this subject',
};

const ATTACKS = {
  real: 'genuine',
  print_or_screen: 'suspected picture or screen',
  mask: 'suspected mask',
  insufficient_context: 'not judged: too little around the face',
};

export const S = {
  product: 'Likeness',
  pages: 'Pages',
  skip: 'Skip to content',
  loading: 'Loading …',
  cancel: 'Cancel',
  close: 'Close',
  previousPage: 'Previous page',
  nextPage: 'Next page',
  count: number,
  time: (iso) => new Date(iso).toLocaleString(LOCALE, { dateStyle: 'medium', timeStyle: 'short' }),
  rates: { oneIn, percent, falseMatch },

  footer: {
    docs: 'API documentation',
    health: 'Health',
    privacy: 'Photos are sent to this service and nowhere else.',
  },

  key: {
    title: 'API key',
    label: 'Key',
    hint: 'The key stays in this browser tab and is forgotten when the tab is closed.',
    format: 'A key has letters, digits and signs, without spaces.',
    use: 'Use this key',
    enter: 'Enter key',
    forget: 'Forget key',
    forgotten: 'The key is forgotten.',
  },

  photo: {
    choose: 'Choose a photo',
    chooseSeveral: 'Choose photos',
    hint: 'or drop it here, or paste it',
    remove: (title) => `Remove: ${title.toLowerCase()}`,
    alt: (title, name) => `${title}: ${name}`,
    noPreview: 'This browser cannot show the photo. The service can still read it.',
  },

  face: {
    size: 'Face',
    pixels: (width, height) => `${width} × ${height} pixels`,
    turn: 'Turn',
    turned: (rotation, roll) =>
      [
        rotation === 0 ? null : `photo turned by ${rotation}° to be upright`,
        roll == null ? null : `head tilted by ${roll}°`,
      ]
        .filter(Boolean)
        .join(', ') || 'none',
    detection: 'Detection score',
    alignment: 'Alignment score',
    attack: 'Presentation attack',
    attackLabel: ({ label, score }) =>
      `${ATTACKS[label] ?? label}${score == null ? '' : ` (score ${score.toFixed(2)})`}`,
  },

  verify: {
    tab: 'Verify',
    title: 'Verify',
    lead: 'Do two photos show the same person? Add two photos to compare the faces.',
    probe: 'First photo',
    reference: 'Second photo',
    compare: 'Compare',
    comparing: 'Comparing …',
    missing: 'Add a photo first.',
    checkAttacks: 'Check for presentation attacks (photos of photos, screens, masks)',
    several: (count) => `${plural(count, 'face')} found. Which one should be compared?`,
    faceNumber: (index) => `Face ${index + 1}${index === 0 ? ' (largest)' : ''}`,
    resultTitle: 'Result',
    decisions: {
      match: 'Match',
      no_match: 'No match',
      review: 'Needs review: close to the threshold',
    },
    similarity: 'Similarity',
    threshold: 'Threshold',
    thresholdText: (threshold, rate) =>
      rate == null ? threshold : `${threshold}, at a false match rate of ${rate}`,
    models: 'Models',
    caution: 'A match is not proof of identity. Error rates differ between groups of people:',
    cautionLink: 'accuracy and limits',
  },

  scale: {
    text: (similarity, threshold) =>
      `Similarity ${similarity} on a scale from 0 to 1. The threshold is ${threshold}; a similarity from there on is a match.`,
    threshold: 'threshold',
    tick: (fmr) => oneIn(fmr),
    caption: 'Ticks: the similarity that this share of pairs of strangers reaches.',
  },

  gallery: {
    tab: 'Gallery',
    title: 'Galleries',
    lead: 'A gallery holds the people that can be identified on a photo.',
    list: 'Galleries',
    listHeads: ['Gallery', 'Subjects', 'References', 'Changed'],
    none: 'There is no gallery that this key can see.',
    one: (id) => `Gallery ${id}`,
    back: 'All galleries',
    summary: ({ subjectCount, referenceCount, enrollmentGate, capacity }) =>
      `${plural(subjectCount, 'subject')} with ${plural(referenceCount, 'reference')} of at most ${number(capacity)}. ` +
      `Quality check before enrollment: ${enrollmentGate}.`,
    identify: 'Identify',
    identifyPhoto: 'Photo of one or several people',
    identifying: 'Identifying …',
    identified: (faces, known) => `${plural(faces, 'face')} found, ${number(known)} recognized`,
    unknown: 'unknown',
    number: (index, name) => `${index + 1}: ${name}`,
    numberUnknown: (index) => `${index + 1}: unknown`,
    falseMatch: 'False match rate',
    others: 'Other candidates',
    searched: (references, threshold, rate) =>
      `Compared with ${plural(references, 'reference')}; threshold: similarity ${threshold}` +
      (rate == null
        ? '.'
        : `, for at most ${oneIn(rate)} searches for unknown people with a false candidate.`),
    enroll: 'Enroll',
    enrollPhotos: 'Photos of one person',
    subjectId: 'Subject id',
    metadata: 'Metadata (optional)',
    metadataHint:
      'One entry per line, for example “department: it”. It replaces the metadata of the subject.',
    metadataProblem: (line) => `This line of the metadata is not “name: value”: ${line}`,
    enrollButton: 'Enroll',
    enrolling: 'Enrolling …',
    enrolled: (id, added, count) => `${id}: ${number(added)} of ${plural(count, 'photo')} added`,
    statuses: {
      added: 'added',
      existing: 'already added before',
      duplicate: 'not added, because the subject has a reference of the same photo',
    },
    sameImage: (ids) => `The same photo is enrolled for: ${ids.join(', ')}.`,
    subjects: 'Subjects',
    subjectList: 'Subjects',
    subjectHeads: ['Subject', 'References', 'Metadata', 'Enrolled', 'Action'],
    noSubjects: 'No subjects yet.',
    delete: 'Delete',
    deleteLabel: (id) => `Delete ${id}`,
    deleteTitle: (id) => `Delete ${id}?`,
    deleteText: (references) =>
      `The subject and ${references === 1 ? 'its reference' : `its ${number(references)} references`} will be erased. ` +
      'This cannot be undone.',
    deleted: (id) => `${id} is deleted.`,
    notDeleted: (id) => `${id} was not deleted`,
  },

  status: {
    tab: 'Status',
    title: 'Status',
    lead: 'The state of this service, read again every few seconds.',
    pause: 'Pause updates',
    service: 'Service',
    models: 'Models',
    latency: 'Latency',
    ready: 'Ready',
    notReady: (reason) => `Not ready: ${reason}`,
    stale: (since) => `Changes of other replicas may be missing since ${since}.`,
    unavailable: (reason) => `Not shown: ${reason}`,
    loadedModels: 'Loaded models',
    modelHeads: ['Model', 'Task', 'Runs', 'Median', '99 %', 'Memory', 'License'],
    defaultModel: (name) => `${name} (default)`,
    nonCommercial: (name) => `${name} (non-commercial)`,
    tasks: {
      detect: 'detection',
      embed: 'embedding',
      landmarks: 'landmarks',
      'age-gender': 'age and gender',
      expression: 'expression',
      'presentation-attack': 'presentation attack',
    },
    otherModels: (count) => `${plural(count, 'more model')} can be loaded by an operator.`,
    running: 'Images in progress',
    waiting: 'Images waiting',
    workers: 'Workers',
    restarts: 'Worker restarts',
    memory: 'Estimated memory',
    loadText: (now, top) =>
      `Images in progress or waiting: ${number(now)} now, at most ${number(top)} lately`,
    latencyTable: 'Requests since the start of the service',
    latencyHeads: ['Route', 'Requests', 'Median', '95 %'],
    noRequests: 'No requests so far.',
  },

  accuracy: {
    tab: 'Accuracy and limits',
    title: 'Accuracy and limits',
    lead: 'What the answers are worth, measured on public photos.',
    limitsTitle: 'Limits',
    limits: [
      'A match means that two faces are more similar than the faces of almost all pairs of strangers. It is not proof of identity.',
      'Strangers of the same group and gender, and relatives, match more often than random strangers. The table by group shows by how much.',
      'In a gallery, every further subject is one more chance of a false match; the threshold therefore rises with the number of subjects.',
      'Masks, sunglasses, profiles and strong compression cause more errors.',
      'Detection of presentation attacks is a signal. It does not detect everything.',
      'For important decisions, choose the threshold on photos of people like yours, and let a person decide.',
    ],
    measured: (set) => `Measured with the models that answer here: ${set}.`,
    notMeasured: (set, shown) =>
      `There are no measurements of the models that answer here (${set}). The figures below are those of ${shown}.`,
    threshold: (distance) =>
      `Default threshold of this service: distance ${distance}, which is 1 minus the similarity. The figures hold for the threshold in the tables.`,
    tables: {
      pairs: {
        title: 'Small sets of photos',
        text: 'FMR: share of pairs of strangers that are accepted. FNMR: share of pairs of the same person that are rejected.',
      },
      cfp250: {
        title: 'Frontal and profile photos of 250 people',
        text: 'Celebrities in Frontal-Profile. TAR: share of pairs of the same person that are accepted.',
      },
      groups: {
        title: 'Groups of people',
        text: 'Strangers of the same group and gender at the default threshold. The groups are small: tenfold differences count, small ones do not.',
      },
      gallerySizes: {
        title: 'Identification by size of the gallery',
        text: 'Strangers who are given a name, and enrolled people who are recognized, at the default threshold of the gallery.',
      },
      presentationAttack: {
        title: 'Presentation attacks',
        text: 'Genuine photos that are called an attack. How many real attacks pass is not measured.',
      },
    },
    flippedHeads: ['Measurement', 'Result'],
    source: 'These tables are those of docs/accuracy.md, which also describes the photos and the method.',
    calibrationTitle: 'Calibration of the loaded embedder',
    calibrationText: (name, { date, detector, sets }) =>
      `${name}, measured on ${date} with ${detector}: ` +
      `${sets.map((set) => `${set.name} (${number(set.people)} people, ${number(set.nonMatedPairs)} pairs of strangers)`).join('; ')}.`,
    calibrationHeads: ['False match rate', 'Similarity', 'Rejected pairs of the same person', 'Basis'],
    counted: 'counted',
    extrapolated: 'extrapolated',
    noCalibration: 'The loaded embedder has no calibration: its answers have no false match rate.',
  },

  /** Errors by code, in the words of the console. A function gets the details of the error. */
  errors: {
    http: (status) => `The service answered with status ${status}.`,
    request: (id) => `request ${id}`,
    retry: (seconds) => `Try again in ${plural(Number(seconds), 'second')}.`,
    OFFLINE: 'The service does not answer. Check the connection and try again.',
    UNAUTHORIZED: 'This needs a valid API key.',
    API_KEY_EXPIRED: 'The API key has expired.',
    AUTH_ATTEMPTS_EXCEEDED: 'Too many invalid keys came from this address.',
    ADMIN_DISABLED: 'Admin routes are disabled on this service.',
    FORBIDDEN: ({ scopes }) =>
      scopes == null ? null : `The API key does not have the permission “${scopes.join('”, “')}”.`,
    FACE_NOT_DETECTED: ({ field, reason }) =>
      reason === 'not_aligned'
        ? `No face${inField(field)} is upright and clear enough to be compared.`
        : `No face was found${inField(field)}.`,
    FACE_AMBIGUOUS: 'The photo shows several faces.',
    IMAGE_MISSING: 'A photo is missing.',
    IMAGE_EMPTY: 'The file is empty.',
    IMAGE_UNSUPPORTED:
      'The file is not a photo that the service can read: JPEG, PNG, WebP, GIF, AVIF or TIFF.',
    IMAGE_CORRUPT: 'The photo is damaged and cannot be read.',
    IMAGE_TOO_LARGE: 'The photo is too large.',
    REQUEST_TOO_LARGE: 'The photos are too large, or too many at once.',
    PRESENTATION_ATTACK_SUSPECTED: 'The face may be a picture, a screen or a mask.',
    REFERENCE_REJECTED: ({ reasons = [] }) =>
      `The photo does not pass the quality check: ${reasons.map((reason) => REJECTIONS[reason] ?? reason).join(', ')}.`,
    QUEUE_FULL: 'The service is busy.',
    CALLER_QUEUE_FULL: 'Too many photos are waiting already.',
    RATE_LIMIT_EXCEEDED: 'Too many requests in a short time.',
    INFERENCE_TIMEOUT: 'The service did not answer in time.',
  },
};

function inField(field) {
  const words = FIELD_WORDS[field];
  return words == null ? ' in the photo' : ` in the ${words}`;
}
