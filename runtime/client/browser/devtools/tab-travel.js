/** The tab of time travel: records a session and goes back and forth in it. @module */

import { button, chip, clock, duration, element, empty, fill, json, number, shortId, size, userName } from "./view.js";
import { frameDetails } from "./tab-frames.js";
import { pendingAt, read, stateAt, valuesAt, write } from "./session.js";

const PLAY_MS = 400;
const COLORS = { in: "--in", out: "--out", pub: "--pub", drop: "--bad" };

export class TravelTab {
  id = "travel";
  title = "Time travel";

  /** @param {import("./feed.js").Feed} feed */
  constructor(feed) {
    this.feed = feed;
    /** @type {import("./feed.js").Session | null} */
    this.session = null;
    this.index = 0;
    this.timer = 0;
    this.record = button("Record", () => this.#record(), "primary");
    this.log = button("Take the frame log", () => this.#take({ frames: [...feed.frames], snapshots: feed.state ? [{ at: feed.state.worker.now * 1000, state: feed.state }] : [] }));
    this.save = button("Save", () => this.#save());
    this.file = element("input", "", null, { type: "file", accept: "application/json,.json", "aria-label": "Load a session", hidden: true, change: () => this.#load() });
    this.message = element("span", "soft", null, { role: "status" });
    this.slider = element("input", "", null, { type: "range", min: 0, value: 0, step: 1, "aria-label": "Moment", input: () => this.#go(Number(this.slider.value)) });
    this.canvas = element("canvas");
    this.play = button("Play", () => this.#play());
    this.steps = element("div", "tools", [
      button("|◀", () => this.#go(0), "", { "aria-label": "First frame" }),
      button("◀", () => this.#go(this.index - 1), "", { "aria-label": "Frame before" }),
      this.play,
      button("▶", () => this.#go(this.index + 1), "", { "aria-label": "Next frame" }),
      button("▶|", () => this.#go(Infinity), "", { "aria-label": "Last frame" }),
    ]);
    this.where = element("span", "soft mono");
    this.steps.append(this.where);
    this.details = element("div", "split");
    this.travel = element("div", "", [element("div", "timeline", this.canvas), this.slider, this.steps, this.details]);
    this.none = empty("Record while you use the app, then stop and move through what happened, frame by frame. A session can be saved, sent to somebody and loaded again.");
    this.node = element("section", "", [
      element("div", "tools", [this.record, this.log, this.save, button("Load", () => this.file.click()), this.file, this.message]),
      this.none,
      this.travel,
    ]);
    this.node.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || target.closest("input, select")) return;
      this.#go(this.index + step);
      event.preventDefault();
    });
    this.#show();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#show());
  }

  /** Values are shown in another way from now on. */
  redraw() {
    this.#show();
  }

  count() {
    return this.feed.recording ? "●" : null;
  }

  update() {
    const recording = this.feed.recording;
    this.record.textContent = recording ? "Stop" : "Record";
    this.record.setAttribute("aria-pressed", String(recording !== null));
    this.log.disabled = recording !== null || this.feed.frames.length === 0;
    this.save.disabled = this.session === null;
    if (recording) this.message.textContent = `recording: ${number(recording.frames.length)} frames`;
  }

  #record() {
    if (!this.feed.recording) {
      this.feed.record();
      this.message.textContent = "recording";
    } else {
      const session = this.feed.stop();
      if (session) this.#take(session);
    }
    this.update();
  }

  /** @param {import("./feed.js").Session} session */
  #take(session) {
    this.session = session;
    this.index = Math.max(0, session.frames.length - 1);
    const seconds = session.frames.length > 1 ? (session.frames[session.frames.length - 1].at - session.frames[0].at) / 1000 : 0;
    this.message.textContent = `${number(session.frames.length)} frames in ${duration(seconds)}`;
    this.#show();
    this.update();
  }

  #save() {
    if (!this.session) return;
    const address = URL.createObjectURL(new Blob([write(this.session)], { type: "application/json" }));
    const name = `realtime-session-${new Date().toISOString().replace(/[:.]/g, "-")}.json`;
    element("a", "", null, { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  async #load() {
    const file = this.file.files?.[0];
    this.file.value = "";
    if (!file) return;
    try {
      this.#take(read(await file.text()));
    } catch (error) {
      this.message.textContent = `${file.name} cannot be loaded: ${/** @type {Error} */ (error).message}`;
    }
  }

  #play() {
    const isPlaying = this.timer !== 0;
    clearInterval(this.timer);
    this.timer = 0;
    this.play.textContent = isPlaying ? "Play" : "Stop";
    if (isPlaying) return;
    if (this.session && this.index >= this.session.frames.length - 1) this.#go(0);
    this.timer = setInterval(() => {
      if (!this.session || this.index >= this.session.frames.length - 1) this.#play();
      else this.#go(this.index + 1);
    }, PLAY_MS);
  }

  /** @param {number} index */
  #go(index) {
    if (!this.session) return;
    this.index = Math.min(Math.max(0, index), this.session.frames.length - 1);
    this.#show();
  }

  #show() {
    const session = this.session;
    const isThere = session !== null && session.frames.length > 0;
    this.none.hidden = isThere;
    this.travel.hidden = !isThere;
    if (!session) return;
    if (!isThere) {
      this.message.textContent = "nothing happened in this session";
      return;
    }
    const { frames } = session;
    const frame = frames[this.index];
    this.slider.max = String(frames.length - 1);
    this.slider.value = String(this.index);
    this.slider.setAttribute("aria-valuetext", `frame ${this.index + 1} of ${frames.length}, ${clock(frame.at)}`);
    this.where.textContent = `${clock(frame.at)} · frame ${this.index + 1} of ${frames.length}`;
    fill(this.details, [this.#world(session, frame), element("aside", "", frameDetails(frame))]);
    requestAnimationFrame(() => this.#draw(session));
  }

  /** @param {import("./feed.js").Session} session @param {import("./feed.js").Frame} frame */
  #world(session, frame) {
    const values = valuesAt(session, this.index);
    const pending = pendingAt(session, this.index);
    const state = stateAt(session, frame.at);
    return element("div", "columns", [
      section("Values of streams", values, (one) => element("details", "", [element("summary", "mono", [`${one.path} `, chip(one.topic, "accent"), element("span", "soft", ` ${one.events} ${one.events === 1 ? "event" : "events"}`)]), json(one.value)], { open: values.length <= 3 }), "No stream was loaded in this session yet."),
      section("Pending calls", pending, (one) => element("p", "mono", [one.path, element("span", "soft", ` ${duration((frame.at - one.at) / 1000)}, ${shortId(one.conn)}`)]), "None."),
      section("Connections", state?.connections.rows ?? [], (one) => element("p", "", [element("b", "", userName(one.user) || shortId(one.id)), element("span", "soft", ` ${number(one.topicCount)} topics, ${size(one.bytesOut)} out`)]), "None."),
      section("Presence", state?.presence.rows ?? [], (one) => element("p", "", [element("span", "mono", one.topic), ` ${number(one.count)}`]), "Nobody."),
      section("Topics", (state?.topics.rows ?? []).filter((/** @type {any} */ one) => !one.topic.startsWith("__")), (one) => element("p", "", [element("span", "mono", one.topic), element("span", "soft", ` ${number(one.subscribers)} subscribers, ${number(one.rate)} events/s`)]), "None."),
    ]);
  }

  /** @param {import("./feed.js").Session} session */
  #draw(session) {
    const { canvas } = this;
    const width = (canvas.width = canvas.clientWidth * devicePixelRatio);
    const height = (canvas.height = canvas.clientHeight * devicePixelRatio);
    const context = canvas.getContext("2d");
    if (!context || width === 0) return;
    const style = getComputedStyle(canvas);
    const [first, last] = [session.frames[0].at, session.frames[session.frames.length - 1].at];
    const x = (/** @type {number} */ at) => (last === first ? 0.5 : (at - first) / (last - first)) * (width - 4) + 2;
    const rows = ["in", "pub", "out", "drop"];
    for (const { at, dir } of session.frames) {
      context.fillStyle = style.getPropertyValue(COLORS[dir]);
      context.fillRect(x(at), (rows.indexOf(dir) * height) / 4 + 1, Math.max(1.5, devicePixelRatio), height / 4 - 2);
    }
    context.fillStyle = style.getPropertyValue("--ink");
    context.fillRect(x(session.frames[this.index].at) - devicePixelRatio / 2, 0, 2 * devicePixelRatio, height);
  }
}

/** @param {string} title @param {any[]} rows @param {(one: any) => HTMLElement} of @param {string} none */
function section(title, rows, of, none) {
  return element("div", "panel", [element("h2", "", title), ...(rows.length > 0 ? rows.map(of) : [element("span", "soft", none)])]);
}
