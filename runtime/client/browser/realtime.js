/**
 * Realtime Toolkit: the browser client. One ES module, no build step, no dependency.
 *
 * The server offers it at `/live/client.js`; the generated modules beside it (`/live/todos.js`) import the
 * constructors `__rpc` and `__stream` from here:
 *
 *     import { todos, add } from "$live/todos.js";
 *     todos.subscribe(list => render(list ?? []));
 *     await add("milk");
 *
 * Everything that has a value is a *store*: `subscribe(fn)` calls `fn` at once with the current value and again
 * on every change, and returns the function that ends it. `get()` reads the value without subscribing.
 *
 * The module may be imported where there is no window (tests, server-side rendering): it touches nothing at
 * import time and connects on first use. Types for editors are in `realtime.d.ts`. Section numbers in comments
 * are those of the project's specification: "wire" is the protocol, "live" the programming interface.
 *
 * Sections: 1 numbers, 2 surroundings, 3 errors, 4 stores, 5 configuration, 6 topics, 7 connection, 8 the current
 * connection, 9 calls, 10 offline queue, 11 RPC stubs and batches, 12 merge rules, 13 stream requests,
 * 14 stream stores, 15 derived stores, 16 stores of plugins, 17 pushes, signals, system events, 18 assertions and
 * devtools.
 *
 * @module
 */

// ====================================================================================================
// 1. Numbers (wire 9, live 27)
// ====================================================================================================

/** Longest text frame that is looked at, in UTF-16 code units (wire 1.10). */
const MAX_INBOUND_CHARS = 1_048_576;
/** Frames kept while there is no connection; the oldest goes when it is full (wire 7.3). */
const MAX_QUEUED_FRAMES = 1000;
/** Topics whose highest `seq` is remembered for resume; the one that was silent longest goes first (wire 7.4). */
const MAX_SEEN_TOPICS = 10_000;
/** Topics that a resume frame names: the server looks at no more (wire 8.4). */
const MAX_RESUME_TOPICS = 1000;
/** Topics of one `subscribe-batch` frame (wire 7.3). */
const MAX_BATCH_TOPICS = 200;
/** Bytes of one `subscribe-batch` frame, and what the frame itself needs of them (wire 7.3). */
const MAX_BATCH_BYTES = 8000;
const BATCH_FRAME_BYTES = 50;
/** Calls of one batch frame; the server runs none of a longer one (wire 4.5). */
const MAX_BATCH_CALLS = 50;

/** Backoff: `min(base * factor^attempt, cap) * (0.75 + random * 0.5)` (wire 7.2). */
const BACKOFF_BASE_MS = 3000;
const BACKOFF_FACTOR = 2.2;
const BACKOFF_CAP_MS = 300_000;
const JITTER_FLOOR = 0.75;
const JITTER_SPAN = 0.5;
/** Lowest attempt number after a 4429 (wire 1.9). */
const THROTTLE_FLOOR_ATTEMPT = 5;
/** A restarting server (1012) is tried again after 50 to 250 ms, this many times in a row at most. */
const RESTART_DELAY_MS = 50;
const RESTART_DELAY_SPAN_MS = 200;
const MAX_QUICK_RETRIES = 5;
/** A connection that lived this long makes quick retries available again. */
const QUICK_RETRY_RESET_MS = 5000;

/** Zombie check: how often, and after how long without any message (wire 1.8). */
const ZOMBIE_CHECK_MS = 30_000;
const ZOMBIE_LIMIT_MS = 150_000;
/** A connection that closes this soon after opening twice in a row points at a proxy (live 22.2). */
const SHORT_LIFE_MS = 1000;
/** Longest wait for the auth preflight and for `beforeReconnect`. */
const PREPARATION_TIMEOUT_MS = 30_000;
/** Longest wait for a socket to open; browsers themselves wait up to four minutes. */
const OPEN_TIMEOUT_MS = 30_000;
/** Requests of the server that are answered at the same time; further ones are refused. */
const MAX_RUNNING_ANSWERS = 1000;

const CLOSE_ABNORMAL = 1006;
const CLOSE_TOO_BIG = 1009;
const TOO_BIG_TEXT = "a message was larger than the server takes ([websocket] max_payload_length)";
const CLOSE_SERVICE_RESTART = 1012;
const CLOSE_THROTTLED = 4429;
/** Close codes after which the client never tries again (wire 1.9). */
const TERMINAL_CLOSE_CODES = new Set([1008, 4401, 4403]);

/** Time limit of a request, and when a timer is so late that the device must have slept (wire 4.8, live 27.2). */
const REQUEST_TIMEOUT_MS = 30_000;
const SLEEP_THRESHOLD_MS = 90_000;
const SLEEP_FACTOR = 3;
/** Fire-and-forget calls are dropped while more than this waits in the socket (wire 4.4). */
const VOLATILE_BACKPRESSURE_BYTES = 4_194_304;
/** Offline queue (wire 7.5). */
const MAX_OFFLINE_CALLS = 100;
const OFFLINE_CONCURRENCY = 10;

/** How long a stream without subscribers keeps its value (wire 5.10). */
const RESUME_GRACE_MS = 60_000;
/** A stream renews itself 20 to 99 ms after a reconnect, twice; then with backoff (wire 7.5). */
const STREAM_RETRY_MS = 20;
const STREAM_RETRY_SPAN_MS = 80;
const STREAM_FAST_RETRIES = 2;
const STREAM_BACKOFF_BASE_MS = 1000;
/** Stores of dynamic streams that are kept by their arguments, and the second table behind it (wire 7.5). */
const MAX_CACHED_STREAMS = 1000;
const MAX_OVERFLOW_STREAMS = 1000;
/** Events kept for one stream until its frame, and while its request is under way. */
const MAX_FRAME_EVENTS = 10_000;
const MAX_EARLY_EVENTS = 1000;
/** Stream requests without an answer that are remembered although nobody waits for them; the oldest goes first. */
const MAX_ABANDONED = 1000;
/** `latest` keeps this many entries unless `max` says otherwise (wire 5.6). */
const LATEST_DEFAULT_MAX = 50;
/** Undo history: snapshots, and the longest list that is recorded (wire 7.5). */
const HISTORY_DEFAULT_MAX = 50;
const MAX_HISTORY_ITEMS = 200;

/** Most changes of one stream that may wait for their operation; one more is refused (wire 5.7). */
export const MAX_OPTIMISTIC_QUEUE_DEPTH = 1000;

/** Stores of presence, cursors, groups and replays that are kept by their arguments, and entries of one of them. */
const MAX_PLUGIN_STORES = 1000;
const MAX_PLUGIN_ENTRIES = 100_000;
/** A store with a `maxAge` looks this many times in it for what is too old. */
const AGE_CHECKS = 4;

/** Uploads (live 23.6, wire 4.7): a frame before the server's limit is known, pacing, and how often it is looked at. */
const UPLOAD_FRAME_SIZE = 12_288;
const UPLOAD_HIGH_WATER = 4 * 1024 * 1024;
const UPLOAD_LOW_WATER = 1024 * 1024;
const UPLOAD_POLL_MS = 50;
const UPLOAD_RATE_MS = 1000;
/** Bytes of the JSON that heads a binary call or an upload. */
const MAX_BINARY_HEADER = 65_535;

/** Longest wait of a timer: the surroundings fire one that is longer at once. */
const MAX_TIMER_MS = 2_147_483_647;

/** What the devtools keep, under the dev server only (live 21.2 and 27.1). */
const DEVTOOLS_CALLS = 50;
const DEVTOOLS_PENDING = 1000;
const DEVTOOLS_EVENTS = 20;
const DEVTOOLS_VOLATILE = 100;
const DEVTOOLS_DEPTH = 5;
const DEVTOOLS_ITEMS = 50;
/** Categories of assertions that are counted; the counts of further ones are put together. */
const MAX_ASSERTION_CATEGORIES = 1000;

/** Where the session id is kept, followed by the WebSocket path (wire 7.4). */
const SESSION_KEY_PREFIX = "svelte-adapter-uws.session.";
const RPC_TOPIC = "__rpc";
const UPLOAD_TOPIC = "__upload";
const BATCH_EVENT = "__batch";
const REALTIME_TOPIC = "__realtime";
const SIGNAL_PREFIX = "__signal:";
const PRESENCE_PREFIX = "__presence:";
const CURSOR_PREFIX = "__cursor:";
const GROUP_PREFIX = "__group:";
const REPLAY_PREFIX = "__replay:";
const SYSTEM_PREFIX = "__";
const DEV_FLAG = Symbol.for("realtime.dev");

// ====================================================================================================
// 2. Surroundings: everything that tests replace, and what may be missing outside a browser
// ====================================================================================================

/**
 * Time, chance and animation frames, in one place so that tests can put their own in.
 * @internal
 */
export const __environment = {
  now: () => Date.now(),
  random: () => Math.random(),
  /** @param {() => void} fn @param {number} ms @returns {unknown} */
  setTimeout: (fn, ms) => globalThis.setTimeout(fn, ms),
  /** @param {any} timer */
  clearTimeout: (timer) => globalThis.clearTimeout(timer),
  /** @param {() => void} fn @param {number} ms @returns {unknown} */
  setInterval: (fn, ms) => globalThis.setInterval(fn, ms),
  /** @param {any} timer */
  clearInterval: (timer) => globalThis.clearInterval(timer),
  /**
   * Run `fn` at the next animation frame; `false` where there is none (outside a browser, in a hidden page).
   * @param {() => void} fn
   * @returns {boolean}
   */
  requestFrame: (fn) => {
    if (typeof globalThis.requestAnimationFrame !== "function" || isPageHidden()) return false;
    globalThis.requestAnimationFrame(fn);
    return true;
  },
};

const counters = {
  queuedFramesDropped: 0,
  volatileDropped: 0,
  oversizedFramesDropped: 0,
  unreadableFramesDropped: 0,
  /** Frames in whose handling something threw; it was reported. */
  failedFrames: 0,
  seenTopicsForgotten: 0,
  earlyEventsDropped: 0,
  streamsEvicted: 0,
  pluginEntriesDropped: 0,
};

/**
 * How often something was dropped or forgotten since the page was loaded, as a fresh object.
 * @returns {Record<string, number>}
 */
export function getCounters() {
  return { ...counters };
}

/** @returns {boolean} */
function isPageHidden() {
  return typeof document !== "undefined" && document.visibilityState === "hidden";
}

/** Whether the page runs under the dev server (its page script sets the flag). @returns {boolean} */
function isDev() {
  return /** @type {any} */ (globalThis)[DEV_FLAG] === true;
}

/** Warn, but only under the dev server. @param {string} text */
function warnInDev(text) {
  if (isDev()) console.warn(`[realtime] ${text}`);
}

/**
 * Report an exception of the app's own code without disturbing who called it.
 * @param {unknown} error
 */
function reportException(error) {
  const report = /** @type {any} */ (globalThis).reportError;
  if (typeof report === "function") report.call(globalThis, error);
  else console.error("[realtime] a callback failed:", error);
}

/**
 * Call a function of the app; what it throws is reported, not passed on.
 * @param {Function | undefined} fn
 * @param {...unknown} args
 */
function callSafely(fn, ...args) {
  if (typeof fn !== "function") return;
  try {
    fn(...args);
  } catch (error) {
    reportException(error);
  }
}

/** A timer that takes any wait, `Infinity` too. @param {() => void} fn @param {number} ms @returns {unknown} */
function startTimer(fn, ms) {
  return __environment.setTimeout(fn, Math.min(ms, MAX_TIMER_MS));
}

/**
 * The promise, or a rejection with `onTimeout()` when it takes longer than `ms`.
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @param {() => Error} onTimeout
 * @returns {Promise<T>}
 */
function withDeadline(promise, ms, onTimeout) {
  return new Promise((resolve, reject) => {
    const timer = __environment.setTimeout(() => reject(onTimeout()), ms);
    promise.then(resolve, reject).finally(() => __environment.clearTimeout(timer));
  });
}

/** @param {number} delay @returns {number} the delay with 25 % of chance to either side (wire 7.2) */
function withJitter(delay) {
  return delay * (JITTER_FLOOR + __environment.random() * JITTER_SPAN);
}

/** @param {string} text @returns {number} length in UTF-8 bytes */
function byteLength(text) {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x800 && (code < 0xd800 || code > 0xdfff)) bytes += 2;
    else if (code >= 0x80) bytes += 1;
  }
  return bytes;
}

/** @param {unknown} value @returns {value is Record<string, any>} */
function isObject(value) {
  return typeof value === "object" && value !== null;
}

/** @param {string} topic @returns {boolean} whether the server alone decides who is on the topic (wire 3.1) */
function isSystemTopic(topic) {
  return topic.startsWith(SYSTEM_PREFIX);
}

// ====================================================================================================
// 3. Errors
// ====================================================================================================

/** What a failed call, stream or batch rejects with. `code` is stable, `message` is for people. */
export class RpcError extends Error {
  /** @type {"RpcError"} */
  name = "RpcError";

  /**
   * @param {string} code
   * @param {string} [message] default: the code
   * @param {{issues?: Array<{path: string[], message: string}>, data?: unknown, retryAfter?: number}} [details]
   */
  constructor(code, message, details = {}) {
    super(message ?? code);
    this.code = code;
    /** Field by field, for code `VALIDATION`. */
    this.issues = details.issues;
    /** What the server's error carried besides. */
    this.data = details.data;
    /** Milliseconds, for code `RATE_LIMITED`. */
    this.retryAfter = details.retryAfter;
  }
}

/**
 * The error of a failed reply. Under the dev server it holds a traceback, which the page's overlay shows.
 * @param {string} path
 * @param {any} reply
 * @returns {RpcError}
 */
function errorFromReply(path, reply) {
  const code = typeof reply?.code === "string" ? reply.code : "UNKNOWN";
  const message = typeof reply?.error === "string" ? reply.error : "Unknown error";
  const traceback = isObject(reply?.data) ? reply.data.traceback : undefined;
  if (typeof traceback === "string") announceTraceback({ path, code, message, traceback });
  return new RpcError(code, message, { issues: reply?.issues, data: reply?.data, retryAfter: reply?.retryAfter });
}

/** @param {{path: string, code: string, message: string, traceback: string}} detail */
function announceTraceback(detail) {
  if (typeof window === "undefined" || typeof CustomEvent !== "function") return;
  window.dispatchEvent(new CustomEvent("realtime:error", { detail }));
}

/** What an exception says, whatever was thrown. @param {any} error @returns {string} */
function messageOf(error) {
  const message = isObject(error) ? error.message : error;
  return typeof message === "string" && message !== "" ? message : "the handler failed";
}

/** @param {any} [failure] why the connection was lost @returns {RpcError} */
function connectionLost(failure) {
  const why = failure?.code === CLOSE_TOO_BIG ? `: ${TOO_BIG_TEXT}` : " before the answer came";
  return new RpcError("DISCONNECTED", `The connection was lost${why}`);
}

/** @returns {RpcError} */
function connectionClosed() {
  return new RpcError("CONNECTION_CLOSED", "The connection has ended; connect() makes a new one");
}

// ====================================================================================================
// 4. Stores
// ====================================================================================================

/**
 * A value that tells its subscribers about every change.
 * @template T
 */
class Store {
  /** @type {T} */
  #value;
  /** @type {Set<{fn: (value: T) => void}>} */
  #subscribers = new Set();

  /** @param {T} value */
  constructor(value) {
    this.#value = value;
  }

  /** @returns {T} */
  get() {
    return this.#value;
  }

  /** @returns {number} how many listen */
  get size() {
    return this.#subscribers.size;
  }

  /** @returns {boolean} whether anybody does */
  get isWatched() {
    return this.#subscribers.size > 0;
  }

