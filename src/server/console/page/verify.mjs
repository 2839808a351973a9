import { call, formOf } from './api.mjs';
import { announce, facts, fill, h, newId } from './dom.mjs';
import { problemBox, problemText } from './problem.mjs';
import { faceFacts, keepFace, photoInput } from './photo.mjs';
import { scale } from './scale.mjs';
import { S } from './strings.mjs';

/** Sides of a comparison: the field of the API and the heading. */
const SIDES = { probe: S.verify.probe, reference: S.verify.reference };

/** Page: compares two photos. */
export function verifyPage({ features, models }) {
  const result = h('div', { class: 'result' });
  const sides = Object.fromEntries(
    Object.entries(SIDES).map(([field, title]) => [field, photoSide(title, features.has('detect'), compare)]),
  );
  const compareButton = h(
    'button',
    { type: 'button', class: 'primary', onclick: () => compare({ isAsked: true }) },
    S.verify.compare,
  );
  const checkAttacks = h('input', {
    type: 'checkbox',
    id: newId(),
    checked: true,
    onchange: () => compare(),
  });
  const attackOption = h(
    'p',
    { class: 'option', hidden: true },
    checkAttacks,
    ' ',
    h('label', { for: checkAttacks.id }, S.verify.checkAttacks),
  );
  let calibrations = new Map();
  // Without the models, the page compares all the same: with less on the scale, and no check of attacks.
  models
    .then((list) => {
      attackOption.hidden = !list.some(
        ({ task, state }) => task === 'presentation-attack' && state === 'loaded',
      );
      calibrations = new Map(list.map(({ name, embedder }) => [name, embedder?.calibration]));
    })
    .catch(() => {});

  let running = null;
  /** Compares the photos as soon as there are two; `isAsked`: the user pressed the button. */
  async function compare({ isAsked = false } = {}) {
    running?.abort();
    const { probe, reference } = sides;
    if (probe.input.file == null || reference.input.file == null) {
      fill(result);
      if (!isAsked) return;
      for (const { input } of [probe, reference]) if (input.file == null) input.say(S.verify.missing);
      (probe.input.file == null ? probe : reference).input.element.querySelector('input').focus();
      return;
    }
    const mine = (running = new AbortController());
    fill(result, h('p', { class: 'busy' }, S.verify.comparing));
    try {
      const [first, second] = await Promise.all([probe.image(), reference.image()]);
      if (mine.signal.aborted) return;
      const presentationAttack = !attackOption.hidden && checkAttacks.checked ? 'report' : undefined;
      const form = formOf({ probe: first, reference: second, presentationAttack });
      const answer = await call('POST', 'v1/verify', { form, ask: 'always', signal: mine.signal });
      if (mine.signal.aborted) return;
      for (const [field, side] of Object.entries(sides))
        side.showCompared(answer[field], answer.images[field]);
      showAnswer(result, answer, calibrations.get(answer.embedder));
    } catch (error) {
      if (mine.signal.aborted) return;
      showError(error);
    }
  }

  function showError(error) {
    sides[error.details?.field]?.input.say(problemText(error));
    fill(result, problemBox(error));
  }

  return {
    title: S.verify.title,
    content: [
      h('p', { class: 'lead' }, S.verify.lead),
      h('div', { class: 'pair' }, sides.probe.input.element, sides.reference.input.element),
      attackOption,
      h('p', null, compareButton),
      result,
    ],
  };
}

/** One of the two photos: its faces, and which of several is compared. */
function photoSide(title, canDetect, onready) {
  /** The result of detection, as a promise; null where the service does not detect. */
  let detection = Promise.resolve(null);
  let found = null;
  let chosen = 0;
  const input = photoInput({ title, onchange: () => void changed() });

  async function changed() {
    chosen = 0;
    found = null;
    const { file } = input;
    if (file == null) return onready();
    detection = canDetect ? detect(file) : Promise.resolve(null);
    const answer = await detection;
    if (input.file !== file) return;
    found = answer;
    showFound();
    onready();
  }

  /** The comparison itself says what is wrong with a photo, or that the key lacks a permission. */
  const detect = (file) => call('POST', 'v1/detect', { form: formOf({ image: file }) }).catch(() => null);

  function showFound() {
    if (found == null || found.faces.length === 0) return;
    drawAll(found.faces);
    const { faces } = found;
    const several =
      faces.length > 1 &&
      h(
        'fieldset',
        null,
        h('legend', null, S.verify.several(faces.length)),
        faces.map((_, index) => choice(index)),
      );
    fill(input.notes, several);
  }

  const group = newId();
  function choice(index) {
    const id = newId();
    const onchange = () => {
      chosen = index;
      drawAll(found.faces);
      onready();
    };
    const radio = h('input', { type: 'radio', name: group, id, checked: index === chosen, onchange });
    return h('span', { class: 'choice' }, radio, h('label', { for: id }, S.verify.faceNumber(index)));
  }

  function drawAll(faces) {
    const size = { width: found.imageWidth, height: found.imageHeight };
    const isOne = faces.length === 1;
    input.view.draw(
      size,
      faces.map((face, index) => ({
        ...face,
        label: isOne ? null : String(index + 1),
        tone: index === chosen ? 'chosen' : 'other',
      })),
    );
  }

  return {
    input,
    /** The photo to compare. Of several faces, only the chosen one is left. */
    async image() {
      const answer = await detection;
      const faces = answer?.faces ?? [];
      const bitmap = faces.length > 1 && chosen > 0 ? await input.view.bitmap : null;
      if (bitmap == null) return input.file;
      return keepFace(
        bitmap,
        faces.map(({ box }) => box),
        chosen,
      );
    },
    /** Shows the face that was compared, beside the others. */
    showCompared(face, image) {
      input.say();
      if (face == null) return;
      const others = (found?.faces ?? []).filter((_, index) => index !== chosen);
      input.view.draw({ width: image.imageWidth, height: image.imageHeight }, [
        ...others.map(({ box }) => ({ box, tone: 'other', label: labelOf({ box }) })),
        { ...face, tone: 'chosen', label: others.length === 0 ? null : String(chosen + 1) },
      ]);
      input.notes.querySelector('dl')?.remove();
      input.notes.append(facts(faceFacts(face, image)));
    },
  };

  function labelOf({ box }) {
    return String(found.faces.findIndex((face) => face.box === box) + 1);
  }
}

function showAnswer(result, answer, calibration) {
  const { decision, falseMatchRate, targetFmr, similarity, threshold, metric, detector, embedder } = answer;
  const decisionText = S.verify.decisions[decision];
  const rate = S.rates.falseMatch(falseMatchRate);
  fill(
    result,
    h(
      'section',
      { class: `decision ${decision}`, 'aria-label': S.verify.resultTitle },
      h('h2', null, decisionText),
      h('p', { class: 'rate' }, rate),
      metric === 'cosine' && scale({ similarity, threshold: 1 - threshold, calibration }),
      facts([
        [S.verify.similarity, similarity.toFixed(3)],
        [S.verify.threshold, S.verify.thresholdText((1 - threshold).toFixed(3), S.rates.oneIn(targetFmr))],
        [S.verify.models, [detector, embedder].filter(Boolean).join(', ')],
      ]),
      h('p', { class: 'hint' }, S.verify.caution, ' ', h('a', { href: '#/accuracy' }, S.verify.cautionLink)),
    ),
  );
  announce(`${decisionText}. ${rate}`);
}
