/** Elements without a framework: no text ever becomes markup. */

const SVG = new Set(['svg', 'g', 'rect', 'circle', 'line', 'path', 'polyline', 'text', 'title']);

/**
 * Makes an element. Properties: `class`, `on…` for listeners, `style` as an object (set by script, which the content
 * security policy allows), others as attributes; `true` is an empty attribute, and `null` and `false` leave it out.
 */
export function h(tag, properties, ...children) {
  const element = SVG.has(tag)
    ? document.createElementNS('http://www.w3.org/2000/svg', tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value == null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** Replaces the content of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

let ids = 0;
/** An id for a label or a description. */
export function newId() {
  ids += 1;
  return `e${ids}`;
}

/** Rows of a term and a description. Rows without a description are left out. */
export function facts(rows) {
  return h(
    'dl',
    { class: 'facts' },
    rows
      .filter(([, value]) => value != null)
      .map(([term, value]) => h('div', null, h('dt', null, term), h('dd', null, value))),
  );
}

/** A table that scrolls sideways on narrow screens. Digits of numbers are of one width. */
export function table(caption, heads, rows) {
  const cell = (value, index) =>
    index === 0
      ? h('th', { scope: 'row' }, value)
      : h('td', { class: typeof value === 'number' || isNumber(value) ? 'number' : null }, value);
  return h(
    'div',
    { class: 'scroll', role: 'region', 'aria-label': caption, tabindex: 0 },
    h(
      'table',
      null,
      h('caption', null, caption),
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          heads.map((head) => h('th', { scope: 'col' }, head)),
        ),
      ),
      h(
        'tbody',
        null,
        rows.map((cells) => h('tr', null, cells.map(cell))),
      ),
    ),
  );
}

function isNumber(value) {
  return typeof value === 'string' && /^[\d,.]+( (ms|MB|%))?$/.test(value);
}

/** Says a text to screen readers. */
export function announce(text) {
  const region = document.getElementById('announcer');
  if (region == null) return;
  // The same text twice is said twice.
  region.textContent = '';
  setTimeout(() => (region.textContent = text), 50);
}
