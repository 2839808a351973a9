import { h, newId } from './dom.mjs';
import { problemText } from './problem.mjs';
import { S } from './strings.mjs';

/** Shows a modal dialog. `<dialog>` keeps the focus inside and gives it back. Resolves to its return value. */
function showDialog(title, ...content) {
  const id = newId();
  const dialog = h('dialog', { 'aria-labelledby': id }, h('h2', { id }, title), ...content);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}

/** Asks before something that cannot be undone. Resolves to whether the user agrees. */
export async function confirmDialog(title, text, action, { isNotice = false } = {}) {
  const value = await showDialog(
    title,
    typeof text === 'string' ? h('p', null, text) : text,
    h(
      'form',
      { method: 'dialog', class: 'buttons' },
      !isNotice && h('button', { value: 'no', autofocus: true }, S.cancel),
      h('button', { value: 'yes', class: isNotice ? 'primary' : 'danger' }, action),
    ),
  );
  return value === 'yes';
}

/** Asks for an API key, with the error that made it necessary. Resolves to the key, or null. */
export async function keyDialog(error) {
  const field = newId();
  const hint = newId();
  const input = h('input', {
    id: field,
    type: 'password',
    required: true,
    // What a header can carry.
    pattern: '\\s*[!-~]+\\s*',
    title: S.key.format,
    autocomplete: 'off',
    spellcheck: 'false',
    'aria-describedby': hint,
    autofocus: true,
  });
  const value = await showDialog(
    S.key.title,
    error != null && h('p', { class: 'problem' }, problemText(error)),
    h(
      'form',
      { method: 'dialog' },
      h('p', null, h('label', { for: field }, S.key.label), input),
      h('p', { class: 'hint', id: hint }, S.key.hint),
      h(
        'div',
        { class: 'buttons' },
        // Not a submit button: the first of these is what Enter presses.
        h('button', { type: 'button', onclick: () => input.closest('dialog').close('no') }, S.cancel),
        h('button', { value: 'yes', class: 'primary' }, S.key.use),
      ),
    ),
  );
  const key = input.value.trim();
  return value === 'yes' && key !== '' ? key : null;
}
