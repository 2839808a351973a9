import { call, formOf } from './api.mjs';
import { confirmDialog } from './dialogs.mjs';
import { announce, facts, fill, h, newId, table } from './dom.mjs';
import { faceFacts, photoInput } from './photo.mjs';
import { problemBox } from './problem.mjs';
import { S } from './strings.mjs';

const PAGE_SIZE = 20;
const G = S.gallery;

/** Page: all galleries. */
export function galleriesPage() {
  return {
    title: G.title,
    content: [
      h('p', { class: 'lead' }, G.lead),
      pagedList({
        load: (cursor) => call('GET', `v1/galleries?${query({ limit: PAGE_SIZE, cursor })}`),
        show: ({ galleries }) =>
          galleries.length === 0
            ? h('p', null, G.none)
            : table(
                G.list,
                G.listHeads,
                galleries.map(({ id, subjectCount, referenceCount, updatedAt }) => [
                  h('a', { href: `#/gallery/${encodeURIComponent(id)}` }, id),
                  S.count(subjectCount),
                  S.count(referenceCount),
                  S.time(updatedAt),
                ]),
              ),
      }).element,
    ],
  };
}

/** Page: one gallery, with its subjects, enrollment and identification. */
export function galleryPage(id, { features, models }) {
  const base = `v1/galleries/${encodeURIComponent(id)}`;
  const summary = h('div', null);
  const subjects = pagedList({
    load: (cursor) => call('GET', `${base}/subjects?${query({ limit: PAGE_SIZE, cursor })}`),
    show: (answer) => subjectTable(answer.subjects, { base, onchange: refresh }),
  });
  async function refresh() {
    void subjects.reload();
    try {
      const gallery = await call('GET', base);
      fill(summary, h('p', null, G.summary(gallery)));
    } catch (error) {
      fill(summary, problemBox(error));
    }
  }
  void refresh();
  return {
    title: G.one(id),
    content: [
      h('p', null, h('a', { href: '#/gallery' }, G.back)),
      summary,
      features.has('identify') && identifySection(base, models),
      enrollSection(base, refresh),
      h('section', { 'aria-label': G.subjects }, h('h2', null, G.subjects), subjects.element),
    ],
  };
}

/** Names the people on a photo. */
function identifySection(base, models) {
  const result = h('div', { class: 'result' });
  let running = null;
  const input = photoInput({ title: G.identifyPhoto, onchange: () => void identify() });

  async function identify() {
    running?.abort();
    const { file } = input;
    fill(result);
    if (file == null) return;
    const mine = (running = new AbortController());
    fill(result, h('p', { class: 'busy' }, G.identifying));
    try {
      const canCheck = (await models.catch(() => [])).some(
        ({ task, state }) => task === 'presentation-attack' && state === 'loaded',
      );
      const presentationAttack = canCheck ? 'report' : undefined;
      const form = formOf({ probe: file, faceSelection: 'all', presentationAttack });
      const options = { form, ask: 'always', signal: mine.signal };
      const answer = await call('POST', `${base}/identify`, options);
      const bitmap = await input.view.bitmap;
      if (mine.signal.aborted) return;
      if (bitmap != null) input.view.draw(bitmap, answer.faces.map(namedFace));
      showIdentified(answer);
    } catch (error) {
      if (!mine.signal.aborted) fill(result, problemBox(error));
    }
  }

  function showIdentified(answer) {
    const { faces, galleryReferenceCount, threshold, targetFpir } = answer;
    const known = faces.filter(({ unknown }) => !unknown).length;
    const text = G.identified(faces.length, known);
    fill(
      result,
      h('p', { class: 'rate' }, text),
      h(
        'ol',
        { class: 'people' },
        faces.map((item) => identifiedFace(item, answer)),
      ),
      h('p', { class: 'hint' }, G.searched(galleryReferenceCount, (1 - threshold).toFixed(3), targetFpir)),
    );
    announce(`${text}. ${faces.map(({ candidates }) => candidates[0]?.subjectId ?? G.unknown).join(', ')}`);
  }

  return h(
    'section',
    { 'aria-label': G.identify },
    h('h2', null, G.identify),
    h('div', { class: 'pair' }, input.element, result),
  );
}

/** A face with its name, to draw. */
function namedFace({ face, candidates }, index) {
  const name = candidates[0]?.subjectId;
  return {
    ...face,
    label: name == null ? G.numberUnknown(index) : G.number(index, name),
    tone: name == null ? 'other' : 'chosen',
  };
}

function identifiedFace({ face, candidates }, { rotation }) {
  const [best, ...others] = candidates;
  return h(
    'li',
    null,
    h('strong', null, best?.subjectId ?? G.unknown),
    facts([
      [S.verify.similarity, best?.similarity.toFixed(3)],
      [G.falseMatch, best == null ? null : S.rates.falseMatch(best.falseMatchRate)],
      [G.others, others.length === 0 ? null : others.map(({ subjectId }) => subjectId).join(', ')],
      ...faceFacts(face, { rotation: rotation ?? 0 }),
    ]),
  );
}

