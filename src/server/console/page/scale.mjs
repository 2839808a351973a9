import { h } from './dom.mjs';
import { S } from './strings.mjs';

/** False match rates with a tick. */
const TICKS = [1e-2, 1e-4, 1e-6];

/**
 * The similarity against the threshold, on a line from 0 to 1, with the similarities that strangers reach at some false match
 * rates.
 */
export function scale({ similarity, threshold, calibration }) {
  const at = (value) => `${Math.min(1, Math.max(0, value)) * 100}%`;
  const place = (name, value, ...content) =>
    h('span', { class: name, style: { left: at(value) } }, ...content);
  const points = (calibration?.points ?? []).filter(({ fmr }) => TICKS.includes(fmr));
  return h(
    'figure',
    { class: 'scale' },
    h(
      'div',
      {
        class: 'track',
        role: 'img',
        'aria-label': S.scale.text(similarity.toFixed(2), threshold.toFixed(2)),
      },
      h('span', { class: 'above', style: { left: at(threshold) } }),
      points.map(({ fmr, minSimilarity }) =>
        place('tick', minSimilarity, h('span', null, S.scale.tick(fmr))),
      ),
      place('threshold', threshold, h('span', null, S.scale.threshold)),
      place('mark', similarity),
    ),
    points.length > 0 && h('figcaption', null, S.scale.caption),
  );
}
