/** The tab of presence: who is in which room and on which topic. @module */

import { chip, element, empty, fill, inline, json, number } from "./view.js";

export class PresenceTab {
  id = "presence";
  title = "Presence";

  /** @param {import("./feed.js").Feed} feed */
  constructor(feed) {
    this.feed = feed;
    this.filter = element("input", "grow", null, { type: "search", placeholder: "Filter by topic or person", "aria-label": "Filter presence", input: () => this.update() });
    this.users = element("span", "soft");
    this.list = element("div", "columns");
    this.drawn = "";
    this.node = element("section", "", [element("div", "tools", [this.filter, this.users]), this.list]);
  }

  /** Values are shown in another way from now on. */
  redraw() {
    this.drawn = "";
  }

  count() {
    return this.feed.state.presence.rows.reduce((/** @type {number} */ sum, /** @type {any} */ row) => sum + row.count, 0);
  }

  update() {
    if (!this.feed.state) return;
    const { rows, users } = this.feed.state.presence;
    this.users.textContent = users === 1 ? "1 user can be pushed to" : `${number(users)} users can be pushed to`;
    const wanted = this.filter.value.trim().toLowerCase();
    const shown = rows.filter((/** @type {any} */ row) => !wanted || JSON.stringify(row).toLowerCase().includes(wanted));
    const text = JSON.stringify(shown);
    if (text === this.drawn) return; // somebody may be reading in it
    this.drawn = text;
    fill(this.list, shown.length > 0 ? shown.map(room) : empty("Nobody is in a room, and no Presence of a plugin has anybody."));
  }
}

/** @param {any} row @returns {HTMLElement} */
function room(row) {
  return element("div", "panel", [
    element("div", "head", [element("h2", "mono", row.topic), chip(row.kind), element("span", "soft", `${number(row.count)} here`)]),
    ...row.people.map(person),
    row.count > row.people.length && element("p", "soft", `and ${number(row.count - row.people.length)} more`),
  ]);
}

/** @param {any} one @returns {HTMLElement} */
function person(one) {
  const { key, data, ...rest } = one;
  const shown = data ?? rest;
  const name = key ?? shown?.name ?? shown?.id ?? "";
  if (shown === null || typeof shown !== "object") return element("p", "", [element("b", "", String(name)), " ", element("span", "soft mono", inline(shown, 60))]);
  return element("details", "", [element("summary", "", [element("b", "", String(name)), " ", element("span", "soft mono", inline(shown, 60))]), json(shown)]);
}
