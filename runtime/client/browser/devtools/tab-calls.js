/** The tab of calls: what runs now on the server, and what the last ones came to. @module */

import { button, chip, clock, duration, element, empty, fill, inline, number, shortId, Table } from "./view.js";
import { single } from "./session.js";
import { frameDetails } from "./tab-frames.js";

const MAX_RESULTS = 100;
const SLOW_MS = 1000;

export class CallsTab {
  id = "calls";
  title = "Calls";

  /** @param {import("./feed.js").Feed} feed @param {(id: string, query?: Record<string, string>) => void} go */
  constructor(feed, go) {
    this.feed = feed;
    this.filter = element("input", "grow", null, { type: "search", placeholder: "Filter by path or code", "aria-label": "Filter calls", input: () => this.update() });
    this.side = element("aside", "", null, { "aria-label": "Call" });
    /** @type {any} */
    this.opened = null;
    this.uploads = element("p", "soft");
    this.pending = new Table({
      label: "Pending calls",
      none: "Nothing runs now.",
      key: (row) => `${row.connection} ${row.id} ${row.path}`,
      rowClass: (row) => (row.age > 5 ? "failed" : ""),
      columns: [
        { title: "Path", className: "key", of: (row) => row.path },
        { title: "Runs for", className: "num", of: (row) => duration(row.age < 1 ? row.age : Math.floor(row.age)) },
        { title: "", label: "", of: (row) => [row.stream ? chip("stream") : "", row.gone ? chip("caller is gone", "warn") : "", row.known ? "" : chip("unknown path", "bad")] },
        { title: "Connection", of: (row) => button(shortId(row.connection), () => go("frames", { conn: row.connection }), "plain mono") },
      ],
    });
    this.results = new Table({
      label: "Results",
      none: "No call was answered since this page is open.",
      key: (row) => String(row.reply.n),
      onOpen: (row) => {
        this.opened = row;
        this.redraw();
      },
      rowClass: (row) => (row.reply.ok === false ? "failed" : ""),
      columns: [
        { title: "Time", className: "mono nowrap", of: (row) => clock(row.reply.at) },
        { title: "Path", className: "key", of: (row) => row.reply.path ?? "(began earlier)" },
        { title: "Arguments", className: "mono cut", of: (row) => inline(row.call?.data, 120) },
        { title: "Result", className: "nowrap", of: (row) => (row.reply.ok ? chip("ok", "good") : chip(row.reply.code ?? "failed", "bad")) },
        { title: "Took", className: "num", of: (row) => (row.reply.ms === undefined ? "" : element("span", row.reply.ms > SLOW_MS ? "warn" : "", duration(row.reply.ms / 1000))) },
        { title: "Connection", className: "mono", of: (row) => shortId(row.reply.conn) },
      ],
    });
    this.average = element("span", "soft");
    this.node = element("section", "", [
      element("h2", "", "Pending"),
      this.uploads,
      this.pending.node,
      element("div", "head later", [element("h2", "", "Answered"), this.average]),
      element("div", "tools", this.filter),
      element("div", "split", [this.results.node, this.side]),
    ]);
    fill(this.side, empty("Choose a call to see its arguments and its result."));
  }

  /** Show the call that was chosen, in the way that values are shown now. */
  redraw() {
    if (this.opened) fill(this.side, [this.opened.call && frameDetails(this.opened.call), frameDetails(this.opened.reply)]);
  }

  count() {
    return this.feed.state.pending.total || null;
  }

  update() {
    if (!this.feed.state) return;
    const { rows, uploads } = this.feed.state.pending;
    this.pending.update(rows);
    this.uploads.hidden = !uploads;
    this.uploads.textContent = `${number(uploads)} uploads are under way.`;
    const wanted = this.filter.value.trim().toLowerCase();
    const found = results(this.feed.frames).filter(({ reply }) => !wanted || `${reply.path} ${reply.code ?? ""}`.toLowerCase().includes(wanted));
    this.results.update(found.slice(0, MAX_RESULTS));
    const timed = found.filter(({ reply }) => reply.ms !== undefined);
    const failed = found.filter(({ reply }) => reply.ok === false).length;
    const mean = timed.reduce((sum, { reply }) => sum + (reply.ms ?? 0), 0) / timed.length;
    this.average.textContent = found.length ? `${number(found.length)} calls, ${number(failed)} failed${timed.length ? `, ${duration(mean / 1000)} on average` : ""}` : "";
  }
}

/**
 * @param {import("./feed.js").Frame[]} frames
 * @returns {Array<{reply: any, call: import("./feed.js").Frame | undefined}>} newest first; those of a batch, too
 */
export function results(frames) {
  /** @type {Map<string, import("./feed.js").Frame>} */
  const calls = new Map();
  /** @type {Array<{reply: any, call: import("./feed.js").Frame | undefined}>} */
  const found = [];
  for (const frame of single(frames)) {
    if (frame.kind === "call" || frame.kind === "stream") calls.set(`${frame.conn} ${frame.id}`, frame);
    else if (frame.kind === "reply") found.push({ reply: frame, call: calls.get(`${frame.conn} ${frame.id}`) });
  }
  return found.reverse();
}
