import { announce, h } from './dom.mjs';
import { S } from './strings.mjs';

/** An error in plain words: those of the console where it has some, otherwise the message of the service. */
export function problemText(error) {
  const { code, details = {}, message } = error;
  const known = S.errors[code];
  const text = typeof known === 'function' ? known(details) : known;
  return text ?? message;
}

/** An error as a box that screen readers announce. */
export function problemBox(error) {
  const text = problemText(error);
  const reference = [error.code, error.requestId && S.errors.request(error.requestId)].filter(Boolean);
  announce(text);
  return h(
    'div',
    { class: 'problem-box' },
    h('p', { class: 'problem' }, text),
    error.retryAfter != null && h('p', null, S.errors.retry(error.retryAfter)),
    reference.length > 0 && h('p', { class: 'hint' }, reference.join(' · ')),
  );
}
