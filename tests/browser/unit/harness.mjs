/**
 * What the unit tests of the browser client stand on: a clock that is moved by hand, sockets that record what was
 * sent, and just enough of a page. Every `start()` loads the client anew, so that tests share nothing.
 */

// `REALTIME_CLIENT` is the other form of the client that servers send.
const CLIENT = new URL(`../../../runtime/client/browser/${process.env.REALTIME_CLIENT ?? "realtime.js"}`, import.meta.url);
export const ADDRESS = "ws://app.test/ws";
export const HELLO = { type: "hello", caps: ["batch"] };

let loads = 0;

/** Time that stands still until it is moved. */
class FakeClock {
  time = 1_700_000_000_000;
  #timers = new Map();
  #next = 1;

  #add(fn, ms, every) {
    const id = this.#next++;
    this.#timers.set(id, { fn, at: this.time + ms, every });
    return id;
  }

  setTimeout = (fn, ms) => this.#add(fn, ms, 0);
  setInterval = (fn, ms) => this.#add(fn, ms, ms);
  clear = (id) => this.#timers.delete(id);

  /** Waits of the one-time timers, shortest first. */
  get waits() {
    return [...this.#timers.values()].filter((t) => !t.every).map((t) => t.at - this.time).sort((a, b) => a - b);
  }

  /** Move on, running what falls due in order, and let promises settle after each step. */
  async advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, t]) => t.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      const [id, timer] = due;
      this.time = Math.max(this.time, timer.at);
      if (timer.every) timer.at += timer.every;
      else this.#timers.delete(id);
      timer.fn();
      await settle();
    }
    this.time = end;
    await settle();
  }

  /** The time passes, but no timer runs: a device that sleeps. */
  sleep(ms) {
    this.time += ms;
  }
}

/** Let everything that promises can do be done. */
export async function settle() {
  for (let i = 0; i < 3; i++) await new Promise(setImmediate);
}

class FakeSocket {
  sent = [];
  bufferedAmount = 0;
  isClosed = false;
  closeCode = undefined;

  constructor(url) {
    this.url = url;
    if (FakeSocket.refuse) throw new Error("no socket");
    FakeSocket.all.push(this);
  }

  send(text) {
    this.sent.push(typeof text === "string" ? JSON.parse(text) : Uint8Array.from(text));
  }

  close(code) {
    this.isClosed = true;
    this.closeCode = code;
  }

  // ---- what the test does in the server's place

  async open({ session = "session-1" } = {}) {
    this.onopen?.({});
    await this.receive({ type: "welcome", sessionId: session });
  }

  async receive(...frames) {
    for (const frame of frames) this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
    await settle();
  }

  async drop(code = 1006, reason = "") {
    this.onclose?.({ code, reason });
    await settle();
  }

  /** Take what was sent since the last time. */
  take() {
    return this.sent.splice(0);
  }

  /** All requests of the frames sent so far, out of batches too. */
  get requests() {
    return this.sent.flatMap((frame) => frame.batch ?? (frame.rpc ? [frame] : []));
  }

  request(path) {
    const found = this.requests.filter((request) => request.rpc === path);
    if (found.length === 0) throw new Error(`nothing sent for ${path}: ${JSON.stringify(this.sent)}`);
    return found[found.length - 1];
  }

  async reply(path, data, more = {}) {
    await this.answer(this.request(path).id, { ok: true, data, ...more });
  }

  async answer(id, body) {
    await this.receive({ topic: "__rpc", event: id, data: { id, ...body } });
  }

  async event(topic, event, data, seq) {
    await this.receive(seq === undefined ? { topic, event, data } : { topic, event, data, seq });
  }
}

/** A page that can be hidden. */
class FakeDocument {
  visibilityState = "visible";
  #listeners = new Set();
  addEventListener = (_, fn) => this.#listeners.add(fn);
  removeEventListener = (_, fn) => this.#listeners.delete(fn);

