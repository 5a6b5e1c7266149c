// The others on the board: where they point, and which card they have in hand. hooks.py has the server's side.

import { me } from './visitor.js';
import { connect, cursor, on, presence, status } from '$live/client.js';
import { byId, drawList } from './view.js';

const TOPIC = 'looking'; // as in hooks.py
const EVERY = 50; // milliseconds between two places that are sent
const REST = 30_000; // a pointer that does not move for so long is put away
const NOWHERE = { point: null, card: null };

const calm = matchMedia('(prefers-reduced-motion: reduce)');
const layer = byId('others'), board = byId('board');

/** Those who have the page before them; each person once, whatever the number of tabs. */
export const looking = presence(TOPIC);

const pointers = cursor(TOPIC);

// -------------------------------------------------------------- being there

let leave = null;
let sent = JSON.stringify(NOWHERE);

function follow() {
  const isVisible = document.visibilityState === 'visible';
  if (isVisible && !leave) {
    sent = JSON.stringify(NOWHERE); // the server has forgotten where I was
    leave = on(TOPIC).subscribe(() => {});
  } else if (!isVisible && leave) {
    leave();
    leave = null;
  }
}

document.addEventListener('visibilitychange', follow);
status.subscribe((state) => {
  if (state === 'disconnected') sent = JSON.stringify(NOWHERE);
});
follow();

// -------------------------------------------------------------- where I am

// A place is told as a part of the card or column that it is in: every screen lays the board out differently.
let place = NOWHERE;
let pause = 0, rest = 0;

/** Tell the others: at once, then at most every `EVERY` milliseconds, the last place always; nothing while alone. */
function tell() {
  const data = JSON.stringify(place);
  if (pause || data === sent || !looking.get().some((person) => person.id !== me.id)) return;
  if (!connect().send({ type: 'cursor', topic: TOPIC, data: place })) return;
  sent = data;
  pause = setTimeout(() => {
    pause = 0;
    tell();
  }, EVERY);
}

looking.subscribe(tell);

function point(at) {
  place = { ...place, point: at };
  clearTimeout(rest);
  if (at) rest = setTimeout(point, REST, null);
  tell();
}

function hold(card) {
  place = { ...place, card: card?.dataset.id ?? null };
  tell();
}

const share = (part, whole) => Math.round((1000 * part) / whole) / 1000;

function pointed(event) {
  const anchor = event.target instanceof Element && event.target.closest('.card, .column');
  if (!anchor || event.pointerType === 'touch') return point(null);
  const box = anchor.getBoundingClientRect();
  point({
    on: anchor.dataset.id ?? anchor.dataset.status,
    x: share(event.clientX - box.left, box.width),
    y: share(event.clientY - box.top, box.height),
  });
}

document.addEventListener('pointermove', pointed, { passive: true });
document.addEventListener('dragover', pointed);
document.documentElement.addEventListener('pointerleave', () => point(null));

// The keyboard has no pointer: the card with the focus is where its user is.
board.addEventListener('focusin', (event) => hold(event.target.closest('.card')));
board.addEventListener('focusout', (event) => hold(event.relatedTarget?.closest?.('#board .card')));
board.addEventListener('dragstart', (event) => hold(event.target));
board.addEventListener('dragend', () => hold(document.activeElement?.closest('#board .card')));

// -------------------------------------------------------------- where they are

pointers.subscribe(drawOthers);
addEventListener('resize', drawOthers);
calm.addEventListener('change', drawOthers);

/** Draw the pointers of the others, and a frame around each card that one of them has in hand. */
export function drawOthers() {
  const shown = [];
  const held = new Map(); // card -> who
  for (const [key, { user, data }] of pointers.get()) {
    if (user?.id === me.id) continue;
    const at = data?.point;
    // Who wants no motion sees the card that somebody points at, and nothing that flies.
    const card = find(data?.card) ?? (calm.matches ? find(at?.on) : null);
    if (card?.matches('.card')) held.set(card, [...(held.get(card) ?? []), user]);
    const anchor = calm.matches ? null : find(at?.on);
    if (anchor) shown.push({ key, user, anchor, x: part(at.x), y: part(at.y), isNamed: anchor === card });
  }
  for (const [card, users] of held) shown.unshift({ key: `card ${card.dataset.id}`, card, users });
  drawList(layer, shown, (entry) => entry.key, (entry, old) => (entry.card ? drawHeld : drawPointer)(entry, old));
}

/** The card or column with a name that came from another page, which may have written anything. */
function find(name) {
  if (typeof name !== 'string') return null;
  const quoted = CSS.escape(name);
  return board.querySelector(`.card[data-id="${quoted}"], .column[data-status="${quoted}"]`);
}

const part = (value) => (Number.isFinite(value) ? Math.min(Math.max(value, 0), 1) : 0);

// Offsets, unlike boxes, are where an element belongs while it is still on its way there.

function drawPointer({ user, anchor, x, y, isNamed }, old) {
  const element = old ?? byId('pointer').content.firstElementChild.cloneNode(true);
  const left = anchor.offsetLeft + x * anchor.offsetWidth, top = anchor.offsetTop + y * anchor.offsetHeight;
  element.style.setProperty('--color', user.color);
  element.style.transform = `translate(${left.toFixed(1)}px, ${top.toFixed(1)}px)`;
  element.classList.toggle('named', isNamed);
  element.classList.toggle('turned', left > layer.offsetWidth - 140);
  element.lastElementChild.textContent = user.name;
  return element;
}

function drawHeld({ card, users }, old) {
  const element = old ?? document.createElement('div');
  const tag = element.firstElementChild ?? element.appendChild(document.createElement('span'));
  element.className = 'held';
  tag.className = 'tag';
  tag.textContent = users.map((user) => user.name).join(', ');
  element.style.setProperty('--color', users[0].color);
  element.style.width = `${card.offsetWidth}px`;
  element.style.height = `${card.offsetHeight}px`;
  element.style.transform = `translate(${card.offsetLeft}px, ${card.offsetTop}px)`;
  return element;
}
