/** How the stores of a page are shown: a table of them, and one with its events and its earlier values. @module */

import { chip, clock, duration, element, facts, fill, inline, json, number, Table } from "./view.js";

const TONES = /** @type {Record<string, string>} */ ({ connected: "good", error: "bad" });

/** @param {(stream: any) => void} onOpen @returns {Table<any>} */
export function storeTable(onOpen) {
  return new Table({
    label: "Stores",
    none: "No store of this page has a listener.",
    key: (stream) => stream.key,
    onOpen,
    rowClass: (stream) => (stream.error ? "failed" : ""),
    columns: [
      { title: "Store", className: "key", of: (stream) => stream.key },
      { title: "Topic", className: "mono", of: (stream) => stream.topic ?? "" },
      { title: "Merge", of: (stream) => stream.merge },
      { title: "Listeners", className: "num", of: (stream) => number(stream.subscribers) },
      { title: "Status", of: (stream) => [chip(stream.status, TONES[stream.status] ?? "warn"), stream.error && element("div", "bad", `${stream.error.code}: ${stream.error.message}`)] },
      { title: "Last event", of: (stream) => stream.last && [`${stream.last.event} `, element("span", "soft nowrap", `${age(stream.last.at)} ago`)] },
    ],
  });
}

/** @param {number} at */
function age(at) {
  return duration(Math.max(0, Math.floor((Date.now() - at) / 1000)));
}

/** One store: the value of now or of another moment, and its last events. */
export class StoreView {
  /**
   * Which of the earlier values is shown; `null` is the present one.
   * @type {number | null}
   */
  #at = null;
  #key = "";
  #drawn = "";

  constructor() {
    this.title = element("h2", "mono");
    this.about = element("div");
    this.slider = element("input", "", null, { type: "range", min: 0, max: 0, step: 1, "aria-label": "Earlier values", input: () => this.#move(Number(this.slider.value)) });
    this.when = element("p", "soft", null, { role: "status" });
    this.value = element("div");
    this.events = element("div");
    this.node = element("div", "panel", [this.title, this.about, element("h3", "", "Value"), this.slider, this.when, this.value, element("h3", "", "Last events"), this.events]);
    /** @type {Array<{at: number, value: any}>} */
    this.history = [];
  }

  /** @param {any} stream as `PageState.read` gives it, with its history */
  update(stream) {
    if (stream.key !== this.#key) this.#at = null;
    this.#key = stream.key;
    const text = JSON.stringify([stream.value, stream.events?.length, stream.events?.at(-1)?.at, stream.history?.length, stream.history?.at(-1)?.at, stream.status, stream.error]);
    if (text === this.#drawn) return;
    this.#drawn = text;
    this.history = stream.history ?? [];
    fill(this.title, stream.key);
    fill(this.about, facts([
      ["Topic", stream.topic && element("span", "mono", stream.topic)],
      ["Status", chip(stream.status, TONES[stream.status] ?? "warn")],
      ["Error", stream.error && element("span", "bad", `${stream.error.code}: ${stream.error.message}`)],
    ]));
    this.#write();
    const events = [...(stream.events ?? [])].reverse();
    fill(this.events, events.length === 0 ? element("p", "soft", "none yet") : events.map((/** @type {any} */ one) =>
      element("details", "", [element("summary", "mono", [`${one.event} `, element("span", "soft", `${clock(one.at)} ${inline(one.data, 50)}`)]), json(one.data)])
    ));
  }

  /** Values are shown in another way from now on. */
  redraw() {
    this.#drawn = "";
  }

  /** @param {number} index */
  #move(index) {
    this.#at = index >= this.history.length - 1 ? null : index;
    this.#write();
  }

  #write() {
    const last = this.history.length - 1;
    if (this.#at !== null && this.#at > last) this.#at = null;
    const index = this.#at ?? last;
    this.slider.max = String(Math.max(0, last));
    this.slider.value = String(Math.max(0, index));
    this.slider.hidden = last < 1;
    const sample = this.history[index];
    this.when.textContent = last < 1 ? "Earlier values are kept from the moment somebody looks." : this.#at === null ? `now; ${number(last)} earlier values` : `value ${index + 1} of ${last + 1}, of ${clock(sample.at)}`;
    fill(this.value, sample === undefined || sample.value === undefined ? element("span", "soft", "nothing yet") : json(sample.value));
  }
}