/** Enrolls photos of one subject. */
function enrollSection(base, onchange) {
  const result = h('div', { class: 'result' });
  const photos = photoInput({ title: G.enrollPhotos, multiple: true, onchange: () => fill(result) });
  const subjectId = h('input', { id: newId(), required: true, maxlength: 256, autocomplete: 'off' });
  const metadata = h('textarea', { id: newId(), rows: 3, 'aria-describedby': newId() });
  const button = h('button', { type: 'submit', class: 'primary' }, G.enrollButton);

  async function enroll(event) {
    event.preventDefault();
    const id = subjectId.value.trim();
    const { files } = photos;
    if (files.length === 0) {
      photos.say(S.verify.missing);
      photos.element.querySelector('input').focus();
      return;
    }
    let extra;
    try {
      extra = parseMetadata(metadata.value);
    } catch (error) {
      fill(result, h('p', { class: 'problem' }, error.message));
      announce(error.message);
      metadata.focus();
      return;
    }
    button.disabled = true;
    fill(result, h('p', { class: 'busy' }, G.enrolling));
    const subject = `${base}/subjects/${encodeURIComponent(id)}`;
    try {
      const form = formOf({ image: files });
      const answer = await call('POST', `${subject}/references`, { form, ask: 'always' });
      const results = answer.results ?? [{ index: 0, ...answer }];
      const isAnyThere = results.some(({ error }) => error == null);
      if (extra != null && isAnyThere) {
        await call('PATCH', subject, { json: { metadata: extra }, ask: 'always' });
      }
      const added = results.filter(({ status }) => status === 'added').length;
      const text = G.enrolled(id, added, files.length);
      fill(
        result,
        h('p', { class: 'rate' }, text),
        h(
          'ul',
          null,
          results.map((item) => enrolledPhoto(item, files[item.index])),
        ),
      );
      announce(text);
      onchange();
    } catch (error) {
      fill(result, problemBox(error));
    } finally {
      button.disabled = false;
    }
  }

  return h(
    'section',
    { 'aria-label': G.enroll },
    h('h2', null, G.enroll),
    h(
      'form',
      { class: 'pair', onsubmit: (event) => void enroll(event) },
      photos.element,
      h(
        'div',
        null,
        h('p', null, h('label', { for: subjectId.id }, G.subjectId), subjectId),
        h(
          'p',
          null,
          h('label', { for: metadata.id }, G.metadata),
          metadata,
          h('span', { class: 'hint', id: metadata.getAttribute('aria-describedby') }, G.metadataHint),
        ),
        button,
        result,
      ),
    ),
  );
}

function enrolledPhoto({ status, error, sameImage = [] }, file) {
  if (error != null) return h('li', { class: 'problem' }, `${file.name}: `, problemBox(error));
  const elsewhere =
    sameImage.length > 0 ? ` ${G.sameImage(sameImage.map(({ subjectId }) => subjectId))}` : '';
  return h('li', null, `${file.name}: ${G.statuses[status]}${elsewhere}`);
}

/** `name: value` per line; numbers, true and false are read as such. @throws {Error} with the line that is wrong. */
function parseMetadata(text) {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.length === 0) return undefined;
  return Object.fromEntries(
    lines.map((line) => {
      const [, name, value] = /^([^:=]+)[:=](.*)$/.exec(line) ?? [];
      if (name == null) throw new Error(G.metadataProblem(line.trim()));
      return [name.trim(), valueOf(value.trim())];
    }),
  );
}

function valueOf(text) {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

function subjectTable(subjects, { base, onchange }) {
  if (subjects.length === 0) return h('p', null, G.noSubjects);
  return table(
    G.subjectList,
    G.subjectHeads,
    subjects.map((subject) => [
      subject.id,
      S.count(subject.referenceCount),
      Object.entries(subject.metadata)
        .map(([name, value]) => `${name}: ${value}`)
        .join(', '),
      S.time(subject.createdAt),
      h(
        'button',
        {
          type: 'button',
          class: 'danger',
          'aria-label': G.deleteLabel(subject.id),
          onclick: () => void remove(subject),
        },
        G.delete,
      ),
    ]),
  );

  async function remove({ id, referenceCount }) {
    const isSure = await confirmDialog(G.deleteTitle(id), G.deleteText(referenceCount), G.delete);
    if (!isSure) return;
    try {
      await call('DELETE', `${base}/subjects/${encodeURIComponent(id)}`, { ask: 'always' });
      announce(G.deleted(id));
    } catch (error) {
      await confirmDialog(G.notDeleted(id), problemBox(error), S.close, { isNotice: true });
    }
    onchange();
  }
}

/** A list with a page at a time. */
function pagedList({ load, show }) {
  /** Cursors of the pages up to this one. */
  let cursors = [undefined];
  let next = null;
  const content = h('div', null, h('p', { class: 'busy' }, S.loading));
  const go = (text, move) =>
    h(
      'button',
      {
        type: 'button',
        onclick: () => {
          move();
          void reload().then(() => element.focus());
        },
      },
      text,
    );
  const previousButton = go(S.previousPage, () => cursors.pop());
  const nextButton = go(S.nextPage, () => cursors.push(next));
  const element = h('div', { tabindex: -1 }, content, h('p', { class: 'pages' }, previousButton, nextButton));
  const buttons = () => {
    previousButton.hidden = cursors.length === 1;
    nextButton.hidden = next == null;
  };

  async function reload() {
    try {
      const answer = await load(cursors.at(-1));
      next = answer.nextCursor;
      fill(content, show(answer));
    } catch (error) {
      next = null;
      fill(content, problemBox(error));
    }
    buttons();
  }

  buttons();
  void reload();
  return { element, reload };
}

function query(parameters) {
  return new URLSearchParams(Object.entries(parameters).filter(([, value]) => value != null)).toString();
}
