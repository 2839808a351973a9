import { accuracyPage } from './accuracy.mjs';
import { call, keyStore } from './api.mjs';
import { keyDialog } from './dialogs.mjs';
import { announce, fill, h } from './dom.mjs';
import { galleriesPage, galleryPage } from './gallery.mjs';
import { forgetPhotoInputs } from './photo.mjs';
import { statusPage } from './status.mjs';
import { S } from './strings.mjs';
import { verifyPage } from './verify.mjs';

/** Pages by the first part of the hash, with the feature that each needs. */
const PAGES = {
  verify: { label: S.verify.tab, feature: 'verify', make: (context) => verifyPage(context) },
  gallery: {
    label: S.gallery.tab,
    feature: 'galleries',
    make: (context, id) => (id == null ? galleriesPage(context) : galleryPage(id, context)),
  },
  status: { label: S.status.tab, make: (context) => statusPage(context) },
  accuracy: { label: S.accuracy.tab, make: (context) => accuracyPage(context) },
};

const main = h('main', { id: 'main' });
const navigation = h('nav', { 'aria-label': S.pages });
const keyButton = h('button', { type: 'button', class: 'quiet' });
let leave = () => {};
let features = new Set();
let models = null;

/** Context of a page. Models are read when a page first asks for them, because that can need a key. */
const context = {
  get features() {
    return features;
  },
  get models() {
    models ??= call('GET', 'v1/models').then(({ models: list }) => list);
    // A failed reading is not kept.
    models.catch(() => (models = null));
    return models;
  },
};

function availablePages() {
  return Object.entries(PAGES).filter(([, { feature }]) => feature == null || features.has(feature));
}

function showPage({ isFirst = false } = {}) {
  leave();
  forgetPhotoInputs();
  const [, name, ...rest] = location.hash.split('/');
  const pages = availablePages();
  const [key, page] = pages.find(([pageName]) => pageName === name) ?? pages[0];
  const id = key === name && rest.length > 0 ? decodeURIComponent(rest.join('/')) : undefined;
  const { title, content, leave: leavePage = () => {} } = page.make(context, id);
  leave = leavePage;
  fill(
    navigation,
    pages.map(([pageName, { label }]) =>
      h('a', { href: `#/${pageName}`, 'aria-current': pageName === key ? 'page' : null }, label),
    ),
  );
  const heading = h('h1', { tabindex: -1 }, title);
  fill(main, heading, content);
  document.title = `${title} · ${S.product}`;
  // Screen readers and keyboards go on from the new page.
  if (!isFirst) {
    heading.focus();
    scrollTo(0, 0);
  }
}

function showKey() {
  const hasKey = keyStore.get() != null;
  keyButton.textContent = hasKey ? S.key.forget : S.key.enter;
  keyButton.onclick = hasKey
    ? () => {
        keyStore.set(null);
        announce(S.key.forgotten);
        // What the key could see is no longer shown.
        models = null;
        showPage();
      }
    : () => void askForKey().then((isGiven) => isGiven && showPage());
}

async function askForKey(error) {
  const key = await keyDialog(error);
  if (key == null) return false;
  models = null;
  keyStore.set(key);
  return true;
}

async function start() {
  keyStore.ask = askForKey;
  keyStore.onchange = showKey;
  const { features: list } = await call('GET', 'console/features.json');
  features = new Set(list);
  document.body.append(
    h('a', { class: 'skip', href: '#main', onclick: skip }, S.skip),
    h('header', null, h('a', { class: 'brand', href: '#/' }, S.product), navigation, keyButton),
    main,
    h(
      'footer',
      null,
      h('a', { href: './docs' }, S.footer.docs),
      ' · ',
      h('a', { href: './health/ready' }, S.footer.health),
      h('p', { class: 'hint' }, S.footer.privacy),
    ),
    h('div', { id: 'announcer', class: 'only-read', role: 'status', 'aria-live': 'polite' }),
  );
  showKey();
  showPage({ isFirst: true });
  addEventListener('hashchange', () => showPage());
}

/** The hash belongs to the pages, so the link to the content moves the focus itself. */
function skip(event) {
  event.preventDefault();
  main.querySelector('h1').focus();
}

void start();
