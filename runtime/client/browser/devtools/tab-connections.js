/** The tab of connections: who is connected, with what on the way. @module */

import { button, chip, duration, element, facts, fill, json, number, shortId, size, Table, userName } from "./view.js";

export class ConnectionsTab {
  id = "connections";
  title = "Connections";

  /** @param {import("./feed.js").Feed} feed @param {(id: string, query?: Record<string, string>) => void} go */
  constructor(feed, go) {
    this.feed = feed;
    this.go = go;
    this.selected = "";
    this.drawn = "";
    this.filter = element("input", "grow", null, { type: "search", placeholder: "Filter by user, topic, stream or address", "aria-label": "Filter connections", input: () => this.update() });
    this.more = element("span", "soft");
    this.side = element("aside", "", null, { "aria-label": "Connection" });
    this.table = new Table({
      label: "Connections",
      none: "Nobody is connected.",
      key: (row) => row.id,
      onOpen: (row) => {
        this.selected = row.id;
        this.update();
      },
      columns: [
        { title: "Connection", className: "key", of: (row) => [userName(row.user) ? `${userName(row.user)} ` : "", element("span", "soft", shortId(row.id))] },
        { title: "From", of: (row) => row.address },
        { title: "Since", className: "num", of: (row) => duration(Math.floor(row.age)) },
        { title: "Topics", className: "num", of: (row) => number(row.topicCount) },
        { title: "In", className: "num", of: (row) => `${number(row.messagesIn)} · ${size(row.bytesIn)}` },
        { title: "Out", className: "num", of: (row) => `${number(row.messagesOut)} · ${size(row.bytesOut)}` },
        { title: "Waiting", className: "num", of: (row) => waiting(row) },
      ],
    });
    this.node = element("section", "", [
      element("div", "tools", [this.filter, this.more]),
      element("div", "split", [this.table.node, this.side]),
    ]);
  }

  /** Values are shown in another way from now on. */
  redraw() {
    this.drawn = "";
  }

  count() {
    return this.feed.state.connections.total;
  }

  update() {
    if (!this.feed.state) return;
    const { rows, total } = this.feed.state.connections;
    const wanted = this.filter.value.trim().toLowerCase();
    const shown = rows.filter((/** @type {any} */ row) => !wanted || searchText(row).includes(wanted));
    this.table.update(shown);
    this.more.textContent = total > rows.length ? `the first ${rows.length} of ${number(total)}` : "";
    const row = rows.find((/** @type {any} */ one) => one.id === this.selected);
    if (!row) {
      fill(this.side, this.selected ? element("div", "panel soft", "This connection has ended.") : null);
      return;
    }
    const text = JSON.stringify([row.user, row.topics, row.streams, row.caps, row.dropped, row.questions]);
    if (text === this.drawn && this.side.firstChild) return; // somebody may be reading or selecting in it
    this.drawn = text;
    fill(this.side, this.#details(row));
  }

  /** @param {any} row */
  #details(row) {
    return element("div", "panel", [
      element("h2", "", userName(row.user) || shortId(row.id)),
      facts([
        ["Session", element("span", "mono", row.id)],
        ["Address", row.address],
        ["Origin", row.origin],
        ["Path", element("span", "mono", row.path)],
        ["Understands", row.caps.join(", ")],
        ["Dropped frames", row.dropped ? element("span", "bad", number(row.dropped)) : null],
        ["Open questions", row.questions || null],
      ]),
      button("Show its frames", () => this.go("frames", { conn: row.id })),
      element("h3", "", "User"),
      row.user === null ? element("span", "soft", "nobody: the upgrade hook named none") : json(row.user),
      element("h3", "", `Topics (${number(row.topicCount)})`),
      element("div", "chips", row.topics.map((/** @type {string} */ topic) => chip(topic, topic.startsWith("__") ? "" : "accent"))),
      ...(row.streams.length > 0
        ? [element("h3", "", "Streams"), element("div", "chips", row.streams.map((/** @type {string} */ path) => chip(path)))]
        : []),
    ]);
  }
}

/** @param {any} row */
function waiting(row) {
  if (row.dropped) return chip(`${number(row.dropped)} dropped`, "bad");
  if (!row.buffered) return "";
  return chip(size(row.buffered), row.buffered > row.limit / 2 ? "warn" : "");
}

/** @param {any} row */
function searchText(row) {
  return [row.id, row.address, JSON.stringify(row.user), ...row.topics, ...row.streams].join(" ").toLowerCase();
}
