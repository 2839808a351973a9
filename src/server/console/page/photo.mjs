import { fill, h, newId } from './dom.mjs';
import { S } from './strings.mjs';

const ACCEPT = 'image/jpeg,image/png,image/webp,image/gif,image/avif,image/tiff';
/** Inputs on the current page, for pasted photos. */
let inputs = [];

/** Forgets the inputs of the previous page. */
export function forgetPhotoInputs() {
  for (const input of inputs) input.release();
  inputs = [];
}

document.addEventListener('paste', (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length === 0) return;
  // The one in use, otherwise the first empty one.
  const target =
    inputs.find(({ element }) => element.contains(document.activeElement)) ??
    inputs.find(({ files: present }) => present.length === 0) ??
    inputs[0];
  if (target == null) return;
  event.preventDefault();
  target.take(files);
});

// A photo dropped beside the target must not replace the page.
for (const type of ['dragover', 'drop']) document.addEventListener(type, (event) => event.preventDefault());

/**
 * A place for a photo: drop, choose or paste.
 *
 * @param options.title - heading of the place.
 * @param options.multiple - whether it takes several photos.
 * @param options.onchange - called with the input after every change.
 */
export function photoInput({ title, multiple = false, onchange }) {
  const id = newId();
  const hint = newId();
  const message = h('div', { class: 'message' });
  const view = photoView();
  const notes = h('div', { class: 'notes' });
  const list = h('ul', { class: 'files' });
  const chooser = h('input', {
    type: 'file',
    id,
    accept: ACCEPT,
    multiple,
    'aria-describedby': hint,
    onchange: () => chooser.files.length > 0 && input.take([...chooser.files]),
  });
  const remove = h(
    'button',
    { type: 'button', class: 'quiet', hidden: true, onclick: () => input.clear() },
    S.photo.remove(title),
  );
  const drop = h(
    'label',
    { class: 'drop', for: id },
    h('span', { class: 'drop-title' }, multiple ? S.photo.chooseSeveral : S.photo.choose),
    h('span', { id: hint }, S.photo.hint),
  );
  const element = h(
    'section',
    { class: 'photo-input', 'aria-label': title },
    h('h2', null, title),
    h('div', { class: 'drop-area' }, chooser, drop),
    message,
    multiple ? list : view.element,
    notes,
    remove,
  );
  element.addEventListener('dragover', () => element.classList.add('over'));
  element.addEventListener('dragleave', () => element.classList.remove('over'));
  element.addEventListener('drop', (event) => {
    element.classList.remove('over');
    const files = [...event.dataTransfer.files];
    if (files.length > 0) input.take(files);
  });

  const input = {
    element,
    view,
    /** Place for text under the photo. */
    notes,
    files: [],
    get file() {
      return input.files[0];
    },
    /** Takes photos, which are shown and reported. */
    take(files) {
      input.files = multiple ? files : files.slice(0, 1);
      input.say();
      fill(notes);
      remove.hidden = false;
      if (multiple)
        fill(
          list,
          files.map(({ name }) => h('li', null, name)),
        );
      else view.show(input.file, title);
      onchange(input);
    },
    clear() {
      input.files = [];
      chooser.value = '';
      input.say();
      fill(notes);
      fill(list);
      remove.hidden = true;
      view.clear();
      chooser.focus();
      onchange(input);
    },
    /** Shows a problem of this photo, or none. */
    say(problem) {
      fill(message, problem == null ? null : h('p', { class: 'problem' }, problem));
    },
    release: () => view.clear(),
  };
  inputs.push(input);
  return input;
}