  async setVisible(isVisible) {
    this.visibilityState = isVisible ? "visible" : "hidden";
    for (const fn of [...this.#listeners]) fn();
    await settle();
  }
}

/** The listeners of a window. */
class FakeWindow {
  listeners = [];
  addEventListener = (type, fn) => this.listeners.push({ type, fn });
  removeEventListener = (type, fn) => {
    this.listeners = this.listeners.filter((entry) => entry.type !== type || entry.fn !== fn);
  };

  async dispatch(type) {
    for (const entry of this.listeners) if (entry.type === type) entry.fn({ type });
    await settle();
  }
}

class FakeStorage {
  items = new Map();
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, value) => this.items.set(key, value);
}

/**
 * Load a fresh client.
 * @param {{page?: boolean, dev?: boolean, random?: number, options?: object, frames?: boolean}} [setup]
 *   `page`: there are a document and the events of a window; `frames`: events wait for `frame()`
 */
export async function start({ page = false, dev = false, random = 0.5, options = {}, frames = false } = {}) {
  FakeSocket.all = [];
  FakeSocket.refuse = false;
  globalThis.WebSocket = FakeSocket;
  globalThis.sessionStorage = new FakeStorage();
  globalThis.document = page ? new FakeDocument() : undefined;
  const pageWindow = page ? new FakeWindow() : undefined;
  globalThis.addEventListener = pageWindow?.addEventListener;
  globalThis.removeEventListener = pageWindow?.removeEventListener;
  globalThis[Symbol.for("realtime.dev")] = dev;
  const client = await import(`${CLIENT.href}?load=${loads++}`);
  const clock = new FakeClock();
  const chance = { value: random };
  const waitingFrames = [];
  Object.assign(client.__environment, {
    now: () => clock.time,
    random: () => chance.value,
    setTimeout: clock.setTimeout,
    clearTimeout: clock.clear,
    setInterval: clock.setInterval,
    clearInterval: clock.clear,
  });
  if (frames) client.__environment.requestFrame = (fn) => waitingFrames.push(fn) > 0;
  client.configure({ url: ADDRESS, ...options });
  return {
    client,
    clock,
    chance,
    Socket: FakeSocket,
    document: globalThis.document,
    window: pageWindow,
    storage: globalThis.sessionStorage,
    get sockets() {
      return FakeSocket.all;
    },
    get socket() {
      return FakeSocket.all[FakeSocket.all.length - 1];
    },
    frame() {
      for (const fn of waitingFrames.splice(0)) fn();
    },
  };
}

/** Load a client and open its connection, with everything sent so far taken away. */
export async function startOpen(setup) {
  const world = await start(setup);
  world.client.connect();
  await world.socket.open();
  world.socket.take();
  return world;
}

/** A subscribed stream that has loaded `data`. */
export async function openStream(world, { path = "todos/list", data = [], topic = "todos", ...reply } = {}) {
  const stream = world.client.__stream(path, {}, false);
  const seen = record(stream);
  await settle();
  await world.socket.reply(path, data, { topic, merge: "crud", key: "id", ...reply });
  return { stream, seen };
}

/** Subscribe and keep every value; `seen.last` is the newest, `seen.off()` ends it. */
export function record(store) {
  const seen = [];
  const off = store.subscribe((value) => seen.push(value));
  Object.defineProperty(seen, "last", { get: () => seen[seen.length - 1] });
  return Object.assign(seen, { off });
}

/** The code that a promise rejects with, or the value in an object. */
export async function outcome(promise) {
  try {
    return { value: await promise };
  } catch (error) {
    return error.code ?? error;
  }
}

/** Collect what is written to the console while `fn` runs. */
export async function consoleOf(fn) {
  const lines = [];
  const before = { warn: console.warn, error: console.error };
  console.warn = console.error = (...parts) => lines.push(parts.map(String).join(" "));
  try {
    await fn();
  } finally {
    Object.assign(console, before);
  }
  return lines;
}
