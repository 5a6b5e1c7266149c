/**
 * What the page knows of the server: it asks once a second, keeps the last frames, and records sessions.
 *
 * @module
 */

/**
 * @typedef {{n: number, at: number, dir: "in" | "out" | "pub" | "drop", kind: string, size: number, conn?: string,
 *   path?: string, id?: string, topic?: string, event?: string, seq?: number, reach?: number, ms?: number, ok?: boolean,
 *   code?: string, data?: any}} Frame
 * @typedef {{at: number, state: any}} Snapshot
 * @typedef {{frames: Frame[], snapshots: Snapshot[]}} Session
 */

/** Frames kept in the page, and in a recorded session, which also has states; beyond that the oldest go. */
export const MAX_FRAMES = 3000;
export const MAX_SESSION_FRAMES = 10_000;
export const MAX_SNAPSHOTS = 900;
/** Samples of the gauges. */
export const MAX_SAMPLES = 180;

const INTERVAL_MS = 1000;
const HIDDEN_INTERVAL_MS = 5000;

export class Feed extends EventTarget {
  /** @type {Frame[]} oldest first */
  frames = [];
  /** @type {any} the last answer's state; `null` before the first */
  state = null;
  /** @type {Array<{at: number, pressure: any, connections: number, rate: number}>} */
  samples = [];
  /** @type {string} why there is no answer, or "" */
  problem = "";
  isPaused = false;
  /** Frames that the server did not record, because there were too many at once. */
  skipped = 0;
  /** @type {Session | null} while a session is recorded */
  recording = null;
  /** The worker that answered last, its newest frame, and what its numbers are raised by: each worker counts from 1. */
  #worker = "";
  #last = 0;
  #offset = 0;
  /** @type {Frame[]} what came while paused */
  #waiting = [];
  #timer = 0;
  #isAsking = false;

  /** @param {URL} base where `poll` and `paths` are */
  constructor(base) {
    super();
    this.base = base;
  }

  start() {
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.#ask();
    });
    this.#ask();
  }

  /** @param {string} name @returns {Promise<any>} */
  async fetch(name) {
    const response = await fetch(new URL(name, this.base), { headers: { accept: "application/json" } });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return response.json();
  }

  /** @param {boolean} isPaused */
  pause(isPaused) {
    this.isPaused = isPaused;
    if (!isPaused) {
      this.#keep(this.#waiting);
      this.#waiting = [];
    }
    this.#tell();
  }

  clear() {
    this.frames = [];
    this.#waiting = [];
    this.#tell();
  }

  record() {
    this.recording = { frames: [], snapshots: [] };
    if (this.state) this.recording.snapshots.push({ at: this.state.worker.now * 1000, state: this.state });
    this.#tell();
  }

  /** @returns {Session | null} what was recorded */
  stop() {
    const session = this.recording;
    this.recording = null;
    this.#tell();
    return session;
  }

  async #ask() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    clearTimeout(this.#timer);
    try {
      this.#take(await this.fetch(`poll?after=${this.#last}&worker=${this.#worker}`));
      this.problem = "";
    } catch (error) {
      this.problem = error instanceof TypeError ? "the server cannot be reached" : String(/** @type {Error} */ (error).message);
    }
    this.#isAsking = false;
    this.#tell();
    this.#timer = setTimeout(() => this.#ask(), document.hidden ? HIDDEN_INTERVAL_MS : INTERVAL_MS);
  }

  /** @param {{worker: string, state: any, last: number, skipped: number, frames: Frame[]}} answer */
  #take(answer) {
    if (answer.worker !== this.#worker) {
      this.#offset += this.#last;
      this.#worker = answer.worker;
    }
    for (const frame of answer.frames) frame.n += this.#offset;
    this.state = answer.state;
    const { worker, pressure, connections, topics } = answer.state;
    this.#last = answer.last;
    this.skipped = answer.skipped;
    const rate = topics.rows.reduce((/** @type {number} */ sum, /** @type {any} */ row) => sum + row.rate, 0);
    add(this.samples, [{ at: worker.now * 1000, pressure: pressure.snapshot, connections: connections.total, rate }], MAX_SAMPLES);
    if (this.recording) {
      add(this.recording.frames, answer.frames, MAX_SESSION_FRAMES);
      add(this.recording.snapshots, [{ at: worker.now * 1000, state: answer.state }], MAX_SNAPSHOTS);
    }
    if (this.isPaused) add(this.#waiting, answer.frames, MAX_FRAMES);
    else this.#keep(answer.frames);
  }

  /** @param {Frame[]} frames */
  #keep(frames) {
    add(this.frames, frames, MAX_FRAMES);
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @template T @param {T[]} list @param {T[]} more @param {number} max */
function add(list, more, max) {
  list.push(...more);
  if (list.length > max) list.splice(0, list.length - max);
}
