// Who I am: a random id and a name, kept in a cookie so that the server reads it when the page connects
// (hooks.py). app.js imports this first: the cookie has to be there before the connection is.

const YEAR = 60 * 60 * 24 * 365;
const FIRST = ['Brave', 'Bright', 'Calm', 'Clever', 'Eager', 'Gentle', 'Lucky', 'Merry', 'Quick', 'Quiet', 'Sunny', 'Witty'];
const LAST = ['Badger', 'Crane', 'Dolphin', 'Falcon', 'Fox', 'Heron', 'Lynx', 'Otter', 'Panda', 'Robin', 'Seal', 'Wren'];

const pick = (list) => list[Math.floor(Math.random() * list.length)];

// crypto.randomUUID exists on https and localhost only; a phone on the local network has neither.
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function read() {
  const found = document.cookie.split('; ').find((part) => part.startsWith('visitor=')) ?? '';
  try {
    const { id, name } = JSON.parse(decodeURIComponent(found.slice('visitor='.length)));
    return typeof id === 'string' && typeof name === 'string' ? { id, name } : null;
  } catch {
    return null;
  }
}

function write(visitor) {
  const value = encodeURIComponent(JSON.stringify(visitor));
  const secure = location.protocol === 'https:' ? '; Secure' : '';
  document.cookie = `visitor=${value}; Path=/; Max-Age=${YEAR}; SameSite=Lax${secure}`;
}

export const me = read() ?? { id: randomId(), name: `${pick(FIRST)} ${pick(LAST)}` };
write(me);

export function rename(name) {
  me.name = name;
  write(me);
}