/** A photo with boxes over it. */
function photoView() {
  const element = h('div', { class: 'photo' });
  let url = null;
  const view = {
    element,
    /** The decoded photo with the orientation of its file applied; null if the browser cannot show it. */
    bitmap: Promise.resolve(null),
    show(file, title) {
      view.clear();
      url = URL.createObjectURL(file);
      const image = h('img', { src: url, alt: S.photo.alt(title, file.name) });
      image.addEventListener('error', () => fill(element, h('p', { class: 'hint' }, S.photo.noPreview)));
      fill(element, image);
      view.bitmap = createImageBitmap(file).catch(() => null);
    },
    clear() {
      if (url != null) URL.revokeObjectURL(url);
      url = null;
      fill(element);
      view.bitmap = Promise.resolve(null);
    },
    /**
     * Draws faces over the photo. Coordinates are pixels of the photo as it is shown, see docs/api.md.
     *
     * @param size - `{ width, height }` of the photo in these pixels.
     * @param faces - `{ box, landmarks, label, tone }`; the list beside the photo says the same in words.
     */
    draw(size, faces) {
      element.querySelector('.overlay')?.remove();
      const image = element.querySelector('img');
      if (image == null || faces.length === 0) return;
      element.append(overlay(size, faces));
    },
  };
  return view;
}

function overlay({ width, height }, faces) {
  const radius = (box) => Math.max(width / 400, Math.min(box.width, box.height) / 40);
  const shapes = faces.map(({ box, landmarks, tone = 'plain' }) =>
    h(
      'g',
      { class: `face ${tone}` },
      h('rect', { x: box.x, y: box.y, width: box.width, height: box.height, rx: box.width / 30 }),
      Object.values(landmarks ?? {}).map(({ x, y }) => h('circle', { cx: x, cy: y, r: radius(box) })),
    ),
  );
  const labels = faces
    .filter(({ label }) => label != null)
    .map(({ box, label, tone = 'plain' }) =>
      h(
        'span',
        {
          class: `face-label ${tone}`,
          style: {
            left: `${clampPercent(box.x / width)}%`,
            top: `${clampPercent(box.y / height)}%`,
          },
        },
        label,
      ),
    );
  return h(
    'div',
    { class: 'overlay', 'aria-hidden': 'true' },
    h('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none' }, shapes),
    labels,
  );
}

function clampPercent(share) {
  return Math.round(Math.min(0.95, Math.max(0, share)) * 1000) / 10;
}

/**
 * A copy of the photo in which only one face is left: gray boxes cover the others. Pixels and coordinates stay.
 *
 * @param bitmap - the decoded photo.
 * @param boxes - those of all faces.
 * @param chosen - index of the face to keep.
 */
export function keepFace(bitmap, boxes, chosen) {
  const canvas = h('canvas', { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext('2d');
  context.drawImage(bitmap, 0, 0);
  context.fillStyle = '#808080';
  boxes.forEach(({ x, y, width, height }, index) => {
    if (index !== chosen) context.fillRect(x, y, width, height);
  });
  // Boxes of neighbors overlap: the chosen face is drawn again.
  const { x, y, width, height } = boxes[chosen];
  context.drawImage(bitmap, x, y, width, height, x, y, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.95));
}

/** Roll of a face in degrees, clockwise, from its eyes, with the photo turned upright by `rotation`. */
function rollOf({ imageLeftEye, imageRightEye }, rotation = 0) {
  const angle = Math.atan2(imageRightEye.y - imageLeftEye.y, imageRightEye.x - imageLeftEye.x);
  const degrees = (angle * 180) / Math.PI + rotation;
  return Math.round(((((degrees + 180) % 360) + 360) % 360) - 180);
}

/** Facts of a face in words. */
export function faceFacts(face, { rotation = 0 } = {}) {
  const { box, landmarks, detectionScore, alignmentScore, presentationAttack } = face;
  return [
    [S.face.size, S.face.pixels(Math.round(box.width), Math.round(box.height))],
    [S.face.turn, S.face.turned(rotation, landmarks == null ? null : rollOf(landmarks, rotation))],
    [S.face.detection, detectionScore.toFixed(2)],
    [S.face.alignment, alignmentScore?.toFixed(2)],
    [S.face.attack, presentationAttack == null ? null : S.face.attackLabel(presentationAttack)],
  ];
}
