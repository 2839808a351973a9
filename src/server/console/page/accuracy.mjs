import { call } from './api.mjs';
import { fill, h, table } from './dom.mjs';
import { problemBox } from './problem.mjs';
import { S } from './strings.mjs';

const A = S.accuracy;

/** Columns of a table in another order, so that the first one names the row. */
const ORDER = { groups: [2, 3, 4, 5, 1] };

/** Page: what the answers are worth, by the measurements of docs/accuracy.md and the calibration of the loaded embedder. */
export function accuracyPage() {
  const figures = h('div', null, h('p', { class: 'busy' }, S.loading));
  void load();
  return {
    title: A.title,
    content: [
      h('p', { class: 'lead' }, A.lead),
      h('section', { 'aria-label': A.limitsTitle }, h('h2', null, A.limitsTitle), list(A.limits)),
      figures,
    ],
  };

  async function load() {
    try {
      const measured = await call('GET', 'console/accuracy.json');
      const { models, defaults } = await call('GET', 'v1/models');
      const embedder = models.find(({ name }) => name === defaults.embedder)?.embedder;
      fill(figures, measurements(measured, defaults, embedder?.maxDistances.cosine), calibrationOf(embedder));
    } catch (error) {
      fill(figures, problemBox(error));
    }
  }
}

/** The tables of docs/accuracy.md, with the rows of the models that answer here. */
function measurements(tables, { detector, embedder }, distance) {
  const set = `${detector} + ${embedder}`;
  const isMeasured = tables.groups.rows.some(([name]) => name === set);
  const shown = isMeasured ? set : tables.groups.rows[0][0];
  return [
    h(
      'p',
      { class: isMeasured ? null : 'problem' },
      isMeasured ? A.measured(set) : A.notMeasured(set, shown),
    ),
    distance != null && h('p', null, A.threshold(distance.toFixed(3))),
    Object.entries(A.tables).map(([name, { title, text }]) => {
      const { heads, rows } = tables[name];
      const own = rows.filter(([first]) => first === shown);
      // The tables of the default set alone do not name it.
      const order = ORDER[name] ?? heads.map((_, index) => index).slice(own.length > 0 ? 1 : 0);
      const [columns, ...content] = [heads, ...(own.length > 0 ? own : rows)].map((cells) =>
        order.map((index) => cells[index]),
      );
      return h(
        'section',
        { 'aria-label': title },
        h('h2', null, title),
        h('p', null, text),
        columns.length > 6 ? flipped(title, columns, content) : table(title, columns, content),
      );
    }),
    h('p', { class: 'hint' }, A.source),
  ];
}

/** A wide table with one row, as a row per column. */
function flipped(title, columns, [row]) {
  return table(
    title,
    A.flippedHeads,
    columns.map((column, index) => [column, row[index]]),
  );
}

/** False match rates by similarity, from the card of the loaded embedder. */
function calibrationOf(embedder) {
  const calibration = embedder?.calibration;
  return h(
    'section',
    { 'aria-label': A.calibrationTitle },
    h('h2', null, A.calibrationTitle),
    calibration == null
      ? h('p', { class: 'problem' }, A.noCalibration)
      : [
          h('p', null, A.calibrationText(embedder.name, calibration)),
          table(
            A.calibrationTitle,
            A.calibrationHeads,
            calibration.points.map(({ fmr, minSimilarity, fnmr, isExtrapolated }) => [
              S.rates.oneIn(fmr),
              minSimilarity.toFixed(3),
              fnmr == null ? '–' : S.rates.percent(fnmr),
              isExtrapolated ? A.extrapolated : A.counted,
            ]),
          ),
        ],
  );
}

function list(items) {
  return h(
    'ul',
    null,
    items.map((item) => h('li', null, item)),
  );
}
