// Small things that draw: look up, initials, times, lists, toasts.

/** @returns {any} */
export const byId = (id) => document.getElementById(id);

export function initials(name) {
  const parts = name.match(/[\p{L}\p{N}]\S*/gu) ?? ['?'];
  const letters = parts.length > 1 ? [parts[0], parts[parts.length - 1]] : [parts[0]];
  return letters.map((part) => [...part][0]).join('').toUpperCase();
}

const RELATIVE = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });

export function ago(time) {
  const seconds = (Date.parse(time) - Date.now()) / 1000;
  if (seconds > -45) return 'just now';
  if (seconds > -3600) return RELATIVE.format(Math.round(seconds / 60), 'minute');
  if (seconds > -86400) return RELATIVE.format(Math.round(seconds / 3600), 'hour');
  return RELATIVE.format(Math.round(seconds / 86400), 'day');
}

/**
 * Show `entries` as the children of `list`. An entry that stays keeps its element, so that nothing blinks.
 * @param {Element} list
 * @param {any[]} entries
 * @param {(entry: any) => string | number} keyOf
 * @param {(entry: any, old?: any) => any} draw makes an element, or brings the old one up to date
 */
export function drawList(list, entries, keyOf, draw) {
  const keys = new Set(entries.map((entry) => String(keyOf(entry))));
  const old = new Map();
  for (const child of /** @type {HTMLElement[]} */ ([...list.children])) {
    if (keys.has(child.dataset.key)) old.set(child.dataset.key, child);
    else child.remove();
  }
  entries.forEach((entry, index) => {
    const key = String(keyOf(entry));
    const element = draw(entry, old.get(key));
    element.dataset.key = key;
    if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
  });
}

const SHOWN_FOR = 6000;

/** Show a line at the bottom for some seconds, with one thing that can be done about it. */
export function toast(text, action) {
  for (const shown of [...byId('toasts').children]) {
    if (shown.firstChild.textContent === text) shown.remove(); // once is enough
  }
  const made = document.createElement('div');
  made.className = 'toast';
  made.append(text);
  const leave = () => made.remove();
  if (action) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = action.label;
    button.addEventListener('click', () => {
      leave();
      action.run();
    });
    made.append(button);
  }
  byId('toasts').append(made);
  while (byId('toasts').children.length > 3) byId('toasts').firstChild.remove();
  setTimeout(leave, SHOWN_FOR);
}
