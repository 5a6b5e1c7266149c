/** The tab of topics: who gets what, how much of it, through which stream. @module */

import { button, chip, clock, element, number, size, Table } from "./view.js";

const ORDERS = {
  rate: (/** @type {any} */ a, /** @type {any} */ b) => b.rate - a.rate || b.subscribers - a.subscribers,
  subscribers: (/** @type {any} */ a, /** @type {any} */ b) => b.subscribers - a.subscribers,
  name: (/** @type {any} */ a, /** @type {any} */ b) => (a.topic < b.topic ? -1 : 1),
};

export class TopicsTab {
  id = "topics";
  title = "Topics";

  /** @param {import("./feed.js").Feed} feed @param {(id: string, query?: Record<string, string>) => void} go */
  constructor(feed, go) {
    this.feed = feed;
    const again = () => this.update();
    this.filter = element("input", "grow", null, { type: "search", placeholder: "Filter by topic or stream", "aria-label": "Filter topics", input: again });
    this.order = element(
      "select",
      "",
      [["rate", "Busiest first"], ["subscribers", "Most subscribers first"], ["name", "By name"]].map(([value, text]) => element("option", "", text, { value })),
      { "aria-label": "Order", change: again }
    );
    this.system = element("input", "", null, { type: "checkbox", change: again });
    this.more = element("span", "soft");
    this.table = new Table({
      label: "Topics",
      none: "There is no topic: nobody is subscribed and nothing was published.",
      key: (row) => row.topic,
      columns: [
        { title: "Topic", className: "key", of: (row) => row.topic },
        { title: "Streams", of: (row) => row.streams.length > 0 && element("div", "chips", row.streams.map((/** @type {any} */ one) => chip(`${one.path} · ${one.merge ?? ""}`, "", `${one.connections} subscriptions`))) },
        { title: "Subscribers", className: "num", of: (row) => [row.subscribers || row.events === 0 ? number(row.subscribers) : chip("nobody", "warn", "It is published to nobody"), row.loading ? chip(`${row.loading} loading`, "warn") : ""] },
        { title: "Events/s", className: "num", of: (row) => (row.rate ? number(row.rate) : "") },
        { title: "Bytes/s", className: "num", of: (row) => (row.bytesRate ? size(row.bytesRate) : "") },
        { title: "Events", className: "num", of: (row) => number(row.events) || "" },
        { title: "Last", of: (row) => (row.lastEvent === null ? "" : [`${row.lastEvent} `, element("span", "soft nowrap", clock(row.lastAt * 1000))]) },
        { title: "", label: "", of: (row) => button("Frames", () => go("frames", { topic: row.topic }), "plain", { "aria-label": `Frames of ${row.topic}` }) },
      ],
    });
    this.node = element("section", "", [
      element("div", "tools", [this.filter, this.order, element("label", "check", [this.system, "System topics"]), this.more]),
      this.table.node,
    ]);
  }

  count() {
    return this.feed.state.topics.total;
  }

  update() {
    if (!this.feed.state) return;
    const { rows, total } = this.feed.state.topics;
    const wanted = this.filter.value.trim().toLowerCase();
    const order = ORDERS[/** @type {keyof typeof ORDERS} */ (this.order.value)];
    const shown = rows
      .filter((/** @type {any} */ row) => this.system.checked || !row.topic.startsWith("__"))
      .filter((/** @type {any} */ row) => !wanted || `${row.topic} ${row.streams.map((/** @type {any} */ one) => one.path)}`.toLowerCase().includes(wanted))
      .sort(order);
    this.table.update(shown);
    this.more.textContent = total > rows.length ? `the first ${rows.length} of ${number(total)}` : "";
  }
}