  /** Take a new value and tell everyone, unless it is the one already here. @param {T} value */
  set(value) {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const subscriber of [...this.#subscribers]) {
      if (this.#subscribers.has(subscriber)) callSafely(subscriber.fn, this.#value);
    }
  }

  /**
   * @param {(value: T) => void} fn called now and on each change
   * @returns {() => void} ends the subscription; may be called twice
   */
  subscribe(fn) {
    if (typeof fn !== "function") throw new TypeError("subscribe needs a function that takes the value");
    const subscriber = { fn };
    this.#subscribers.add(subscriber);
    callSafely(fn, this.#value);
    return () => {
      this.#subscribers.delete(subscriber);
    };
  }
}

/**
 * A store that works only while somebody listens.
 * @template T
 */
class LazyStore {
  /** @type {Store<T>} */
  #store;
  #start;
  #read;
  #listeners = 0;
  /** @type {(() => void) | null} */
  #stop = null;
  #idle;

  /**
   * @param {T} idle the value while nobody listens
   * @param {(set: (value: T) => void) => (() => void)} start called for the first listener; returns the end
   * @param {() => T} [read] what `get()` gives while nobody listens
   */
  constructor(idle, start, read) {
    this.#idle = idle;
    this.#store = new Store(idle);
    this.#start = start;
    this.#read = read;
  }

  /** @returns {boolean} whether anybody listens */
  get isActive() {
    return this.#listeners > 0;
  }

  /** @returns {T} */
  get() {
    if (this.isActive || !this.#read) return this.#store.get();
    return this.#read();
  }

  /** @param {(value: T) => void} fn @returns {() => void} */
  subscribe(fn) {
    if (typeof fn !== "function") throw new TypeError("subscribe needs a function that takes the value");
    if (!this.isActive) this.#stop = this.#start((value) => this.#store.set(value));
    this.#listeners++;
    const off = this.#store.subscribe(fn);
    let done = false;
    return () => {
      if (done) return;
      done = true;
      off();
      if (--this.#listeners === 0) this.#end();
    };
  }

  #end() {
    const stop = this.#stop;
    this.#stop = null;
    callSafely(stop ?? undefined);
    this.#store.set(this.#idle);
  }
}

/** @param {unknown} thing @returns {boolean} */
function isStore(thing) {
  return (isObject(thing) || typeof thing === "function") && typeof (/** @type {any} */ (thing).subscribe) === "function";
}

/** The current value of any store. @param {any} store @returns {any} */
function peek(store) {
  if (typeof store.get === "function") return store.get();
  let value;
  endSubscription(store.subscribe((/** @type {any} */ current) => (value = current)));
  return value;
}

/** End a subscription of ours, or of a library that returns an object with `unsubscribe`. @param {any} off */
function endSubscription(off) {
  if (typeof off === "function") off();
  else off?.unsubscribe?.();
}

// ====================================================================================================
// 5. Configuration (live 22.2)
// ====================================================================================================

const DEFAULT_OFFLINE = {
  queue: false,
  maxQueue: MAX_OFFLINE_CALLS,
  maxAge: 0,
  /** @type {"sequential" | "concurrent" | "batch" | ((entries: any[]) => any[])} */
  replay: "sequential",
  /** @type {((call: any) => unknown) | undefined} */
  beforeReplay: undefined,
  /** @type {((call: any, error: unknown) => void) | undefined} */
  onReplayError: undefined,
};

const DEFAULT_UPLOAD = {
  /** @type {number | undefined} */
  frameSize: undefined,
  highWaterMark: UPLOAD_HIGH_WATER,
  lowWaterMark: UPLOAD_LOW_WATER,
};

const DEFAULT_CONFIGURATION = {
  /** @type {string | undefined} */
  url: undefined,
  /** @type {boolean | string} */
  auth: false,
  timeout: REQUEST_TIMEOUT_MS,
  resumeGraceMs: RESUME_GRACE_MS,
  volatileBackpressureBytes: VOLATILE_BACKPRESSURE_BYTES,
  reconnectInterval: BACKOFF_BASE_MS,
  maxReconnectInterval: BACKOFF_CAP_MS,
  maxReconnectAttempts: Infinity,
  /** @type {(() => void) | undefined} */
  onConnect: undefined,
  /** @type {(() => void) | undefined} */
  onDisconnect: undefined,
  /** @type {(() => unknown) | undefined} */
  beforeReconnect: undefined,
  upload: DEFAULT_UPLOAD,
  offline: DEFAULT_OFFLINE,
};

let config = DEFAULT_CONFIGURATION;
/** The WebSocket path below the mount point of the app; the generated modules set it. */
let socketPath = "/ws";

/**
 * Set the options of the client; what is not named gets its default again. Call it before the first use; if the
 * address or the preflight changes while a connection exists, a new connection takes its place.
 * @param {import("./realtime.js").ConfigureOptions} [options]
 */
export function configure(options = {}) {
  checkOptions("configure", options, DEFAULT_CONFIGURATION);
  checkOptions("configure: upload", options.upload ?? {}, DEFAULT_UPLOAD);
  checkOptions("configure: offline", options.offline ?? {}, DEFAULT_OFFLINE);
  checkValues("configure", options);
  checkValues("configure: upload", options.upload ?? {});
  checkValues("configure: offline", options.offline ?? {});
  const before = config;
  config = /** @type {typeof config} */ ({
    ...DEFAULT_CONFIGURATION,
    ...withoutUndefined(options),
    upload: { ...DEFAULT_UPLOAD, ...withoutUndefined(options.upload ?? {}) },
    offline: { ...DEFAULT_OFFLINE, ...withoutUndefined(options.offline ?? {}) },
  });
  offlineQueue.enabled = config.offline.queue;
  if (currentConnection && (before.url !== config.url || before.auth !== config.auth)) replaceConnection();
}

/**
 * What the generated modules know and the app need not say: the WebSocket path, relative to the mount point.
 * @internal
 * @param {{path?: string}} defaults
 */
export function __defaults(defaults) {
  if (typeof defaults.path === "string") socketPath = defaults.path;
}

/** @param {Record<string, any>} options @returns {Record<string, any>} */
function withoutUndefined(options) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/**
 * @param {string} where
 * @param {Record<string, any>} options
 * @param {Record<string, any>} known
 */
function checkOptions(where, options, known) {
  if (!isObject(options)) throw new TypeError(`${where} needs an object of options`);
  for (const name of Object.keys(options)) {
    if (!(name in known)) {
      throw new TypeError(`${where}: unknown option '${name}'; the options are ${Object.keys(known).join(", ")}`);
    }
  }
}

/** The lowest value of each option that is a number. */
const LEAST_VALUES = new Map(
  Object.entries({
    timeout: 1,
    resumeGraceMs: 0,
    volatileBackpressureBytes: 0,
    reconnectInterval: 0,
    maxReconnectInterval: 0,
    maxReconnectAttempts: 0,
    maxQueue: 1,
    maxAge: 0,
    frameSize: 14,
    highWaterMark: 0,
    lowWaterMark: 0,
  })
);
const REPLAY_MODES = ["sequential", "concurrent", "batch"];

/** @param {string} where @param {Record<string, any>} options whose names are known */
function checkValues(where, options) {
  for (const [name, value] of Object.entries(options)) {
    const least = LEAST_VALUES.get(name);
    if (least !== undefined && value !== undefined && !(typeof value === "number" && value >= least)) {
      throw new RangeError(`${where}: ${name} must be a number from ${least} on, not ${value}`);
    }
    if (name === "replay" && value !== undefined && typeof value !== "function" && !REPLAY_MODES.includes(value)) {
      throw new RangeError(`${where}: replay must be one of ${REPLAY_MODES.join(", ")}, or a function, not ${value}`);
    }
  }
}

/** The address of the app that serves this module, or `null` where that is unknown (node). @returns {URL | null} */
function appRoot() {
  const root = new URL("../", import.meta.url);
  return root.protocol === "http:" || root.protocol === "https:" ? root : null;
}

/**
 * The WebSocket address: the configured one, else the app's that serves this module.
 * @param {string | undefined} url
 * @param {string | undefined} path
 * @returns {URL | null}
 */
function socketAddress(url, path) {
  const root = appRoot();
  const address = url !== undefined ? new URL(url, root ?? undefined) : appAddress(root, path ?? socketPath);
  if (address === null) return null;
  if (address.protocol === "http:") address.protocol = "ws:";
  if (address.protocol === "https:") address.protocol = "wss:";
  address.hash = "";
  return address;
}

/** @param {URL | null} root @param {string} path @returns {URL | null} */
function appAddress(root, path) {
  return root === null ? null : new URL(path.replace(/^\/+/, ""), root);
}

/**
 * Where the auth preflight goes (wire 1.5): below the app for the default address, else to the host of `url`.
 * @param {URL} socketUrl
 * @param {boolean} isDefault
 * @param {true | string} auth
 * @returns {string}
 */
function preflightAddress(socketUrl, isDefault, auth) {
  const origin = socketUrl.origin === "null" ? `${socketUrl.protocol}//${socketUrl.host}` : socketUrl.origin;
  const base = origin.replace(/^ws/, "http");
  const root = isDefault ? appRoot() : null;
  if (auth === true && root) return new URL("__ws/auth", root).href;
  return new URL(auth === true ? "/__ws/auth" : auth, base).href;
}

// ====================================================================================================
// 6. Topics: who listens to what, and how far each topic was seen
// ====================================================================================================

/**
 * @typedef {{topic: string, event: string, data: any, seq?: number}} TopicEvent
 * @typedef {{onEvent: (event: string, data: any, seq?: number) => void, onDenied?: (reason: string) => void}} TopicListener
 */

/** Topics outlive a connection: the next one takes them over. */
class Topics {
  /** @type {Map<string, Set<TopicListener>>} */
  #listeners = new Map();
  /** @type {Set<(topic: string, event: string, data: any, seq?: number) => void>} */
  #taps = new Set();
  /** @type {Set<{topic: string | null, left: Set<string>}>} */
  #requests = new Set();
  /** @type {Map<string, number>} */
  #seen = new Map();
  /** Called with a topic that got its first or lost its last listener. @type {(topic: string) => void} */
  onChange = () => {};

  /** @param {string} topic @param {TopicListener} listener @returns {() => void} */
  listen(topic, listener) {
    let listeners = this.#listeners.get(topic);
    if (!listeners) {
      listeners = new Set();
      this.#listeners.set(topic, listeners);
      this.onChange(topic);
    }
    listeners.add(listener);
    return () => this.#release(topic, listener);
  }

  /** @param {string} topic @param {TopicListener} listener */
  #release(topic, listener) {
    const listeners = this.#listeners.get(topic);
    if (!listeners?.delete(listener) || listeners.size > 0) return;
    this.#listeners.delete(topic);
    this.onChange(topic);
  }

  /** See every event of every topic. @param {(topic: string, event: string, data: any, seq?: number) => void} fn */
  tap(fn) {
    this.#taps.add(fn);
    return () => {
      this.#taps.delete(fn);
    };
  }

  /** @param {string} topic @returns {boolean} */
  isWanted(topic) {
    return this.#listeners.has(topic);
  }

  /**
   * Note a stream request that is sent at the end of this turn, for `topic` if that is known. The server is not told to
   * leave it before the request has ended: that would end what the request has begun (wire 5.10).
   * @param {string | null} topic
   */
  request(topic) {
    /** `left`: topics that the server was told to leave behind the request. */
    const note = { topic, left: /** @type {Set<string>} */ (new Set()), isOver: false, end: () => {} };
    note.end = () => {
      note.isOver = true;
      if (this.#requests.delete(note) && topic !== null) this.onChange(topic);
    };
    turn.afterTopics(() => note.isOver || this.#requests.add(note));
    return note;
  }

  /** Whether the server must keep sending a topic. @param {string} topic @returns {boolean} */
  isNeeded(topic) {
    return this.isWanted(topic) || [...this.#requests].some((note) => note.topic === topic);
  }

  /** The server is told to leave a topic. @param {string} topic */
  left(topic) {
    for (const note of this.#requests) note.left.add(topic);
  }

  /** The topics a client may name on the wire, in the order they were wanted. @returns {string[]} */
  wireTopics() {
    return [...this.#listeners.keys()].filter((topic) => !isSystemTopic(topic));
  }

  /** @param {string} topic @param {string} event @param {any} data @param {number} [seq] */
  deliver(topic, event, data, seq) {
    for (const tap of this.#taps) tap(topic, event, data, seq);
    const listeners = this.#listeners.get(topic);
    if (!listeners) return;
    for (const listener of [...listeners]) {
      if (listeners.has(listener)) callSafely(listener.onEvent, event, data, seq);
    }
  }

  /** @param {string} topic @param {string} reason */
  deny(topic, reason) {
    for (const listener of [...(this.#listeners.get(topic) ?? [])]) callSafely(listener.onDenied, reason);
  }

  /** Remember the highest number of a topic; never lower it (wire 7.4). @param {string} topic @param {number} seq */
  see(topic, seq) {
    const highest = this.#seen.get(topic) ?? seq;
    this.#seen.delete(topic); // put in again behind the others, so that the first one is the one silent longest
    this.#seen.set(topic, Math.max(highest, seq));
    if (this.#seen.size <= MAX_SEEN_TOPICS) return;
    for (const oldest of this.#seen.keys()) {
      this.#seen.delete(oldest);
      counters.seenTopicsForgotten++;
      return;
    }
  }

  /** @returns {Record<string, number> | null} for a resume frame: topics in use first, then those heard of last */
  seenNumbers() {
    if (this.#seen.size === 0) return null;
    const latest = [...this.#seen].reverse();
    if (latest.length > MAX_RESUME_TOPICS) latest.sort(([a], [b]) => Number(this.isWanted(b)) - Number(this.isWanted(a)));
    return Object.fromEntries(latest.slice(0, MAX_RESUME_TOPICS));
  }
}

/**
 * Cut a list of topics into frames of at most 200 topics and 8000 bytes (wire 7.3).
 * @param {string[]} topics
 * @returns {string[][]}
 */
function topicChunks(topics) {
  /** @type {string[][]} */
  const chunks = [];
  /** @type {string[]} */
  let chunk = [];
  let bytes = BATCH_FRAME_BYTES;
  for (const topic of topics) {
    const size = byteLength(JSON.stringify(topic)) + 1;
    if (chunk.length > 0 && (chunk.length >= MAX_BATCH_TOPICS || bytes + size > MAX_BATCH_BYTES)) {
      chunks.push(chunk);
      chunk = [];
      bytes = BATCH_FRAME_BYTES;
    }
    chunk.push(topic);
    bytes += size;
  }
  if (chunk.length > 0) chunks.push(chunk);
  return chunks;
}

/** What is said once per microtask: first changes of topics, then stream requests, in this order (wire 7.5). */
const turn = {
  isScheduled: false,
  /** What is to be sent behind the changes of topics. @type {Array<() => void>} */
  waiting: [],
  /** @param {() => void} fn */
  afterTopics(fn) {
    turn.waiting.push(fn);
    turn.schedule();
  },
  schedule() {
    if (turn.isScheduled) return;
    turn.isScheduled = true;
    queueMicrotask(() => {
      turn.isScheduled = false;
      currentConnection?.flushTopics();
      for (const fn of turn.waiting.splice(0)) callSafely(fn);
      streamRequests.flush();
    });
  },
};

// ====================================================================================================
// 7. Connection (wire 1, 7.1 to 7.4)
// ====================================================================================================

/**
 * @typedef {"connecting" | "open" | "suspended" | "disconnected" | "failed"} Status
 * @typedef {"TERMINAL" | "EXHAUSTED" | "THROTTLE" | "RETRY" | "AUTH"} FailureClass
 * @typedef {{kind: "ws-close", class: FailureClass, code: number, reason: string}
 *   | {kind: "auth-preflight", class: FailureClass, status: number, reason: string}} Failure
 */

/** Preflight requests under way, by address: attempts at the same time share one (wire 1.5). */
const preflights = /** @type {Map<string, Promise<{status: number, reason: string}>>} */ (new Map());

/** @param {string} address @returns {Promise<{status: number, reason: string}>} */
function preflight(address) {
  const running = preflights.get(address);
  if (running) return running;
  const request = withDeadline(sendPreflight(address), PREPARATION_TIMEOUT_MS, () => new Error("timeout"))
    .catch(() => ({ status: 0, reason: "network error" }))
    .finally(() => preflights.delete(address));
  preflights.set(address, request);
  return request;
}

/** @param {string} address @returns {Promise<{status: number, reason: string}>} */
async function sendPreflight(address) {
  const response = await fetch(address, {
    method: "POST",
    credentials: "include",
    headers: { "x-requested-with": "realtime" },
  });
  return { status: response.status, reason: response.statusText || `HTTP ${response.status}` };
}

/** @param {number} code @returns {"TERMINAL" | "THROTTLE" | "RETRY"} the class of a close code (wire 1.9) */
function closeClass(code) {
  if (TERMINAL_CLOSE_CODES.has(code)) return "TERMINAL";
  return code === CLOSE_THROTTLED ? "THROTTLE" : "RETRY";
}

let isProxyHintGiven = false;

/** @param {unknown} frame @returns {string | Uint8Array} what the socket sends */
function encodeFrame(frame) {
  return typeof frame === "string" || frame instanceof Uint8Array ? frame : JSON.stringify(frame);
}

/** One WebSocket after the other to one address, until it fails for good. */
class Connection {
  /** @type {Store<Status>} */
  status = new Store(/** @type {Status} */ ("disconnected"));
  /** @type {Store<Failure | null>} */
  failure = new Store(/** @type {Failure | null} */ (null));
  /** @type {Store<{topic: string, reason: string, ref: unknown} | null>} */
  denials = new Store(/** @type {any} */ (null));
  /** @type {Store<Record<string, any> | null>} */
  resumed = new Store(/** @type {any} */ (null));

  #settings;
  #topics;
  #handlers;
  /** @type {WebSocket | null} */
  #socket = null;
  #isOpen = false;
  #hasFailed = false;
  /** How far the backoff has come; a throttling server moves it (wire 7.2). */
  #attempt = 0;
  /** Attempts since the connection was open. */
  #tries = 0;
  #quickRetries = 0;
  /** Changes with every attempt; an answer that belongs to an earlier one is ignored. */
  #generation = 0;
  #hasAttempted = false;
  /** @type {unknown} */
  #retryTimer = null;
  /** @type {unknown} */
  #openTimer = null;
  /** @type {unknown} */
  #zombieTimer = null;
  #openedAt = 0;
  #lastMessageAt = 0;
  #shortLives = 0;
  #ref = 0;
  /** Requests of the server whose handler still runs. */
  #answers = 0;
  /** The server refused a frame for its size: it may have been the resume frame. */
  #wasTooBig = false;
  /** Topics whose listeners changed since the last flush. @type {Set<string>} */
  #changedTopics = new Set();
  /** Topics this socket was told about. @type {Set<string>} */
  #subscribed = new Set();
  /** @type {Array<{text: string, onDrop?: () => void}>} */
  #queue = [];
  #onVisibility = () => this.#visibilityChanged();
  #onOnline = () => this.#connectNow();

  /**
   * @param {{url: URL, preflight: string | null, reconnectInterval: number, maxReconnectInterval: number,
   *   maxReconnectAttempts: number, beforeReconnect?: () => unknown}} settings `preflight`: where to, if at all
   * @param {Topics} topics
   * @param {{onEnvelope: (topic: string, event: string, data: any) => void,
   *   onRequest: (event: string, data: any) => Promise<any>,
   *   onStatus: (status: Status, previous: Status) => void}} handlers
   */
  constructor(settings, topics, handlers) {
    this.#settings = settings;
    this.#topics = topics;
    this.#handlers = handlers;
  }

  // ---------------------------------------------------------------- what callers use

  /** Begin to connect. @returns {this} */
  start() {
    if (typeof document !== "undefined") document.addEventListener("visibilitychange", this.#onVisibility);
    globalThis.addEventListener?.("online", this.#onOnline);
    this.#beginAttempt();
    return this;
  }

  /** @returns {boolean} whether frames go out at once */
  get isOpen() {
    return this.#isOpen;
  }

  /** @returns {boolean} whether it has ended for good */
  get isFailed() {
    return this.#hasFailed;
  }

  /** @returns {number} bytes that wait in the socket */
  get bufferedAmount() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** End the connection on purpose: status `failed`, failure `null`, no further attempt. */
  close() {
    const socket = this.#socket;
    this.#fail(null);
    socket?.close(1000);
  }

  /** @returns {Promise<void>} settles when the connection is open; rejects when it fails for good */
  ready() {
    return new Promise((resolve, reject) => {
      let isDone = false;
      /** @type {(() => void) | undefined} */
      let off;
      off = this.status.subscribe((status) => {
        if (isDone || (status !== "open" && status !== "suspended" && status !== "failed")) return;
        isDone = true;
        off?.();
        if (status === "failed") reject(connectionClosed());
        else resolve();
      });
      if (isDone) off();
    });
  }

  /**
   * Send a frame now, or drop it when the connection is not open.
   * @param {unknown} frame an object, or a text or bytes that are sent as they are
   * @returns {boolean} whether it was sent
   */
  send(frame) {
    if (!this.#isOpen) return false;
    this.#write(encodeFrame(frame));
    return true;
  }

  /**
   * Send a frame now, or keep it until the connection is open. At most 1000 are kept; the oldest goes first.
   * @param {unknown} frame an object, or a text or bytes that are sent as they are
   * @param {() => void} [onDrop] called if the frame is dropped
   * @returns {() => void} takes the frame out of the queue, if it is still there
   */
  sendQueued(frame, onDrop) {
    const entry = { text: encodeFrame(frame), onDrop };
    if (this.#isOpen) {
      this.#write(entry.text);
      return () => {};
    }
    if (this.isFailed) {
      callSafely(onDrop);
      return () => {};
    }
    if (this.#queue.length >= MAX_QUEUED_FRAMES) this.#dropOldest();
    this.#queue.push(entry);
    return () => {
      const index = this.#queue.indexOf(entry);
      if (index >= 0) this.#queue.splice(index, 1);
    };
  }

  /** A store of the latest event on a topic. @param {string} topic */
  on(topic) {
    return on(topic);
  }

  // ---------------------------------------------------------------- attempts

  #beginAttempt() {
    const generation = ++this.#generation;
    this.#cancelRetry();
    this.#setStatus("connecting");
    if (generation !== this.#generation) return;
    const preparation = this.#prepare();
    this.#hasAttempted = true;
    if (preparation === null) {
      this.#openSocket(generation);
      return;
    }
    preparation.then((outcome) => {
      if (generation !== this.#generation) return;
      if (outcome === null || (outcome.status >= 200 && outcome.status < 300)) this.#openSocket(generation);
      else this.#preflightRefused(outcome);
    });
  }

  /** What has to be awaited before the socket: nothing, the app's hook, the preflight. */
  #prepare() {
    const hook = this.#hasAttempted ? this.#settings.beforeReconnect : undefined;
    const { preflight } = this.#settings;
    return hook || preflight !== null ? this.#awaitPreparation(hook, preflight) : null;
  }

  /** @param {(() => unknown) | undefined} hook @param {string | null} address */
  async #awaitPreparation(hook, address) {
    if (hook) {
      const run = Promise.resolve().then(hook);
      const tooLong = () => new Error("beforeReconnect took longer than 30 s; the attempt goes on without it");
      await withDeadline(run, PREPARATION_TIMEOUT_MS, tooLong).catch(reportException);
    }
    return address === null ? null : preflight(address);
  }

  /** @param {{status: number, reason: string}} outcome */
  #preflightRefused({ status, reason }) {
    const failure = /** @type {Failure} */ ({ kind: "auth-preflight", class: "AUTH", status, reason });
    if (status >= 400 && status < 500) this.#fail(failure);
    else this.#retryLater(failure);
  }

  /** @param {number} generation */
  #openSocket(generation) {
    /** @type {WebSocket} */
    let socket;
    try {
      socket = new WebSocket(this.#settings.url.href);
    } catch (error) {
      this.#socketNotMade(error);
      return;
    }
    this.#socket = socket;
    this.#openTimer = __environment.setTimeout(() => this.#giveUp("the server does not answer"), OPEN_TIMEOUT_MS);
    socket.onopen = () => this.#opened();
    socket.onmessage = (message) => this.#received(message.data);
    socket.onclose = (close) => this.#lost(close.code, close.reason ?? "");
    socket.onerror = () => {}; // a close event follows and says more
  }

  /** The browser does not let us: the status stays `connecting`, and it is tried again (wire 7.1). @param {unknown} error */
  #socketNotMade(error) {
    console.error("[realtime] the socket could not be made:", error);
    if (this.#isExhausted()) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#fail({ kind: "ws-close", class: "EXHAUSTED", code: CLOSE_ABNORMAL, reason });
      return;
    }
    this.#scheduleRetry(this.#nextDelay());
  }

  #opened() {
    this.#isOpen = true;
    this.#attempt = this.#tries = 0;
    this.#clearOpenTimer();
    this.#openedAt = this.#lastMessageAt = __environment.now();
    this.#zombieTimer = __environment.setInterval(() => this.#checkZombie(), ZOMBIE_CHECK_MS);
    this.#writeOpeningBlock();
    this.failure.set(null);
    this.#setStatus(isPageHidden() ? "suspended" : "open");
  }

  /** hello, resume, subscribe-batch, queue: in this order (wire 1.6). */
  #writeOpeningBlock() {
    this.#write('{"type":"hello","caps":["batch"]}');
    const sessionId = this.#readSession();
    const lastSeenSeqs = this.#wasTooBig ? null : this.#topics.seenNumbers();
    if (sessionId && lastSeenSeqs) this.#write(JSON.stringify({ type: "resume", sessionId, lastSeenSeqs }));
    this.#subscribeBatch(this.#topics.wireTopics());
    const queue = this.#queue;
    this.#queue = [];
    for (const entry of queue) this.#write(entry.text);
  }

  /** @param {number} code @param {string} reason */
  #lost(code, reason) {
    const lived = this.#isOpen ? __environment.now() - this.#openedAt : null;
    this.#dropSocket();
    this.#noteLifetime(lived);
    const kind = closeClass(code);
    const failure = { kind: /** @type {const} */ ("ws-close"), class: kind, code, reason };
    if (kind === "TERMINAL") {
      this.#fail(failure);
      return;
    }
    this.#wasTooBig = code === CLOSE_TOO_BIG;
    if (this.#wasTooBig) console.warn(`[realtime] the server closed the connection: ${TOO_BIG_TEXT}`);
    if (kind === "THROTTLE") this.#attempt = Math.max(this.#attempt, THROTTLE_FLOOR_ATTEMPT);
    this.#retryLater(failure, code === CLOSE_SERVICE_RESTART);
  }

  /** Two short lives in a row without preflight: say what it often is (live 22.2). @param {number | null} lived */
  #noteLifetime(lived) {
    if (lived === null) return;
    if (lived >= QUICK_RETRY_RESET_MS) this.#quickRetries = 0;
    this.#shortLives = lived < SHORT_LIFE_MS ? this.#shortLives + 1 : 0;
    if (this.#shortLives < 2 || this.#settings.preflight !== null || isProxyHintGiven) return;
    isProxyHintGiven = true;
    console.warn(
      "[realtime] two connections in a row closed right after they opened. Some proxies drop a WebSocket whose " +
        "101 response sets a cookie; configure({ auth: true }) sets cookies in a request of its own."
    );
  }

  /** @param {Failure} failure @param {boolean} [isRestart] */
  #retryLater(failure, isRestart = false) {
    const generation = this.#generation;
    this.failure.set(failure);
    this.#setStatus("disconnected");
    if (generation !== this.#generation) return;
    if (this.#isExhausted()) {
      this.#fail({ ...failure, class: "EXHAUSTED" });
      return;
    }
    if (isRestart && this.#quickRetries < MAX_QUICK_RETRIES) {
      this.#quickRetries++;
      this.#scheduleRetry(RESTART_DELAY_MS + __environment.random() * RESTART_DELAY_SPAN_MS);
      return;
    }
    this.#scheduleRetry(this.#nextDelay());
  }

  /** @returns {boolean} whether no further attempt is allowed */
  #isExhausted() {
    return this.#tries >= this.#settings.maxReconnectAttempts;
  }

  /** @returns {number} the wait before the next attempt, which it counts (wire 7.2) */
  #nextDelay() {
    const { reconnectInterval, maxReconnectInterval } = this.#settings;
    const delay = Math.min(reconnectInterval * BACKOFF_FACTOR ** this.#attempt, maxReconnectInterval);
    this.#attempt++;
    return withJitter(delay);
  }

  /** @param {number} delay */
  #scheduleRetry(delay) {
    this.#cancelRetry();
    this.#tries++;
    this.#retryTimer = startTimer(() => this.#beginAttempt(), delay);
  }

  #cancelRetry() {
    if (this.#retryTimer !== null) __environment.clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
  }

  /** End for good. @param {Failure | null} failure `null` when the app wanted it */
  #fail(failure) {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#generation++;
    this.#cancelRetry();
    this.#dropSocket();
    if (typeof document !== "undefined") document.removeEventListener("visibilitychange", this.#onVisibility);
    globalThis.removeEventListener?.("online", this.#onOnline);
    const queue = this.#queue;
    this.#queue = [];
    this.failure.set(failure);
    this.#setStatus("failed");
    for (const entry of queue) callSafely(entry.onDrop);
  }

  #dropSocket() {
    const socket = this.#socket;
    this.#socket = null;
    this.#isOpen = false;
    this.#subscribed.clear();
    this.#changedTopics.clear();
    this.#clearOpenTimer();
    if (this.#zombieTimer !== null) __environment.clearInterval(this.#zombieTimer);
    this.#zombieTimer = null;
    if (socket) socket.onopen = socket.onmessage = socket.onclose = null;
  }

  #clearOpenTimer() {
    if (this.#openTimer !== null) __environment.clearTimeout(this.#openTimer);
    this.#openTimer = null;
  }

  /** Nothing follows `failed`, also when a callback of the app ended the connection meanwhile. @param {Status} status */
  #setStatus(status) {
    const previous = this.status.get();
    if (status === previous || this.#isOver(status)) return;
    callSafely(this.#handlers.onStatus, status, previous);
    if (!this.#isOver(status)) this.status.set(status);
  }

  /** @param {Status} status @returns {boolean} whether the connection has ended, and this is not its end */
  #isOver(status) {
    return this.#hasFailed && status !== "failed";
  }

  // ---------------------------------------------------------------- page and line watching

  #visibilityChanged() {
    const status = this.status.get();
    if (isPageHidden()) {
      if (status === "open") this.#setStatus("suspended");
    } else if (this.#isOpen && !this.#checkZombie()) {
      if (status === "suspended") this.#setStatus("open");
    } else {
      this.#connectNow();
    }
  }

  /** Something happened that makes waiting pointless: the page is seen again, the device has a network again. */
  #connectNow() {
    if (this.#isOpen || this.isFailed) return;
    this.#attempt = this.#tries = 0;
    if (this.#retryTimer !== null) this.#beginAttempt();
  }

  /**
   * A line that is silent for too long is dead, whatever the socket says (wire 1.8). Asked regularly, and when the
   * page is seen again: the device may have slept.
   * @returns {boolean} whether it was dead
   */
  #checkZombie() {
    const isDead = __environment.now() - this.#lastMessageAt > ZOMBIE_LIMIT_MS;
    if (isDead) this.#giveUp("no message for too long");
    return isDead;
  }

  /** Take a socket for lost that does not say so itself. @param {string} reason */
  #giveUp(reason) {
    const socket = this.#socket;
    this.#lost(CLOSE_ABNORMAL, reason);
    socket?.close();
  }

  // ---------------------------------------------------------------- topics

  /** Note that a topic got its first or lost its last listener. @param {string} topic */
  topicChanged(topic) {
    if (isSystemTopic(topic) || !this.#isOpen) return; // a new socket is told everything
    this.#changedTopics.add(topic);
    turn.schedule();
  }

  /** Tell the server what changed since the last time: first what ended, then what began. */
  flushTopics() {
    if (!this.#isOpen) return;
    const changed = [...this.#changedTopics];
    this.#changedTopics.clear();
    for (const topic of changed) {
      if (!this.#topics.isNeeded(topic) && this.#subscribed.delete(topic)) {
        this.#topics.left(topic);
        this.#write(JSON.stringify({ type: "unsubscribe", topic }));
      }
    }
    const added = changed.filter((topic) => this.#topics.isWanted(topic) && !this.#subscribed.has(topic));
    if (added.length === 1) this.#subscribeOne(added[0]);
    else this.#subscribeBatch(added);
  }

  /** @param {string} topic */
  #subscribeOne(topic) {
    this.#subscribed.add(topic);
    this.#write(JSON.stringify({ type: "subscribe", topic, ref: ++this.#ref }));
  }

  /** @param {string[]} topics */
  #subscribeBatch(topics) {
    for (const chunk of topicChunks(topics)) {
      for (const topic of chunk) this.#subscribed.add(topic);
      this.#write(JSON.stringify({ type: "subscribe-batch", topics: chunk, ref: ++this.#ref }));
    }
  }

  /** Leave a topic that nobody is on: the answer came too late for whoever asked. @param {string} topic */
  giveBack(topic) {
    if (this.#topics.isWanted(topic)) return;
    this.#subscribed.add(topic);
    this.topicChanged(topic);
  }

  /** Whether the server was asked for a topic. @param {string} topic @returns {boolean} */
  isOn(topic) {
    return this.#subscribed.has(topic);
  }

  // ---------------------------------------------------------------- frames

  /** @param {string | Uint8Array} frame */
  #write(frame) {
    this.#socket?.send(/** @type {string} */ (frame));
  }

  #dropOldest() {
    const oldest = this.#queue.shift();
    counters.queuedFramesDropped++;
    callSafely(oldest?.onDrop);
  }

  /** @param {unknown} text */
  #received(text) {
    this.#lastMessageAt = __environment.now();
    if (typeof text !== "string") return;
    if (text.length > MAX_INBOUND_CHARS) {
      counters.oversizedFramesDropped++;
      warnInDev(`a frame of ${text.length} characters was dropped; the limit is ${MAX_INBOUND_CHARS}`);
      return;
    }
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      counters.unreadableFramesDropped++;
      return;
    }
    try {
      if (isObject(frame)) this.#dispatch(frame);
    } catch (error) {
      counters.failedFrames++; // whatever a server sends, the next frame is handled
      reportException(error);
    }
  }

  /** @param {Record<string, any>} frame */
  #dispatch(frame) {
    if (frame.topic && frame.event !== undefined) {
      this.#dispatchEnvelope(frame);
      return;
    }
    switch (frame.type) {
      case "welcome":
        if (typeof frame.sessionId === "string") this.#writeSession(frame.sessionId);
        break;
      case "batch":
        if (Array.isArray(frame.events)) this.#dispatchBatch(frame.events);
        break;
      case "subscribe-denied":
        if (typeof frame.topic === "string" && typeof frame.reason === "string") this.#denied(frame);
        break;
      case "resumed":
        this.resumed.set(isObject(frame.topics) ? frame.topics : {});
        break;
      case "request":
        this.#answer(frame);
        break;
    }
  }

  /** @param {any[]} events */
  #dispatchBatch(events) {
    for (const envelope of events) {
      if (isObject(envelope) && typeof envelope.topic === "string" && envelope.event !== undefined) {
        this.#dispatchEnvelope(envelope);
      }
    }
  }

  /** @param {Record<string, any>} envelope */
  #dispatchEnvelope({ topic, event, data, seq }) {
    if (typeof topic !== "string") return;
    const number = Number.isSafeInteger(seq) && seq >= 0 ? seq : undefined;
    if (number !== undefined) this.#topics.see(topic, number);
    this.#handlers.onEnvelope(topic, event, data);
    this.#topics.deliver(topic, event, data, number);
  }

  /** @param {Record<string, any>} frame */
  #denied({ topic, reason, ref }) {
    this.denials.set({ topic, reason, ref });
    this.#topics.deny(topic, reason);
  }

  /** Answer a request of the server once, on the socket it came from (wire 2.5). @param {Record<string, any>} frame */
  #answer({ ref, event, data }) {
    if ((typeof ref !== "number" && typeof ref !== "string") || typeof event !== "string") return;
    const socket = this.#socket;
    const reply = (/** @type {object} */ body) => {
      if (this.#socket === socket) this.send({ type: "reply", ref, ...body });
    };
    if (this.#answers >= MAX_RUNNING_ANSWERS) {
      reply({ error: "too many requests are being answered" });
      return;
    }
    this.#answers++;
    this.#handlers
      .onRequest(event, data)
      .then((result) => reply({ data: JSON.stringify(result) === undefined ? null : result })) // throws for a cycle
      .catch((error) => reply({ error: messageOf(error) }))
      .catch(reportException)
      .finally(() => this.#answers--);
  }

  // ---------------------------------------------------------------- session

  #readSession() {
    try {
      return globalThis.sessionStorage.getItem(this.#sessionKey());
    } catch {
      return null; // no storage: no resume
    }
  }

  /** @param {string} sessionId */
  #writeSession(sessionId) {
    try {
      globalThis.sessionStorage.setItem(this.#sessionKey(), sessionId);
    } catch {
      // no storage: no resume
    }
  }

  #sessionKey() {
    return SESSION_KEY_PREFIX + this.#settings.url.pathname;
  }
}

// ====================================================================================================
// 8. The current connection: one per page
// ====================================================================================================

const topics = new Topics();
/** @type {Connection | null} */
let currentConnection = null;
let connectOptions = /** @type {import("./realtime.js").ConnectOptions} */ ({});
let openCount = 0;

const statusStore = new Store(/** @type {Status} */ ("disconnected"));
const failureStore = new Store(/** @type {Failure | null} */ (null));
const denialsStore = new Store(/** @type {{topic: string, reason: string, ref: unknown} | null} */ (null));
const resumedStore = new Store(/** @type {Record<string, any> | null} */ (null));
const healthStore = new Store(/** @type {"healthy" | "degraded"} */ ("healthy"));
const quiescentStore = new Store(true);

topics.onChange = (/** @type {string} */ topic) => currentConnection?.topicChanged(topic);

/**
 * A store for others to read; reading it is a first use of the client, so it connects.
 * @template T
 * @param {Store<T>} store
 */
function connectingStore(store) {
  return Object.freeze({
    get: () => store.get(),
    /** @param {(value: T) => void} fn */
    subscribe(fn) {
      const off = store.subscribe(fn);
      tryToConnect();
      return off;
    },
  });
}

/** @template T @param {Store<T>} store */
function readableStore(store) {
  return Object.freeze({
    get: () => store.get(),
    /** @param {(value: T) => void} fn */
    subscribe: (fn) => store.subscribe(fn),
  });
}

/** `connecting`, `open`, `suspended` (page hidden), `disconnected` or `failed` (live 22.1). */
export const status = connectingStore(statusStore);
/** Why the connection is not open, or `null`. */
export const failure = readableStore(failureStore);
/** The last refused subscription `{topic, reason, ref}`, or `null`. */
export const denials = readableStore(denialsStore);
/** The server's report on the last resume, by topic, or `null` before the first (wire 8.4). */
export const resumed = readableStore(resumedStore);
/** `healthy` or `degraded`: whether the server has its connection to the other servers. */
export const health = connectingStore(healthStore);
/** Whether no subscribed stream is loading or reconnecting. */
export const quiescent = readableStore(quiescentStore);
/** A store that is always `undefined`, to stand in for a stream that is not there. */
export const empty = readableStore(new Store(undefined));

/**
 * The connection of this page, started if need be. After it has failed, a new one.
 * @param {import("./realtime.js").ConnectOptions} [options] for a new connection; over those of `configure`
 * @returns {Connection}
 */
export function connect(options) {
  if (options !== undefined) {
    const { url, auth, reconnectInterval, maxReconnectInterval, maxReconnectAttempts } = DEFAULT_CONFIGURATION;
    checkOptions("connect", options, { url, auth, reconnectInterval, maxReconnectInterval, maxReconnectAttempts, path: 0 });
    checkValues("connect", options);
    connectOptions = options;
  }
  if (currentConnection && !currentConnection.isFailed) return currentConnection;
  return startConnection();
}

/** @returns {Connection} */
function startConnection() {
  if (typeof globalThis.WebSocket !== "function") {
    throw new RpcError("CONNECTION_CLOSED", "There is no WebSocket here; set globalThis.WebSocket before the first use");
  }
  const connection = new Connection(connectionSettings(), topics, {
    onEnvelope: systemEvent,
    onRequest: answerPush,
    onStatus: (next, previous) => {
      if (connection === currentConnection) connectionChanged(next, previous);
    },
  });
  currentConnection = connection;
  mirror(connection, "status", statusStore);
  mirror(connection, "failure", failureStore);
  mirror(connection, "denials", denialsStore);
  mirror(connection, "resumed", resumedStore);
  return connection.start();
}

function connectionSettings() {
  const options = { ...config, ...withoutUndefined(connectOptions) };
  const url = socketAddress(options.url, connectOptions.path);
  if (url === null) {
    throw new RpcError("CONNECTION_CLOSED", "The address of the server is unknown; call configure({ url }) first");
  }
  // The waits and the hook may be configured anew while the connection lives; its address and preflight stay.
  const current = (/** @type {"reconnectInterval" | "maxReconnectInterval" | "maxReconnectAttempts"} */ name) =>
    connectOptions[name] ?? config[name];
  const { auth } = options;
  return {
    url,
    preflight: auth ? preflightAddress(url, options.url === undefined, auth) : null,
    get reconnectInterval() {
      return current("reconnectInterval");
    },
    get maxReconnectInterval() {
      return current("maxReconnectInterval");
    },
    get maxReconnectAttempts() {
      return current("maxReconnectAttempts");
    },
    get beforeReconnect() {
      return config.beforeReconnect;
    },
  };
}

/**
 * Show a store of the current connection under the name that outlives it.
 * @template T
 * @param {Connection} connection
 * @param {"status" | "failure" | "denials" | "resumed"} name
 * @param {Store<T>} target
 */
function mirror(connection, name, target) {
  /** @type {any} */ (connection[name]).subscribe((/** @type {T} */ value) => {
    if (connection === currentConnection) target.set(value);
  });
}

/** Another address was configured: leave the old connection quietly and open the new one. */
function replaceConnection() {
  const old = currentConnection;
  currentConnection = null;
  calls.rejectAll(connectionLost());
  uploads.connectionLost(connectionLost());
  old?.close();
  statusStore.set("disconnected");
  tryToConnect();
}

/** Connect if that is possible here; where it is not (server-side rendering), calls say so. */
function tryToConnect() {
  if (currentConnection || typeof globalThis.WebSocket !== "function") return;
  if (config.url === undefined && connectOptions.url === undefined && appRoot() === null) return;
  startConnection();
}

/** @returns {Connection} the connection, started if need be; throws when it has failed or cannot be made */
function usableConnection() {
  const connection = currentConnection ?? startConnection();
  if (connection.isFailed) throw connectionClosed();
  return connection;
}

/** @param {Status} next @param {Status} previous */
function connectionChanged(next, previous) {
  const wasOpen = previous === "open" || previous === "suspended";
  const why = currentConnection?.failure.get() ?? null;
  if (next === "failed") {
    connectionEnded();
    if (wasOpen && why !== null) callSafely(config.onDisconnect); // not when the app itself closed it
  } else if (next === "disconnected") {
    offlineQueue.connectionLost();
    streamRegistry.connectionLost();
    calls.rejectAll(connectionLost(why));
    uploads.connectionLost(connectionLost(why));
    if (wasOpen) callSafely(config.onDisconnect);
  } else if (next === "open" || (next === "suspended" && previous === "connecting")) {
    connectionOpened(previous);
  }
}

function connectionEnded() {
  const error = connectionClosed();
  offlineQueue.rejectAll(error);
  calls.rejectAll(error);
  uploads.rejectAll(error);
  streamRegistry.connectionEnded(error);
}

/** @param {Status} previous */
function connectionOpened(previous) {
  streamRegistry.connectionOpened();
  if (previous === "suspended") return;
  openCount++;
  healthStore.set("healthy");
  if (openCount > 1) callSafely(config.onConnect);
  offlineQueue.replay();
}

/**
 * A store of the latest event on a topic, `{topic, event, data}`; `null` before the first. The topic is subscribed
 * while the store is.
 * @param {string} topic
 * @returns {LazyStore<TopicEvent | null>}
 */
export function on(topic) {
  if (typeof topic !== "string" || topic === "") throw new TypeError("on(topic) needs the name of a topic");
  return new LazyStore(/** @type {TopicEvent | null} */ (null), (set) => {
    const off = topics.listen(topic, { onEvent: (event, data) => set({ topic, event, data }) });
    tryToConnect();
    return off;
  });
}

/**
 * The latest event of a topic that follows a store: when its value changes, the old topic is left and the new one
 * joined; `null` or `undefined` means none (live 22.3).
 * @param {(value: any) => string | null | undefined} topicOf
 * @param {import("./realtime.js").StoreLike<any>} store
 * @returns {LazyStore<TopicEvent | null>}
 */
export function onDerived(topicOf, store) {
  if (typeof topicOf !== "function" || !isStore(store)) {
    throw new TypeError("onDerived(topicOf, store) needs a function from value to topic, and a store");
  }
  return new LazyStore(/** @type {TopicEvent | null} */ (null), (set) => {
    let topic = /** @type {string | null} */ (null);
    let leave = () => {};
    const offStore = store.subscribe((value) => {
      const next = value === null || value === undefined ? null : topicOf(value) ?? null;
      if (next === topic) return;
      leave();
      topic = next;
      leave = () => {};
      if (next === null) set(null);
      else leave = on(next).subscribe(set);
    });
    return () => {
      endSubscription(offStore);
      leave();
    };
  });
}

// ====================================================================================================
// 9. Calls: requests that wait for their reply (wire 4)
// ====================================================================================================

/**
 * @typedef {{id: string, path: string, resolve: (reply: any) => void, reject: (error: Error) => void,
 *   timer: {handle: unknown, waiting: number} | null}} PendingCall
 */

class Calls {
  /** @type {Map<string, PendingCall>} */
  #pending = new Map();
  /** Stream requests without an answer that nobody waits for, with whether it is to be given back. @type {Map<string, () => boolean>} */
  #abandoned = new Map();
  #prefix = "";
  #counter = 0;

  /**
   * Make a place for a reply. Whoever calls it sends the frame.
   * @param {string} path
   * @param {string} [args] encoded, for the devtools
   * @returns {{id: string, promise: Promise<any>}} the promise gives the whole reply
   */
  open(path, args = "[]") {
    const id = this.#nextId();
    __devtools?.callSent(id, path, JSON.parse(args));
    const promise = new Promise((resolve, reject) => {
      this.#pending.set(id, { id, path, resolve, reject, timer: null });
    });
    return { id, promise };
  }

  /** Up to four random characters of this page, then a counter (wire 4.1). */
  #nextId() {
    if (this.#prefix === "") this.#prefix = Math.floor(__environment.random() * 36 ** 4).toString(36);
    return this.#prefix + (this.#counter++).toString(36);
  }

  /**
   * Start one timer for one or several calls.
   * @param {string[]} ids
   * @param {number} timeoutMs
   * @param {string} text the message of the error
   * @param {number} sleepMs how late the timer may fire at most; later than that the device slept (live 27.2)
   */
  startTimer(ids, timeoutMs, text, sleepMs) {
    const startedAt = __environment.now();
    const timer = { handle: /** @type {unknown} */ (null), waiting: ids.length };
    timer.handle = startTimer(() => {
      const hasSlept = __environment.now() - startedAt > sleepMs;
      const error = hasSlept ? connectionLost() : new RpcError("TIMEOUT", text);
      for (const id of ids) this.fail(id, error);
    }, timeoutMs);
    for (const id of ids) {
      const call = this.#pending.get(id);
      if (call) call.timer = timer;
    }
  }

  /** @param {string} id @param {any} reply */
  settle(id, reply) {
    const call = this.#take(id);
    if (!call) {
      if (reply?.topic && this.#abandoned.get(id)?.()) currentConnection?.giveBack(reply.topic);
      this.#abandoned.delete(id);
      return;
    }
    __devtools?.callSettled(id, reply?.ok === true, reply?.ok === true ? reply.data : reply);
    if (reply?.ok === true) call.resolve(reply);
    else call.reject(errorFromReply(call.path, reply));
  }

  /** @param {string} id @param {Error} error */
  fail(id, error) {
    const call = this.#take(id);
    if (!call) return;
    __devtools?.callSettled(id, false, { error: error.message });
    call.reject(error);
  }

  /** Forget a call: its reply will be ignored and its promise never settles. @param {string} id */
  forget(id) {
    this.#take(id);
  }

  /**
   * Forget a stream request that was sent: what the server begins for it is given back, if it is unwanted then.
   * @param {string} id
   * @param {() => boolean} isUnwanted
   */
  abandon(id, isUnwanted) {
    if (!this.#take(id)) return;
    this.#abandoned.set(id, isUnwanted);
    if (this.#abandoned.size > MAX_ABANDONED) for (const oldest of this.#abandoned.keys()) return void this.#abandoned.delete(oldest);
  }

  /** @param {Error} error */
  rejectAll(error) {
    this.#abandoned.clear(); // no answer of another connection comes
    for (const id of [...this.#pending.keys()]) this.fail(id, error);
  }

  /** @param {string} id @returns {PendingCall | undefined} */
  #take(id) {
    const call = this.#pending.get(id);
    if (!call) return undefined;
    this.#pending.delete(id);
    if (call.timer && --call.timer.waiting === 0) __environment.clearTimeout(call.timer.handle);
    return call;
  }
}

const calls = new Calls();

/**
 * How long after its start the timer of a single call is still believed: three times its limit, at least 90 s.
 * @param {number} timeoutMs
 * @returns {number}
 */
function callSleepLimit(timeoutMs) {
  return Math.max(SLEEP_FACTOR * timeoutMs, SLEEP_THRESHOLD_MS);
}

/**
 * The same for batches and streams: 90 s, unless the limit itself is as long.
 * @param {number} timeoutMs
 * @returns {number}
 */
function sleepLimit(timeoutMs) {
  return timeoutMs < SLEEP_THRESHOLD_MS ? SLEEP_THRESHOLD_MS : SLEEP_FACTOR * timeoutMs;
}

/** @param {string} event @param {any} data */
function handleReply(event, data) {
  if (event !== BATCH_EVENT) {
    calls.settle(event, data);
    return;
  }
  if (!Array.isArray(data?.batch)) return;
  for (const entry of data.batch) {
    if (isObject(entry) && typeof entry.id === "string") calls.settle(entry.id, entry);
  }
}

/** @param {string} path @param {unknown[]} args @returns {string} */
function encodeArgs(path, args) {
  checkArgsInDev(path, args);
  try {
    return JSON.stringify(args);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new RpcError("INVALID_REQUEST", `The arguments of '${path}' cannot be sent as JSON: ${reason}`);
  }
}

/** @param {string} path @param {unknown[]} args */
function checkArgsInDev(path, args) {
  if (!isDev()) return;
  args.forEach((value, index) => {
    if (["function", "symbol", "bigint", "undefined"].includes(typeof value)) {
      warnInDev(`argument ${index + 1} of '${path}' is ${typeof value}, which JSON cannot carry`);
    }
  });
}

/** @param {Record<string, unknown>} fields @param {string} args encoded arguments @returns {string} */
function encodeCall({ rpc, id, ...rest }, args) {
  const head = id === undefined ? { rpc } : { rpc, id };
  const tail = JSON.stringify(rest).slice(1);
  return `${JSON.stringify(head).slice(0, -1)},"args":${args}${tail === "}" ? tail : `,${tail}`}`;
}

/**
 * Send one request and wait for its value.
 * @param {string} path
 * @param {string} args encoded
 * @param {{idempotencyKey?: string, timeout?: number}} options
 * @returns {Promise<any>}
 */
function sendCall(path, args, { idempotencyKey, timeout }) {
  const connection = usableConnection();
  const { id, promise } = calls.open(path, args);
  const limit = timeout ?? config.timeout;
  calls.startTimer([id], limit, `RPC '${path}' timed out after ${limit / 1000}s`, callSleepLimit(limit));
  const frame = encodeCall({ rpc: path, id, idempotencyKey }, args);
  connection.sendQueued(frame, () => calls.fail(id, queueFull()));
  return promise.then((reply) => reply.data);
}

/** @returns {RpcError} */
function queueFull() {
  return new RpcError("QUEUE_FULL", `More than ${MAX_QUEUED_FRAMES} frames wait for the connection; this was the oldest`);
}

// ====================================================================================================
// 10. Offline queue (live 23.5)
// ====================================================================================================

/**
 * @typedef {{path: string, args: unknown[], encodedArgs: string, options: object, queuedAt: number,
 *   resolve: (value: any) => void, reject: (error: unknown) => void}} OfflineCall
 */

class OfflineQueue {
  enabled = false;
  #isLost = false;
  #isRunning = false;
  /** @type {OfflineCall[]} */
  #waiting = [];

  connectionLost() {
    this.#isLost = true;
  }

  /** @returns {boolean} whether a call made now has to wait */
  get isHolding() {
    return this.enabled && this.#isLost && !currentConnection?.isFailed;
  }

  /**
   * @param {string} path
   * @param {unknown[]} args
   * @param {string} encodedArgs
   * @param {object} options
   * @returns {Promise<any>}
   */
  add(path, args, encodedArgs, options) {
    while (this.#waiting.length >= config.offline.maxQueue) {
      this.#waiting.shift()?.reject(new RpcError("QUEUE_FULL", "Too many calls were made offline; this was the oldest"));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ path, args, encodedArgs, options, queuedAt: __environment.now(), resolve, reject });
    });
  }

  /** @param {Error} error */
  rejectAll(error) {
    this.#isLost = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const call of waiting) call.reject(error);
  }

  /** The connection is back: run what waited, as `offline.replay` says. */
  replay() {
    this.#isLost = false;
    if (this.#waiting.length === 0) return;
    this.#waiting = this.#choose(this.#waiting.filter((call) => this.#isWelcome(call)));
    const isConcurrent = config.offline.replay === "concurrent" || config.offline.replay === "batch";
    if (!this.#isRunning) this.#run(isConcurrent ? OFFLINE_CONCURRENCY : 1);
  }

  /** @param {OfflineCall} call @returns {boolean} */
  #isWelcome(call) {
    const { maxAge, beforeReplay } = config.offline;
    const { path, args, queuedAt } = call;
    let reason = "";
    if (maxAge > 0 && __environment.now() - queuedAt > maxAge) reason = "it waited longer than offline.maxAge";
    else if (beforeReplay && !allows(() => beforeReplay({ path, args, queuedAt }))) reason = "offline.beforeReplay refused it";
    if (reason === "") return true;
    call.reject(new RpcError("STALE", `The offline call '${path}' was not sent: ${reason}`));
    return false;
  }

  /** Let a strategy function pick and order; what it leaves out is stale. @param {OfflineCall[]} waiting */
  #choose(waiting) {
    const strategy = config.offline.replay;
    if (typeof strategy !== "function") return waiting;
    const entries = new Map(waiting.map((call) => [{ path: call.path, args: call.args, queuedAt: call.queuedAt }, call]));
    let picked = [...entries.keys()];
    try {
      picked = [...strategy(picked)];
    } catch (error) {
      reportException(error);
    }
    const chosen = new Set(picked.flatMap((entry) => entries.get(entry) ?? []));
    for (const call of waiting) {
      if (!chosen.has(call)) call.reject(new RpcError("STALE", `The offline call '${call.path}' was left out`));
    }
    return [...chosen];
  }

  /** When the connection is lost in the middle, the calls that were not sent go on waiting. @param {number} size */
  async #run(size) {
    this.#isRunning = true;
    while (this.#waiting.length > 0 && !this.#isLost) {
      await Promise.all(this.#waiting.splice(0, size).map((call) => this.#send(call)));
    }
    this.#isRunning = false;
  }

  /** @param {OfflineCall} call */
  async #send({ path, args, encodedArgs, options, queuedAt, resolve, reject }) {
    try {
      resolve(await sendCall(path, encodedArgs, options));
    } catch (error) {
      callSafely(config.offline.onReplayError, { path, args, queuedAt }, error);
      reject(error);
    }
  }
}

/** @param {() => unknown} question @returns {boolean} its answer; a question that throws is answered no */
function allows(question) {
  try {
    return Boolean(question());
  } catch (error) {
    reportException(error);
    return false;
  }
}

const offlineQueue = new OfflineQueue();

// ====================================================================================================
// 11. RPC stubs and batches (live 23)
// ====================================================================================================

/** Identical calls of one microtask, by what makes them identical. @type {Map<string, Promise<any>>} */
const sharedCalls = new Map();
const sharedPathsWarned = new Set();

/**
 * The function behind an exported RPC.
 * @internal
 * @param {string} path
 * @returns {import("./realtime.js").Rpc<any[], any>}
 */
export function __rpc(path) {
  const stub = /** @type {any} */ ((/** @type {unknown[]} */ ...args) => callShared(path, args, {}));
  stub.fresh = (/** @type {unknown[]} */ ...args) => callOnce(path, args, {});
  stub.with = (/** @type {any} */ options) => callWith(path, stub, options);
  stub.fireAndForget = (/** @type {unknown[]} */ ...args) => fireAndForget(path, args);
  stub.createOptimistic = (/** @type {any[]} */ ...rest) => createOptimistic(path, stub, rest);
  return stub;
}

/** @param {string} path @param {any} stub @param {import("./realtime.js").CallOptions} options */
function callWith(path, stub, options) {
  checkOptions(`${path}.with`, options, { idempotencyKey: 0, timeout: 0, signal: 0 });
  checkValues(`${path}.with`, options);
  const { signal, ...rest } = options;
  if (rest.idempotencyKey === undefined && rest.timeout === undefined && !signal) return stub;
  return (/** @type {unknown[]} */ ...args) => {
    if (!signal) return callShared(path, args, rest);
    if (signal.aborted) return Promise.reject(cancelled(path));
    return abortable(callShared(path, args, rest), signal, path);
  };
}

/**
 * Calls that are the same within one microtask share one request (live 23.1).
 * @param {string} path
 * @param {unknown[]} args
 * @param {{idempotencyKey?: string, timeout?: number}} options
 * @returns {Promise<any>}
 */
function callShared(path, args, options) {
  if (batchCollector) return batchCollector.add(path, args, options);
  const key = sharingKey(path, args, options);
  const running = key === null ? undefined : sharedCalls.get(key);
  if (running) {
    warnOfSharing(path);
    return running;
  }
  const promise = callOnce(path, args, options);
  if (key === null) return promise;
  if (sharedCalls.size === 0) queueMicrotask(() => sharedCalls.clear());
  sharedCalls.set(key, promise);
  return promise;
}

/** @param {string} path @param {unknown[]} args @param {{idempotencyKey?: string, timeout?: number}} options */
function sharingKey(path, args, { idempotencyKey, timeout }) {
  if (idempotencyKey !== undefined) return JSON.stringify([path, "key", idempotencyKey]);
  try {
    return JSON.stringify([path, "args", args, timeout]);
  } catch {
    return null; // the call itself says what is wrong
  }
}

/** @param {string} path */
function warnOfSharing(path) {
  if (!isDev() || sharedPathsWarned.has(path)) return;
  sharedPathsWarned.add(path);
  warnInDev(`two identical calls of '${path}' in one microtask share one request; use .fresh(...) to send both`);
}

/**
 * @param {string} path
 * @param {unknown[]} args
 * @param {{idempotencyKey?: string, timeout?: number}} options
 * @returns {Promise<any>}
 */
async function callOnce(path, args, options) {
  if (batchCollector) return batchCollector.add(path, args, options);
  const encoded = encodeArgs(path, args);
  if (offlineQueue.isHolding) return offlineQueue.add(path, args, encoded, options);
  return sendCall(path, encoded, options);
}

/** @param {string} path @returns {RpcError} */
function cancelled(path) {
  return new RpcError("CANCELLED", `RPC '${path}' was cancelled by its signal`);
}

/** @param {Promise<any>} promise @param {AbortSignal} signal @param {string} path @returns {Promise<any>} */
function abortable(promise, signal, path) {
  return new Promise((resolve, reject) => {
    const abort = () => reject(cancelled(path));
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/**
 * Send without waiting for an answer; dropped while offline or while too much waits (live 23.4).
 * @param {string} path
 * @param {unknown[]} args
 */
function fireAndForget(path, args) {
  if (batchCollector) {
    if (isDev()) throw new Error(`'${path}.fireAndForget' cannot be part of a batch; call it outside`);
    return;
  }
  tryToConnect();
  const frame = encodeCall({ rpc: path }, encodeArgs(path, args));
  const connection = currentConnection;
  const isDropped = !connection?.isOpen || connection.bufferedAmount > config.volatileBackpressureBytes;
  __devtools?.volatileSent(path, args, isDropped);
  if (isDropped) dropVolatile(path);
  else connection.send(frame);
}

/** @param {string} path */
function dropVolatile(path) {
  if (counters.volatileDropped++ === 0) {
    warnInDev(`'${path}.fireAndForget' was dropped: offline, or too much waits in the socket (said only once)`);
  }
}

/**
 * `f.createOptimistic(store, args, change)` runs at once; `f.createOptimistic(store, change)` gives a function.
 * @param {string} path
 * @param {any} stub
 * @param {any[]} rest
 */
function createOptimistic(path, stub, rest) {
  const [store] = rest;
  if (typeof store?.mutate !== "function") {
    throw new TypeError(`${path}.createOptimistic: the first argument must be a stream store`);
  }
  const change = rest.length > 2 ? rest[2] : rest[1];
  if (rest.length > 2 && !Array.isArray(rest[1])) {
    throw new TypeError(`${path}.createOptimistic: the arguments of the call must be an array`);
  }
  if (typeof change !== "function" && !isChangeEvent(change)) {
    throw new TypeError(`${path}.createOptimistic: the change must be {event, data} or a function of the value`);
  }
  const run = (/** @type {unknown[]} */ args) =>
    store.mutate(
      () => stub(...args),
      typeof change === "function" ? (/** @type {any} */ current) => change(current, args) : change
    );
  return rest.length > 2 ? run(rest[1]) : (/** @type {unknown[]} */ ...args) => run(args);
}

/** Calls that a `batch` function makes. */
class BatchCollector {
  /** @type {Array<{id: string, text: string, promise: Promise<any>}>} */
  calls = [];

  /**
   * @param {string} path
   * @param {unknown[]} args
   * @param {{idempotencyKey?: string}} options
   * @returns {Promise<any>}
   */
  add(path, args, { idempotencyKey }) {
    let encoded;
    try {
      encoded = encodeArgs(path, args);
    } catch (error) {
      return Promise.reject(error);
    }
    const { id, promise: reply } = calls.open(path, encoded);
    const promise = reply.then((whole) => whole.data);
    promise.catch(() => {}); // the batch's own promise reports it
    this.calls.push({ id, promise, text: encodeCall({ rpc: path, id, idempotencyKey }, encoded) });
    return promise;
  }

  /** @param {Error} error */
  rejectAll(error) {
    for (const { id } of this.calls) calls.fail(id, error);
  }
}

/** @type {BatchCollector | null} */
let batchCollector = null;

/**
 * Send the calls that `fn` makes in one frame.
 * @param {() => unknown} fn makes its calls synchronously
 * @param {{sequential?: boolean}} [options] `sequential`: the server runs one after the other
 * @returns {Promise<any[]>} the results in the order of the calls; rejects with the first error
 */
export function batch(fn, { sequential = false } = {}) {
  if (typeof fn !== "function") throw new TypeError("batch needs a function that makes the calls");
  const collector = collectCalls(fn);
  const all = Promise.all(collector.calls.map((call) => call.promise));
  if (collector.calls.length === 0) return all;
  if (collector.calls.length > MAX_BATCH_CALLS) {
    const count = collector.calls.length;
    collector.rejectAll(new RpcError("INVALID_REQUEST", `A batch holds at most ${MAX_BATCH_CALLS} calls, not ${count}`));
    return all;
  }
  try {
    sendBatch(collector, sequential);
  } catch (error) {
    collector.rejectAll(/** @type {Error} */ (error));
  }
  return all;
}

/** @param {() => unknown} fn @returns {BatchCollector} */
function collectCalls(fn) {
  const outer = batchCollector;
  const collector = new BatchCollector();
  batchCollector = collector;
  try {
    fn();
    return collector;
  } catch (error) {
    collector.rejectAll(new RpcError("CANCELLED", "The function of the batch threw; none of its calls was sent"));
    throw error;
  } finally {
    batchCollector = outer;
  }
}

/** @param {BatchCollector} collector @param {boolean} sequential */
function sendBatch(collector, sequential) {
  const connection = usableConnection();
  const ids = collector.calls.map((call) => call.id);
  calls.startTimer(ids, config.timeout, "Batch timed out", sleepLimit(config.timeout));
  connection.sendQueued(encodeBatch(collector.calls, sequential), () => collector.rejectAll(queueFull()));
}

/** @param {Array<{text: string}>} entries @param {boolean} [sequential] @returns {string} one call goes plain */
function encodeBatch(entries, sequential = false) {
  if (entries.length === 1) return entries[0].text;
  return `{"batch":[${entries.map((entry) => entry.text).join(",")}]${sequential ? ',"sequential":true' : ""}}`;
}

// ====================================================================================================
// 12. Binary calls and uploads (live 23.6, wire 4.6 and 4.7)
// ====================================================================================================

/**
 * The function behind an exported binary call.
 * @internal
 * @param {string} path
 * @returns {(payload: ArrayBuffer | ArrayBufferView | Blob, ...args: any[]) => Promise<any>}
 */
export function __binaryRpc(path) {
  return async (payload, ...args) => {
    if (batchCollector) throw new TypeError(`'${path}' is a binary call, which a batch cannot hold`);
    const bytes = isBlob(payload) ? new Uint8Array(await payload.arrayBuffer()) : bytesOf(path, payload);
    const encoded = encodeArgs(path, args);
    const connection = usableConnection();
    const { id, promise } = calls.open(path, encoded);
    const header = binaryHeader(path, { rpc: path, id, args: args.length > 0 ? args : undefined });
    if (header instanceof RpcError) calls.fail(id, header);
    else {
      const frame = new Uint8Array(3 + header.length + bytes.length);
      new DataView(frame.buffer).setUint16(1, header.length);
      frame.set(header, 3);
      frame.set(bytes, 3 + header.length);
      const limit = config.timeout;
      calls.startTimer([id], limit, `RPC '${path}' timed out after ${limit / 1000}s`, sleepLimit(limit));
      connection.sendQueued(frame, () => calls.fail(id, queueFull()));
    }
    return (await promise).data;
  };
}

/**
 * The function behind an exported upload.
 * @internal
 * @param {string} path
 * @returns {(source: any, ...args: any[]) => import("./realtime.js").UploadHandle<any>}
 */
export function __upload(path) {
  return (source, ...args) => /** @type {any} */ (new UploadHandle(path, source, args));
}

/** @param {string} path @param {object} header @returns {Uint8Array | RpcError} */
function binaryHeader(path, header) {
  const bytes = new TextEncoder().encode(JSON.stringify(header));
  if (bytes.length <= MAX_BINARY_HEADER) return bytes;
  return new RpcError("PAYLOAD_TOO_LARGE", `The arguments of '${path}' take more than ${MAX_BINARY_HEADER} bytes`);
}

/** @param {string} path @param {unknown} source @returns {Uint8Array} */
function bytesOf(path, source) {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  throw new TypeError(`'${path}' takes an ArrayBuffer, a view of one or a Blob, not ${source === null ? "null" : typeof source}`);
}

/** The uploads of this page that run, by stream id. */
const uploads = {
  /** @type {Map<string, UploadHandle>} */
  running: new Map(),
  lastId: 0,
  /** Largest frame of the server, once it has said so. @type {number | null} */
  cap: null,
  isClampTold: false,

  /** @param {UploadHandle} upload @returns {number} its stream id: 32 bits, never 0 */
  add(upload) {
    do uploads.lastId = (uploads.lastId + 1) >>> 0 || 1;
    while (uploads.running.has(hex(uploads.lastId)));
    uploads.running.set(hex(uploads.lastId), upload);
    return uploads.lastId;
  },

  /** @returns {number} bytes of one frame */
  frameSize() {
    const wanted = config.upload.frameSize;
    const { cap } = uploads;
    if (wanted === undefined) return cap ?? UPLOAD_FRAME_SIZE;
    if (cap === null || wanted <= cap) return wanted;
    if (!uploads.isClampTold) console.warn(`[realtime] upload.frameSize is above the server's limit; ${cap} is used`);
    uploads.isClampTold = true;
    return cap;
  },

  /** @param {string} id @param {any} reply */
  settle(id, reply) {
    if (Number.isSafeInteger(reply?.__cap) && reply.__cap > 0) uploads.cap = reply.__cap;
    uploads.running.get(id)?.settle(reply);
  },

  /** Who has begun has lost what the server had; who waits for a connection goes on waiting. @param {RpcError} error */
  connectionLost(error) {
    for (const upload of [...uploads.running.values()]) if (upload.chunks > 0) upload.fail(error);
  },

  /** @param {RpcError} error */
  rejectAll(error) {
    for (const upload of [...uploads.running.values()]) upload.fail(error);
  },
};

/** @param {number} id @returns {string} */
function hex(id) {
  return id.toString(16).padStart(8, "0");
}

/** One upload: a promise of its result that also tells how far it is. */
class UploadHandle {
  sent = 0;
  chunks = 0;
  /** @type {number | undefined} */
  total;
  streamId;
  streamIdHex;
  #path;
  #args;
  #source;
  #promise;
  /** @type {(value: any) => void} */
  #resolve = () => {};
  /** @type {(error: RpcError) => void} */
  #reject = () => {};
  #isSettled = false;
  /** @type {Map<string, Set<(detail: any) => void>>} */
  #listeners = new Map();
  /** Time and bytes of what was handed over lately. @type {{at: number, bytes: number}[]} */
  #recent = [];

  /** @param {string} path @param {any} source @param {unknown[]} args */
  constructor(path, source, args) {
    this.#path = path;
    this.#source = source;
    this.#args = args;
    if (isBlob(source)) this.total = source.size;
    else if (!isByteStream(source)) this.total = bytesOf(path, source).length;
    this.#promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#promise.catch(() => {}); // whoever listens by `on` need not catch as well
    this.streamId = uploads.add(this);
    this.streamIdHex = hex(this.streamId);
    queueMicrotask(() => this.#run());
  }

  /** @returns {number | undefined} 0 to 1; `undefined` for a stream, whose end is not known */
  get progress() {
    if (this.total === undefined) return undefined;
    return this.total === 0 ? 1 : this.sent / this.total;
  }

  /** @returns {number} bytes per second, over the last second */
  get bytesPerSec() {
    const now = __environment.now();
    while (this.#recent.length > 0 && now - this.#recent[0].at > UPLOAD_RATE_MS) this.#recent.shift();
    if (this.#recent.length === 0) return 0;
    const seconds = Math.max(now - this.#recent[0].at, UPLOAD_POLL_MS) / 1000;
    return Math.round(this.#recent.reduce((sum, { bytes }) => sum + bytes, 0) / seconds);
  }

  /** @param {any} [onResult] @param {any} [onError] */
  then(onResult, onError) {
    return this.#promise.then(onResult, onError);
  }

  /** @param {any} onError */
  catch(onError) {
    return this.#promise.catch(onError);
  }

  /** @param {any} onEnd */
  finally(onEnd) {
    return this.#promise.finally(onEnd);
  }

  /**
   * @param {string} event `progress`, `complete`, `cancel` or `error`
   * @param {(detail: any) => void} fn
   * @returns {() => void} ends it
   */
  on(event, fn) {
    if (!UPLOAD_EVENTS.includes(event)) throw new TypeError(`upload.on: the events are ${UPLOAD_EVENTS.join(", ")}`);
    if (typeof fn !== "function") throw new TypeError("upload.on needs a function");
    const known = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, known.add(fn));
    return () => {
      known.delete(fn);
    };
  }

  /** End it: the server is told, and the promise rejects with `CANCELLED`. @param {string} [reason] */
  cancel(reason) {
    if (this.#isSettled) return;
    this.#tellServer();
    this.#emit("cancel", reason);
    this.fail(new RpcError("CANCELLED", reason ?? `The upload '${this.#path}' was cancelled`));
  }

  /** @param {any} reply */
  settle(reply) {
    if (reply?.ok !== true) {
      this.fail(errorFromReply(this.#path, reply));
      return;
    }
    if (!this.#end()) return;
    this.#resolve(reply.data);
    this.#emit("complete", reply.data);
  }

  /** @param {RpcError} error */
  fail(error) {
    if (!this.#end()) return;
    this.#reject(error);
    this.#emit("error", error);
  }

  /** @returns {boolean} whether it had not ended before */
  #end() {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    uploads.running.delete(this.streamIdHex);
    return true;
  }

  /** @param {string} event @param {unknown} detail */
  #emit(event, detail) {
    for (const fn of [...(this.#listeners.get(event) ?? [])]) callSafely(fn, detail);
  }

  #tellServer() {
    if (this.chunks === 0) return;
    const frame = new Uint8Array([2, 0x10, 0, 0, 0, 0]);
    new DataView(frame.buffer).setUint32(2, this.streamId);
    currentConnection?.send(frame);
  }

  async #run() {
    try {
      encodeArgs(this.#path, this.#args);
      const header = binaryHeader(this.#path, { rpc: this.#path, args: this.#args.length > 0 ? this.#args : undefined });
      if (header instanceof RpcError) throw header;
      const connection = usableConnection();
      await connection.ready();
      const size = Math.max(1, uploads.frameSize() - 12 - header.length);
      for await (const { piece, isLast } of pieces(this.#source, size)) {
        if (this.#isSettled) return;
        if (!connection.send(this.#chunk(this.chunks === 0 ? header : null, piece, isLast))) throw connectionLost();
        this.#count(piece.length);
        await this.#pace(connection);
      }
    } catch (error) {
      if (error instanceof RpcError) this.fail(error);
      else {
        this.#tellServer();
        this.fail(new RpcError("SOURCE_ERROR", `The source of the upload '${this.#path}' failed: ${messageOf(error)}`));
      }
    }
  }

  /** @param {Uint8Array | null} header of the first chunk @param {Uint8Array} piece @param {boolean} isLast */
  #chunk(header, piece, isLast) {
    const start = header ? 12 + header.length : 10;
    const frame = new Uint8Array(start + piece.length);
    const view = new DataView(frame.buffer);
    frame[0] = 1;
    frame[1] = (header ? 1 : 0) | (isLast ? 2 : 0);
    view.setUint32(2, this.streamId);
    view.setUint32(6, this.chunks);
    if (header) {
      view.setUint16(10, header.length);
      frame.set(header, 12);
    }
    frame.set(piece, start);
    return frame;
  }

  /** @param {number} bytes */
  #count(bytes) {
    this.sent += bytes;
    this.chunks++;
    this.#recent.push({ at: __environment.now(), bytes });
    const { sent, total, chunks, bytesPerSec, progress: percent } = this;
    this.#emit("progress", { sent, total, percent, chunks, bytesPerSec });
  }

  /** Let the socket catch up. @param {Connection} connection */
  async #pace(connection) {
    if (connection.bufferedAmount <= config.upload.highWaterMark) return;
    while (!this.#isSettled && connection.bufferedAmount > config.upload.lowWaterMark) {
      await new Promise((resolve) => void __environment.setTimeout(() => resolve(undefined), UPLOAD_POLL_MS));
    }
  }
}

const UPLOAD_EVENTS = ["progress", "complete", "cancel", "error"];

/** @param {any} source @returns {source is Blob} */
function isBlob(source) {
  return typeof Blob === "function" && source instanceof Blob;
}

/** @param {any} source @returns {boolean} */
function isByteStream(source) {
  return typeof source?.getReader === "function";
}

/**
 * The source in pieces of `size` bytes, the last one shorter; one empty piece where there is nothing.
 * @param {any} source
 * @param {number} size
 * @returns {AsyncGenerator<{piece: Uint8Array, isLast: boolean}>}
 */
async function* pieces(source, size) {
  if (isByteStream(source)) {
    yield* streamPieces(source.getReader(), size);
    return;
  }
  const bytes = isBlob(source) ? null : bytesOf("upload", source);
  const total = bytes ? bytes.length : source.size;
  for (let start = 0; start === 0 || start < total; start += size) {
    const end = Math.min(start + size, total);
    const piece = bytes ? bytes.subarray(start, end) : new Uint8Array(await source.slice(start, end).arrayBuffer());
    if (piece.length !== end - start) throw new Error("it has changed since it was chosen");
    yield { piece, isLast: end === total };
  }
}

/** @param {any} reader @param {number} size @returns {AsyncGenerator<{piece: Uint8Array, isLast: boolean}>} */
async function* streamPieces(reader, size) {
  let kept = new Uint8Array(size);
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!(value instanceof Uint8Array)) throw new TypeError("a stream of Uint8Array is needed");
      for (let start = 0; start < value.length; ) {
        if (length === size) {
          yield { piece: kept, isLast: false };
          kept = new Uint8Array(size);
          length = 0;
        }
        const part = value.subarray(start, start + size - length);
        kept.set(part, length);
        length += part.length;
        start += part.length;
      }
    }
    yield { piece: kept.subarray(0, length), isLast: true };
  } finally {
    callSafely(() => void reader.cancel?.().catch(() => {}));
  }
}

// ====================================================================================================
// 13. Merge rules (wire 5.6): how an event changes the value of a stream
// ====================================================================================================

const UPSERT = "upsert";
const REPLACE = "replace";
const REMOVE = "remove";
const ALL = "all";

/** What each event does under the strategies whose items have a key. @type {Map<string, Map<string, string>>} */
const KEYED_EVENTS = new Map([
  ["crud", new Map([["created", UPSERT], ["updated", REPLACE], ["deleted", REMOVE]])],
  ["presence", new Map([["join", UPSERT], ["leave", REMOVE], ["set", ALL]])],
  ["cursor", new Map([["update", UPSERT], ["remove", REMOVE], ["set", ALL]])],
]);
/** Of several of these with one key, only the last of a frame counts (wire 5.6). */
const COALESCED_EVENTS = new Set(["updated", "update", "join"]);
const UNSAFE_KEYS = ["__proto__", "constructor", "prototype"];
const REFRESHED = "refreshed";

/** @param {any} item @returns {any} the item without keys that could reach a prototype */
function withoutUnsafeKeys(item) {
  if (!isObject(item) || !UNSAFE_KEYS.some((key) => Object.hasOwn(item, key))) return item;
  return Object.fromEntries(Object.entries(item).filter(([key]) => !UNSAFE_KEYS.includes(key)));
}

/** The value of a stream together with the rules by which events change it. */
class MergedValue {
  /** @type {any} */
  value = undefined;
  merge = "crud";
  key = "id";
  prepend = false;
  max = 0;
  /** Where each key is, less `#shift`; `null` when it has to be built. @type {Map<any, number> | null} */
  #index = null;
  /** How many items were put in front since the index was built, so that an insertion need not renumber it. */
  #shift = 0;

  /** @param {{merge?: string, key?: string, prepend?: boolean, max?: number}} options */
  setRules({ merge, key, prepend, max }) {
    if (typeof merge === "string") this.merge = merge;
    if (typeof key === "string") this.key = key;
    if (typeof prepend === "boolean") this.prepend = prepend;
    if (typeof max === "number") this.max = max;
    this.#index = null;
  }

  /** @returns {boolean} whether items have a key */
  get isKeyed() {
    return KEYED_EVENTS.has(this.merge);
  }

  /** @returns {boolean} whether the value is a list */
  get isList() {
    return this.isKeyed || this.merge === "latest";
  }

  /** The field that holds an item's key: always `key` for presence and cursor. */
  get keyField() {
    return this.merge === "crud" ? this.key : "key";
  }

  /** @param {any} data becomes the whole value */
  replace(data) {
    const clean = this.#sanitized(data);
    this.value = this.isList && Array.isArray(clean) ? clean.slice() : clean;
    this.#index = null;
  }

  /** @returns {any} the value for subscribers: a list is a new list each time */
  snapshot() {
    return this.isList && Array.isArray(this.value) ? this.value.slice() : this.value;
  }

  /** @returns {MergedValue} a copy that can be changed on its own */
  clone() {
    const copy = new MergedValue();
    copy.setRules(this);
    copy.value = this.snapshot();
    return copy;
  }

  /**
   * Apply one event.
   * @param {string} event
   * @param {any} data
   * @returns {boolean} whether the value changed
   */
  apply(event, data) {
    if (event === REFRESHED) {
      this.replace(data);
      return true;
    }
    if (this.merge === "set") {
      const isNew = !Object.is(this.value, data);
      this.value = data;
      return isNew;
    }
    if (this.merge === "latest") return this.#append(data);
    const action = KEYED_EVENTS.get(this.merge)?.get(event);
    if (action === ALL) {
      this.replace(data);
      return true;
    }
    return action === undefined ? false : this.#applyKeyed(action, this.#sanitized(data));
  }

  /** Insert or replace an item as a `created` would (delta items). @param {any} item */
  upsert(item) {
    this.#applyKeyed(UPSERT, this.#sanitized(item));
  }

  /** Remove the item with this item's key (delta items). @param {any} item */
  remove(item) {
    this.#applyKeyed(REMOVE, item);
  }

  /** Add a further page behind the list, or before it for `prepend` (wire 5.5). @param {any[]} page */
  addPage(page) {
    this.#ensureList();
    const items = /** @type {any[]} */ (this.#sanitized(page));
    const added = this.isKeyed ? items.filter((item) => !this.#replaceKnown(item)) : items;
    this.value = this.prepend ? [...added, ...this.value] : [...this.value, ...added];
    this.#index = null;
  }

  /** Keep only the first item of each key. */
  dropDuplicates() {
    if (!this.isKeyed || !Array.isArray(this.value)) return;
    const seen = new Set();
    this.value = this.value.filter((item) => {
      const key = item?.[this.keyField];
      if (key === undefined) return true;
      return !seen.has(key) && seen.add(key);
    });
    this.#index = null;
  }

  /** @param {any} data @returns {any} */
  #sanitized(data) {
    if (!this.isKeyed) return data;
    return Array.isArray(data) ? data.map(withoutUnsafeKeys) : withoutUnsafeKeys(data);
  }

  #ensureList() {
    if (Array.isArray(this.value)) return;
    this.value = [];
    this.#index = null;
  }

  /** @param {any} data @returns {boolean} */
  #append(data) {
    this.#ensureList();
    this.value.push(data);
    const max = this.max > 0 ? this.max : LATEST_DEFAULT_MAX;
    if (this.value.length > max) this.value.splice(0, this.value.length - max);
    return true;
  }

  /** @param {string} action @param {any} item @returns {boolean} */
  #applyKeyed(action, item) {
    this.#ensureList();
    if (!isObject(item)) return false;
    if (action === REMOVE) return this.#removeKey(item[this.keyField]);
    if (this.#replaceKnown(item)) return true;
    if (action === REPLACE) return false;
    this.#insert(item);
    return true;
  }

  /** @param {any} item @returns {boolean} whether its key was known */
  #replaceKnown(item) {
    const position = this.#positionOf(item?.[this.keyField]);
    if (position === undefined) return false;
    this.value[position] = item;
    return true;
  }

  /** @param {any} item */
  #insert(item) {
    const index = this.#ensureIndex();
    const key = item[this.keyField];
    if (this.prepend && this.merge === "crud") {
      this.value.unshift(item);
      this.#shift++;
      index.set(key, -this.#shift);
    } else {
      this.value.push(item);
      index.set(key, this.value.length - 1 - this.#shift);
    }
    if (this.merge === "crud" && this.max > 0) this.#cut(index);
  }

  /** Cut a list that grew beyond `max` at the end that did not grow. @param {Map<any, number>} index */
  #cut(index) {
    while (this.value.length > this.max) {
      const item = this.prepend ? this.value.pop() : this.value.shift();
      index.delete(item?.[this.keyField]);
      if (!this.prepend) this.#shift--;
    }
  }

  /** The last item moves into the gap: the order is not kept (wire 5.6). @param {any} key @returns {boolean} */
  #removeKey(key) {
    const position = this.#positionOf(key);
    if (position === undefined) return false;
    const index = this.#ensureIndex();
    index.delete(key);
    const last = this.value.pop();
    if (position < this.value.length) {
      this.value[position] = last;
      index.set(last?.[this.keyField], position - this.#shift);
    }
    return true;
  }

  /** @param {any} key @returns {number | undefined} */
  #positionOf(key) {
    if (key === undefined) return undefined; // items without a key are all different
    const stored = this.#ensureIndex().get(key);
    return stored === undefined ? undefined : stored + this.#shift;
  }

  /** @returns {Map<any, number>} */
  #ensureIndex() {
    if (this.#index) return this.#index;
    this.#shift = 0;
    this.#index = new Map(this.value.map((/** @type {any} */ item, /** @type {number} */ i) => [item?.[this.keyField], i]));
    return this.#index;
  }
}

/**
 * Leave out events that a later one of the same frame makes pointless (wire 5.6).
 * @param {LiveEvent[]} events
 * @param {MergedValue} rules
 * @returns {LiveEvent[]}
 */
function coalesced(events, rules) {
  if (!rules.isKeyed || events.length < 2) return events;
  const lastOfKey = new Map();
  events.forEach(({ event, data }, position) => {
    if (COALESCED_EVENTS.has(event)) lastOfKey.set(coalesceKey(event, data, rules), position);
  });
  return events.filter(
    ({ event, data }, position) =>
      !COALESCED_EVENTS.has(event) || lastOfKey.get(coalesceKey(event, data, rules)) === position
  );
}

/** @param {string} event @param {any} data @param {MergedValue} rules @returns {unknown} equal for the same key only */
function coalesceKey(event, data, rules) {
  const key = data?.[rules.keyField];
  return isObject(key) ? key : `${event} ${typeof key} ${key}`; // an object is equal to no other, as in the index
}

/** Streams that have events to apply, once per animation frame, all in one. */
const frames = {
  /** @type {Set<StreamStore>} */
  waiting: new Set(),

  /** @param {StreamStore} stream */
  schedule(stream) {
    if (frames.waiting.size === 0 && !__environment.requestFrame(frames.flush)) {
      stream.flushEvents();
      return;
    }
    frames.waiting.add(stream);
  },

  flush() {
    const streams = [...frames.waiting];
    frames.waiting.clear();
    for (const stream of streams) callSafely(() => stream.flushEvents());
  },
};

/** A page that goes to the background gets no more frames: apply what waits for one. */
function flushFramesWhenHidden() {
  if (typeof document === "undefined") return;
  document.addEventListener("visibilitychange", () => {
    if (isPageHidden()) frames.flush();
  });
}

// ====================================================================================================
// 14. Stream requests: those of one microtask travel together (wire 7.3)
// ====================================================================================================

/**
 * @typedef {{id: string, text: string, unsend: (() => void) | null, isAlone: boolean}} StreamRequest `unsend` takes
 *   the frame out of the send queue; `isAlone`: the frame holds nothing else
 */

const streamRequests = {
  /** @type {StreamRequest[]} */
  waiting: [],

  /**
   * Ask for a stream, or for a further page of it.
   * @param {string} path
   * @param {string} args encoded
   * @param {Record<string, unknown>} fields seq, version, schemaVersion, cursor
   * @returns {{promise: Promise<any>, cancel: (isUnwanted: () => boolean) => void}} the promise gives the whole reply
   */
  send(path, args, fields) {
    usableConnection();
    const { id, promise } = calls.open(path);
    const frame = encodeCall({ rpc: path, id, stream: true, ...fields }, args);
    const entry = /** @type {StreamRequest} */ ({ id, text: frame, unsend: null, isAlone: true });
    const text = `Stream '${path}' timed out after ${config.timeout / 1000}s`;
    calls.startTimer([id], config.timeout, text, sleepLimit(config.timeout));
    streamRequests.waiting.push(entry);
    turn.schedule();
    // A request that was not sent yet is not sent later: the stream asks anew when the connection is back.
    promise.catch(() => entry.unsend?.());
    return { promise, cancel: (/** @type {() => boolean} */ isUnwanted) => streamRequests.cancel(entry, isUnwanted) };
  },

  /**
   * The answer is not wanted any more; one that comes all the same says what is to be left.
   * @param {StreamRequest} entry
   * @param {() => boolean} isUnwanted
   */
  cancel(entry, isUnwanted) {
    if (streamRequests.waiting.includes(entry)) calls.forget(entry.id);
    else calls.abandon(entry.id, isUnwanted);
    if (entry.isAlone) entry.unsend?.();
    streamRequests.waiting = streamRequests.waiting.filter((waiting) => waiting !== entry);
  },

  flush() {
    const waiting = streamRequests.waiting;
    streamRequests.waiting = [];
    for (let start = 0; start < waiting.length; start += MAX_BATCH_CALLS) {
      streamRequests.write(waiting.slice(start, start + MAX_BATCH_CALLS));
    }
  },

  /** @param {StreamRequest[]} entries */
  write(entries) {
    const connection = currentConnection;
    const rejectEntries = () => entries.forEach(({ id }) => calls.fail(id, queueFull()));
    const unsend = connection?.sendQueued(encodeBatch(entries), rejectEntries);
    for (const entry of entries) {
      entry.unsend = unsend ?? null;
      entry.isAlone = entries.length === 1;
    }
  },
};

// ====================================================================================================
// 15. Stream stores (live 24)
// ====================================================================================================

/**
 * @typedef {"loading" | "connected" | "reconnecting" | "error"} StreamStatus
 * @typedef {{event: string, data: any} | ((draft: any) => any)} Change
 * @typedef {{change: Change, confirmKey: any, isCovered: boolean}} PendingChange
 * @typedef {{event: string, data: any, seq?: number}} LiveEvent
 * @typedef {"nothing" | "delta" | "replay" | "whole"} ReplyKind
 */

/** Which streams have subscribers: told about the connection, and counted for `quiescent`. */
const streamRegistry = {
  /** @type {Set<StreamStore>} */
  active: new Set(),

  connectionOpened() {
    for (const stream of [...streamRegistry.active]) stream.connectionOpened();
  },

  connectionLost() {
    for (const stream of [...streamRegistry.active]) stream.connectionLost();
  },

  /** @param {RpcError} error */
  connectionEnded(error) {
    for (const stream of [...streamRegistry.active]) stream.connectionEnded(error);
  },

  /**
   * Live modules were reloaded (dev): ask anew for the named streams, and for those of these modules that had failed.
   * @param {any} notice
   */
  reload(notice) {
    const paths = Array.isArray(notice?.resubscribe) ? notice.resubscribe : [];
    const modules = Array.isArray(notice?.modules) ? notice.modules : [];
    for (const stream of everyStream()) {
      const isMended = stream.hasFailed && modules.some((/** @type {string} */ name) => stream.path.startsWith(`${name}/`));
      if (isMended || paths.includes(stream.path)) stream.reload();
    }
  },

  update() {
    let isQuiet = true;
    for (const stream of streamRegistry.active) isQuiet &&= !stream.isBusy;
    quiescentStore.set(isQuiet);
  },
};

/** @param {unknown} change @returns {boolean} */
function isChangeEvent(change) {
  return isObject(change) && typeof change.event === "string";
}

/** The value of one stream of the server, kept up to date while it has subscribers. */
class StreamStore {
  path;
  #args;
  #encodedArgs;
  #options;
  /** What subscribers see: the server's value with the pending changes on it. */
  #shown = new Store(/** @type {any} */ (undefined));
  #errorStore = new Store(/** @type {RpcError | null} */ (null));
  #statusStore = new Store(/** @type {StreamStatus} */ ("loading"));
  /** What the server said, without pending changes. */
  #server = new MergedValue();
  /** @type {PendingChange[]} */
  #pending = [];
  /** What came and was not applied yet. @type {LiveEvent[]} */
  #events = [];
  /** From a reconnect to the answer, events wait: the answer has what was missed before them. */
  #isHolding = false;
  #history = new History();

  #isActive = false;
  /** @type {string | null} */
  #topic = null;
  /** @type {(() => void) | null} */
  #leaveTopic = null;
  /** The request under way. @type {{cancel: () => void} | null} */
  #request = null;
  /** @type {unknown} */
  #retryTimer = null;
  #retries = 0;
  /** @type {unknown} */
  #graceTimer = null;
  /** @type {number | undefined} */
  #seq = undefined;
  /** Every event up to this number was applied. @type {number | undefined} */
  #applied = undefined;
  /** @type {unknown} */
  #version = undefined;
  /** @type {unknown} */
  #schemaVersion = undefined;
  /** @type {unknown} */
  #cursor = undefined;
  #hasMore = false;
  #isLoadingMore = false;
  /** Counts full loads, so that a page of an older one is not added. */
  #loads = 0;
  #isValueForced = false;
  /** Whether the present request repeats one whose topic was left behind it. */
  #isAskingAgain = false;

  /**
   * @param {string} path
   * @param {unknown[]} args
   * @param {{merge?: string, key?: string, prepend?: boolean, max?: number}} options
   */
  constructor(path, args, options) {
    this.path = path;
    this.#args = args;
    this.#encodedArgs = encodeArgs(path, args);
    this.#options = options;
    this.#server.setRules(options);
    /** A store of the last error, or `null`. */
    this.error = readableStore(this.#errorStore);
    /** A store of `loading`, `connected`, `reconnecting` or `error`. */
    this.status = readableStore(this.#statusStore);
  }

  // ---------------------------------------------------------------- reading

  /** @returns {any} the value now */
  get() {
    return this.#shown.get();
  }

  /** @param {(value: any) => void} fn @returns {() => void} */
  subscribe(fn) {
    const off = this.#shown.subscribe(fn);
    this.#activate();
    let isDone = false;
    return () => {
      if (isDone) return;
      isDone = true;
      off();
      if (!this.#shown.isWatched) queueMicrotask(() => this.#deactivateIfUnwatched());
    };
  }

  /** @returns {boolean} whether `loadMore` can bring more */
  get hasMore() {
    return this.#hasMore;
  }

  /** @returns {boolean} whether anybody is subscribed */
  get isActive() {
    return this.#isActive;
  }

  /** What the devtools show. @returns {import("./realtime.js").Devtools["streams"][number]} */
  get description() {
    const [status, error] = [this.#statusStore.get(), this.#errorStore.get()];
    const { merge } = this.#server;
    const [value, subscribers] = [this.get(), this.#shown.size];
    return { path: this.path, args: this.#args, topic: this.#topic, merge, status, error, value, subscribers };
  }

  /** @returns {boolean} whether it is loading or reconnecting */
  get isBusy() {
    const status = this.#statusStore.get();
    return status === "loading" || status === "reconnecting";
  }

  /** @returns {boolean} whether its last load or subscription failed */
  get hasFailed() {
    return this.#statusStore.get() === "error";
  }

  /** A store that is active only while the condition holds. @param {any} condition */
  when(condition) {
    return whenStore(this, condition);
  }

  /** A store of the mapped items. @param {(item: any, index: number, list: any[]) => any} fn */
  map(fn) {
    return mapStore(this, fn, this.path);
  }

  /** An object whose `current` is the value; subscribed from the first reading until `release()`. */
  rune() {
    let off = /** @type {(() => void) | null} */ (null);
    const store = this;
    return {
      get current() {
        off ??= store.subscribe(() => {});
        return store.get();
      },
      release() {
        off?.();
        off = null;
      },
    };
  }

  /**
   * Set the value now, for data that came with the page. On subscribe the stream asks what is new since `position`, and
   * without one for everything.
   * @param {any} data
   * @param {{seq?: number, version?: unknown, schemaVersion?: number, cursor?: unknown, hasMore?: boolean}} [position]
   */
  hydrate(data, position) {
    if (this.#server.isList && data !== undefined && data !== null && !Array.isArray(data)) {
      warnInDev(`${this.path}.hydrate: the merge strategy '${this.#server.merge}' needs a list`);
    }
    this.#server.replace(data);
    if (position) {
      this.#seq = this.#applied = position.seq;
      this.#version = position.version;
      this.#schemaVersion = position.schemaVersion;
      this.#cursor = position.cursor;
      this.#hasMore = position.hasMore === true;
    }
    this.#show();
    return this;
  }

  // ---------------------------------------------------------------- life cycle

  #activate() {
    if (this.#isActive) return;
    this.#isActive = true;
    this.#cancelGrace();
    streamRegistry.active.add(this);
    this.#load(this.get() === undefined ? "loading" : "reconnecting");
  }

  #deactivateIfUnwatched() {
    if (!this.#isActive || this.#shown.isWatched) return;
    this.#isActive = false;
    this.#stopRequest();
    this.#detach();
    this.#releaseEvents();
    streamRegistry.active.delete(this);
    streamRegistry.update();
    if (config.resumeGraceMs > 0) this.#graceTimer = startTimer(() => this.#reset(), config.resumeGraceMs);
    else this.#reset();
  }

  #cancelGrace() {
    if (this.#graceTimer !== null) __environment.clearTimeout(this.#graceTimer);
    this.#graceTimer = null;
  }

  /** Forget everything the server said. */
  #reset() {
    this.#graceTimer = null;
    this.#loads++;
    this.#retries = 0;
    this.#seq = this.#applied = this.#version = this.#schemaVersion = this.#cursor = undefined;
    this.#hasMore = this.#isValueForced = false;
    this.#pending = [];
    this.#history.clear();
    this.#server = new MergedValue();
    this.#server.setRules(this.#options);
    this.#shown.set(undefined);
    this.#errorStore.set(null);
    this.#statusStore.set("loading");
  }

  /** @param {StreamStatus} status */
  #setStatus(status) {
    this.#statusStore.set(status);
    streamRegistry.update();
  }

  /** @param {RpcError} error */
  #setError(error) {
    if (error.code !== "DISCONNECTED") this.#releaseEvents(); // else there will be another answer
    this.#errorStore.set(error);
    this.#setStatus("error");
  }

  /** The connection is there again: ask anew in a moment, unless a request is under way (wire 7.5). */
  connectionOpened() {
    if (this.#request) return;
    this.#setStatus("reconnecting");
    this.#cancelRetry();
    this.#holdEvents();
    this.#retryTimer = __environment.setTimeout(() => {
      this.#retryTimer = null;
      this.#renew();
    }, this.#retryDelay());
  }

  /** There is nobody to ask until the connection is there again. */
  connectionLost() {
    this.#cancelRetry();
  }

  /** @returns {number} */
  #retryDelay() {
    const n = this.#retries++;
    if (n < STREAM_FAST_RETRIES) return STREAM_RETRY_MS + Math.floor(__environment.random() * STREAM_RETRY_SPAN_MS);
    const delay = STREAM_BACKOFF_BASE_MS * BACKOFF_FACTOR ** (n - STREAM_FAST_RETRIES);
    return withJitter(Math.min(delay, BACKOFF_CAP_MS));
  }

  /** @param {RpcError} error */
  connectionEnded(error) {
    this.#stopRequest();
    this.#setError(error);
  }

  /** The loader changed: what it gave before is no ground to build on. */
  reload() {
    this.#forgetPosition();
    this.#isValueForced = true;
    if (this.#isActive) this.#renew();
  }

  #forgetPosition() {
    this.#seq = this.#applied = this.#version = undefined;
  }

  #renew() {
    if (!this.#isActive) return;
    this.#stopRequest();
    this.#detach();
    this.#load("reconnecting");
  }

  #cancelRetry() {
    if (this.#retryTimer !== null) __environment.clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
  }

  #stopRequest() {
    this.#cancelRetry();
    this.#request?.cancel();
    this.#request = null;
  }

  #detach() {
    this.#leaveTopic?.();
    this.#leaveTopic = null;
  }

  // ---------------------------------------------------------------- loading

  /** @param {StreamStatus} status */
  #load(status) {
    this.#setStatus(status);
    const fields = { seq: this.#seq, version: this.#version, schemaVersion: this.#schemaVersion };
    let request;
    try {
      request = streamRequests.send(this.path, this.#encodedArgs, fields);
    } catch (error) {
      this.#setError(/** @type {RpcError} */ (error));
      return;
    }
    const early = new EarlyEvents();
    const note = topics.request(this.#topic);
    const stop = () => {
      early.stop();
      note.end();
    };
    const current = {
      cancel: () => {
        stop();
        request.cancel(() => !this.#isActive);
      },
    };
    this.#request = current;
    const finish = (/** @type {() => void} */ next) => {
      stop();
      if (this.#request !== current) return;
      this.#request = null;
      next();
    };
    request.promise.then(
      (reply) => finish(() => this.#acceptSafely(reply, early.events, note.left)),
      (error) => finish(() => this.#setError(error))
    );
  }

  /**
   * Take a reply over; one that cannot be is an error of the stream.
   * @param {any} reply
   * @param {TopicEvent[]} early
   * @param {Set<string>} left topics that the server was told to leave behind the request
   */
  #acceptSafely(reply, early, left) {
    try {
      this.#accept(reply, early);
      this.#isAskingAgain = left.has(reply.topic) && !this.#isAskingAgain;
      if (this.#isAskingAgain) this.#renew(); // what the request had begun ended with that
    } catch (error) {
      reportException(error);
      this.#setError(new RpcError("STREAM_ERROR", `The reply to stream '${this.path}' could not be used`));
    }
  }

  /**
   * Take a reply over, in the order of wire 5.2.
   * @param {any} reply
   * @param {TopicEvent[]} early
   */
  #accept(reply, early) {
    this.#retries = 0;
    const held = this.#takeHeldEvents();
    this.#topic = typeof reply.topic === "string" ? reply.topic : null;
    if (reply.version !== undefined) this.#version = reply.version;
    if (reply.merge !== undefined) this.#server.setRules(reply);
    const kind = this.#kindOf(reply);
    const end = endOfReply(kind, reply);
    if (end !== undefined) this.#seq = end;
    this.#applyHeld(held, kind, end);
    this.#takeData(kind, reply);
    this.#takePaging(kind, reply);
    this.#isValueForced = false;
    this.#applied = end;
    this.#applyEarly(early, end);
    if (this.#topic !== null) this.#attach(this.#topic);
    this.#show();
    this.#errorStore.set(null);
    this.#setStatus("connected");
  }

  /**
   * What the data of a reply is: nothing new, changed items, missed events, or the whole value. A channel or derived
   * stream keeps the value it has, unless its code was reloaded.
   * @param {any} reply
   * @returns {ReplyKind}
   */
  #kindOf(reply) {
    if (reply.unchanged === true) return "nothing";
    if (reply.delta === true) return "delta";
    if (reply.replay === true) return "replay";
    const hasValue = !this.#isValueForced && this.#server.value !== undefined && this.#server.value !== null;
    return (reply.channel === true || reply.derived === true) && hasValue ? "nothing" : "whole";
  }

  /** @param {ReplyKind} kind @param {any} reply */
  #takeData(kind, reply) {
    if (kind === "delta") this.#takeDelta(reply.data);
    else if (kind === "replay") this.#takeReplay(reply);
    else if (kind === "whole") this.#takeWhole(reply.data);
  }

  /** @param {any} items */
  #takeDelta(items) {
    if (!Array.isArray(items)) return;
    for (const item of items) {
      if (item?._deleted) this.#server.remove(item);
      else this.#server.upsert(item);
    }
  }

  /** Apply missed events. `latest` would show those twice that had come live before the line broke. @param {any} reply */
  #takeReplay(reply) {
    if (!Array.isArray(reply.data)) return;
    const applied = this.#server.merge === "latest" ? this.#applied : undefined;
    for (const missed of reply.data) {
      if (!isObject(missed)) continue;
      if (applied === undefined || !(missed.seq <= applied)) this.#server.apply(missed.event, missed.data);
    }
  }

  /** @param {any} data */
  #takeWhole(data) {
    this.#loads++;
    this.#server.replace(data === undefined ? null : data);
    if (!this.#server.isKeyed) this.#coverPending();
  }

  /** @param {ReplyKind} kind @param {any} reply */
  #takePaging(kind, reply) {
    if (reply.unchanged === true || kind === "delta" || kind === "replay") return;
    this.#hasMore = reply.hasMore === true;
    this.#cursor = reply.cursor;
    if (reply.schemaVersion !== undefined) this.#schemaVersion = reply.schemaVersion;
  }

  /** @param {string} topic */
  #attach(topic) {
    this.#detach();
    this.#leaveTopic = topics.listen(topic, {
      onEvent: (event, data, seq) => this.#receive(event, data, seq),
      onDenied: (reason) => this.#setError(new RpcError(reason || "FORBIDDEN", `Subscribing to '${topic}' was refused`)),
    });
  }

  /**
   * What came between the reconnect and the answer: a whole value has it, a replay has what is numbered up to its end.
   * The rest is applied first, as it came first.
   * @param {LiveEvent[]} held
   * @param {ReplyKind} kind
   * @param {number | undefined} end
   */
  #applyHeld(held, kind, end) {
    for (const { event, data, seq } of held) {
      this.#confirm(event, data);
      if (kind !== "whole" && !(kind === "replay" && isUpTo(end, seq))) this.#server.apply(event, data);
    }
  }

  /**
   * Events that came between the request and its reply, if another store of this page is on the topic; otherwise the
   * server holds them back. They are applied in order; `latest` takes only those that the loader did not give.
   * @param {TopicEvent[]} early
   * @param {number | undefined} end
   */
  #applyEarly(early, end) {
    for (const { topic, event, data, seq } of early) {
      if (topic !== this.#topic || isEndMarker(data) || isUpTo(end, seq)) continue;
      if (this.#server.merge === "latest" && hasEqualItem(this.#server.value, data)) continue;
      this.#applyEvent({ event, data, seq });
    }
  }

  // ---------------------------------------------------------------- live events

  /** @param {string} event @param {any} data @param {number} [seq] */
  #receive(event, data, seq) {
    if (isEndMarker(data)) {
      if (data.truncated === true) {
        this.#forgetPosition();
        this.#renew();
      }
      return;
    }
    __devtools?.eventReceived(this.path, event, data);
    this.#events.push({ event, data, seq });
    if (this.#events.length >= MAX_FRAME_EVENTS) this.#releaseEvents();
    else if (!this.#isHolding) frames.schedule(this);
  }

  /** Apply the events that wait for their frame; those that wait for an answer go on waiting. */
  flushEvents() {
    if (this.#events.length === 0 || this.#isHolding) return;
    const events = this.#events;
    this.#events = [];
    for (const { event, data } of events) this.#confirm(event, data);
    let hasChanged = false;
    for (const event of coalesced(events, this.#server)) hasChanged = this.#applyEvent(event) || hasChanged;
    if (hasChanged) this.#show();
  }

  /** Let what comes from now on wait for the answer, unless that is far away. */
  #holdEvents() {
    if (this.#retries >= STREAM_FAST_RETRIES) this.#releaseEvents();
    this.flushEvents();
    this.#isHolding ||= this.#leaveTopic !== null && this.#retries < STREAM_FAST_RETRIES;
  }

  /** There is no answer to wait for any more. */
  #releaseEvents() {
    this.#isHolding = false;
    this.flushEvents();
  }

  /** @returns {LiveEvent[]} what waited for the answer; whatever else was waiting is applied */
  #takeHeldEvents() {
    if (!this.#isHolding) {
      this.flushEvents();
      return [];
    }
    const held = this.#events;
    this.#events = [];
    this.#isHolding = false;
    return held;
  }

  /** @param {LiveEvent} event @returns {boolean} whether the value changed */
  #applyEvent({ event, data, seq }) {
    if (seq !== undefined && this.#applied !== undefined && seq === this.#applied + 1) this.#applied = seq;
    return this.#server.apply(event, data);
  }

  /** Show the server's value with the pending changes on it. */
  #show() {
    let shown = this.#server;
    if (this.#pending.length > 0) {
      shown = this.#server.clone();
      for (const { change } of this.#pending) applyChangeSafely(shown, change);
    }
    const value = shown.snapshot();
    this.#history.record(value);
    this.#shown.set(value);
  }

  // ---------------------------------------------------------------- optimistic changes (wire 5.7)

  /**
   * Apply an event here only.
   * @param {string} event
   * @param {any} data
   * @returns {() => void} puts the value back as it was before
   */
  optimistic(event, data) {
    if (typeof event !== "string") throw new TypeError(`${this.path}.optimistic(event, data) needs the name of an event`);
    this.flushEvents();
    const before = this.#server.clone();
    if (this.#server.apply(event, data)) this.#show();
    return () => {
      this.flushEvents();
      this.#applied = undefined; // events that came since are undone as well
      this.#server = before.clone();
      this.#show();
    };
  }

  /**
   * Show a change at once, run the operation, and keep or drop the change by its outcome.
   * @param {() => any} operation
   * @param {Change} change
   * @returns {Promise<any>} the outcome of the operation
   */
  async mutate(operation, change) {
    if (typeof operation !== "function") throw new TypeError(`${this.path}.mutate: the operation must be a function`);
    if (typeof change !== "function" && !isChangeEvent(change)) {
      throw new TypeError(`${this.path}.mutate: the change must be {event, data} or a function of the value`);
    }
    if (this.#pending.length >= MAX_OPTIMISTIC_QUEUE_DEPTH) {
      throw new RpcError("QUEUE_FULL", `More than ${MAX_OPTIMISTIC_QUEUE_DEPTH} changes of '${this.path}' are under way`);
    }
    const entry = this.#addChange(change);
    try {
      const result = await operation();
      this.#settle(entry, true);
      return result;
    } catch (error) {
      this.#settle(entry, false);
      throw error;
    }
  }

  /** @param {any} rpc @param {unknown[]} args @param {any} change */
  createOptimistic(rpc, args, change) {
    if (typeof rpc?.createOptimistic !== "function") {
      throw new TypeError(`${this.path}.createOptimistic: the first argument must be an RPC of a live module`);
    }
    return rpc.createOptimistic(this, args, change);
  }

  /** @param {Change} change @returns {PendingChange} */
  #addChange(change) {
    this.flushEvents();
    const trial = this.#server.clone();
    for (const { change: earlier } of this.#pending) applyChangeSafely(trial, earlier);
    applyChange(trial, change); // an exception of the app's function reaches the caller; nothing has begun yet
    const entry = { change, confirmKey: this.#confirmKey(change), isCovered: false };
    this.#pending.push(entry);
    this.#show();
    return entry;
  }

  /** The key by which a server event confirms a change, or `undefined`. @param {Change} change */
  #confirmKey(change) {
    return typeof change === "function" ? undefined : this.#keyOfWrite(change.event, change.data);
  }

  /** @param {string} event @param {any} data @returns {any} the key, if the event creates or updates an item */
  #keyOfWrite(event, data) {
    const action = KEYED_EVENTS.get(this.#server.merge)?.get(event);
    return action === UPSERT || action === REPLACE ? data?.[this.#server.keyField] : undefined;
  }

  /**
   * See whether a server event speaks for a pending change. The server writes the events of a handler before its
   * reply, so a change of a whole value (`set`, `latest`, `refreshed`) is contained in what came since it began.
   * @param {string} event
   * @param {any} data
   */
  #confirm(event, data) {
    if (this.#pending.length === 0) return;
    if (event === REFRESHED || !this.#server.isKeyed) {
      this.#coverPending();
      return;
    }
    const key = this.#keyOfWrite(event, data);
    if (key === undefined) return;
    const position = this.#pending.findIndex((entry) => entry.confirmKey === key);
    if (position >= 0) this.#pending.splice(position, 1);
  }

  #coverPending() {
    for (const entry of this.#pending) entry.isCovered = true;
  }

  /** @param {PendingChange} entry @param {boolean} isSuccess */
  #settle(entry, isSuccess) {
    this.flushEvents();
    const position = this.#pending.indexOf(entry);
    if (position < 0) return;
    this.#pending.splice(position, 1);
    if (isSuccess && !entry.isCovered) applyChangeSafely(this.#server, entry.change);
    this.#show();
  }

  // ---------------------------------------------------------------- paging

  /**
   * Load the next page.
   * @param {...unknown} extra further arguments for the loader
   * @returns {Promise<boolean>} whether there is more after it
   */
  async loadMore(...extra) {
    if (this.#isLoadingMore || this.#request || !this.#hasMore || !this.#cursor) return false;
    this.#isLoadingMore = true;
    const load = this.#loads;
    try {
      const args = encodeArgs(this.path, [...this.#args, ...extra]);
      const fields = { schemaVersion: this.#schemaVersion, cursor: this.#cursor };
      const reply = await streamRequests.send(this.path, args, fields).promise;
      try {
        if (load === this.#loads) this.#takePage(reply);
      } catch (error) {
        reportException(error);
        throw new RpcError("LOAD_MORE_ERROR", `The next page of stream '${this.path}' could not be used`);
      }
      return this.#hasMore;
    } finally {
      this.#isLoadingMore = false;
    }
  }

  /** @param {any} reply */
  #takePage(reply) {
    this.flushEvents();
    if (Array.isArray(reply.data)) this.#server.addPage(reply.data);
    this.#hasMore = reply.hasMore === true;
    this.#cursor = reply.cursor;
    this.#show();
  }

  // ---------------------------------------------------------------- history (live 24.5)

  /** Begin to record snapshots of the value. @param {number} [max] how many */
  enableHistory(max = HISTORY_DEFAULT_MAX) {
    if (!Number.isInteger(max) || max < 1) throw new RangeError("enableHistory(max) needs a positive whole number");
    this.#history.enable(max, this.get());
  }

  /** Go back one snapshot, here only. */
  undo() {
    this.#travel(-1);
  }

  /** Go forward again. */
  redo() {
    this.#travel(1);
  }

  /** @returns {boolean} */
  get canUndo() {
    return this.#history.canMove(-1);
  }

  /** @returns {boolean} */
  get canRedo() {
    return this.#history.canMove(1);
  }

  /** Record nothing for a while; changes are shown all the same. */
  pauseHistory() {
    this.#history.isPaused = true;
  }

  /** Record again, starting with the value now. */
  resumeHistory() {
    this.#history.isPaused = false;
    this.#history.record(this.get());
  }

  /** @param {-1 | 1} step */
  #travel(step) {
    this.flushEvents();
    if (!this.#history.isEnabled) {
      this.enableHistory();
      return;
    }
    if (!this.#history.canMove(step)) return;
    const value = this.#history.move(step);
    this.#applied = undefined;
    this.#pending = []; // the snapshot is what is to be seen, with nothing on it
    this.#server.replace(value);
    this.#shown.set(this.#server.snapshot());
  }
}

/**
 * @param {MergedValue} target
 * @param {Change} change
 */
function applyChange(target, change) {
  if (typeof change !== "function") {
    target.apply(change.event, change.data);
    return;
  }
  const draft = shallowCopy(target.value);
  const result = change(draft);
  target.replace(result === undefined ? draft : result);
  target.dropDuplicates();
}

/** @param {MergedValue} target @param {Change} change */
function applyChangeSafely(target, change) {
  try {
    applyChange(target, change);
  } catch (error) {
    reportException(error);
  }
}

/** @param {any} value @returns {any} */
function shallowCopy(value) {
  if (Array.isArray(value)) return value.slice();
  return isObject(value) ? { ...value } : value;
}

/** @param {number | undefined} end @param {number | undefined} seq @returns {boolean} whether an answer has this event */
function isUpTo(end, seq) {
  return end !== undefined && seq !== undefined && seq <= end;
}

/**
 * The number of the last event that a reply contains, if it says so.
 * @param {ReplyKind} kind
 * @param {any} reply
 * @returns {number | undefined}
 */
function endOfReply(kind, reply) {
  if (typeof reply.seq === "number") return reply.seq;
  if (kind !== "replay" || !Array.isArray(reply.data)) return undefined;
  return reply.data.map((/** @type {any} */ missed) => missed?.seq).filter((/** @type {unknown} */ seq) => typeof seq === "number").at(-1);
}

/** Event data that ends a replay instead of being merged (wire 5.6). @param {any} data @returns {boolean} */
function isEndMarker(data) {
  return isObject(data) && !Array.isArray(data) && data.reqId !== undefined;
}

/** @param {any} list @param {any} item @returns {boolean} */
function hasEqualItem(list, item) {
  const text = JSON.stringify(item);
  return Array.isArray(list) && list.some((known) => JSON.stringify(known) === text);
}

/**
 * Events that arrive while a stream request is under way, whose topic is known only from the reply. Of topics that the
 * server was told to leave they are leftovers of an earlier subscription, older than what the reply holds.
 */
class EarlyEvents {
  /** @type {TopicEvent[]} */
  events = [];
  /** Ends the collection. */
  stop;

  constructor() {
    this.stop = topics.tap((topic, event, data, seq) => {
      if (isSystemTopic(topic) || !(topics.isWanted(topic) || currentConnection?.isOn(topic))) return;
      if (this.events.length >= MAX_EARLY_EVENTS) {
        this.events.shift();
        counters.earlyEventsDropped++;
      }
      this.events.push({ topic, event, data, seq });
    });
  }
}

/** Snapshots of a value, for undo and redo. */
class History {
  isEnabled = false;
  isPaused = false;
  #max = HISTORY_DEFAULT_MAX;
  /** @type {any[]} */
  #snapshots = [];
  #position = -1;

  /** @param {number} max @param {any} value */
  enable(max, value) {
    this.#max = max;
    this.isEnabled = true;
    this.record(value);
    this.#trim();
  }

  clear() {
    this.#snapshots = [];
    this.#position = -1;
  }

  /** @param {any} value */
  record(value) {
    if (!this.isEnabled || this.isPaused || value === undefined) return;
    if (Array.isArray(value) && value.length > MAX_HISTORY_ITEMS) return;
    if (isSameSnapshot(this.#snapshots[this.#position], value)) return;
    this.#snapshots.splice(this.#position + 1);
    this.#snapshots.push(shallowCopy(value));
    this.#position++;
    this.#trim();
  }

  #trim() {
    while (this.#snapshots.length > this.#max) {
      this.#snapshots.shift();
      this.#position = Math.max(0, this.#position - 1);
    }
  }

  /** @param {-1 | 1} step @returns {boolean} */
  canMove(step) {
    const next = this.#position + step;
    return this.isEnabled && next >= 0 && next < this.#snapshots.length;
  }

  /** @param {-1 | 1} step @returns {any} */
  move(step) {
    this.#position += step;
    return shallowCopy(this.#snapshots[this.#position]);
  }
}

/** @param {any} a @param {any} b @returns {boolean} whether nothing changed between the two */
function isSameSnapshot(a, b) {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => Object.is(item, b[i]));
  return Object.is(a, b);
}

/** Stores of dynamic streams by path and arguments: the same arguments give the same store (live 24). */
const streamCache = {
  /** @type {Map<string, StreamStore>} */
  main: new Map(),
  /** @type {Map<string, StreamStore>} */
  overflow: new Map(),

  /**
   * @param {string} path
   * @param {unknown[]} args
   * @param {object} options
   * @returns {StreamStore}
   */
  get(path, args, options) {
    const key = `${path} ${encodeArgs(path, args)}`;
    const known = streamCache.main.get(key) ?? streamCache.overflow.get(key);
    if (known) return known;
    const stream = new StreamStore(path, args, options);
    if (streamCache.main.size < MAX_CACHED_STREAMS || streamCache.evictUnused()) streamCache.main.set(key, stream);
    else streamCache.addOverflow(key, stream);
    return stream;
  },

  /** @returns {boolean} whether a place was made */
  evictUnused() {
    for (const [key, stream] of streamCache.main) {
      if (stream.isActive) continue;
      streamCache.main.delete(key);
      counters.streamsEvicted++;
      return true;
    }
    return false;
  },

  /** @param {string} key @param {StreamStore} stream */
  addOverflow(key, stream) {
    for (const oldest of streamCache.overflow.keys()) {
      if (streamCache.overflow.size < MAX_OVERFLOW_STREAMS) break;
      streamCache.overflow.delete(oldest);
      counters.streamsEvicted++;
    }
    streamCache.overflow.set(key, stream);
  },
};

/** @type {StreamStore[]} */
const staticStreams = [];

/** Every stream that a value may be kept for. @returns {Set<StreamStore>} */
function everyStream() {
  return new Set([
    ...staticStreams,
    ...streamCache.main.values(),
    ...streamCache.overflow.values(),
    ...streamRegistry.active,
  ]);
}

/**
 * The store behind an exported stream, or for a dynamic one the function from arguments to store.
 * @internal
 * @param {string} path
 * @param {{merge?: string, key?: string, prepend?: boolean, max?: number}} [options]
 * @param {boolean} [isDynamic]
 * @returns {any}
 */
export function __stream(path, options = {}, isDynamic = false) {
  if (isDynamic) return (/** @type {unknown[]} */ ...args) => streamCache.get(path, args, options);
  const stream = new StreamStore(path, [], options);
  staticStreams.push(stream);
  return stream;
}

/**
 * Take over what the server put into the page with `live_data`: a stream that was loaded for it has its value from now on,
 * and asks only for what is new since. Import the streams before.
 * @param {ParentNode} [root]
 * @returns {Record<string, any>} every value, by its name
 */
export function hydrateFromPage(root = document) {
  const found = /** @type {Record<string, any>} */ ({});
  for (const block of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("script[data-live]"))) {
    callSafely(() => {
      const data = JSON.parse(/** @type {string} */ (block.textContent));
      found[/** @type {string} */ (block.dataset.live)] = data;
      if (!block.dataset.stream) return;
      const { path, args, options, ...position } = JSON.parse(block.dataset.stream);
      const stream = args ? streamCache.get(path, args, options) : staticStreams.find((known) => known.path === path);
      if (stream && stream.get() === undefined) stream.hydrate(data, position);
    });
  }
  return found;
}

/** The error with which the server rendered the page, or `null`. @param {ParentNode} [root] @returns {RpcError | null} */
export function pageError(root = document) {
  const block = root.querySelector("script[data-live-error]");
  return block && decodeError(JSON.parse(/** @type {string} */ (block.textContent)));
}

/**
 * The error in what the server answers for a failed page or request: `{"type", "value"}`.
 * @param {any} payload
 * @returns {RpcError}
 */
export function decodeError(payload) {
  const [code, message, issues] = Array.isArray(payload?.value) ? payload.value : [];
  return errorFromReply("", { code, error: message, issues });
}

// ====================================================================================================
// 16. Derived stores
// ====================================================================================================

/** @param {any} source @param {any} condition @returns {LazyStore<any>} */
function whenStore(source, condition) {
  const isStoreCondition = isStore(condition);
  const ask = () => (isStoreCondition ? peek(condition) : typeof condition === "function" ? condition() : condition);
  const start = (/** @type {(value: any) => void} */ set) => {
    let off = /** @type {(() => void) | null} */ (null);
    const follow = (/** @type {unknown} */ isWanted) => {
      if (isWanted && !off) {
        off = source.subscribe(set);
      } else if (!isWanted && off) {
        off();
        off = null;
        set(undefined);
      }
    };
    const offCondition = isStoreCondition ? condition.subscribe(follow) : follow(ask());
    return () => {
      endSubscription(offCondition);
      off?.();
    };
  };
  return new LazyStore(undefined, start, () => (ask() ? source.get() : undefined));
}

/**
 * @param {any} source
 * @param {(item: any, index: number, list: any[]) => any} fn
 * @param {string} name for the warning
 */
function mapStore(source, fn, name) {
  if (typeof fn !== "function") throw new TypeError(`${name}.map needs a function`);
  const mapped = (/** @type {any} */ value) => {
    if (Array.isArray(value)) return value.map(fn);
    if (value !== null && value !== undefined) warnInDev(`${name}.map: the value is no list`);
    return [];
  };
  const start = (/** @type {(value: any[]) => void} */ set) => source.subscribe((/** @type {any} */ value) => set(mapped(value)));
  const store = new LazyStore(/** @type {any[]} */ ([]), start, () => mapped(source.get()));
  return Object.assign(store, { map: (/** @type {any} */ next) => mapStore(store, next, name) });
}

/**
 * A store computed from others: `combine(a, b, (x, y) => x + y)`. It listens to them while somebody listens to it.
 * @param {...any} parts two or more stores, then the function of their values
 * @returns {LazyStore<any>}
 */
export function combine(...parts) {
  const fn = parts.pop();
  if (typeof fn !== "function" || parts.length < 2 || !parts.every(isStore)) {
    throw new TypeError("combine needs two or more stores and then a function of their values");
  }
  const start = (/** @type {(value: any) => void} */ set) => {
    const values = new Array(parts.length);
    let isReady = false;
    const offs = parts.map((store, position) =>
      store.subscribe((/** @type {any} */ value) => {
        values[position] = value;
        if (isReady) set(fn(...values));
      })
    );
    const stop = () => offs.forEach(endSubscription);
    isReady = true;
    try {
      set(fn(...values));
    } catch (error) {
      stop();
      throw error;
    }
    return stop;
  };
  return new LazyStore(undefined, start, () => fn(...parts.map(peek)));
}

// ====================================================================================================
// 17. Stores of the server's plugins: presence, cursors, groups, channels, replays (wire 6, live 25)
// ====================================================================================================

/** Stores of plugins by what they were made from. @type {Map<string, any>} */
const pluginStores = new Map();

/**
 * @template {object} S
 * @param {unknown[]} key
 * @param {() => S} make
 * @returns {S} the one that was made for this key before, as long as it is remembered
 */
function pluginStore(key, make) {
  const name = JSON.stringify(key);
  const known = pluginStores.get(name);
  if (known) return known;
  for (const [other, store] of pluginStores) {
    if (pluginStores.size < MAX_PLUGIN_STORES) break;
    if (!store.isActive) pluginStores.delete(other);
  }
  const store = make();
  if (pluginStores.size < MAX_PLUGIN_STORES) pluginStores.set(name, store);
  return store;
}

/** @param {string} call @param {unknown} name */
function checkName(call, name) {
  if (typeof name !== "string" || name === "") throw new TypeError(`${call} needs a name, not ${JSON.stringify(name)}`);
}

/** @param {string} call @param {Record<string, any>} options @returns {number} `maxAge` in milliseconds, 0 for none */
function maxAgeOf(call, options) {
  checkOptions(call, options, { maxAge: 0 });
  const { maxAge = 0 } = options;
  if (!(maxAge >= 0 && Number.isFinite(maxAge))) throw new RangeError(`${call}: maxAge must be milliseconds, not ${maxAge}`);
  return maxAge;
}

/** Values by key, with the time when each was last heard of. */
class AgingMap {
  /** @type {Map<string, {value: any, at: number}>} */
  #entries = new Map();

  /** @param {string} key @param {any} value */
  set(key, value) {
    this.#entries.set(key, { value, at: __environment.now() });
    if (this.#entries.size <= MAX_PLUGIN_ENTRIES) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      counters.pluginEntriesDropped++;
      return;
    }
  }

  /** @param {string} key */
  delete(key) {
    this.#entries.delete(key);
  }

  clear() {
    this.#entries.clear();
  }

  /** Note that a key is still there. @param {string} key */
  renew(key) {
    const entry = this.#entries.get(key);
    if (entry) entry.at = __environment.now();
  }

  /** Forget what was not heard of for so long. @param {number} age @returns {boolean} whether there was any */
  dropOlderThan(age) {
    const before = this.#entries.size;
    const oldest = __environment.now() - age;
    for (const [key, { at }] of this.#entries) if (at < oldest) this.#entries.delete(key);
    return this.#entries.size < before;
  }

  /** @returns {any[]} */
  values() {
    return [...this.#entries.values()].map(({ value }) => value);
  }

  /** @returns {Map<string, any>} */
  toMap() {
    return new Map([...this.#entries].map(([key, { value }]) => [key, value]));
  }
}

/**
 * A store that follows a system topic while somebody listens and shows what an `AgingMap` holds.
 * @template T
 * @param {string} topic
 * @param {number} maxAge
 * @param {T} idle
 * @param {(map: AgingMap) => T} view
 * @param {(map: AgingMap, event: string, data: any) => boolean} apply whether the event changed what is seen
 * @param {() => () => void} [begin] called for the first listener; returns the end
 * @returns {LazyStore<T>}
 */
function agingStore(topic, maxAge, idle, view, apply, begin = () => () => {}) {
  return new LazyStore(idle, (set) => {
    const map = new AgingMap();
    const show = () => set(view(map));
    const offTopic = topics.listen(topic, { onEvent: (event, data) => apply(map, event, data) && show() });
    const look = () => map.dropOlderThan(maxAge) && show();
    const timer = maxAge > 0 ? __environment.setInterval(look, Math.min(Math.max(1, maxAge / AGE_CHECKS), MAX_TIMER_MS)) : null;
    const end = begin();
    tryToConnect();
    return () => {
      if (timer !== null) __environment.clearInterval(timer);
      offTopic();
      end();
    };
  });
}

/**
 * Who is present on a topic: the list of their data. Being there is up to the server: subscribe to the topic itself.
 * @param {string} topic
 * @param {{maxAge?: number}} [options] `maxAge`: forget, after so many milliseconds, who is in no heartbeat
 * @returns {LazyStore<any[]>}
 */
export function presence(topic, options = {}) {
  checkName("presence(topic)", topic);
  const maxAge = maxAgeOf("presence", options);
  const make = () => agingStore(PRESENCE_PREFIX + topic, maxAge, [], (map) => map.values(), applyPresence);
  return pluginStore(["presence", topic, maxAge], make);
}

/** @param {AgingMap} present @param {string} event @param {any} data @returns {boolean} (wire 6.1) */
function applyPresence(present, event, data) {
  if (event === "heartbeat") {
    if (Array.isArray(data)) for (const key of data) present.renew(key);
    return false;
  }
  if (!isObject(data)) return false;
  if (event === "presence_state") {
    present.clear();
    for (const [key, value] of Object.entries(data)) present.set(key, value);
    return true;
  }
  if (event !== "presence_diff") return false;
  for (const key of Object.keys(data.leaves ?? {})) present.delete(key);
  for (const [key, value] of Object.entries(data.joins ?? {})) present.set(key, value);
  return true;
}

/**
 * The cursors on a topic: a `Map` of key to `{user, data}`, a new one at each change. The server is asked for all of
 * them whenever the connection opens.
 * @param {string} topic
 * @param {{maxAge?: number}} [options] `maxAge`: forget a cursor that did not move for so many milliseconds
 * @returns {LazyStore<Map<string, {user: any, data: any}>>}
 */
export function cursor(topic, options = {}) {
  checkName("cursor(topic)", topic);
  const maxAge = maxAgeOf("cursor", options);
  const ask = () => void currentConnection?.send({ type: "cursor-snapshot", topic });
  const begin = () => {
    let wasOpen = false;
    return statusStore.subscribe((status) => {
      const isOpen = status === "open" || status === "suspended"; // in a hidden page too
      if (status === "open" || (isOpen && !wasOpen)) turn.afterTopics(ask);
      wasOpen = isOpen;
    });
  };
  const make = () => agingStore(CURSOR_PREFIX + topic, maxAge, new Map(), (map) => map.toMap(), applyCursor, begin);
  return pluginStore(["cursor", topic, maxAge], make);
}

/** @param {AgingMap} cursors @param {string} event @param {any} data @returns {boolean} (wire 6.2) */
function applyCursor(cursors, event, data) {
  if (event === "update") return applyCursors(cursors, [data]);
  if (event === "bulk") return applyCursors(cursors, data);
  if (event === "remove") {
    cursors.delete(data?.key);
    return true;
  }
  if (event !== "snapshot" || !Array.isArray(data)) return false;
  cursors.clear();
  applyCursors(cursors, data);
  return true;
}

/** @param {AgingMap} cursors @param {any} entries @returns {boolean} */
function applyCursors(cursors, entries) {
  if (!Array.isArray(entries)) return false;
  for (const entry of entries) {
    if (typeof entry?.key === "string") cursors.set(entry.key, { user: entry.user, data: entry.data });
  }
  return true;
}

/**
 * A group: the store of the last event in it, and in `members` a store of the list of `{role}`.
 * @param {string} name
 * @returns {LazyStore<TopicEvent | null> & {members: LazyStore<any[]>}}
 */
export function group(name) {
  checkName("group(name)", name);
  return pluginStore(["group", name], () => groupStore(name));
}

/** @param {string} name (wire 6.3) */
function groupStore(name) {
  const topic = GROUP_PREFIX + name;
  const members = new Store(/** @type {any[]} */ ([]));
  const store = new LazyStore(/** @type {TopicEvent | null} */ (null), (set) => {
    const off = topics.listen(topic, {
      onEvent: (event, data) => {
        members.set(membersAfter(members.get(), event, data));
        set({ topic, event, data });
      },
    });
    tryToConnect();
    return () => {
      off();
      members.set([]);
    };
  });
  const follow = (/** @type {(list: any[]) => void} */ set) => {
    const off = store.subscribe(() => {});
    const offMembers = members.subscribe(set);
    return () => {
      offMembers();
      off();
    };
  };
  return Object.assign(store, { members: new LazyStore(/** @type {any[]} */ ([]), follow, () => members.get()) });
}

/** @param {any[]} members @param {string} event @param {any} data @returns {any[]} */
function membersAfter(members, event, data) {
  if (event === "members") return Array.isArray(data) ? data : members;
  if (event === "close") return [];
  if (event === "join" && typeof data?.role === "string") return [...members, { role: data.role }].slice(-MAX_PLUGIN_ENTRIES);
  if (event !== "leave") return members;
  const position = members.findIndex((member) => member?.role === data?.role);
  return position < 0 ? members : members.filter((_, other) => other !== position);
}

/**
 * A topic whose events have names. `on(event)` is a store of the last such event, `on()` of the last of any name.
 * @param {string} topic
 * @param {readonly string[]} [events] the names that exist; another one is an error
 */
export function channel(topic, events) {
  checkName("channel(topic)", topic);
  if (events !== undefined && !(Array.isArray(events) && events.every((name) => typeof name === "string"))) {
    throw new TypeError("channel(topic, events): the events must be a list of names");
  }
  return pluginStore(["channel", topic, events], () => new Channel(topic, events?.slice()));
}

class Channel {
  topic;
  #events;

  /** @param {string} topic @param {string[] | undefined} events */
  constructor(topic, events) {
    this.topic = topic;
    this.#events = events;
  }

  /** @param {string} [event] @returns {LazyStore<TopicEvent | null>} */
  on(event) {
    if (event === undefined) return on(this.topic);
    if (this.#events && !this.#events.includes(event)) {
      throw new RangeError(`channel '${this.topic}' has no event '${event}'; it has ${this.#events.join(", ")}`);
    }
    const start = (/** @type {(last: TopicEvent) => void} */ set) =>
      on(this.topic).subscribe((last) => last?.event === event && set(last));
    return new LazyStore(/** @type {TopicEvent | null} */ (null), start);
  }
}

/**
 * The events of a topic that the server keeps: first those after number `since`, then the live ones, none twice, also
 * across reconnects. When the server has not all of them, an event `truncated` says so.
 * @param {string} topic
 * @param {{since?: number}} [options] default: from the first one that is kept
 * @returns {LazyStore<TopicEvent | null>}
 */
export function onReplay(topic, options = {}) {
  checkName("onReplay(topic)", topic);
  checkOptions("onReplay", options, { since: 0 });
  const { since = 0 } = options;
  if (!Number.isSafeInteger(since) || since < 0) {
    throw new RangeError(`onReplay: since must be the number of an event, 0 or above, not ${since}`);
  }
  const start = (/** @type {(event: TopicEvent) => void} */ set) => new Replay(topic, since, set).start();
  return pluginStore(["replay", topic, since], () => new LazyStore(/** @type {TopicEvent | null} */ (null), start));
}

let replayRequests = 0;

/** One listener of a replayed topic: asks for what it missed at each open, and lets live events through after that. */
class Replay {
  #topic;
  #emit;
  /** The number of the last event that was passed on. @type {number | undefined} */
  #last;
  /** The number of the last event of the answer that is coming in. @type {number | undefined} */
  #lastOfAnswer = undefined;
  #reqId = 0;
  #isOpen = false;
  #isWaiting = true;
  /** @type {unknown} */
  #timer = null;

  /** @param {string} topic @param {number} since @param {(event: TopicEvent) => void} emit */
  constructor(topic, since, emit) {
    this.#topic = topic;
    this.#last = since;
    this.#emit = emit;
  }

  /** @returns {() => void} the end */
  start() {
    const offs = [
      topics.listen(this.#topic, { onEvent: (event, data, seq) => this.#live(event, data, seq) }),
      topics.listen(REPLAY_PREFIX + this.#topic, { onEvent: (event, data) => this.#answered(event, data) }),
      statusStore.subscribe((status) => this.#statusChanged(status)),
    ];
    tryToConnect();
    return () => {
      this.#reqId = 0; // a request that has not left does not leave
      this.#stopTimer();
      for (const off of offs) off();
    };
  }

  /** @param {Status} status */
  #statusChanged(status) {
    const isOpen = status === "open" || status === "suspended";
    if (isOpen === this.#isOpen) return;
    this.#isOpen = isOpen;
    this.#isWaiting = true;
    this.#stopTimer();
    if (isOpen) this.#ask();
  }

  #ask() {
    const reqId = (this.#reqId = ++replayRequests);
    this.#lastOfAnswer = undefined;
    this.#timer = startTimer(() => this.#finish(true), config.timeout);
    turn.afterTopics(() => {
      if (reqId !== this.#reqId) return;
      currentConnection?.send({ type: "replay", topic: this.#topic, since: this.#last ?? 0, reqId });
    });
  }

  /** What is live before the answer is complete is part of it (wire 6.4). @param {string} event @param {any} data @param {number} [seq] */
  #live(event, data, seq) {
    if (!this.#isWaiting) this.#pass(event, data, seq);
  }

  /** @param {string} event @param {any} data */
  #answered(event, data) {
    const isOurs = isObject(data) && data.reqId === this.#reqId;
    if (event === "msg" && isObject(data) && typeof data.event === "string") {
      // Without a request id it comes by itself, after a resume; its number tells whether it is new.
      if (isOurs || (data.reqId === undefined && typeof data.seq === "number")) this.#pass(data.event, data.data, data.seq);
      if (isOurs && Number.isSafeInteger(data.seq)) this.#lastOfAnswer = data.seq;
    } else if (isOurs && this.#isWaiting && (event === "end" || event === "denied")) {
      this.#finish(event === "denied" || data.truncated === true);
    }
  }

  /** @param {boolean} isTruncated */
  #finish(isTruncated) {
    this.#isWaiting = false;
    this.#stopTimer();
    if (!isTruncated) return;
    this.#emit({ topic: this.#topic, event: "truncated", data: null });
    this.#last = this.#lastOfAnswer; // the numbers may have begun anew
  }

  /** @param {string} event @param {any} data @param {unknown} seq */
  #pass(event, data, seq) {
    const number = typeof seq === "number" && Number.isSafeInteger(seq) ? seq : undefined;
    if (isUpTo(this.#last, number)) return;
    if (number !== undefined) this.#last = number;
    this.#emit({ topic: this.#topic, event, data, seq: number });
  }

  #stopTimer() {
    if (this.#timer !== null) __environment.clearTimeout(this.#timer);
    this.#timer = null;
  }
}

// ====================================================================================================
// 18. Pushes, signals, system events
// ====================================================================================================

/** @type {Map<string, (data: any) => any>} */
const pushHandlers = new Map();

/**
 * Answer requests of the server. One handler per event; the newest counts.
 * @param {string} event
 * @param {(data: any) => any} handler its result, awaited, is the answer; its exception an error answer
 * @returns {() => void} takes the handler away, if it is still the one
 */
export function onPush(event, handler) {
  if (typeof event !== "string" || event === "") throw new TypeError("onPush(event, handler) needs the name of an event");
  if (typeof handler !== "function") throw new TypeError("onPush(event, handler) needs a function");
  pushHandlers.set(event, handler);
  tryToConnect();
  return () => {
    if (pushHandlers.get(event) === handler) pushHandlers.delete(event);
  };
}

/** @param {string} event @param {any} data @returns {Promise<any>} */
async function answerPush(event, data) {
  const handler = pushHandlers.get(event);
  if (!handler) throw new Error(`[svelte-realtime] no push handler registered for event '${event}'`); // wire 2.5
  return handler(data);
}

/**
 * Listen to the signals of a user (live 25).
 * @param {string} userId
 * @param {(event: string, data: any) => void} handler
 * @returns {() => void}
 */
export function onSignal(userId, handler) {
  if (typeof userId !== "string" || !isUserId(userId)) {
    throw new TypeError("onSignal(userId, handler) needs the id of a user: 1 to 256 characters, no control characters or quotes");
  }
  if (typeof handler !== "function") throw new TypeError("onSignal(userId, handler) needs a function");
  const off = topics.listen(SIGNAL_PREFIX + userId, { onEvent: handler });
  tryToConnect();
  return off;
}

/** @param {string} id @returns {boolean} whether it may stand inside a topic (wire 3.1) */
function isUserId(id) {
  // eslint-disable-next-line no-control-regex
  return id.length >= 1 && id.length <= 256 && !/[\u0000-\u001f\u007f"\\]/.test(id);
}

/** Envelopes that the client itself acts on. @param {string} topic @param {string} event @param {any} data */
function systemEvent(topic, event, data) {
  if (topic === RPC_TOPIC) handleReply(event, data);
  else if (topic === UPLOAD_TOPIC) uploads.settle(event, data);
  else if (topic === REALTIME_TOPIC) realtimeEvent(event, data);
}

/** @param {string} event @param {any} data */
function realtimeEvent(event, data) {
  if (event === "degraded") healthStore.set("degraded");
  else if (event === "recovered") healthStore.set("healthy");
  else if (event === "reload") streamRegistry.reload(data);
}

// ====================================================================================================
// 19. Assertions and devtools
// ====================================================================================================

/** @type {Map<string, number>} */
const assertionCounts = new Map();
const OTHER_CATEGORIES = "other";

/**
 * Count and log that something is not as it must be; never throws (live 18.3).
 * @param {unknown} condition
 * @param {string} category
 * @param {Record<string, unknown>} [context]
 */
export function assert(condition, category, context = {}) {
  if (condition) return;
  const isKnown = assertionCounts.has(category) || assertionCounts.size < MAX_ASSERTION_CATEGORIES;
  const name = isKnown ? category : OTHER_CATEGORIES;
  assertionCounts.set(name, (assertionCounts.get(name) ?? 0) + 1);
  console.error(`[realtime/assert] ${JSON.stringify({ category, context: redacted(context, REDACTED_KEYS) })}`);
}

/** How often each category of `assert` failed. @returns {Record<string, number>} */
export function getAssertionCounters() {
  return Object.fromEntries(assertionCounts);
}

/** Keys whose values are never kept or logged (live 21.2). */
const REDACTED_KEYS = new Set(
  "password token apikey api_key secret authorization cookie sessionid session_id csrf csrftoken csrf_token".split(" ")
);

/**
 * A copy for people to read: without secrets, not too deep, not too long, without cycles.
 * @param {any} value
 * @param {Set<string>} keys in lower case
 * @param {any[]} [parents]
 * @returns {any}
 */
function redacted(value, keys, parents = []) {
  if (typeof value === "bigint" || typeof value === "function" || typeof value === "symbol") return String(value);
  if (!isObject(value)) return value;
  if (parents.includes(value)) return "[cycle]";
  if (parents.length >= DEVTOOLS_DEPTH) return "[depth-cap]";
  const inside = [...parents, value];
  if (Array.isArray(value)) return value.slice(0, DEVTOOLS_ITEMS).map((item) => redacted(item, keys, inside));
  const entries = Object.entries(value).map(([key, item]) => [
    key,
    keys.has(key.toLowerCase()) ? "[REDACTED]" : redacted(item, keys, inside),
  ]);
  return Object.fromEntries(entries);
}

/** @template T @param {T[]} ring @param {T} entry @param {number} max */
function addToRing(ring, entry, max) {
  ring.push(entry);
  if (ring.length > max) ring.shift();
}

/** What happened lately, for the page's developer: recorded under the dev server only. */
class Devtools {
  redactKeys = new Set(REDACTED_KEYS);
  isPaused = false;
  /** Calls without an answer, by id. @type {Map<string, {path: string, args: any, startedAt: number}>} */
  pending = new Map();
  /** The last answers. @type {Array<{path: string, args: any, ok: boolean, result: any, duration: number}>} */
  calls = [];
  /** The last `fireAndForget`s. @type {Array<{path: string, args: any, at: number, isDropped: boolean}>} */
  volatile = [];
  /** The last events of each stream, by path. @type {Map<string, Array<{event: string, data: any, at: number}>>} */
  events = new Map();

  /** @returns {number} calls of `fireAndForget` that were dropped */
  get volatileDropped() {
    return counters.volatileDropped;
  }

  /** The streams in use. */
  get streams() {
    return [...streamRegistry.active].map((stream) => stream.description);
  }

  clear() {
    this.pending.clear();
    this.events.clear();
    this.calls.length = this.volatile.length = 0;
  }

  /** @param {string} id @param {string} path @param {unknown[]} args */
  callSent(id, path, args) {
    if (this.isPaused || this.pending.size >= DEVTOOLS_PENDING) return;
    this.pending.set(id, { path, args: redacted(args, this.redactKeys), startedAt: __environment.now() });
  }

  /** @param {string} id @param {boolean} ok @param {unknown} result */
  callSettled(id, ok, result) {
    const call = this.pending.get(id);
    if (!call) return;
    this.pending.delete(id);
    const { path, args, startedAt } = call;
    const entry = { path, args, ok, result: redacted(result, this.redactKeys), duration: __environment.now() - startedAt };
    addToRing(this.calls, entry, DEVTOOLS_CALLS);
  }

  /** @param {string} path @param {unknown[]} args @param {boolean} isDropped */
  volatileSent(path, args, isDropped) {
    if (this.isPaused) return;
    const entry = { path, args: redacted(args, this.redactKeys), at: __environment.now(), isDropped };
    addToRing(this.volatile, entry, DEVTOOLS_VOLATILE);
  }

  /** @param {string} path @param {string} event @param {any} data */
  eventReceived(path, event, data) {
    if (this.isPaused) return;
    let ring = this.events.get(path);
    if (!ring) {
      if (this.events.size >= MAX_CACHED_STREAMS) return;
      this.events.set(path, (ring = []));
    }
    addToRing(ring, { event, data: redacted(data, this.redactKeys), at: __environment.now() }, DEVTOOLS_EVENTS);
  }
}

/** `null` unless the page runs under the dev server. */
export const __devtools = isDev() ? new Devtools() : null;

flushFramesWhenHidden();
