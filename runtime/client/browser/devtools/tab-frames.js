/** The tab of frames: what went in and out, newest first, and what is in each. @module */

import { chip, clock, element, empty, facts, fill, inline, json, number, shortId, size, Table } from "./view.js";

const MAX_ROWS = 300;
export const DIRECTIONS = /** @type {const} */ ({ in: "→ in", out: "← out", pub: "⇶ publish", drop: "✕ lost" });
const QUIET_KINDS = new Set(["welcome", "hello", "ping", "pong", "subscribed"]);

/** @param {import("./feed.js").Frame} frame @returns {string} what it is about */
export function subject(frame) {
  if (frame.path) return frame.path;
  return frame.topic ?? "";
}

/** @param {import("./feed.js").Frame} frame @returns {HTMLElement} everything of one frame */
export function frameDetails(frame) {
  return element("div", "panel", [
    element("h2", "", [element("span", `dir ${frame.dir}`, DIRECTIONS[frame.dir]), ` ${frame.kind}`]),
    facts([
      ["Time", clock(frame.at)],
      ["Path", frame.path && element("span", "mono", frame.path)],
      ["Topic", frame.topic && element("span", "mono", frame.topic)],
      ["Event", frame.event && element("span", "mono", frame.event)],
      ["Result", frame.ok === undefined ? null : frame.ok ? chip("ok", "good") : chip(frame.code ?? "failed", "bad")],
      ["Took", frame.ms === undefined ? null : `${frame.ms} ms`],
      ["Number", frame.seq === undefined ? null : String(frame.seq)],
      ["Reached", frame.reach === undefined ? null : `${number(frame.reach)} ${frame.reach === 1 ? "connection" : "connections"}`],
      ["Connection", frame.conn && element("span", "mono", frame.conn)],
      ["Call", frame.id && element("span", "mono", frame.id)],
      ["Size", size(frame.size)],
    ]),
    element("h3", "", frame.kind === "call" ? "Arguments" : "Data"),
    frame.data === undefined ? element("span", "soft", "nothing") : json(frame.data),
  ]);
}

export class FramesTab {
  id = "frames";
  title = "Frames";

  /** @param {import("./feed.js").Feed} feed */
  constructor(feed) {
    this.feed = feed;
    const again = () => this.update();
    this.filter = element("input", "grow", null, { type: "search", placeholder: "Filter by path, topic, event or content", "aria-label": "Filter frames", input: again });
    this.directions = Object.entries(DIRECTIONS).map(([name, text]) => ({ name, box: element("input", "", null, { type: "checkbox", checked: true, change: again }), text }));
    this.errors = element("input", "", null, { type: "checkbox", change: again });
    this.quiet = element("input", "", null, { type: "checkbox", change: again });
    this.conn = element("select", "", null, { "aria-label": "Connection", change: again });
    this.chosen = "";
    this.choices = "";
    this.topic = "";
    this.topicChip = element("span");
    /** @type {import("./feed.js").Frame | null} */
    this.opened = null;
    this.more = element("span", "soft", null, { role: "status" });
    this.side = element("aside", "", null, { "aria-label": "Frame" });
    this.table = new Table({
      label: "Frames",
      none: "No frame yet that fits. Frames are recorded while this page is open.",
      key: (frame) => String(frame.n),
      onOpen: (frame) => {
        this.opened = frame;
        fill(this.side, frameDetails(frame));
      },
      rowClass: (frame) => (frame.ok === false || frame.dir === "drop" || frame.kind === "subscribe-denied" ? "failed" : ""),
      columns: [
        { title: "Time", className: "mono nowrap", of: (frame) => clock(frame.at) },
        { title: "What", label: "", className: "nowrap", of: (frame) => [element("span", `dir ${frame.dir}`, frame.dir === "pub" ? DIRECTIONS.pub : `${DIRECTIONS[/** @type {"in"} */ (frame.dir)].slice(0, 1)} ${frame.kind}`, { title: DIRECTIONS[/** @type {"in"} */ (frame.dir)] })] },
        { title: "About", className: "key", of: (frame) => [subject(frame), frame.ok === false ? element("span", "", [" ", chip(frame.code ?? "failed", "bad")]) : "", frame.event && frame.kind !== "reply" ? element("span", "soft", ` ${frame.event}`) : ""] },
        { title: "Content", className: "mono cut", of: (frame) => inline(frame.data, 160) },
        { title: "Who", className: "nowrap", of: (frame) => (frame.conn ? element("span", "mono", shortId(frame.conn)) : frame.reach ? `to ${number(frame.reach)}` : element("span", "warn", "to nobody")) },
        { title: "Size", className: "num", of: (frame) => size(frame.size) },
      ],
    });
    this.node = element("section", "", [
      element("div", "tools", [
        this.filter,
        ...this.directions.map(({ box, text }) => element("label", "check", [box, text])),
        element("label", "check", [this.errors, "Only failures"]),
        element("label", "check", [this.quiet, "Housekeeping"]),
        this.conn,
        this.topicChip,
        this.more,
      ]),
      element("div", "split", [this.table.node, this.side]),
    ]);
    fill(this.side, empty("Choose a frame to see all of it."));
  }

