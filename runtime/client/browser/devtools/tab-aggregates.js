/** The tab of aggregates: what each window has come to. @module */

import { chip, element, empty, facts, fill, json } from "./view.js";

export class AggregatesTab {
  id = "aggregates";
  title = "Aggregates";

  /** @param {import("./feed.js").Feed} feed */
  constructor(feed) {
    this.feed = feed;
    this.drawn = "";
    this.list = element("div", "columns");
    this.node = element("section", "", this.list);
  }

  /** Values are shown in another way from now on. */
  redraw() {
    this.drawn = "";
  }

  count() {
    return this.feed.state.aggregates.total;
  }

  update() {
    if (!this.feed.state) return;
    const { rows } = this.feed.state.aggregates;
    const text = JSON.stringify(rows);
    if (text === this.drawn) return;
    this.drawn = text;
    fill(this.list, rows.length > 0 ? rows.map(aggregate) : empty("No live module has an aggregate."));
  }
}

/** @param {any} row @returns {HTMLElement} */
function aggregate(row) {
  return element("div", "panel", [
    element("h2", "mono", row.path),
    facts([
      ["Counts", element("span", "mono", row.source)],
      ["State", row.restoring ? chip("restoring", "warn") : null],
      ["Waiting", row.waiting || null],
    ]),
    ...row.windows.flatMap((/** @type {any} */ one) => [
      element("h3", "", [one.name, " ", element("span", "soft mono", one.topic)]),
      json(one.value),
    ]),
  ]);
}
