/**
 * What one page of the app has: its stores and their history, its calls, its connection. Read from the data that the
 * client keeps under the dev server (`__devtools`), without listening to a store, which would keep it alive.
 *
 * @module
 */

/** Values kept of one store. */
export const MAX_HISTORY = 50;
const MAX_STORES = 200;
const SAMPLE_MS = 200;
const MAX_DEPTH = 5;
const MAX_ITEMS = 50;

/** @typedef {{at: number, value: any}} Sample */

export class PageState {
  /** @type {Map<string, Sample[]>} by store */
  #history = new Map();
  /** The values as the client holds them: another object is another value. @type {Map<string, any>} */
  #seen = new Map();
  #timer = 0;

  /** @param {any} client the module of the client */
  constructor(client) {
    this.client = client;
    this.devtools = client.__devtools;
  }

  /** Note every value of the stores from now on. */
  start() {
    if (this.#timer || !this.devtools) return;
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
    this.#followEvents();
  }

  /** Look at the values behind the frame in which the client applies an event, so that none is passed over. */
  #followEvents() {
    const { devtools } = this;
    const note = devtools.eventReceived;
    devtools.eventReceived = (/** @type {any[]} */ ...event) => {
      note.apply(devtools, event);
      requestAnimationFrame(() => setTimeout(() => this.#sample()));
    };
  }

  #sample() {
    if (this.devtools.isPaused) return;
    for (const stream of this.devtools.streams) {
      const key = keyOf(stream);
      if (this.#seen.has(key) && Object.is(this.#seen.get(key), stream.value)) continue;
      if (!this.#seen.has(key) && this.#seen.size >= MAX_STORES) continue;
      this.#seen.set(key, stream.value);
      const samples = this.#history.get(key) ?? [];
      samples.push({ at: Date.now(), value: redacted(stream.value, this.devtools.redactKeys) });
      if (samples.length > MAX_HISTORY) samples.shift();
      this.#history.set(key, samples);
    }
  }

  /** Forget what was kept. */
  clear() {
    this.devtools?.clear();
    this.#history.clear();
    this.#seen.clear();
  }

  /**
   * @param {string} [wanted] the store whose history is wanted
   * @returns {any} everything, as it can be sent to another page
   */
  read(wanted) {
    const { devtools, client } = this;
    if (!devtools) return null;
    const now = Date.now();
    const streams = devtools.streams.map((/** @type {any} */ stream) => {
      const key = keyOf(stream);
      const events = devtools.events.get(stream.path) ?? [];
      const { error, value, ...rest } = stream;
      return {
        ...rest,
        key,
        args: redacted(stream.args, devtools.redactKeys),
        error: error && { code: error.code, message: error.message },
        last: events.at(-1) && { event: events.at(-1).event, at: events.at(-1).at },
        ...(key === wanted ? { events, value: redacted(value, devtools.redactKeys), history: this.#history.get(key) ?? [] } : {}),
      };
    });
    return {
      title: document.title,
      url: location.pathname + location.search,
      isPaused: devtools.isPaused,
      streams,
      pending: [...devtools.pending].map(([id, call]) => ({ id, ...call, age: (now - call.startedAt) / 1000 })),
      calls: devtools.calls,
      volatile: devtools.volatile,
      volatileDropped: devtools.volatileDropped,
      status: client.status.get(),
      failure: client.failure.get(),
      health: client.health.get(),
      counters: client.getCounters(),
    };
  }
}

/** @param {{path: string, args: unknown[]}} stream */
function keyOf({ path, args }) {
  return args.length > 0 ? `${path}(${JSON.stringify(args).slice(1, -1)})` : path;
}

/**
 * A copy to look at: without secrets, not too deep, not too long, without cycles.
 * @param {any} value @param {Set<string>} keys in lower case @param {any[]} [above] @returns {any}
 */
export function redacted(value, keys, above = []) {
  if (typeof value === "function" || typeof value === "symbol" || typeof value === "bigint") return String(value);
  if (value === null || typeof value !== "object") return value;
  if (above.includes(value)) return "[cycle]";
  if (above.length >= MAX_DEPTH) return "[depth-cap]";
  const inside = [...above, value];
  if (value instanceof Map || value instanceof Set) return redacted([...value], keys, above);
  if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map((item) => redacted(item, keys, inside));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, keys.has(key.toLowerCase()) ? "[REDACTED]" : redacted(item, keys, inside)]));
}