  count() {
    return this.feed.frames.length;
  }

  /** Values are shown in another way from now on. */
  redraw() {
    if (this.opened) fill(this.side, frameDetails(this.opened));
  }

  /** @param {URLSearchParams} query */
  show(query) {
    if (query.has("conn")) this.chosen = query.get("conn") ?? "";
    if (query.has("topic")) this.topic = query.get("topic") ?? "";
    if (query.has("text")) this.filter.value = query.get("text") ?? "";
  }

  update() {
    this.#writeChoices();
    const found = this.#matching();
    const shown = found.slice(-MAX_ROWS).reverse();
    this.table.update(shown);
    const all = this.feed.frames.length;
    const parts = [
      found.length > MAX_ROWS ? `the last ${MAX_ROWS} of ${number(found.length)}` : found.length < all ? `${number(found.length)} of ${number(all)}` : "",
      this.feed.skipped > 0 ? `${number(this.feed.skipped)} more came too fast to be recorded` : "",
    ];
    this.more.textContent = parts.filter(Boolean).join(", ");
  }

  #writeChoices() {
    const rows = this.feed.state?.connections.rows ?? [];
    const names = new Map([["", "All connections"], ...rows.map((/** @type {any} */ row) => [row.id, shortId(row.id)])]);
    if (this.chosen && !names.has(this.chosen)) names.set(this.chosen, `${shortId(this.chosen)} (ended)`);
    const text = [...names].join();
    if (text !== this.choices) {
      this.choices = text;
      fill(this.conn, [...names].map(([value, name]) => element("option", "", name, { value })));
      this.conn.value = this.chosen;
    } else if (document.activeElement === this.conn || this.conn.value !== this.chosen) {
      this.chosen = this.conn.value;
    }
    const close = () => {
      this.topic = "";
      this.update();
    };
    if (this.topicChip.textContent !== (this.topic ? `topic ${this.topic} ✕` : "")) {
      fill(this.topicChip, this.topic && element("button", "", `topic ${this.topic} ✕`, { type: "button", click: close, "aria-label": `Show other topics than ${this.topic} again` }));
    }
  }

  #matching() {
    const wanted = this.filter.value.trim().toLowerCase();
    const directions = new Set(this.directions.filter(({ box }) => box.checked).map(({ name }) => name));
    const topics = this.chosen ? new Set(this.feed.state?.connections.rows.find((/** @type {any} */ row) => row.id === this.chosen)?.topics ?? []) : null;
    return this.feed.frames.filter((frame) => {
      if (!directions.has(frame.dir)) return false;
      if (this.errors.checked && !(frame.ok === false || frame.dir === "drop" || frame.kind === "subscribe-denied")) return false;
      if (!this.quiet.checked && QUIET_KINDS.has(frame.kind)) return false;
      if (this.topic && frame.topic !== this.topic) return false;
      if (topics && frame.conn !== this.chosen && !(frame.dir === "pub" && topics.has(frame.topic ?? ""))) return false;
      return !wanted || `${frame.kind} ${frame.path ?? ""} ${frame.topic ?? ""} ${frame.event ?? ""} ${frame.code ?? ""} ${JSON.stringify(frame.data) ?? ""}`.toLowerCase().includes(wanted);
    });
  }
}
