// The page: watches the streams of live/board.py and draws what they hold.

import { me, randomId, rename as keepName } from './visitor.js';
import { status as connection } from '$live/client.js';
import { activity, add, call_me, counts, here, move, remove, rename, tasks } from '$live/board.js';
import { Board } from './cards.js';
import { drawOthers, looking } from './others.js';
import { ago, byId, drawList, initials, toast } from './view.js';

const TITLE_LENGTH = 140;
const COLUMNS = { todo: 'To do', doing: 'Doing', done: 'Done' };

// ---------------------------------------------------------------- cards

// `mutate` shows the change at once; if the server refuses, the change disappears and the error comes here.
const board = new Board(byId('board'), COLUMNS, {
  move: (task, to, before, position) =>
    attempt(tasks.mutate(
      () => move(task.id, to, before),
      { event: 'updated', data: { ...task, status: to, position } },
    )),
  rename: (task, title) =>
    attempt(tasks.mutate(() => rename(task.id, title), { event: 'updated', data: { ...task, title } })),
  remove: async (task) => {
    const done = await attempt(tasks.mutate(() => remove(task.id), { event: 'deleted', data: task }));
    if (done) toast(`Removed “${task.title}”`, { label: 'Undo', run: () => attempt(put(task.title, task.status)) });
  },
});

tasks.subscribe((list) => {
  board.draw(list);
  drawOthers();
});
tasks.error.subscribe((error) => error && toast(words(error)));

/**
 * Put a card on the board, at once here and then on the server.
 * @param {string} title
 * @param {import('$live/board.js').Task['status']} status
 */
function put(title, status = 'todo') {
  const task = {
    id: randomId(), title: title.trim().replace(/\s+/g, ' '), status,
    position: board.end(status), author: me.name, created: new Date().toISOString(),
  };
  return tasks.mutate(() => add(task.id, title, status), { event: 'created', data: task });
}

async function attempt(promise) {
  try {
    await promise;
    return true;
  } catch (error) {
    toast(words(error));
    return false;
  }
}

function words(error) {
  if (error.code === 'VALIDATION') return `Use at most ${TITLE_LENGTH} characters`;
  if (error.code === 'DISCONNECTED' || error.code === 'TIMEOUT') return 'The server did not answer; try again';
  return error.message;
}

// ---------------------------------------------------------------- new card

const composer = byId('composer'), title = byId('title'), problem = byId('problem'), left = byId('left');

composer.addEventListener('submit', async (event) => {
  event.preventDefault();
  const text = title.value;
  if (!text.trim()) {
    problem.textContent = 'Write a few words first';
    return;
  }
  title.value = '';
  showLeft();
  problem.textContent = '';
  try {
    await put(text);
  } catch (error) {
    problem.textContent = words(error);
    title.value ||= text; // nothing that was typed is lost
    title.focus();
    showLeft();
  }
});

title.addEventListener('input', () => {
  problem.textContent = '';
  showLeft();
});

function showLeft() {
  const rest = TITLE_LENGTH - title.value.length;
  left.textContent = rest < 30 ? String(rest) : '';
  left.classList.toggle('over', rest < 0);
}

// "/" goes to the new card, as in many apps; not while something is being typed.
document.addEventListener('keydown', (event) => {
  const typing = event.target instanceof Element && event.target.closest('input, textarea, dialog');
  if (event.key !== '/' || typing || event.metaKey || event.ctrlKey || event.altKey) return;
  event.preventDefault();
  title.focus();
});

// ---------------------------------------------------------------- counters

const heading = document.title;

counts.subscribe((now) => {
  if (!now) return;
  const all = now.todo + now.doing + now.done;
  byId('progress').hidden = all === 0;
  byId('fill').style.width = `${all ? (100 * now.done) / all : 0}%`;
  byId('summary').textContent = all === now.done ? `All ${all} done` : `${now.done} of ${all} done`;
  board.count(now);
  document.title = now.doing ? `(${now.doing}) ${heading}` : heading;
});

// ---------------------------------------------------------------- people

const SHOWN = 5;

// Made once: a click is lost if what it began on goes before it ends.
const badge = document.createElement('span'), called = document.createElement('span');
byId('me').append(badge, called);

here.subscribe(drawPeople);
looking.subscribe(drawPeople);

/** `here` are those who have the page open, and `looking` those who have it before them. */
function drawPeople() {
  const people = (here.get() ?? []).map((entry) => entry.data);
  const before = new Set(looking.get().map((person) => person.id));
  const mine = people.find((person) => person.id === me.id);
  const others = people.filter((person) => person.id !== me.id);
  const shown = others.slice(0, SHOWN).map((person) => {
    const away = before.size > 0 && !before.has(person.id);
    return { ...person, away, letters: initials(person.name), label: away ? `${person.name}, away` : person.name };
  });
  if (others.length > SHOWN) {
    const label = others.slice(SHOWN).map((person) => person.name).join(', ');
    shown.push({ id: 'more', letters: `+${others.length - SHOWN}`, label });
  }
  drawList(byId('people'), shown, (person) => person.id, (person, old) => face(old ?? document.createElement('li'), person));
  const name = mine?.name ?? me.name;
  face(badge, { ...mine, letters: initials(name) });
  called.textContent = name;
  byId('me').ariaLabel = `You are ${name}. Change your name`;
}

function face(element, person) {
  element.className = person.away ? 'face away' : 'face';
  element.textContent = person.letters;
  if (person.label) {
    element.title = person.label;
    element.ariaLabel = person.label;
  }
  if (person.color) element.style.setProperty('--color', person.color);
  return element;
}

const dialog = byId('name-dialog'), nameField = byId('name');

byId('me').addEventListener('click', () => {
  nameField.value = me.name;
  dialog.showModal();
  nameField.select();
});
byId('name-cancel').addEventListener('click', () => dialog.close());
byId('name-form').addEventListener('submit', async () => {
  try {
    const user = await call_me(nameField.value);
    keepName(user.name);
  } catch (error) {
    toast(words(error));
  }
});

// ---------------------------------------------------------------- activity

function drawActivity() {
  drawList(byId('activity'), [...(activity.get() ?? [])].reverse(), (entry) => entry.number, (entry, old) => {
    const line = old ?? document.createElement('li');
    if (!old) {
      const who = document.createElement('b');
      const when = document.createElement('time');
      who.textContent = entry.who;
      when.dateTime = entry.at;
      line.append(who, ` ${entry.what} `, when);
    }
    line.lastChild.textContent = ago(entry.at);
    return line;
  });
}

activity.subscribe(drawActivity);
setInterval(() => {
  drawActivity();
  board.tick();
}, 30_000);

// ---------------------------------------------------------------- connection

const STATES = {
  connecting: 'Connecting', open: 'Live', suspended: 'Live', disconnected: 'Reconnecting', failed: 'Offline',
};

connection.subscribe((state) => {
  byId('link').dataset.state = state;
  byId('link').firstElementChild.textContent = STATES[state] ?? state;
});
